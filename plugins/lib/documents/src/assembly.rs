//! The rows of one chunk of documents: which were asked for, which have arrived, and which belong to which.

use crate::fetch::{Fetch, Links};
use crate::links::{NONE, Table, mix};
use crate::plan::{Grouping, LinkCells, Plan, Source};
use crate::rows::{Malformed, Rows};
use std::collections::VecDeque;

/// A chunk of documents being put together.
#[derive(Debug)]
pub struct Assembly<'p> {
    pub(crate) plan: &'p Plan,
    documents: usize,
    /// The keys, where the root rows are asked for by them.
    keys: Option<Rows>,
    pub(crate) slots: Vec<Slot>,
    asked: VecDeque<usize>,
}

/// What is known of a node.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: State,
    /// Which link each row above leads to.
    pub(crate) links: Vec<u32>,
    /// One row above for each link.
    picks: Vec<u32>,
    table: Table,
    pub(crate) rows: Rows,
    /// Where the rows of each link are in `order`, or in `rows` if that is empty: the first and how many.
    pub(crate) groups: Vec<(u32, u32)>,
    order: Vec<u32>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    Asked,
    Here,
}

impl<'p> Assembly<'p> {
    /// Documents by their keys: one cell a key column, in the plan's order.
    pub(crate) fn by_key(plan: &'p Plan, keys: Rows) -> Self {
        Self { documents: keys.len(), keys: Some(keys), ..Self::new(plan) }
    }

    /// Documents whose root rows are here already; each becomes one, but for those whose first cell is null.
    pub(crate) fn of_roots(plan: &'p Plan, rows: Rows) -> Self {
        let mut assembly = Self { documents: rows.len(), ..Self::new(plan) };
        if let Some(root) = assembly.slots.first_mut() {
            let count = |row: usize| u32::from(rows.cell(row, 0).is_some());
            root.groups = (0..).zip(0..rows.len()).map(|(start, row)| (start, count(row))).collect();
            root.links = (0..).take(rows.len()).collect();
            root.rows = rows;
            root.state = State::Here;
        }
        assembly
    }

    fn new(plan: &'p Plan) -> Self {
        let slots = plan.nodes.iter().map(|_| Slot::default()).collect();
        Self { plan, documents: 0, keys: None, slots, asked: VecDeque::new() }
    }

    /// How many documents there may be.
    pub fn len(&self) -> usize {
        self.documents
    }

    /// Whether there can be none.
    pub fn is_empty(&self) -> bool {
        self.documents == 0
    }

    /// The key of a document whose root row is here, as texts.
    pub fn key(&self, document: usize) -> Option<impl Iterator<Item = &[u8]>> {
        let row = self.root_row(document)?;
        self.texts(row)
    }

    /// The key of the root row of this number, whether it is a document or not.
    pub fn texts(&self, row: usize) -> Option<impl Iterator<Item = &[u8]>> {
        let root = self.slots.first()?;
        Some(self.plan.key.iter().map(move |cell| root.rows.cell(row, *cell).unwrap_or_default()))
    }

    /// The rows in which links of followed relations stand. One whose first cell is null is none.
    pub fn tracked(&self) -> impl Iterator<Item = (&LinkCells, &Rows)> {
        let nodes = self.plan.nodes.iter().zip(&self.slots);
        nodes.flat_map(|(node, slot)| node.link_cells.iter().map(|track| (track, &slot.rows)))
    }

    pub(crate) fn root_row(&self, document: usize) -> Option<usize> {
        let root = self.slots.first()?;
        root.row(*root.links.get(document)?, 0)
    }

    /// Asks for every node whose links are known; whether any was asked for.
    pub(crate) fn ask<F: Fetch>(&mut self, fetch: &mut F) -> Result<bool, F::Error> {
        let before = self.asked.len();
        for number in 0..self.slots.len() {
            let (above, rest) = self.slots.split_at_mut(number);
            let (Some(slot), Some(node)) = (rest.first_mut(), self.plan.nodes.get(number)) else { continue };
            let (rows, cells) = match (&node.source, &self.keys) {
                _ if slot.state != State::Waiting => continue,
                (Source::Documents, Some(keys)) => (keys, (0..self.plan.key.len()).collect()),
                (Source::Documents, None) => match above.first() {
                    Some(root) => (&root.rows, self.plan.key.clone()),
                    None => continue,
                },
                (Source::Rows { node, cells }, _) => match above.get(*node) {
                    Some(above) if above.state == State::Here => (&above.rows, cells.clone()),
                    _ => continue,
                },
            };
            slot.gather(rows, &cells);
            slot.rows = Rows::new(node.width());
            if slot.picks.is_empty() {
                slot.state = State::Here;
                continue;
            }
            fetch.ask(number, &Links { rows, cells: &cells, picks: &slot.picks })?;
            slot.state = State::Asked;
            self.asked.push_back(number);
        }
        Ok(self.asked.len() > before)
    }

