//! What others changed of the indexes and aliases of one mapping, and what is to be done about it: a pure function of what
//! this plugin knows and what the cluster says.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Generation;
use crate::cluster::Found;
use crate::names::{Names, write_alias};

/// Something that differs from what this plugin left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// The index is not the one that was written to: it is looked for again, and seeded again.
    Lost { index: String, change: &'static str },
    /// Nothing can be written or read until the index is opened.
    Closed { index: String },
    /// Documents may be in shards where their next versions would not replace them: the index counts as another from now on.
    Renew { index: String },
    /// The alias belongs before this index alone, without a filter or routing.
    Restore { alias: String, index: String, elsewhere: Vec<String>, change: String },
    /// The plain name is where a person put it, or is as a person wants it; it stays so.
    Leave { alias: String, change: String },
}

/// The differences, those that need a new start of the index first and alone. `generations` are all of one mapping; of those
/// that were replaced nothing is asked.
pub(super) fn repairs(
    names: &Names,
    generations: &[Generation],
    found: &BTreeMap<String, Found>,
    write_aliases: bool,
) -> Vec<Repair> {
    let serving = generations.iter().find(|one| one.serves);
    let used = || generations.iter().filter(|one| serving.is_none_or(|serving| one.number >= serving.number));
    let unusable: Vec<Repair> = used().filter_map(|one| unusable(one, found)).collect();
    if !unusable.is_empty() {
        return unusable;
    }
    let mut repairs = Vec::new();
    if write_aliases {
        for one in used() {
            let misroutes = found.get(&one.name).is_some_and(|index| {
                index.shards > 1
                    && index.aliases.get(&one.write_alias).is_some_and(|alias| alias["index_routing"].is_string())
            });
            if misroutes {
                repairs.push(Repair::Renew { index: one.name.clone() });
            }
            repairs.extend(restore(&one.write_alias, &one.name, found));
        }
    }
    if let Some(live) = serving {
        repairs.extend(restore(&names.alias, &live.name, found));
        repairs.extend(plain(names, &live.name, live.seeded, found));
    }
    repairs
}

/// What a start would find changed of the aliases of one mapping, each with a code, for `check`. The generation behind the
/// alias with the hash is the one that serves; of several, or none, only the plain name is looked at.
pub(crate) fn stray_aliases(
    names: &Names,
    found: &BTreeMap<String, Found>,
    write_aliases: bool,
) -> Vec<(&'static str, String)> {
    let behind: Vec<_> = found.iter().filter(|(_, index)| index.aliases.contains_key(&names.alias)).collect();
    let made = |(name, index): &&(&String, &Found)| index.origin.is_some() && names.number(name).is_some();
    let ours: Vec<_> = behind.iter().filter(made).collect();
    let [one] = ours.as_slice() else {
        if let ([], Some((other, _))) = (ours.as_slice(), behind.first()) {
            let message = format!("the alias {} belongs to index {other}, which is not of flusso", names.alias);
            return vec![("alias-changed", message)];
        }
        let plain = plain(names, "", false, found).filter(|repair| matches!(repair, Repair::Leave { .. }));
        return plain.iter().filter_map(said).collect();
    };
    let mut all = Vec::new();
    if write_aliases && !one.1.closed {
        all.extend(restore(&write_alias(one.0), one.0, found));
    }
    all.extend(restore(&names.alias, one.0, found));
    all.extend(plain(names, one.0, false, found));
    all.iter().filter_map(said).collect()
}

fn said(repair: &Repair) -> Option<(&'static str, String)> {
    match repair {
        Repair::Restore { alias, index, change, .. } => {
            Some(("alias-changed", format!("the alias {alias} {change}; the start puts it before index {index} alone")))
        }
        Repair::Leave { alias, change } => Some((
            "plain-name-taken",
            format!("the name {alias} {change}; it is left so: search the alias with the mapping's hash instead"),
        )),
        Repair::Lost { .. } | Repair::Closed { .. } | Repair::Renew { .. } => None,
    }
}

fn unusable(one: &Generation, found: &BTreeMap<String, Found>) -> Option<Repair> {
    let index = one.name.clone();
    match found.get(&one.name) {
        None => Some(Repair::Lost { index, change: "was removed" }),
        Some(now) if now.token != one.token => {
            Some(Repair::Lost { index, change: "was made anew or restored from a backup" })
        }
        Some(now) if now.closed => Some(Repair::Closed { index }),
        Some(_) => None,
    }
}

/// The indexes that an alias stands before, or the index that has its name.
fn holders<'a>(alias: &'a str, found: &'a BTreeMap<String, Found>) -> impl Iterator<Item = &'a String> {
    found.iter().filter(move |(name, index)| *name == alias || index.aliases.contains_key(alias)).map(|(name, _)| name)
}

