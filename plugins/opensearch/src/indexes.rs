//! Ownership: which generation of an index serves, which is being filled, what is seeded.
//!
//! The aliases are the truth of what serves, and they change at one moment. A generation that is being filled stands beside
//! the one that serves and has a higher number; one with a lower number was replaced. A target is made of the number that
//! the cluster gives an index when it is made, so two generations never share one, over restarts and restored backups.

use std::time::{Duration, Instant};

use flusso_plugin::{Ensured, Error, HistoryId, Mapping, Result, Target, log};
use serde_json::{Value, json};

use crate::client::Client;
use crate::cluster::{self, Found, Mark};
use crate::mapping;
use crate::names::{Names, fold, gate};
use crate::settings::Settings;

/// One generation that this instance has seen.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) target: Target,
    pub(crate) name: String,
    /// What documents are written under.
    pub(crate) gate: String,
    token: String,
    names: Names,
    number: u64,
    serves: bool,
}

/// Everything that this instance knows of.
pub(crate) struct Indexes {
    meta: String,
    has_meta: bool,
    /// Whether documents are written under their gates.
    gates: bool,
    known: Vec<Generation>,
    /// Replaced generations, and when they may go.
    replaced: Vec<(String, Instant)>,
    keep: Duration,
}

impl Indexes {
    pub(crate) fn new(settings: &Settings, gates: bool) -> Self {
        let keep = Duration::from_secs(settings.keep_replaced_secs);
        Self {
            meta: settings.meta_index.clone(),
            has_meta: false,
            gates,
            known: Vec::new(),
            replaced: Vec::new(),
            keep,
        }
    }

    /// A generation by its target.
    pub(crate) fn get(&self, target: Target) -> Result<&Generation> {
        let found = self.known.iter().find(|one| one.target == target);
        found.ok_or_else(|| Error::fatal(format!("target {target} was not ensured on this instance")))
    }

    /// See `sink.ensure-index`.
    pub(crate) fn ensure(&mut self, client: &mut Client, mapping: &Mapping, settings: &Settings) -> Result<Ensured> {
        let names = Names::of(&mapping.index, &mapping.hash)?;
        self.look(client, &names)?;
        let found = self.of(&names).find(|one| one.serves).cloned();
        let live = match found {
            Some(live) => live,
            None => {
                // Not a number that was had before: who still writes to that one must not find this.
                let mark = cluster::mark(client, &self.meta, &names.alias)?;
                let had = mark.and_then(|mark| names.number(&mark.active_generation)).unwrap_or(0);
                let number = self.next(&names).max(had.saturating_add(1));
                self.make(client, mapping, settings, &names, number, true)?
            }
        };
        // Nobody serves the plain name: this may as well, however much of it is there.
        self.serve_plainly(client, &live, false)?;
        let empty = cluster::is_empty(client, &live.name)?;
        Ok(Ensured { target: live.target, empty, extra: None })
    }

    /// See `sink.seeded`.
    pub(crate) fn seeded(
        &mut self,
        client: &mut Client,
        target: Target,
        settings: &Settings,
    ) -> Result<Option<HistoryId>> {
        let live = self.get(target)?.clone();
        let mark = cluster::mark(client, &self.meta, &live.names.alias)?;
        let Some(mark) = mark.filter(|mark| mark.seeded && mark.token == live.token) else { return Ok(None) };
        // Waking comes before the mark; should it sleep all the same, nothing else would wake it.
        let found = cluster::indexes(client, &live.name)?;
        if found.get(&live.name).is_some_and(|found| found.sleeps) && settings.refresh_interval != "-1" {
            wake(client, &live.name, settings)?;
        }
        Ok(Some(mark.history))
    }

    /// See `sink.mark-seeded`.
    pub(crate) fn mark_seeded(
        &mut self,
        client: &mut Client,
        target: Target,
        history: &str,
        settings: &Settings,
    ) -> Result<()> {
        let live = self.get(target)?.clone();
        // Awake and whole before anything says so: a crash in between repeats it.
        wake(client, &live.name, settings)?;
        cluster::refresh(client, &[&live.name])?;
        self.serve_plainly(client, &live, true)?;
        self.remember(client, &live, history)
    }

    /// See `sink.mark-unseeded`.
    pub(crate) fn mark_unseeded(&mut self, client: &mut Client, target: Target) -> Result<()> {
        let live = self.get(target)?.clone();
        self.remember(client, &live, "")
    }

    /// See `sink.begin-rebuild`.
    pub(crate) fn begin(
        &mut self,
        client: &mut Client,
        mapping: &Mapping,
        resume: bool,
        settings: &Settings,
    ) -> Result<Target> {
        let names = Names::of(&mapping.index, &mapping.hash)?;
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

    fn of<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = &'a Generation> {
        self.known.iter().filter(move |one| one.names == *names)
    }

    /// A number that no generation has.
    fn next(&self, names: &Names) -> u64 {
        self.of(names).map(|one| one.number).max().unwrap_or(0) + 1
    }

    fn replace(&mut self, name: String) {
        if self.replaced.iter().all(|(known, _)| *known != name) {
            self.replaced.push((name, Instant::now() + self.keep));
        }
    }

