//! The look at what others did to the indexes and aliases of this plugin, and the mending of it: at each opening of an index,
//! and at a flush every `look_every_secs`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flusso_plugin::{Error, Result, Target, log};
use serde_json::json;

use super::repairs::{Repair, repairs};
use super::{Generation, Indexes};
use crate::client::Client;
use crate::cluster::{self, Found};
use crate::cluster_error::closed;
use crate::names::Names;

/// How long the requests of one look may take; what is left is looked at by the next flush.
const MAX_LOOK_TIME: Duration = Duration::from_secs(1);
/// How often an index that changes while it is looked at is looked at again.
const MAX_ROUNDS: u32 = 3;

impl Indexes {
    /// At a flush: looks at everything that this instance writes to, if it is time. Aliases are put back at once. An index that
    /// is another, or closed, fails the flush: the host opens a fresh instance, which finds out what is there.
    pub(crate) fn look_around(&mut self, client: &mut Client) -> Result<()> {
        let started = Instant::now();
        if self.next_look > started {
            return Ok(());
        }
        if self.unseen.is_empty() {
            for one in &self.known {
                if !self.unseen.contains(&one.names) {
                    self.unseen.push(one.names.clone());
                }
            }
        }
        let mut renewed = None;
        while started.elapsed() < MAX_LOOK_TIME && !self.unseen.is_empty() {
            let count = cluster::names_in_one_request(&self.unseen);
            let some: Vec<Names> = self.unseen.drain(..count).collect();
            let found = match cluster::owned(client, &some) {
                Ok(found) => found,
                // The documents are durable; the next look is in time.
                Err(error) => {
                    log::debug("looking at the indexes failed; it is done again", &[("error", &format!("{error:?}"))]);
                    break;
                }
            };
            for names in some {
                let generations: Vec<Generation> = self.of(&names).cloned().collect();
                for repair in repairs(&names, &generations, &found, self.write_aliases) {
                    if let Some(error) = unusable(&repair) {
                        return Err(error);
                    }
                    match self.mend(client, &repair, &found) {
                        Ok(()) => {
                            if let Repair::Renew { index } = repair {
                                renewed = Some(index);
                            }
                        }
                        Err(error) => {
                            let error = format!("{error:?}");
                            log::warn("what another client changed cannot be put back yet", &[("error", &error)]);
                        }
                    }
                }
            }
        }
        if self.unseen.is_empty() {
            self.next_look = Instant::now() + self.look_every;
        }
        match renewed {
            Some(index) => Err(Error::transient(format!("index {index} is to be built anew; it is looked for again"))),
            None => Ok(()),
        }
    }

