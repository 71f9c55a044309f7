//! The lookups of many documents together: a level of all of them is one crossing, or two over junctions.

use std::collections::{BTreeMap, VecDeque};

use flusso_documents::{Chunk, Fetch, Links, Rows, build as assemble};
use flusso_plugin::lookups::{self, Lookup, Lookups};
use flusso_plugin::{Error, Failure, Outcome, Result, Row, Value};

use crate::aggregates;
use crate::index::Index;
use crate::reads::{CellRead, NodeReads, RowConditions};
use crate::values;

/// Builds the documents of root rows.
pub(crate) fn build(index: &Index, roots: &[Row]) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::Absent; roots.len()];
    let root = &index.root;
    let holds = conditions(&root.conditions, roots)?;
    let is = |condition: usize, row: usize| holds.get(condition).and_then(|rows| rows.get(row)).is_some_and(|it| *it);
    let is_document = |row: usize, values: &Row| {
        let deleted = root.deleted.is_some_and(|(mark, when)| {
            let set = !matches!(values.get(mark), None | Some(Value::Null | Value::Boolean(false)));
            set && when.is_none_or(|when| is(when, row))
        });
        !deleted && root.counts.is_none_or(|counts| is(counts, row))
    };
    let places: Vec<usize> =
        roots.iter().enumerate().filter(|(at, row)| is_document(*at, row)).map(|(at, _)| at).collect();
    let mut next = places.iter();
    let mut executor =
        Executor { index, document: 0, waiting: Vec::new(), answers: VecDeque::new(), failed: BTreeMap::new() };
    let chunks = |executor: &mut Executor<'_>| {
        let Some((place, values)) = next.next().and_then(|place| Some((*place, roots.get(*place)?))) else {
            return Ok(None);
        };
        executor.document = u32::try_from(place).unwrap_or(u32::MAX);
        let mut rows = Rows::new(1 + root.cells.len());
        push(&mut rows, b"1", &root.cells, (values, None), |when| is(when, place))?;
        Ok(Some(Chunk::Roots(rows)))
    };
    let mut bodies: Vec<(usize, Vec<u8>)> = Vec::with_capacity(places.len());
    assemble(&index.plan, &mut executor, usize::MAX, chunks, |number, assembly| {
        let mut body = Vec::new();
        if let Some(place) = places.get(number).filter(|_| assembly.render(0, &mut body)) {
            bodies.push((*place, body));
        }
        Ok(true)
    })?;
    for (place, body) in bodies {
        if let Some(outcome) = outcomes.get_mut(place) {
            *outcome = Outcome::Built(body);
        }
    }
    for (document, reason) in executor.failed {
        let failure = Failure { class: "type".to_owned(), reason, extra: None };
        if let Some(outcome) = usize::try_from(document).ok().and_then(|place| outcomes.get_mut(place)) {
            *outcome = Outcome::Failed(failure);
        }
    }
    Ok(outcomes)
}

/// Reads what the plan asks.
struct Executor<'i> {
    index: &'i Index,
    /// Whose questions are being asked.
    document: u32,
    /// What was asked and is not read yet.
    waiting: Vec<Question>,
    answers: VecDeque<(u32, Rows)>,
    /// The documents that cannot be built, and why.
    failed: BTreeMap<u32, String>,
}

/// The rows of a node for some links of one document.
struct Question {
    document: u32,
    node: usize,
    links: Vec<Row>,
}

/// A row of a node, with that of the junction which led to it.
struct Found {
    row: Row,
    junction: Option<Row>,
}

impl Fetch for Executor<'_> {
    type Error = Error;

    fn ask(&mut self, node: usize, links: &Links<'_>) -> Result<()> {
        let mut values: Vec<Row> = vec![Vec::new(); links.len()];
        for column in links.columns() {
            values.iter_mut().zip(column).for_each(|(link, cell)| link.push(values::value(cell)));
        }
        self.waiting.push(Question { document: self.document, node, links: values });
        Ok(())
    }

    fn answer(&mut self, rows: &mut Rows) -> Result<()> {
        if self.answers.is_empty() {
            self.read()?;
        }
        let (document, answer) =
            self.answers.pop_front().ok_or_else(|| Error::fatal("an answer that nobody asked for"))?;
        (self.document, *rows) = (document, answer);
        Ok(())
    }

    fn asked_all(&mut self) -> Result<()> {
        Ok(())
    }

    fn malformed(&self, node: usize) -> Error {
        let path = self.index.plan.nodes.get(node).map(|node| node.path.clone()).unwrap_or_default();
        Error::fatal(format!("the rows of `{path}` are not those that were asked for"))
    }
}

