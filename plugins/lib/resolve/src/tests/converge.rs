//! The promise, over thousands of random schemas and transactions: whatever the batches, the moments at which the store was
//! read and the size of the answers, when the stream is quiet every document is what a rebuild would give.

use super::random::{self, Random};
use super::render::{Document, documents};
use super::store::{self, Moment, Remembered, Store, Teller};
use crate::graph::{Documents, Resolver};
use crate::links::Touched;
use crate::table_info::TableInfo;
use flusso_plugin::{Affected, Change};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Runs of the test; `FLUSSO_RESOLVE_RUNS` asks for more, `FLUSSO_RESOLVE_SEED` for a single one again.
const RUNS: u64 = 20_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn when_the_stream_is_quiet_every_document_equals_a_rebuild() {
    if let Some(seed) = number("FLUSSO_RESOLVE_SEED") {
        let tally = run(seed);
        eprintln!("{tally:?}");
        return;
    }
    let runs = number("FLUSSO_RESOLVE_RUNS").unwrap_or(RUNS);
    let mut sum = Tally::default();
    for seed in 0..runs {
        let tally = run(seed);
        sum.touched += tally.touched;
        sum.differed += tally.differed;
        sum.cursors += tally.cursors;
        sum.crashes += tally.crashes;
        sum.overtaken += tally.overtaken;
        sum.links += tally.links;
        sum.stale += tally.stale;
    }
    eprintln!("{runs} schemas: {sum:?}");
    assert!(sum.differed > runs && sum.cursors > runs, "the runs are worth their time: {sum:?}");
    assert!(sum.overtaken * 10 > runs && sum.links * 4 > runs, "the link table is used: {sum:?}");
    assert!(sum.stale * 50 < sum.links, "what ended is removed, but for a few: {sum:?}");
}

#[derive(Debug, Default)]
struct Tally {
    /// Documents named.
    touched: u64,
    /// Documents that were another after the batch's transactions.
    differed: u64,
    cursors: u64,
    crashes: u64,
    /// Documents that a backfill had to read again.
    overtaken: u64,
    /// Links at the end, and those of rows that are gone.
    links: u64,
    stale: u64,
}

/// All transactions of a run: the moments between them, and the changes with the moment at which each is visible.
struct History {
    states: Vec<Store>,
    changes: Vec<(usize, Change)>,
}

fn history(random: &mut Random, facts: &[TableInfo], resolver: &Resolver) -> History {
    let mut store = Store { tables: vec![BTreeMap::new(); facts.len()] };
    for (table, facts) in store.tables.iter_mut().zip(facts) {
        for _ in 0..random.below(7) {
            let row = store::row(random);
            table.insert(store::key_of(facts, &row), row);
        }
    }
    let interest = resolver.interest();
    let (mut states, mut changes) = (vec![store.clone()], Vec::new());
    for version in 1..=2 + random.below(14) as u64 {
        let toast = random.one_in(3);
        let mut teller = Teller { facts, interest: &interest, version, changes: Vec::new(), toast };
        for _ in 0..=random.below(5) {
            statement(random, &mut teller, &mut store);
        }
        changes.extend(teller.changes.into_iter().map(|change| (states.len(), change)));
        states.push(store.clone());
    }
    History { states, changes }
}

fn statement(random: &mut Random, teller: &mut Teller<'_>, store: &mut Store) {
    let table = random.below(store.tables.len());
    let keys: Vec<Vec<i64>> = store.tables[table].keys().cloned().collect();
    let fresh = store::row(random);
    if keys.is_empty() || random.one_in(4) {
        return teller.put(table, fresh, store);
    }
    let key = random.pick(&keys).clone();
    let mut changed = store.tables[table][&key];
    match random.below(12) {
        0 if random.one_in(4) => teller.truncate(table, store),
        0..=2 => teller.delete(table, &key, store),
        3 => {
            (changed[0], changed[1]) = (fresh[0], fresh[1]);
            teller.rekey(table, &key, store::computed(changed), store);
        }
        4 => {
            teller.delete(table, &key, store);
            teller.put(table, changed, store);
        }
        5 => {
            // There and back.
            let old = changed;
            (changed[2], changed[3]) = (fresh[2], fresh[3]);
            teller.put(table, store::computed(changed), store);
            teller.put(table, old, store);
        }
        _ => {
            // One column, so that there is something to prune.
            let at = 2 + random.below(4);
            changed[at] = fresh[at];
            teller.put(table, store::computed(changed), store);
        }
    }
}

