//! The promise, over thousands of random schemas and transactions: whatever the batches, the moments at which the store was
//! read and the size of the answers, when the stream is quiet every document is what a rebuild would give.

use super::random::{self, Random};
use super::render::documents;
use super::store::{self, Moment, Remembered, Store, Teller};
use crate::facts::TableFacts;
use crate::network::{Documents, Resolver};
use flusso_plugin::{Affected, Change};
use std::collections::BTreeMap;

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
    }
    eprintln!("{runs} schemas: {sum:?}");
    assert!(sum.differed > runs && sum.cursors > runs, "the runs are worth their time: {sum:?}");
}

#[derive(Debug, Default)]
struct Tally {
    /// Documents named.
    touched: u64,
    /// Documents that were another after the batch's transactions.
    differed: u64,
    cursors: u64,
}

/// All transactions of a run: the moments between them, and the changes with the moment at which each is visible.
struct History {
    states: Vec<Store>,
    changes: Vec<(usize, Change)>,
}

fn history(random: &mut Random, facts: &[TableFacts], resolver: &Resolver) -> History {
    let mut store = Store { tables: vec![BTreeMap::new(); facts.len()] };
    for (table, facts) in store.tables.iter_mut().zip(facts) {
        for _ in 0..random.below(7) {
            let row = store::row(random);
            table.insert(store::key_of(facts, &row), row);
        }
    }
    let interest = resolver.interest();
    let (mut states, mut changes) = (vec![store.clone()], Vec::new());
    for version in 1..=2 + random.below(8) as u64 {
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

    let (mut tally, mut links) = (Tally::default(), Remembered::default());
    let mut held = at(&states[0]);
    links.see(&relations, &facts, &states[0]);
    let mut moment = Moment { facts: &facts, states: &states, now: 0, random: random.clone(), rounds: 0 };
    let mut rest = changes.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(1 + random.below(rest.len().min(9)));
        rest = later;
        moment.now = moment.now.max(batch.last().unwrap().0);
        let before = at(&states[batch[0].0 - 1]);
        let after = at(&states[batch.last().unwrap().0]);
        tally.differed += differing(&before, &after);
        let batch: Vec<Change> = batch.iter().map(|(_, change)| change.clone()).collect();
        let max = 1 + random.below(6);
        let mut affected = resolver().resolve(&batch, max, &mut moment, &mut links).unwrap();
        loop {
            tally.touched += affected.ids.len() as u64;
            assert!(affected.ids.len() <= max, "seed {seed}: {} documents, and at most {max}", affected.ids.len());
            let more = affected.more.take();
            moment.pass();
            let built = at(&states[moment.now]);
            links.see(&relations, &facts, &states[moment.now]);
            apply(affected, &built, &mut held);
            let Some(cursor) = more else { break };
            tally.cursors += 1;
            affected = resolver().resolve_more(&cursor, max, &mut moment).unwrap();
        }
    }
    let truth = at(states.last().unwrap());
    assert_eq!(held, truth, "seed {seed}: run it again with FLUSSO_RESOLVE_SEED={seed}\n{schemas:#?}\n{changes:#?}");
    tally
}

type Bodies = BTreeMap<Vec<i64>, String>;
type Held = Vec<Bodies>;

/// What the host does with an answer.
fn apply(affected: Affected, built: &Held, held: &mut Held) {
    for index in affected.clear {
        held[index as usize].clear();
    }
    for index in affected.rebuild {
        held[index as usize] = built[index as usize].clone();
    }
    for id in affected.ids {
        let (index, key) = (id.index as usize, store::integers(&id.key));
        match built[index].get(&key) {
            Some(body) => held[index].insert(key, body.clone()),
            None => held[index].remove(&key),
        };
    }
}

fn differing(before: &Held, after: &Held) -> u64 {
    let one = |(before, after): (&Bodies, &Bodies)| {
        let gone = before.keys().filter(|key| !after.contains_key(*key)).count();
        gone + after.iter().filter(|(key, body)| before.get(*key) != Some(body)).count()
    };
    before.iter().zip(after).map(one).sum::<usize>() as u64
}
