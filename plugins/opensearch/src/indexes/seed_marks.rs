//! What is seeded: a mark in the meta index, that speaks of one index by the number the cluster gave it.

use flusso_plugin::{HistoryId, Result, Target};
use serde_json::json;

use super::{Generation, Indexes};
use crate::client::Client;
use crate::cluster::{self, Mark};
use crate::settings::Settings;

impl Indexes {
    /// See `sink.seeded`.
    pub(crate) fn seeded(
        &mut self,
        client: &mut Client,
        target: Target,
        settings: &Settings,
    ) -> Result<Option<HistoryId>> {
        let live = self.get(target)?.clone();
        let mark = cluster::mark(client, &live.names.meta, &live.names.alias)?;
        let mark = mark.filter(|mark| mark.seeded && mark.token == live.token);
        self.note(target, mark.is_some());
        let Some(mark) = mark else { return Ok(None) };
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
        self.remember(client, &live, history)?;
        self.note(target, true);
        Ok(())
    }

    /// See `sink.mark-unseeded`.
    pub(crate) fn mark_unseeded(&mut self, client: &mut Client, target: Target) -> Result<()> {
        let live = self.get(target)?.clone();
        self.note(target, false);
        self.remember(client, &live, "")
    }

    fn note(&mut self, target: Target, seeded: bool) {
        self.known.iter_mut().filter(|one| one.target == target).for_each(|one| one.seeded = seeded);
    }

    fn remember(&mut self, client: &mut Client, live: &Generation, history: &str) -> Result<()> {
        let meta = &live.names.meta;
        if !self.metas.contains(meta) {
            cluster::ensure_meta(client, meta)?;
            self.metas.push(meta.clone());
        }
        let mark = Mark {
            active_generation: live.name.clone(),
            seeded: !history.is_empty(),
            token: live.token.clone(),
            history: history.to_owned(),
        };
        cluster::remember(client, meta, &live.names.alias, &mark)
    }
}

/// Gives an index what it has once it is seeded.
pub(super) fn wake(client: &mut Client, name: &str, settings: &Settings) -> Result<()> {
    let (interval, replicas) = (&settings.refresh_interval, settings.number_of_replicas);
    let body = json!({ "index": { "refresh_interval": interval, "number_of_replicas": replicas } });
    cluster::configure(client, name, &body)
}