fn run(seed: u64) -> Tally {
    let random = &mut Random(seed);
    let facts = store::facts(random);
    let schemas: Vec<_> = (0..=random.below(2)).map(|_| random::schema(random, &facts)).collect();
    let mut indexes: Vec<Documents<'_>> = schemas.iter().map(Documents::Schema).collect();
    if random.one_in(5) {
        indexes.push(Documents::Rows(&facts[0].name));
    }
    let page = if random.one_in(2) { 1 + random.below(3) } else { 1000 };
    let resolver = || Resolver::new(&indexes, &facts).unwrap().with_page(page);
    let relations = resolver().relations();
    let History { states, changes } = history(random, &facts, &resolver());
    let at = |store: &Store| indexes.iter().map(|index| documents(index, &facts, store)).collect::<Vec<_>>();

    let (mut tally, mut links) = (Tally::default(), Remembered::of(&relations, &facts));
    let built = at(&states[0]);
    // Either all of it is seeded, or nothing yet: then pages are read beside the batches, some documents each.
    let mut held = vec![Bodies::new(); built.len()];
    let mut parts: Vec<i64> = (0..PARTS).filter(|_| random.one_in(2)).collect();
    for (held, documents) in held.iter_mut().zip(&built) {
        for (key, document) in documents.iter().filter(|(key, _)| !parts.contains(&part(key))) {
            assert!(!links.remember(0, &document.reads));
            held.insert(key.clone(), document.body.clone());
        }
    }
    let begun = parts.clone();
    let mut moment = Moment { facts: &facts, states: &states, now: 0, random: random.clone(), rounds: 0 };
    // How much is confirmed, and what waits for it: what each batch wrote and ended, and where it ends.
    let (mut confirmed, mut waiting): (usize, VecDeque<(Vec<Write>, u64, usize)>) = (0, VecDeque::new());
    let mut from = 0;
    while from < changes.len() || !waiting.is_empty() || !parts.is_empty() {
        if !waiting.is_empty() && (from == changes.len() || random.one_in(2)) {
            let (written, ended, to) = waiting.pop_front().unwrap();
            written.into_iter().for_each(|write| write.apply(&mut held));
            links.confirm(ended);
            confirmed = to;
            continue;
        }
        if tally.crashes < 3 && random.one_in(8) {
            // What was not confirmed comes again, in other batches. Some of it was written, and stays.
            links.crash();
            let written: Vec<Write> = waiting.drain(..).flat_map(|(written, ..)| written).collect();
            let durable = random.below(written.len() + 1);
            written.into_iter().take(durable).for_each(|write| write.apply(&mut held));
            parts.clone_from(&begun);
            from = confirmed;
            tally.crashes += 1;
            continue;
        }
        let rest = &changes[from..];
        // At the end perhaps none, if there is a page to be read.
        let batch = if rest.is_empty() { rest } else { &rest[..1 + random.below(rest.len().min(9))] };
        from += batch.len();
        // Beside it a backfill reads a page, at a moment that this batch may not be visible in yet.
        let page = random.one_in(2).then(|| {
            let of =
                if parts.is_empty() { random.below(4) as i64 } else { parts.swap_remove(random.below(parts.len())) };
            (links.moment, of, at(&states[moment.now]))
        });
        if let (Some(first), Some(last)) = (batch.first(), batch.last()) {
            moment.now = moment.now.max(last.0);
            tally.differed += differing(&bodies(&at(&states[first.0 - 1])), &bodies(&at(&states[last.0])));
        }
        let batch: Vec<Change> = batch.iter().map(|(_, change)| change.clone()).collect();
        let max = 1 + random.below(6);
        let Touched { mut affected, ended } = resolver().resolve(&batch, max, &mut moment, &mut links).unwrap();
        let ended = links.end(&ended);
        let (mut touched, mut whole, mut written) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        loop {
            tally.touched += affected.ids.len() as u64;
            assert!(affected.ids.len() <= max, "seed {seed}: {} documents, and at most {max}", affected.ids.len());
            let more = affected.more.take();
            moment.pass();
            touched.extend(affected.ids.iter().map(|id| (id.index as usize, store::integers(&id.key))));
            whole.extend(affected.clear.iter().chain(&affected.rebuild).map(|index| *index as usize));
            build(affected, &at(&states[moment.now]), &mut links, &mut written);
            let Some(cursor) = more else { break };
            tally.cursors += 1;
            affected = resolver().resolve_more(&cursor, max, &mut moment).unwrap();
        }
        if let Some((since, of, page)) = page {
            for (index, documents) in page.into_iter().enumerate() {
                for (key, mut document) in documents.into_iter().filter(|(key, _)| part(key) == of) {
                    if links.remember(since, &document.reads) {
                        tally.overtaken += 1;
                        let Some(again) = at(&states[moment.now])[index].remove(&key) else { continue };
                        document = again;
                        assert!(!links.remember(links.moment, &document.reads));
                    }
                    // What a live batch has built since is newer.
                    if !whole.contains(&index) && !touched.contains(&(index, key.clone())) {
                        written.push(Write::Put(index, key, document.body));
                    }
                }
            }
        }
        waiting.push_back((written, ended, from));
    }
    tally.links = links.len() as u64;
    tally.stale = links.stale(states.last().unwrap()) as u64;
    let truth = bodies(&at(states.last().unwrap()));
    assert_eq!(held, truth, "seed {seed}: run it again with FLUSSO_RESOLVE_SEED={seed}\n{schemas:#?}\n{changes:#?}");
    tally
}