    /// Before documents are reported as refused: the indexes that refused them must still be those that this plugin made. One
    /// that another client made in their place has another mapping, and its refusals say nothing of the documents.
    pub(crate) fn verify(&mut self, client: &mut Client, targets: &[Target]) -> Result<()> {
        let mut all: Vec<Names> = Vec::new();
        for one in self.known.iter().filter(|one| targets.contains(&one.target)) {
            if !all.contains(&one.names) {
                all.push(one.names.clone());
            }
        }
        while !all.is_empty() {
            let count = cluster::names_in_one_request(&all);
            let some: Vec<Names> = all.drain(..count).collect();
            let found = cluster::owned(client, &some)?;
            for names in some {
                let generations: Vec<Generation> = self.of(&names).cloned().collect();
                let repairs = repairs(&names, &generations, &found, self.write_aliases);
                if let Some(error) = repairs.iter().find_map(unusable) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Learns which generations of an index there are, and puts back what others changed of their aliases.
    pub(super) fn look(&mut self, client: &mut Client, names: &Names) -> Result<()> {
        for _ in 0..MAX_ROUNDS {
            let found = cluster::owned(client, std::slice::from_ref(names))?;
            self.learn_all(client, names, &found)?;
            let generations: Vec<Generation> = self.of(names).cloned().collect();
            let mut is_mended = false;
            for repair in repairs(names, &generations, &found, self.write_aliases) {
                if let Some(error) = unusable(&repair) {
                    return Err(error);
                }
                self.mend(client, &repair, &found)?;
                is_mended |= !matches!(repair, Repair::Leave { .. });
            }
            if !is_mended {
                return Ok(());
            }
        }
        Err(Error::transient(format!("the aliases of {} change while they are looked at", names.alias)))
    }

    fn learn_all(&mut self, client: &mut Client, names: &Names, found: &BTreeMap<String, Found>) -> Result<()> {
        let serving = serving(client, names, found)?;
        let seeded: Vec<_> = self.of(names).filter(|one| one.seeded).map(|one| one.target).collect();
        self.known.retain(|one| one.names != *names);
        for (name, found) in found {
            let Some(number) = names.number(name) else { continue };
            if found.origin.is_none() {
                // Another client made it, with a mapping of its own: it is none of ours, but its number is taken.
                let taken = self.taken.entry(names.alias.clone()).or_default();
                *taken = number.max(*taken);
                continue;
            }
            self.learn(names, name.clone(), number, found, serving == Some(name.as_str()))?;
        }
        self.known.iter_mut().filter(|one| seeded.contains(&one.target)).for_each(|one| one.seeded = true);
        // What was replaced before this instance was opened.
        let serving = self.of(names).find(|one| one.serves).map(|one| one.number);
        let old = self.of(names).filter(|one| serving.is_some_and(|serving| one.number < serving));
        let old: Vec<String> = old.map(|one| one.name.clone()).collect();
        old.into_iter().for_each(|name| self.replace(name));
        Ok(())
    }

    /// Does what a repair says, and says it.
    fn mend(&mut self, client: &mut Client, repair: &Repair, found: &BTreeMap<String, Found>) -> Result<()> {
        match repair {
            Repair::Lost { .. } | Repair::Closed { .. } => Ok(()),
            Repair::Renew { index } => {
                let Some(origin) = found.get(index).and_then(|found| found.origin.as_ref()) else { return Ok(()) };
                cluster::renew(client, index, origin)?;
                let message = format!(
                    "index {index} was written to through an alias with routing, so documents may be in the wrong shards; it is built anew"
                );
                log::warn(&message, &[("index", index)]);
                Ok(())
            }
            Repair::Restore { alias, index, elsewhere, change } => {
                let remove = elsewhere.iter().map(|other| json!({ "remove": { "index": other, "alias": alias } }));
                let add = std::iter::once(json!({ "add": { "index": index, "alias": alias } }));
                cluster::aliases(client, &add.chain(remove).collect::<Vec<_>>())?;
                let message = format!("the alias {alias} {change}; it stands before index {index} alone again");
                log::warn(&message, &[("alias", alias), ("index", index)]);
                Ok(())
            }
            Repair::Leave { alias, change } => {
                self.say_once(alias, change);
                Ok(())
            }
        }
    }

    /// Says once what another client did to a plain name.
    pub(super) fn say_once(&mut self, alias: &str, change: &str) {
        let message =
            format!("the name {alias} {change}; it is left so: search the alias with the mapping's hash instead");
        if self.said.insert(message.clone()) {
            log::warn(&message, &[("alias", alias)]);
        }
    }
}

/// Which index serves: the one behind the alias with the mapping's hash. Where others removed that alias or put it before
/// several, the one that the seed mark speaks of.
fn serving<'a>(client: &mut Client, names: &Names, found: &'a BTreeMap<String, Found>) -> Result<Option<&'a str>> {
    let made = || found.iter().filter(|(_, found)| found.origin.is_some());
    let ours = || made().filter_map(|(name, found)| Some((names.number(name)?, name.as_str(), found)));
    let mut behind: Vec<_> = ours().filter(|(.., found)| found.aliases.contains_key(&names.alias)).collect();
    if let [(_, name, _)] = behind.as_slice() {
        return Ok(Some(name));
    }
    let mut all: Vec<_> = ours().collect();
    if all.is_empty() {
        return Ok(None);
    }
    let mark = cluster::mark(client, &names.meta, &names.alias)?;
    if !behind.is_empty() {
        all.clone_from(&behind);
    }
    let marked =
        mark.and_then(|mark| all.iter().find(|(.., found)| found.token == mark.token).map(|(_, name, _)| *name));
    behind.sort_by_key(|(number, ..)| *number);
    Ok(marked.or_else(|| behind.first().map(|(_, name, _)| *name)))
}

/// Why nothing can be written now; none: it can.
fn unusable(repair: &Repair) -> Option<Error> {
    match repair {
        Repair::Lost { index, change } => {
            Some(Error::transient(format!("index {index} {change} by another client; it is looked for again")))
        }
        Repair::Closed { index } => Some(Error::transient(closed(index))),
        _ => None,
    }
}