    /// Whether everything has been asked for.
    pub(crate) fn asked_all(&self) -> bool {
        self.slots.iter().all(|slot| slot.state != State::Waiting)
    }

    /// Takes the answers to everything asked for.
    pub(crate) fn take<F: Fetch>(&mut self, fetch: &mut F) -> Result<(), F::Error> {
        while let Some(number) = self.asked.pop_front() {
            let (above, rest) = self.slots.split_at_mut(number);
            let (Some(slot), Some(node)) = (rest.first_mut(), self.plan.nodes.get(number)) else { continue };
            fetch.answer(&mut slot.rows)?;
            let cell = match (&node.source, &self.keys) {
                (Source::Documents, Some(keys)) => Some((keys, Some(0))),
                (Source::Documents, None) => above.first().map(|root| (&root.rows, self.plan.key.first().copied())),
                (Source::Rows { node, cells }, _) => {
                    above.get(*node).map(|above| (&above.rows, cells.first().copied()))
                }
            };
            let grouped = match (cell, node.link.grouping) {
                (Some((rows, Some(cell))), Grouping::Text) => slot.group_by_text(rows, cell),
                _ => slot.group_by_number(),
            };
            grouped.map_err(|Malformed| fetch.malformed(number))?;
            slot.state = State::Here;
        }
        Ok(())
    }
}

impl Slot {
    /// The `at`-th row of a link.
    #[inline]
    pub(crate) fn row(&self, link: u32, at: usize) -> Option<usize> {
        let (start, count) = *self.groups.get(link as usize)?;
        if at >= count as usize {
            return None;
        }
        let at = start as usize + at;
        if self.order.is_empty() { Some(at) } else { self.order.get(at).map(|row| *row as usize) }
    }

    /// Finds the distinct links of the rows above.
    fn gather(&mut self, rows: &Rows, cells: &[usize]) {
        self.table = Table::for_count(rows.len());
        self.links = Vec::with_capacity(rows.len());
        for row in 0..rows.len() {
            let mut hash = 0;
            let known = cells.iter().all(|cell| match rows.cell(row, *cell) {
                Some(text) => {
                    hash = mix(hash, text);
                    true
                }
                None => false,
            });
            if !known {
                self.links.push(NONE);
                continue;
            }
            let picks = &self.picks;
            let same = |link: u32| {
                picks.get(link as usize).is_some_and(|other| {
                    cells.iter().all(|cell| rows.cell(row, *cell) == rows.cell(*other as usize, *cell))
                })
            };
            #[expect(clippy::cast_possible_truncation, reason = "rows are numbered by 32 bits: their bytes are")]
            let link = match self.table.find(hash, same) {
                Ok(link) => link,
                Err(place) => {
                    let link = self.picks.len() as u32;
                    self.table.put(place, link);
                    self.picks.push(row as u32);
                    link
                }
            };
            self.links.push(link);
        }
    }

    fn group_by_text(&mut self, above: &Rows, cell: usize) -> Result<(), Malformed> {
        let mut links = Vec::with_capacity(self.rows.len());
        let (mut before, mut link): (&[u8], u32) = (&[], NONE);
        for row in 0..self.rows.len() {
            let text = self.rows.cell(row, 0).ok_or(Malformed)?;
            if link == NONE || text != before {
                let same = |link: u32| {
                    self.picks.get(link as usize).is_some_and(|other| above.cell(*other as usize, cell) == Some(text))
                };
                link = self.table.find(mix(0, text), same).map_err(|_| Malformed)?;
                before = text;
            }
            links.push(link);
        }
        self.group(&links)
    }

    fn group_by_number(&mut self) -> Result<(), Malformed> {
        let number = |row| {
            let text = std::str::from_utf8(self.rows.cell(row, 0)?).ok()?;
            text.parse::<u32>().ok()?.checked_sub(1)
        };
        let links: Option<Vec<u32>> = (0..self.rows.len()).map(number).collect();
        self.group(&links.ok_or(Malformed)?)
    }

    /// Notes where the rows of each link are; where those of one do not stand together, an order in which they do.
    fn group(&mut self, links: &[u32]) -> Result<(), Malformed> {
        self.groups = vec![(0, 0); self.picks.len()];
        let (mut before, mut scattered) = (NONE, false);
        for (row, link) in (0..).zip(links) {
            let (start, count) = self.groups.get_mut(*link as usize).ok_or(Malformed)?;
            if *count == 0 {
                *start = row;
            } else {
                scattered |= *link != before;
            }
            *count += 1;
            before = *link;
        }
        if scattered {
            let mut next = 0;
            let mut places: Vec<u32> = Vec::with_capacity(self.groups.len());
            for (start, count) in &mut self.groups {
                *start = next;
                places.push(next);
                next += *count;
            }
            self.order = vec![0; links.len()];
            for (row, link) in (0..).zip(links) {
                let place = places.get_mut(*link as usize).ok_or(Malformed)?;
                *self.order.get_mut(*place as usize).ok_or(Malformed)? = row;
                *place += 1;
            }
        }
        Ok(())
    }
}