impl<'i> Executor<'i> {
    /// Reads everything that waits.
    fn read(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let found = self.find(&waiting)?;
        let holds = self.hold(&waiting, &found)?;
        for (question, (links, holds)) in waiting.iter().zip(found.iter().zip(holds)) {
            let node = self.node(question)?;
            let answer = match (node.reductions.is_empty(), 1 + node.reductions.len()) {
                (true, _) => rows_of(node, links, &holds)?,
                (false, width) => match aggregates_of(node, links) {
                    Ok(rows) => rows?,
                    Err(reason) => {
                        let path = self.index.plan.nodes.get(question.node).map_or("", |node| &node.path);
                        self.failed.insert(question.document, format!("{path}: {reason}"));
                        Rows::new(width)
                    }
                },
            };
            self.answers.push_back((question.document, answer));
        }
        Ok(())
    }

    fn node(&self, question: &Question) -> Result<&'i NodeReads> {
        self.index.nodes.get(question.node).ok_or_else(|| Error::fatal("a node that the plan has not"))
    }

    /// The rows of each link of each question.
    fn find(&self, waiting: &[Question]) -> Result<Vec<Vec<Vec<Found>>>> {
        let mut first = Batch::default();
        for question in waiting {
            let node = self.node(question)?;
            question
                .links
                .iter()
                .for_each(|link| first.add((question.node, 0), &node.first, question.document, link.clone()));
        }
        let mut first = first.read()?;
        let mut second = Batch::default();
        let mut found: Vec<Vec<Vec<Found>>> = Vec::with_capacity(waiting.len());
        for question in waiting {
            let node = self.node(question)?;
            let mut links = Vec::with_capacity(question.links.len());
            for rows in question.links.iter().map(|_| first.next((question.node, 0))) {
                let junction = node.junction.as_ref();
                let led = |row: Row| match junction {
                    None => Found { row, junction: None },
                    Some(junction) => {
                        let right = junction.right.iter().map(|at| row.get(*at).cloned().unwrap_or(Value::Null));
                        second.add((question.node, 0), &junction.target, question.document, right.collect());
                        Found { row: Row::new(), junction: Some(row) }
                    }
                };
                links.push(rows.into_iter().map(led).collect());
            }
            found.push(links);
        }
        let mut second = second.read()?;
        for (question, links) in waiting.iter().zip(&mut found) {
            let node = self.node(question)?;
            if node.junction.is_none() {
                continue;
            }
            for rows in links {
                let led = std::mem::take(rows).into_iter().flat_map(|found| {
                    let target = second.next((question.node, 0)).into_iter();
                    target.map(move |row| Found { row, junction: found.junction.clone() })
                });
                *rows = led.collect();
                sort(node, rows);
            }
        }
        Ok(found)
    }

    /// Which conditions hold of the rows that were found: for each question, condition and row.
    fn hold(&self, waiting: &[Question], found: &[Vec<Vec<Found>>]) -> Result<Vec<Vec<Vec<bool>>>> {
        let mut batch = Batch::default();
        for (question, links) in waiting.iter().zip(found) {
            let conditions = &self.node(question)?.conditions;
            for (number, read) in conditions.each.iter().enumerate() {
                for found in links.iter().flatten() {
                    batch.add((question.node, number), read, question.document, conditions.key_of(&found.row));
                }
            }
        }
        let mut answers = batch.read()?;
        let mut all = Vec::with_capacity(waiting.len());
        for (question, links) in waiting.iter().zip(found) {
            let count = links.iter().map(Vec::len).sum();
            let mut holds = |number| (0..count).map(|_| !answers.next((question.node, number)).is_empty()).collect();
            all.push((0..self.node(question)?.conditions.each.len()).map(&mut holds).collect());
        }
        Ok(all)
    }
}