/// What a person gave an alias that stands before an index: `filter`, `routing` and the like; empty: nothing that matters.
fn conditions(alias: &str, index: Option<&Found>) -> Vec<String> {
    let given = index.and_then(|index| index.aliases.get(alias)).and_then(Value::as_object);
    let matters = |(key, value): &(&String, &Value)| match key.as_str() {
        "is_write_index" => **value == Value::Bool(false),
        "is_hidden" => false,
        _ => true,
    };
    let given = given.into_iter().flatten().filter(matters);
    given.map(|(key, value)| if value.is_boolean() { format!("{key} = {value}") } else { key.clone() }).collect()
}

/// An alias of ours goes before its index alone, and without conditions.
fn restore(alias: &str, index: &str, found: &BTreeMap<String, Found>) -> Option<Repair> {
    let (own, elsewhere): (Vec<&String>, Vec<&String>) = holders(alias, found).partition(|name| *name == index);
    let elsewhere: Vec<String> = elsewhere.into_iter().cloned().collect();
    let conditions = conditions(alias, found.get(index));
    let change = match (own.is_empty(), elsewhere.is_empty(), conditions.is_empty()) {
        (true, true, _) => "was removed".to_owned(),
        (true, false, _) => format!("was moved to {}", elsewhere.join(", ")),
        (false, false, _) => format!("was put before {} as well", elsewhere.join(", ")),
        (false, true, false) => format!("was given {}", conditions.join(", ")),
        (false, true, true) => return None,
    };
    Some(Repair::Restore { alias: alias.to_owned(), index: index.to_owned(), elsewhere, change })
}