    /// Learns which generations of an index there are.
    fn look(&mut self, client: &mut Client, names: &Names) -> Result<()> {
        let found = cluster::indexes(client, &format!("{}_", names.alias))?;
        self.known.retain(|one| one.names != *names);
        for (name, found) in found {
            let Some(number) = names.number(&name) else { continue };
            if self.gates && !found.aliases.contains(&gate(&name)) {
                // Taken away by somebody; without it nothing could be written.
                cluster::aliases(client, &[json!({ "add": { "index": name, "alias": gate(&name) } })])?;
            }
            self.learn(names, name, number, &found)?;
        }
        let serving = self.of(names).filter(|one| one.serves).map(|one| one.number).max();
        if self.of(names).filter(|one| one.serves).count() > 1 {
            let message = format!("the alias {} stands before several indexes; leave it to one of them", names.alias);
            return Err(Error::fatal(message));
        }
        // What was replaced before this instance was opened.
        let old = self.of(names).filter(|one| serving.is_some_and(|serving| one.number < serving));
        let old: Vec<String> = old.map(|one| one.name.clone()).collect();
        old.into_iter().for_each(|name| self.replace(name));
        Ok(())
    }

    fn learn(&mut self, names: &Names, name: String, number: u64, found: &Found) -> Result<Generation> {
        let target = fold(&found.token);
        if let Some(other) = self.known.iter().find(|one| one.target == target && one.token != found.token) {
            let message =
                format!("indexes {} and {name} cannot be told apart; remove {name}, and it is made anew", other.name);
            return Err(Error::fatal(message));
        }
        let serves = found.aliases.contains(&names.alias);
        let gate = if self.gates { gate(&name) } else { name.clone() };
        let one = Generation { target, name, gate, token: found.token.clone(), names: names.clone(), number, serves };
        self.known.retain(|known| known.target != target);
        self.known.push(one.clone());
        Ok(one)
    }

    fn make(
        &mut self,
        client: &mut Client,
        mapping: &Mapping,
        settings: &Settings,
        names: &Names,
        number: u64,
        serves: bool,
    ) -> Result<Generation> {
        let name = names.generation(number);
        let mut aliases = serde_json::Map::new();
        if self.gates {
            aliases.insert(gate(&name), json!({}));
        }
        if serves {
            aliases.insert(names.alias.clone(), json!({}));
        }
        let mut body = mapping::body(mapping, settings)?;
        if let Some(body) = body.as_object_mut() {
            body.insert("aliases".to_owned(), Value::Object(aliases));
        }
        cluster::create(client, &name, &body)?;
        let found = cluster::indexes(client, &name)?;
        let Some(found) = found.get(&name) else {
            return Err(Error::transient(format!("index {name} is gone as soon as it was made; it is made again")));
        };
        self.learn(names, name, number, found)
    }

    fn remember(&mut self, client: &mut Client, live: &Generation, history: &str) -> Result<()> {
        if !self.has_meta {
            cluster::ensure_meta(client, &self.meta)?;
            self.has_meta = true;
        }
        let mark = Mark {
            active_generation: live.name.clone(),
            seeded: !history.is_empty(),
            token: live.token.clone(),
            history: history.to_owned(),
        };
        cluster::remember(client, &self.meta, &live.names.alias, &mark)
    }

    /// Puts a generation behind the plain name: always, or only if nothing is there.
    fn serve_plainly(&mut self, client: &mut Client, live: &Generation, always: bool) -> Result<()> {
        let actions = self.plain(client, live, always)?;
        if actions.is_empty() { Ok(()) } else { cluster::aliases(client, &actions) }
    }

    /// What puts a generation behind the plain name. A name that belongs to somebody else stays theirs: nothing that is
    /// promised depends on it.
    fn plain(&self, client: &mut Client, live: &Generation, always: bool) -> Result<Vec<Value>> {
        let alias = &live.names.index;
        let behind = cluster::behind(client, alias)?;
        let (ours, others): (Vec<_>, Vec<_>) = behind.into_iter().partition(|name| live.names.is_generation(name));
        if let Some(other) = others.first() {
            let reason = format!(
                "the name {alias} belongs to index {other}, which is not of flusso: search {} instead",
                live.names.alias
            );
            log::warn(&reason, &[]);
            return Ok(Vec::new());
        }
        if ours.contains(&live.name) && ours.len() == 1 || !always && !ours.is_empty() {
            return Ok(Vec::new());
        }
        let remove = ours.iter().filter(|old| **old != live.name);
        let remove = remove.map(|old| json!({ "remove": { "index": old, "alias": alias } }));
        Ok(std::iter::once(json!({ "add": { "index": live.name, "alias": alias } })).chain(remove).collect())
    }
}

/// Gives an index what it has once it is seeded.
fn wake(client: &mut Client, name: &str, settings: &Settings) -> Result<()> {
    let (interval, replicas) = (&settings.refresh_interval, settings.number_of_replicas);
    let body = json!({ "index": { "refresh_interval": interval, "number_of_replicas": replicas } });
    cluster::configure(client, name, &body)
}
