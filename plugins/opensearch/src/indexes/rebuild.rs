//! A generation beside the one that serves: begun, put in its place at one moment, or given up.

use std::time::Instant;

use flusso_plugin::{Error, Mapping, Result, Target};
use serde_json::json;

use super::seed_marks::wake;
use super::{Generation, Indexes};
use crate::client::Client;
use crate::cluster;
use crate::settings::Settings;

impl Indexes {
    /// See `sink.begin-rebuild`.
    pub(crate) fn begin(
        &mut self,
        client: &mut Client,
        mapping: &Mapping,
        resume: bool,
        settings: &Settings,
    ) -> Result<Target> {
        let names = self.names(mapping);
        self.name_fields(mapping, &names, false);
        self.look(client, &names)?;
        let live = self.of(&names).find(|one| one.serves).map_or(0, |live| live.number);
        let number = self.next(&names);
        let mut begun: Vec<Generation> = self.of(&names).filter(|one| one.number > live).cloned().collect();
        begun.sort_by_key(|one| one.number);
        let last = if resume { begun.pop() } else { None };
        for one in begun {
            cluster::remove(client, &one.name)?;
            self.known.retain(|known| known.target != one.target);
        }
        match last {
            Some(last) => Ok(last.target),
            None => Ok(self.make(client, mapping, settings, &names, number, false)?.target),
        }
    }

    /// See `sink.promote`.
    pub(crate) fn promote(&mut self, client: &mut Client, target: Target, settings: &Settings) -> Result<()> {
        let next = self.get(target)?.clone();
        self.look(client, &next.names)?;
        if self.get(target)?.serves {
            return Ok(());
        }
        // At most one replaced generation is kept: those before it had the whole rebuild's time.
        for (name, _) in std::mem::take(&mut self.replaced) {
            if self.of(&next.names).any(|one| one.name == name) {
                cluster::remove(client, &name)?;
                self.known.retain(|known| known.name != name);
            } else {
                self.replaced.push((name, Instant::now() + self.keep));
            }
        }
        wake(client, &next.name, settings)?;
        cluster::refresh(client, &[&next.name])?;
        let served: Vec<Generation> = self.of(&next.names).filter(|one| one.serves).cloned().collect();
        let mut actions = vec![json!({ "add": { "index": next.name, "alias": next.names.alias } })];
        for old in &served {
            actions.push(json!({ "remove": { "index": old.name, "alias": next.names.alias } }));
        }
        actions.extend(self.plain(client, &next, true)?);
        cluster::aliases(client, &actions)?;
        for one in &mut self.known {
            if one.names == next.names {
                one.serves = one.target == target;
            }
        }
        served.into_iter().for_each(|old| self.replace(old.name));
        Ok(())
    }

    /// See `sink.abandon`.
    pub(crate) fn abandon(&mut self, client: &mut Client, target: Target) -> Result<()> {
        let Some(one) = self.known.iter().find(|one| one.target == target).cloned() else { return Ok(()) };
        if one.serves {
            return Err(Error::fatal(format!("index {} serves and cannot be abandoned", one.name)));
        }
        cluster::remove(client, &one.name)?;
        self.known.retain(|known| known.target != target);
        Ok(())
    }

    /// Removes generations that were replaced long enough ago. It can wait, so it never fails anything.
    pub(crate) fn sweep(&mut self, client: &mut Client) {
        let now = Instant::now();
        let mut left = Vec::new();
        for (name, due) in std::mem::take(&mut self.replaced) {
            if due > now || cluster::remove(client, &name).is_err() {
                left.push((name, due));
            } else {
                self.known.retain(|known| known.name != name);
            }
        }
        self.replaced = left;
    }

    /// Keeps a replaced generation for its time.
    pub(super) fn replace(&mut self, name: String) {
        if self.replaced.iter().all(|(known, _)| *known != name) {
            self.replaced.push((name, Instant::now() + self.keep));
        }
    }
}