/// The plain name is put back where it was removed, or stands before a generation that is not kept in step. Where a person
/// put it before an index of their own, or gave it a filter, that is theirs.
pub(super) fn plain(names: &Names, live: &str, always: bool, found: &BTreeMap<String, Found>) -> Option<Repair> {
    let alias = &names.index;
    let (ours, others): (Vec<&String>, Vec<&String>) =
        holders(alias, found).partition(|name| names.is_generation(name));
    if let Some(other) = others.first() {
        return Some(Repair::Leave {
            alias: alias.clone(),
            change: format!("belongs to index {other}, which is not of flusso"),
        });
    }
    if ours.iter().any(|name| *name == live) && (ours.len() == 1 || !always) || !always && !ours.is_empty() {
        let conditions = conditions(alias, found.get(live));
        let change = format!("was given {} by another client", conditions.join(", "));
        return (!conditions.is_empty()).then(|| Repair::Leave { alias: alias.clone(), change });
    }
    restore(alias, live, found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONE: &str = "users_aaaaaaaa_1";
    const TWO: &str = "users_aaaaaaaa_2";
    const HASH: &str = "users_aaaaaaaa";
    const WRITE: &str = "users_aaaaaaaa_1_write";

    fn names() -> Names {
        Names::from("users", "aaaaaaaa")
    }

    fn generation(number: u64, serves: bool) -> Generation {
        let (names, name) = (names(), names().generation(number));
        let (write_alias, token) = (write_alias(&name), format!("u{number}."));
        let target = u32::try_from(number).unwrap_or_default();
        Generation {
            target,
            name,
            write_alias,
            token,
            names,
            number,
            serves,
            seeded: serves,
            field_names: std::rc::Rc::default(),
        }
    }

    fn index(token: &str, aliases: &[(&str, Value)]) -> Found {
        let aliases = aliases.iter().map(|(name, given)| ((*name).to_owned(), given.clone())).collect();
        Found { token: token.into(), aliases, shards: 1, ..Found::default() }
    }

    fn whole() -> BTreeMap<String, Found> {
        let aliases = [("users", json!({})), (HASH, json!({})), (WRITE, json!({}))];
        [(ONE.to_owned(), index("u1.", &aliases))].into()
    }

    fn restored(alias: &str, elsewhere: &[&str], change: &str) -> Repair {
        let elsewhere = elsewhere.iter().map(|name| (*name).to_owned()).collect();
        Repair::Restore { alias: alias.into(), index: ONE.into(), elsewhere, change: change.into() }
    }

    fn leave(change: &str) -> Repair {
        Repair::Leave { alias: "users".into(), change: change.into() }
    }

    /// What was changed, and what comes of it.
    #[test]
    fn every_change_by_others_has_its_repair() {
        type Change = fn(&mut BTreeMap<String, Found>);
        fn set(found: &mut BTreeMap<String, Found>, name: &str, alias: &str, given: Value) {
            found.entry(name.to_owned()).or_insert_with(|| index("x.", &[])).aliases.insert(alias.to_owned(), given);
        }
        fn unset(found: &mut BTreeMap<String, Found>, alias: &str) {
            found.values_mut().for_each(|index| {
                index.aliases.remove(alias);
            });
        }
        fn change(found: &mut BTreeMap<String, Found>, change: impl Fn(&mut Found)) {
            found.values_mut().for_each(change);
        }
        let lost = |change| Repair::Lost { index: ONE.into(), change };
        let table: Vec<(&str, Change, Vec<Repair>)> = vec![
            ("nothing", |_| {}, vec![]),
            ("write alias removed", |all| unset(all, WRITE), vec![restored(WRITE, &[], "was removed")]),
            ("hash alias removed", |all| unset(all, HASH), vec![restored(HASH, &[], "was removed")]),
            ("plain alias removed", |all| unset(all, "users"), vec![restored("users", &[], "was removed")]),
            (
                "write alias moved",
                |all| {
                    unset(all, WRITE);
                    set(all, "theirs", WRITE, json!({}));
                },
                vec![restored(WRITE, &["theirs"], "was moved to theirs")],
            ),
            (
                "hash alias doubled",
                |all| set(all, "theirs", HASH, json!({})),
                vec![restored(HASH, &["theirs"], "was put before theirs as well")],
            ),
            (
                "no write index",
                |all| set(all, ONE, WRITE, json!({ "is_write_index": false })),
                vec![restored(WRITE, &[], "was given is_write_index = false")],
            ),
            ("write index by name", |all| set(all, ONE, WRITE, json!({ "is_write_index": true })), vec![]),
            (
                "a filter",
                |all| set(all, ONE, HASH, json!({ "filter": { "term": { "a": 1 } } })),
                vec![restored(HASH, &[], "was given filter")],
            ),
            (
                "routing before one shard",
                |all| set(all, ONE, WRITE, json!({ "index_routing": "x" })),
                vec![restored(WRITE, &[], "was given index_routing")],
            ),
            (
                "routing before several shards",
                |all| {
                    set(all, ONE, WRITE, json!({ "index_routing": "x" }));
                    change(all, |index| index.shards = 2);
                },
                vec![Repair::Renew { index: ONE.into() }, restored(WRITE, &[], "was given index_routing")],
            ),
            (
                "plain alias moved to another index",
                |all| {
                    unset(all, "users");
                    set(all, "theirs", "users", json!({}));
                },
                vec![leave("belongs to index theirs, which is not of flusso")],
            ),
            (
                "plain alias moved to an old generation",
                |all| {
                    unset(all, "users");
                    set(all, "users_bbbbbbbb_1", "users", json!({}));
                },
                vec![restored("users", &["users_bbbbbbbb_1"], "was moved to users_bbbbbbbb_1")],
            ),
            (
                "a filter on the plain alias",
                |all| set(all, ONE, "users", json!({ "filter": {} })),
                vec![leave("was given filter by another client")],
            ),
            ("closed", |all| change(all, |index| index.closed = true), vec![Repair::Closed { index: ONE.into() }]),
            (
                "made anew",
                |all| change(all, |index| index.token = "u9.".into()),
                vec![lost("was made anew or restored from a backup")],
            ),
            ("removed", |all| all.clear(), vec![lost("was removed")]),
        ];
        for (what, change, expected) in table {
            let mut found = whole();
            change(&mut found);
            assert_eq!(repairs(&names(), &[generation(1, true)], &found, true), expected, "{what}");
        }
    }

    #[test]
    fn a_generation_that_is_filled_is_kept_and_a_replaced_one_is_nobodys() {
        let (first, second) = (generation(1, true), generation(2, false));
        let mut found = whole();
        found.insert(TWO.to_owned(), index("u2.", &[("users_aaaaaaaa_2_write", json!({}))]));
        assert_eq!(repairs(&names(), &[first.clone(), second.clone()], &found, true), []);
        found.remove(TWO);
        let lost = Repair::Lost { index: TWO.into(), change: "was removed" };
        assert_eq!(repairs(&names(), &[first, second], &found, true), [lost]);
        let (replaced, live) = (generation(1, false), generation(2, true));
        let all = [("users", json!({})), (HASH, json!({})), ("users_aaaaaaaa_2_write", json!({}))];
        let found = [(TWO.to_owned(), index("u2.", &all))].into();
        assert_eq!(repairs(&names(), &[replaced, live], &found, true), []);
    }

    #[test]
    fn a_cluster_without_write_aliases_is_not_given_any() {
        let found = [(ONE.to_owned(), index("u1.", &[("users", json!({})), (HASH, json!({}))]))].into();
        assert_eq!(repairs(&names(), &[generation(1, true)], &found, false), []);
    }
}