/// Brings the rows that a junction led to into their order: that of the junction, in which they came, then their own.
fn sort(node: &NodeReads, rows: &mut Vec<Found>) {
    let Some(junction) = &node.junction else { return };
    let rank = |found: &Found| {
        let cell = |at: &usize| found.junction.as_ref().and_then(|row| row.get(*at)).and_then(values::cell);
        junction.order.iter().map(cell).collect::<Vec<_>>()
    };
    let own = |left: &Found, right: &Found| {
        let by = node.order.iter().map(|place| {
            let cell = |found: &Found| found.row.get(place.at).cloned().unwrap_or(Value::Null);
            let ascending = values::compare(&cell(left), &cell(right));
            if place.descending { ascending.reverse() } else { ascending }
        });
        by.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    for alike in rows.chunk_by_mut(|left, right| rank(left) == rank(right)) {
        alike.sort_by(own);
    }
    rows.truncate(node.limit.unwrap_or(usize::MAX));
}

/// Rows as they are rendered, each with the number of its link before its cells.
fn rows_of(node: &NodeReads, links: &[Vec<Found>], holds: &[Vec<bool>]) -> Result<Rows> {
    let (mut rows, mut at) = (Rows::new(1 + node.cells.len()), 0);
    for (number, found) in (1..).zip(links) {
        let number = u64::to_string(&number);
        for Found { row, junction } in found {
            let is = |when: usize| holds.get(when).and_then(|rows| rows.get(at)).is_some_and(|it| *it);
            push(&mut rows, number.as_bytes(), &node.cells, (row, junction.as_ref()), is)?;
            at += 1;
        }
    }
    Ok(rows)
}

/// A row of aggregates for each link that has rows.
fn aggregates_of(node: &NodeReads, links: &[Vec<Found>]) -> std::result::Result<Result<Rows>, String> {
    let mut rows = Rows::new(1 + node.reductions.len());
    for (number, found) in (1..).zip(links).filter(|(_, found)| !found.is_empty()) {
        let cells = aggregates::of(node, &found.iter().map(|found| &found.row).collect::<Vec<_>>())?;
        let number = u64::to_string(&number);
        let cells = std::iter::once(Some(number.as_bytes())).chain(cells.iter().map(Option::as_deref));
        if rows.push(cells).is_err() {
            return Ok(Err(too_large()));
        }
    }
    Ok(Ok(rows))
}

/// Adds a row: what it is grouped by, then its cells.
fn push(
    rows: &mut Rows,
    group: &[u8],
    cells: &[CellRead],
    (row, junction): (&Row, Option<&Row>),
    holds: impl Fn(usize) -> bool,
) -> Result<()> {
    let cell = |cell: &CellRead| {
        if cell.when.is_some_and(|when| !holds(when)) {
            return None;
        }
        let row = if cell.junction { junction? } else { row };
        match row.get(cell.at)? {
            Value::Null => cell.default.as_ref().and_then(values::cell),
            value if cell.transforms.is_empty() => values::cell(value),
            value => values::cell(&values::transformed(value, &cell.transforms)),
        }
    };
    let cells: Vec<Option<Vec<u8>>> = cells.iter().map(cell).collect();
    let cells = std::iter::once(Some(group)).chain(cells.iter().map(Option::as_deref));
    rows.push(cells).map_err(|_| too_large())
}

fn too_large() -> Error {
    Error::fatal("the rows of one document come to more than 4 GiB")
}

/// Which conditions hold of root rows: for each condition, for each row.
fn conditions(of: &RowConditions, rows: &[Row]) -> Result<Vec<Vec<bool>>> {
    if of.each.is_empty() || rows.is_empty() {
        return Ok(of.each.iter().map(|_| Vec::new()).collect());
    }
    let lookups: Vec<Lookup> =
        (0..).zip(rows).map(|(document, row)| Lookup { document, values: of.key_of(row) }).collect();
    let reads: Vec<Lookups> = of.each.iter().map(|read| Lookups { lookups: lookups.clone(), ..read.clone() }).collect();
    let found = lookups::read(&reads)?;
    Ok(found.into_iter().map(|each| each.iter().map(|rows| !rows.is_empty()).collect()).collect())
}

/// A node, and which of its reads.
type Of = (usize, usize);

/// Lookups of several nodes that cross together, in the order in which they are added to each read.
#[derive(Default)]
struct Batch {
    places: BTreeMap<Of, usize>,
    reads: Vec<Lookups>,
}

impl Batch {
    fn add(&mut self, of: Of, read: &Lookups, document: u32, values: Row) {
        let place = *self.places.entry(of).or_insert_with(|| {
            self.reads.push(read.clone());
            self.reads.len() - 1
        });
        if let Some(read) = self.reads.get_mut(place) {
            read.lookups.push(Lookup { document, values });
        }
    }

    fn read(self) -> Result<Answers> {
        let found = if self.reads.is_empty() { Vec::new() } else { lookups::read(&self.reads)? };
        Ok(Answers { places: self.places, found: found.into_iter().map(Vec::into_iter).collect() })
    }
}

/// The rows of the lookups of a batch, read by read in the order in which they were added.
struct Answers {
    places: BTreeMap<Of, usize>,
    found: Vec<std::vec::IntoIter<Vec<Row>>>,
}

impl Answers {
    fn next(&mut self, of: Of) -> Vec<Row> {
        let place = self.places.get(&of).and_then(|place| self.found.get_mut(*place));
        place.and_then(Iterator::next).unwrap_or_default()
    }
}