/// A backfill reads so many pages.
const PARTS: i64 = 4;

/// The page that a document is on.
fn part(key: &[i64]) -> i64 {
    key.iter().sum::<i64>() % PARTS
}

type Bodies = BTreeMap<Vec<i64>, String>;
type Held = Vec<Bodies>;
type Built = Vec<BTreeMap<Vec<i64>, Document>>;

fn bodies(built: &Built) -> Held {
    let of = |documents: &BTreeMap<Vec<i64>, Document>| {
        documents.iter().map(|(key, document)| (key.clone(), document.body.clone())).collect()
    };
    built.iter().map(of).collect()
}

/// What is on its way to where documents are held.
enum Write {
    /// All documents of an index.
    All(usize, Bodies),
    Put(usize, Vec<i64>, String),
    Remove(usize, Vec<i64>),
}

impl Write {
    fn apply(self, held: &mut Held) {
        match self {
            Self::All(index, bodies) => held[index] = bodies,
            Self::Put(index, key, body) => drop(held[index].insert(key, body)),
            Self::Remove(index, key) => drop(held[index].remove(&key)),
        }
    }
}

/// What the host does with an answer.
fn build(affected: Affected, built: &Built, links: &mut Remembered, written: &mut Vec<Write>) {
    for index in affected.clear {
        written.push(Write::All(index as usize, Bodies::new()));
    }
    for index in affected.rebuild {
        let documents = &built[index as usize];
        documents.values().for_each(|document| assert!(!links.remember(links.moment, &document.reads)));
        let bodies = documents.iter().map(|(key, document)| (key.clone(), document.body.clone())).collect();
        written.push(Write::All(index as usize, bodies));
    }
    for id in affected.ids {
        let (index, key) = (id.index as usize, store::integers(&id.key));
        match built[index].get(&key) {
            Some(document) => {
                assert!(!links.remember(links.moment, &document.reads));
                written.push(Write::Put(index, key, document.body.clone()));
            }
            None => written.push(Write::Remove(index, key)),
        }
    }
}

fn differing(before: &Held, after: &Held) -> u64 {
    let one = |(before, after): (&Bodies, &Bodies)| {
        let gone = before.keys().filter(|key| !after.contains_key(*key)).count();
        gone + after.iter().filter(|(key, body)| before.get(*key) != Some(body)).count()
    };
    before.iter().zip(after).map(one).sum::<usize>() as u64
}
