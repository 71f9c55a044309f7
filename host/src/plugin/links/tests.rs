//! What came first decides, over the file of a state folder.

use super::super::state::StateFolder;
use super::*;
use crate::engine::stage::{Mutation, State, StateError};

fn packed(links: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in links.iter().flat_map(|(row, link)| [row, link]) {
        encoding::put_length(text.len(), &mut out);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn list(relation: &str, links: &[(&str, &str)]) -> Vec<RowLinks> {
    vec![RowLinks { relation: relation.to_owned(), packed: packed(links) }]
}

struct Kept {
    folder: tempfile::TempDir,
    state: StateFolder,
    table: Table,
}

impl Kept {
    fn new() -> Self {
        Self::limited(1 << 20)
    }

    fn limited(limit: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path()).unwrap();
        let table = state.links(&LinkTable::default(), limit).unwrap();
        Self { folder, state, table }
    }

    /// As after a crash: what is in memory is gone.
    fn again(self) -> Self {
        let Self { folder, state, table } = self;
        drop((state, table));
        let state = StateFolder::open(folder.path()).unwrap();
        let table = state.links(&LinkTable::default(), 1 << 20).unwrap();
        Self { folder, state, table }
    }

    fn add(&self, relation: &str, links: &[(&str, &str)]) -> Vec<u32> {
        self.table.add(self.table.clock(), &list(relation, links)).unwrap()
    }

    fn parents(&self, relation: &str, row: &str) -> Vec<String> {
        let found = self.table.parents(relation, &[row.as_bytes().to_vec()]).unwrap();
        found.concat().into_iter().map(|link| String::from_utf8(link).unwrap()).collect()
    }

    /// The host stores something.
    fn store(&self) {
        self.apply(Vec::new());
    }

    fn end(&self, relation: &str, links: &[(&str, &str)]) -> u64 {
        self.table.end(&list(relation, links), &[]).unwrap()
    }

    fn apply(&self, mutations: Vec<Mutation>) {
        self.try_apply(mutations).unwrap();
    }

    fn try_apply(&self, mutations: Vec<Mutation>) -> Result<(), StateError> {
        let engine: Arc<dyn State> = Arc::new(self.state.engine(&self.table));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(engine.apply(mutations))
    }

    fn confirm(&self, tickets: &[u64]) {
        self.apply(tickets.iter().map(|ticket| Mutation::RemoveLinks(*ticket)).collect());
    }
}

#[test]
fn what_is_remembered_is_found_also_after_a_restart() {
    let kept = Kept::new();
    assert_eq!(kept.add("r", &[("1", "p"), ("2", "p"), ("1", "q"), ("10", "x"), ("1", "p")]), [0; 0]);
    assert_eq!(kept.add("s", &[("1", "other")]), [0; 0]);
    assert_eq!(kept.parents("r", "1"), ["p", "q"]);
    kept.store();
    let kept = kept.again();
    assert_eq!(kept.parents("r", "1"), ["p", "q"]);
    assert_eq!(kept.parents("r", "2"), ["p"]);
    assert_eq!(kept.parents("r", "10"), ["x"]);
    assert_eq!(kept.parents("s", "1"), ["other"]);
    assert_eq!(kept.parents("r", "3"), [""; 0]);
}

#[test]
fn what_is_remembered_often_is_found_once() {
    let kept = Kept::new();
    for _ in 0..40 {
        kept.add("r", &[("1", "p"), ("1", "q")]);
    }
    assert_eq!(kept.parents("r", "1"), ["p", "q"]);
    kept.store();
    assert_eq!(kept.parents("r", "1"), ["p", "q"]);
}

#[test]
fn rows_of_which_one_begins_with_another_do_not_meet() {
    let kept = Kept::new();
    kept.add("r", &[("abc", "1"), ("abcd", "2"), ("abd", "3")]);
    assert_eq!(["abc", "abcd", "abd"].map(|row| kept.parents("r", row)), [["1"], ["2"], ["3"]]);
    let ticket = kept.end("r", &[("abc", "1"), ("abcd", "2"), ("abd", "3")]);
    kept.confirm(&[ticket]);
    assert_eq!(kept.table.size().unwrap(), 0);
}

#[test]
fn what_a_batch_ended_is_removed_with_its_confirmation_and_not_before() {
    let kept = Kept::new();
    kept.add("r", &[("1", "p"), ("2", "p")]);
    let ticket = kept.end("r", &[("1", "p"), ("9", "never")]);
    assert_eq!(kept.parents("r", "1"), ["p"]);
    kept.confirm(&[ticket]);
    assert_eq!(kept.parents("r", "1"), [""; 0]);
    assert_eq!(kept.parents("r", "2"), ["p"]);
}

#[test]
fn what_a_crash_finds_unconfirmed_stays() {
    let kept = Kept::new();
    kept.add("r", &[("1", "p")]);
    kept.store();
    let ticket = kept.end("r", &[("1", "p")]);
    let kept = kept.again();
    kept.confirm(&[ticket]);
    assert_eq!(kept.parents("r", "1"), ["p"]);
}

#[test]
fn a_link_that_is_seen_again_before_the_confirmation_stays() {
    let kept = Kept::new();
    kept.add("r", &[("1", "p"), ("2", "p")]);
    let ticket = kept.end("r", &[("1", "p"), ("2", "p")]);
    kept.add("r", &[("1", "p")]);
    kept.confirm(&[ticket]);
    assert_eq!(kept.parents("r", "1"), ["p"]);
    assert_eq!(kept.parents("r", "2"), [""; 0]);
}

#[test]
fn a_link_that_is_ended_again_waits_for_the_later_batch() {
    let kept = Kept::new();
    kept.add("r", &[("1", "p")]);
    let first = kept.end("r", &[("1", "p")]);
    kept.add("r", &[("1", "p")]);
    let second = kept.end("r", &[("1", "p")]);
    kept.confirm(&[first]);
    assert_eq!(kept.parents("r", "1"), ["p"]);
    kept.confirm(&[second]);
    assert_eq!(kept.parents("r", "1"), [""; 0]);
}

#[test]
fn a_truncated_relation_keeps_what_was_seen_since() {
    let kept = Kept::new();
    let many: Vec<(String, String)> = (0..2_000).map(|at| (format!("{at:05}"), "p".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(row, link)| (row.as_str(), link.as_str())).collect();
    kept.add("r", &many);
    kept.add("s", &many);
    kept.store();
    let whole = kept.table.size().unwrap();
    let ticket = kept.table.end(&[], &["r".to_owned()]).unwrap();
    kept.add("r", &[("00042", "p"), ("00042", "q")]);
    kept.confirm(&[ticket]);
    assert_eq!(kept.parents("r", "00042"), ["p", "q"]);
    assert_eq!(kept.parents("r", "01042"), [""; 0]);
    assert_eq!(kept.parents("s", "01042"), ["p"]);
    assert!(kept.table.size().unwrap() < whole * 6 / 10);
}

#[test]
fn a_build_that_was_overtaken_is_told_so() {
    let kept = Kept::new();
    let clock = kept.table.clock();
    assert_eq!(kept.parents("r", "2"), [""; 0]);
    let links = list("r", &[("1", "p"), ("2", "p"), ("3", "p")]);
    assert_eq!(kept.table.add(clock, &links).unwrap(), [1]);
    assert_eq!(kept.parents("r", "2"), [""; 0]);
    assert_eq!(kept.table.add(kept.table.clock(), &links).unwrap(), [0; 0]);
    assert_eq!(kept.parents("r", "2"), ["p"]);
    // Also by a truncate, and by more questions than are known one by one.
    let clock = kept.table.clock();
    kept.table.end(&[], &["r".to_owned()]).unwrap();
    assert_eq!(kept.table.add(clock, &links).unwrap(), [0, 1, 2]);
    let clock = kept.table.clock();
    let rows: Vec<Vec<u8>> = (0..70_000).map(|at| format!("x{at}").into_bytes()).collect();
    kept.table.parents("r", &rows).unwrap();
    assert_eq!(kept.table.add(clock, &links).unwrap(), [0, 1, 2]);
    assert_eq!(kept.add("r", &[("4", "p")]), [0; 0]);
}

#[test]
fn relations_that_nobody_follows_any_more_are_forgotten() {
    let kept = Kept::new();
    kept.add("r", &[("1", "p")]);
    kept.add("s", &[("1", "p")]);
    kept.apply(vec![Mutation::RetainRelations(vec!["s".to_owned()])]);
    assert_eq!((kept.parents("r", "1"), kept.parents("s", "1")), (vec![], vec!["p".to_owned()]));
    let kept = kept.again();
    assert_eq!((kept.parents("r", "1"), kept.parents("s", "1")), (vec![], vec!["p".to_owned()]));
    // Its number may serve another.
    kept.add("t", &[("1", "t")]);
    assert_eq!((kept.parents("t", "1"), kept.parents("s", "1")), (vec!["t".to_owned()], vec!["p".to_owned()]));
}

#[test]
fn links_beyond_the_limit_are_an_error_that_names_it() {
    let kept = Kept::limited(40);
    assert_eq!(kept.add("r", &[("1", "p")]), [0; 0]);
    kept.store();
    let long = "x".repeat(50);
    assert_eq!(kept.add("r", &[("2", &long)]), [0; 0]);
    let refused = kept.try_apply(Vec::new()).unwrap_err().to_string();
    assert!(refused.contains("limits.links") && refused.contains("40"), "{refused}");
    let kept = kept.again();
    assert_eq!((kept.parents("r", "1"), kept.parents("r", "2")), (vec!["p".to_owned()], vec![]));
}

#[test]
fn what_a_guest_packed_wrongly_is_refused() {
    let kept = Kept::new();
    for wrong in [vec![3, 1], vec![0, 1, 1], vec![0x80], vec![0xff; 9]] {
        let list = [RowLinks { relation: "r".to_owned(), packed: wrong }];
        assert!(matches!(kept.table.add(1, &list), Err(super::StateError::Links)));
    }
}

#[test]
fn neighbours_cost_few_bytes() {
    let kept = Kept::new();
    // Built by hand: the row `#` and three bytes, the link `#` and three bytes.
    let mut links = Vec::new();
    for number in 0..100_000_u32 {
        links.push(4);
        links.push(0x23);
        links.extend_from_slice(&number.to_be_bytes()[1..]);
        links.push(4);
        links.push(0x23);
        links.extend_from_slice(&(number / 3).to_be_bytes()[1..]);
    }
    kept.table.add(1, &[RowLinks { relation: "r".to_owned(), packed: links }]).unwrap();
    kept.store();
    let size = kept.table.size().unwrap();
    assert!(size < 700_000, "{size} bytes for 100 000 links");
}

fn lookup(relation: u16, values: &str) -> lookups::Lookup {
    lookups::Lookup { relation, values: values.as_bytes().to_vec() }
}

fn document(index: u16, key: &str) -> lookups::DocumentKey {
    lookups::DocumentKey { index, key: key.as_bytes().to_vec() }
}

fn made_for(lookup: lookups::Lookup, document: &lookups::DocumentKey, by_own_key: bool) -> lookups::DocumentLookup {
    lookups::DocumentLookup { lookup, document: document.clone(), by_own_key }
}

impl Kept {
    /// Looks like a build that began at `since`: records its lookups, then ends. Says whether all were taken.
    fn built(&self, since: u64, key: &str, values: &[&str]) -> bool {
        let (relation, index) = (self.table.number("r").unwrap(), self.table.number("docs").unwrap());
        let made: Vec<lookups::Lookup> = values.iter().map(|values| lookup(relation, values)).collect();
        let of = document(index, key);
        let adding: Vec<_> = made.iter().map(|lookup| made_for(lookup.clone(), &of, false)).collect();
        let taken = self.table.add_lookups(since, &adding).unwrap().is_empty();
        if taken {
            self.table.replace_lookups(since, &[(of, made)]).unwrap();
        }
        taken
    }

    fn woken(&self, values: &str) -> Vec<String> {
        let relation = self.table.number("r").unwrap();
        let found = self.table.documents(&lookup(relation, values), None, 100).unwrap();
        found.documents.into_iter().map(|found| String::from_utf8(found.key).unwrap()).collect()
    }
}

#[test]
fn documents_are_found_by_what_they_looked_for_also_after_a_restart() {
    let kept = Kept::new();
    assert!(kept.built(0, "d1", &["a.", "b."]));
    assert!(kept.built(0, "d2", &["a."]));
    assert_eq!(
        (kept.woken("a."), kept.woken("b."), kept.woken("c.")),
        (vec!["d1".to_owned(), "d2".to_owned()], vec!["d1".to_owned()], vec![])
    );
    kept.store();
    let kept = kept.again();
    assert!(kept.built(kept.table.clock(), "d3", &["a."]));
    assert_eq!(kept.woken("a."), ["d1", "d2", "d3"]);
}

#[test]
fn a_lookup_that_was_resolved_since_the_build_began_is_refused() {
    let kept = Kept::new();
    let since = kept.table.clock();
    assert_eq!(kept.woken("a."), [""; 0]);
    assert!(!kept.built(since, "d1", &["a."]));
    assert!(kept.built(kept.table.clock(), "d1", &["a."]));
    assert_eq!(kept.woken("a."), ["d1"]);
}

#[test]
fn what_a_rebuild_no_longer_looks_for_goes_with_a_confirmation_and_not_before() {
    let kept = Kept::new();
    assert!(kept.built(0, "d1", &["a.", "b."]));
    kept.store();
    let ticket = kept.end("other", &[]);
    assert!(kept.built(kept.table.clock(), "d1", &["b."]));
    kept.confirm(&[ticket]);
    assert_eq!(kept.woken("a."), ["d1"]);
    let ticket = kept.end("other", &[]);
    kept.confirm(&[ticket]);
    assert_eq!((kept.woken("a."), kept.woken("b.")), (vec![], vec!["d1".to_owned()]));
}

/// Two builds of one document at the same time, as of a seed and of a change: whichever ends first, what the other looks for is its
/// own, and stays.
#[test]
fn a_build_removes_nothing_that_another_one_under_way_looks_for() {
    for first_ends_the_older in [true, false] {
        let kept = Kept::new();
        let (relation, index) = (kept.table.number("r").unwrap(), kept.table.number("docs").unwrap());
        assert!(kept.built(0, "d1", &["a."]));
        kept.store();
        let (older, newer) = (kept.table.begin_build(), kept.table.begin_build());
        let of = document(index, "d1");
        let begin = |since, values: &str| {
            let adding = [made_for(lookup(relation, values), &of, false)];
            assert!(kept.table.add_lookups(since, &adding).unwrap().is_empty());
        };
        let end = |since, values: &str| {
            kept.table.replace_lookups(since, &[(of.clone(), vec![lookup(relation, values)])]).unwrap();
            let ticket = kept.end("other", &[]);
            kept.confirm(&[ticket]);
        };
        begin(newer, "new.");
        begin(older, "old.");
        match first_ends_the_older {
            true => {
                end(older, "old.");
                end(newer, "new.");
            }
            false => {
                end(newer, "new.");
                end(older, "old.");
            }
        }
        assert_eq!(kept.woken("new."), ["d1"], "older first: {first_ends_the_older}");
        // Alone again, a build removes what it does not look for.
        assert!(kept.built(kept.table.begin_build(), "d1", &["new."]));
        let ticket = kept.end("other", &[]);
        kept.confirm(&[ticket]);
        assert_eq!((kept.woken("old."), kept.woken("a.")), (vec![], vec![]), "older first: {first_ends_the_older}");
        assert_eq!(kept.woken("new."), ["d1"]);
    }
}

#[test]
fn an_older_build_that_ends_later_removes_nothing() {
    let kept = Kept::new();
    let older = kept.table.clock();
    kept.woken("x.");
    assert!(kept.built(kept.table.clock(), "d1", &["b."]));
    assert!(kept.built(older, "d1", &["a."]));
    let ticket = kept.end("other", &[]);
    kept.confirm(&[ticket]);
    assert_eq!((kept.woken("a."), kept.woken("b.")), (vec!["d1".to_owned()], vec!["d1".to_owned()]));
}

#[test]
fn a_lookup_that_comes_back_before_its_removal_stays() {
    let kept = Kept::new();
    assert!(kept.built(0, "d1", &["a."]));
    assert!(kept.built(0, "d1", &["b."]));
    assert!(kept.built(0, "d1", &["a."]));
    let ticket = kept.end("other", &[]);
    kept.confirm(&[ticket]);
    assert_eq!((kept.woken("a."), kept.woken("b.")), (vec!["d1".to_owned()], vec![]));
}

#[test]
fn many_documents_come_in_parts() {
    let kept = Kept::new();
    let keys: Vec<String> = (0..1_000).map(|number| format!("{number:04}")).collect();
    for (place, key) in keys.iter().enumerate() {
        assert!(kept.built(0, key, &["a."]));
        if place % 300 == 0 {
            kept.store();
        }
    }
    let wanted = lookup(kept.table.number("r").unwrap(), "a.");
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let some = kept.table.documents(&wanted, from.as_ref(), 77).unwrap();
        found.extend(some.documents.into_iter().map(|found| String::from_utf8(found.key).unwrap()));
        from = some.more;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(found, keys);
}

#[test]
fn lookups_by_own_keys_are_kept_as_one_word_for_all_of_them() {
    let kept = Kept::new();
    let (relation, index) = (kept.table.number("r").unwrap(), kept.table.number("docs").unwrap());
    let made = made_for(lookup(relation, "a."), &document(index, "d1"), true);
    assert!(!kept.table.goes_by_own_key(relation, index));
    assert!(kept.table.add_lookups(0, &[made.clone()]).unwrap().is_empty());
    assert!(kept.table.goes_by_own_key(relation, index) && !kept.table.goes_by_own_key(index, relation));
    assert_eq!(kept.woken("a."), [""; 0], "nothing is recorded");
    // It is known after a restart, though no link was ever written.
    kept.store();
    let kept = kept.again();
    assert!(kept.table.goes_by_own_key(relation, index));
    // What was resolved since the build began is late all the same.
    let since = kept.table.clock();
    assert_eq!(kept.woken("a."), [""; 0]);
    assert_eq!(kept.table.add_lookups(since, &[made]).unwrap(), [0]);
}
