//! What this plugin holds in the cluster for a deployment, how each of it stands, and its removal. Nothing that was not made
//! by this plugin is listed or removed: an index says in its mapping what it was made for.

use std::collections::BTreeMap;

use flusso_plugin::{Error, IndexState, Inventory, Result, Settings as Given, StoredIndex};

use crate::client::Client;
use crate::cluster::{self, Found, Mark, Origin};
use crate::names::{Names, meta};
use crate::settings::Settings;
use crate::{CALL_LIMIT, OpenSearch};

/// A generation as it is found.
#[derive(Clone, Debug)]
struct One {
    name: String,
    found: Found,
    origin: Origin,
    names: Names,
    number: u64,
    /// What it was marked seeded with.
    history: Option<String>,
}

impl One {
    fn has(&self, alias: &str) -> bool {
        self.found.aliases.contains_key(alias)
    }

    fn serves(&self) -> bool {
        self.has(&self.names.alias)
    }
}

impl Inventory for OpenSearch {
    fn list(settings: Given, prefix: String) -> Result<Vec<StoredIndex>> {
        let (mut client, settings) = opened(&settings)?;
        let all = look(&mut client, &settings, &prefix)?;
        let mut stored = Vec::new();
        for one in &all {
            // What sleeps does not count what it was given.
            let documents = if one.found.sleeps { None } else { cluster::count(&mut client, &one.name, "").ok() };
            stored.push(StoredIndex {
                name: one.name.clone(),
                index: one.names.index.clone(),
                hash: one.origin.hash.clone(),
                state: index_state(one, &all),
                documents,
                bytes: cluster::bytes(&mut client, &one.name),
                seeded: one.history.clone(),
                extra: None,
            });
        }
        Ok(stored)
    }

    fn remove(settings: Given, prefix: String, name: String, force: bool) -> Result<()> {
        let (mut client, settings) = opened(&settings)?;
        let all = look(&mut client, &settings, &prefix)?;
        let Some(one) = all.iter().find(|one| one.name == name) else {
            return match cluster::behind(&mut client, &name)?.as_slice() {
                [] => Ok(()),
                _ => refuse(format!("{name} is no index of this deployment; it is not touched")),
            };
        };
        let stands = match index_state(one, &all) {
            IndexState::Leftover | IndexState::Replaced => "",
            IndexState::Serving => "serves searches and is kept in step",
            IndexState::Frozen => "serves searches until the one beside it is whole",
            IndexState::Building => "is being filled",
        };
        if !stands.is_empty() && !force {
            return refuse(format!("index {name} {stands}; it is removed only by force"));
        }
        // First what says that it is seeded: who comes between must not believe it.
        let meta = &one.names.meta;
        if cluster::mark(&mut client, meta, &one.names.alias)?.is_some_and(|mark| mark.token == one.found.token) {
            cluster::forget(&mut client, meta, &one.names.alias)?;
        }
        cluster::remove(&mut client, &name)?;
        // The last one takes with it what remembered which are seeded, where the plugin named that itself.
        if settings.meta_index.is_none() && all.len() == 1 && cluster::is_empty(&mut client, meta).unwrap_or_default() {
            cluster::remove(&mut client, meta)?;
        }
        Ok(())
    }
}

fn refuse<T>(text: String) -> Result<T> {
    Err(Error::configuration("", text))
}

/// A client for one call, outside a run.
pub(crate) fn opened(settings: &Given) -> Result<(Client, Settings)> {
    let settings: Settings = settings.parse()?;
    let mut client = Client::new(&settings)?;
    client.within(CALL_LIMIT);
    Ok((client, settings))
}

