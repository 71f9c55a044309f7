//! Ownership: which generation of an index serves, which is being filled, what is seeded.
//!
//! The aliases are the truth of what serves, and they change at one moment. A generation that is being filled stands beside
//! the one that serves and has a higher number; one with a lower number was replaced. A target is made of the number that
//! the cluster gives an index when it is made, so two generations never share one, over restarts and restored backups.

mod left_out;
mod look;
mod plain_alias;
mod rebuild;
mod repairs;
mod seed_marks;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use flusso_plugin::{Ensured, Error, Mapping, Result, Target, log};
use serde_json::{Value, json};

use crate::client::Client;
use crate::cluster::{self, Found};
use crate::field_names::FieldNames;
use crate::mapping;
use crate::names::{Names, fold, write_alias};
use crate::settings::Settings;
use left_out::LeftOut;
pub(crate) use repairs::stray_aliases;

/// One generation that this instance has seen.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) target: Target,
    pub(crate) name: String,
    /// What documents are written under.
    pub(crate) write_alias: String,
    /// What fields of its documents are called in the cluster.
    pub(crate) field_names: Rc<FieldNames>,
    token: String,
    names: Names,
    number: u64,
    /// Whether its alias stands before it.
    pub(crate) serves: bool,
    /// Whether it is marked seeded, as far as this instance knows.
    pub(crate) seeded: bool,
}

impl Generation {
    /// The name of its index in the cluster.
    pub(crate) fn index(&self) -> &str {
        &self.names.index
    }
}

/// Everything that this instance knows of.
pub(crate) struct Indexes {
    /// The meta index's name, where the operator gave it one.
    meta: Option<String>,
    /// The meta indexes that are known to be there.
    metas: Vec<String>,
    /// Whether documents are written under their write_aliases.
    write_aliases: bool,
    known: Vec<Generation>,
    /// By the alias with the mapping's hash.
    field_names: BTreeMap<String, Rc<FieldNames>>,
    /// What was counted last of what indexes lack.
    left_out: BTreeMap<Target, LeftOut>,
    /// Replaced generations, and when they may go.
    replaced: Vec<(String, Instant)>,
    keep: Duration,
    look_every: Duration,
    /// When to look at what others did.
    next_look: Instant,
    /// What the look that is under way has not come to.
    unseen: Vec<Names>,
    /// The highest number of an index that has a generation's name and was made by another client, by the alias with the hash.
    taken: BTreeMap<String, u64>,
    /// What was said of plain names.
    said: BTreeSet<String>,
}

impl Indexes {
    pub(crate) fn new(settings: &Settings, write_aliases: bool) -> Self {
        let keep = Duration::from_secs(settings.keep_replaced_secs);
        let look_every = Duration::from_secs(settings.look_every_secs);
        Self {
            meta: settings.meta_index.clone(),
            metas: Vec::new(),
            write_aliases,
            known: Vec::new(),
            field_names: BTreeMap::new(),
            left_out: BTreeMap::new(),
            replaced: Vec::new(),
            keep,
            look_every,
            next_look: Instant::now() + look_every,
            unseen: Vec::new(),
            taken: BTreeMap::new(),
            said: BTreeSet::new(),
        }
    }

    /// A generation by its target.
    pub(crate) fn get(&self, target: Target) -> Result<&Generation> {
        let found = self.known.iter().find(|one| one.target == target);
        found.ok_or_else(|| Error::fatal(format!("target {target} was not ensured on this instance")))
    }

    /// See `sink.ensure-index`.
    pub(crate) fn ensure(&mut self, client: &mut Client, mapping: &Mapping, settings: &Settings) -> Result<Ensured> {
        let names = self.names(mapping);
        self.name_fields(mapping, &names, true);
        self.look(client, &names)?;
        let found = self.of(&names).find(|one| one.serves).cloned();
        let live = match found {
            Some(live) => live,
            None => {
                // Not a number that was had before: who still writes to that one must not find this.
                let mark = cluster::mark(client, &names.meta, &names.alias)?;
                let had = mark.and_then(|mark| names.number(&mark.active_generation)).unwrap_or(0);
                let number = self.next(&names).max(had.saturating_add(1));
                let live = self.make(client, mapping, settings, &names, number, true)?;
                // An index of another client may have the alias as well.
                self.look(client, &names)?;
                // Nothing serves the plain name: this index may, however complete it is.
                self.serve_plainly(client, &live, false)?;
                live
            }
        };
        if let Some(message) = names.renamed(&mapping.index) {
            log::warn(&message, &[("index", &mapping.index)]);
        }
        let empty = cluster::is_empty(client, &live.name)?;
        Ok(Ensured { target: live.target, empty, extra: None })
    }

    /// Learns what fields are called in the cluster, and says which are called something else.
    fn name_fields(&mut self, mapping: &Mapping, names: &Names, say: bool) {
        let fields = FieldNames::of(&mapping.fields);
        for message in fields.messages().filter(|_| say) {
            log::warn(&message, &[("index", &mapping.index)]);
        }
        self.field_names.insert(names.alias.clone(), Rc::new(fields));
    }

    fn names(&self, mapping: &Mapping) -> Names {
        Names::of(mapping, self.meta.as_deref())
    }

    fn of<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = &'a Generation> {
        self.known.iter().filter(move |one| one.names == *names)
    }

    /// A number that no generation has.
    fn next(&self, names: &Names) -> u64 {
        let taken = self.taken.get(&names.alias).copied().unwrap_or(0);
        self.of(names).map(|one| one.number).max().unwrap_or(0).max(taken) + 1
    }

    fn learn(&mut self, names: &Names, name: String, number: u64, found: &Found, serves: bool) -> Result<Generation> {
        let target = fold(&found.token);
        if let Some(other) = self.known.iter().find(|one| one.target == target && one.token != found.token) {
            let message =
                format!("indexes {} and {name} cannot be told apart; remove {name}, and it is made anew", other.name);
            return Err(Error::fatal(message));
        }
        let write_alias = if self.write_aliases { write_alias(&name) } else { name.clone() };
        let (token, names) = (found.token.clone(), names.clone());
        let field_names = self.field_names.get(&names.alias).cloned().unwrap_or_default();
        let one = Generation { target, name, write_alias, field_names, token, names, number, serves, seeded: false };
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
        if self.write_aliases {
            aliases.insert(write_alias(&name), json!({}));
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
        self.learn(names, name, number, found, serves)
    }
}