/// Every generation of a deployment, in the order of their names and numbers.
fn look(client: &mut Client, settings: &Settings, prefix: &str) -> Result<Vec<One>> {
    let meta = settings.meta_index.clone().unwrap_or_else(|| meta(prefix));
    let mut marks: BTreeMap<String, Option<Mark>> = BTreeMap::new();
    let mut all = Vec::new();
    for (name, found) in cluster::indexes(client, prefix)? {
        let Some(origin) = found.origin.clone().filter(|origin| origin.prefix == prefix) else { continue };
        let names = Names::from(&origin.index, &origin.hash);
        let names = Names { meta: meta.clone(), ..names };
        // A copy of one of ours under another name says the same of itself.
        let Some(number) = names.number(&name) else { continue };
        if !marks.contains_key(&names.alias) {
            marks.insert(names.alias.clone(), cluster::mark(client, &meta, &names.alias)?);
        }
        let mark = marks.get(&names.alias).and_then(Option::as_ref);
        let mark = mark.filter(|mark| mark.seeded && mark.token == found.token);
        let history = mark.map(|mark| mark.history.clone());
        all.push(One { name, found, origin, names, number, history });
    }
    all.sort_by(|a, b| (&a.names.index, &a.names.alias, a.number).cmp(&(&b.names.index, &b.names.alias, b.number)));
    Ok(all)
}

/// How one stands among all.
fn index_state(one: &One, all: &[One]) -> IndexState {
    let serving = all.iter().find(|other| other.names.alias == one.names.alias && other.serves());
    match serving {
        Some(serving) if serving.number > one.number => return IndexState::Replaced,
        Some(serving) if serving.number == one.number => {}
        _ => return IndexState::Building,
    }
    let plain = |other: &&One| other.names.index == one.names.index && other.has(&other.names.index);
    let others =
        || all.iter().filter(|other| other.names.index == one.names.index && other.names.alias != one.names.alias);
    if plain(&one) {
        let is_followed = others().any(|other| other.serves() && other.history.is_none());
        return if is_followed { IndexState::Frozen } else { IndexState::Serving };
    }
    match all.iter().find(plain) {
        Some(_) if one.history.is_none() => IndexState::Building,
        Some(_) => IndexState::Leftover,
        // The plain name belongs to another index: the newest one of ours is what is kept in step.
        None if others().any(|other| other.serves() && other.found.made > one.found.made) => IndexState::Leftover,
        None if one.history.is_none() => IndexState::Building,
        None => IndexState::Serving,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(hash: &str, number: u64, aliases: &[&str], made: u64, seeded: bool) -> One {
        let names = Names::from("users", hash);
        let aliases = aliases.iter().map(|alias| ((*alias).to_owned(), serde_json::json!({}))).collect();
        One {
            name: names.generation(number),
            found: Found { aliases, made, ..Found::default() },
            origin: Origin::default(),
            names,
            number,
            history: seeded.then(|| "h".to_owned()),
        }
    }

    fn states(all: &[One]) -> Vec<IndexState> {
        all.iter().map(|one| index_state(one, all)).collect()
    }

    const A: &str = "aaaaaaaa";
    const B: &str = "bbbbbbbb";

    #[test]
    fn a_generation_serves_is_filled_or_was_replaced() {
        let of = |first: &[&str], second: &[&str]| states(&[one(A, 1, first, 1, true), one(A, 2, second, 2, false)]);
        assert_eq!(of(&["users", "users_aaaaaaaa"], &[]), [IndexState::Serving, IndexState::Building]);
        assert_eq!(of(&[], &["users", "users_aaaaaaaa"]), [IndexState::Replaced, IndexState::Serving]);
        let unnamed = of(&["users_aaaaaaaa"], &[]);
        assert_eq!(unnamed, [IndexState::Serving, IndexState::Building], "the plain name is another's");
    }

    #[test]
    fn another_mapping_freezes_what_serves_and_leaves_it_over() {
        let first = one(A, 1, &["users", "users_aaaaaaaa"], 1, true);
        let begun = one(B, 1, &["users_bbbbbbbb"], 2, false);
        assert_eq!(states(&[first, begun]), [IndexState::Frozen, IndexState::Building]);
        let left = one(A, 1, &["users_aaaaaaaa"], 1, true);
        let whole = one(B, 1, &["users", "users_bbbbbbbb"], 2, true);
        assert_eq!(states(&[left.clone(), whole]), [IndexState::Leftover, IndexState::Serving]);
        let unnamed = one(B, 1, &["users_bbbbbbbb"], 2, true);
        assert_eq!(states(&[left, unnamed]), [IndexState::Leftover, IndexState::Serving]);
    }
}
