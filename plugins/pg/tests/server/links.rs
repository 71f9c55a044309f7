//! A link table in memory: what the host keeps, without its file.

use flusso_pg::error::Result;
use flusso_pg::links::LinkTable;
use flusso_plugin::{Affected, RowLinks};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

type Row = (String, Vec<u8>);

#[derive(Default)]
pub struct Kept {
    pub links: BTreeMap<Row, BTreeSet<Vec<u8>>>,
    asked: BTreeMap<Row, u64>,
    moment: u64,
    /// Called before links are taken.
    pub before: Option<Box<dyn FnMut()>>,
}

#[derive(Clone, Default)]
pub struct Links(pub Rc<RefCell<Kept>>);

fn number(rest: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, after) = rest.split_first().expect("a length");
        *rest = after;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn pairs(list: &RowLinks) -> Vec<(Row, Vec<u8>)> {
    let (mut rest, mut pairs) = (list.packed.as_slice(), Vec::new());
    let piece = |rest: &mut &[u8]| {
        let length = number(rest);
        let (piece, after) = rest.split_at(length);
        *rest = after;
        piece.to_vec()
    };
    while !rest.is_empty() {
        let row = piece(&mut rest);
        pairs.push(((list.relation.clone(), row), piece(&mut rest)));
    }
    pairs
}

impl Links {
    pub fn boxed(&self) -> Option<Box<dyn LinkTable>> {
        Some(Box::new(self.clone()))
    }

    /// A batch is confirmed.
    pub fn confirm(&self, affected: &Affected) {
        let mut kept = self.0.borrow_mut();
        for (row, link) in affected.ended_links.iter().flat_map(pairs) {
            if let Some(links) = kept.links.get_mut(&row) {
                links.remove(&link);
            }
        }
        kept.links.retain(|(relation, _), links| !links.is_empty() && !affected.emptied_relations.contains(relation));
    }

    pub fn len(&self) -> usize {
        self.0.borrow().links.values().map(BTreeSet::len).sum()
    }
}

impl LinkTable for Links {
    fn recorded_relations(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn clock(&mut self) -> u64 {
        self.0.borrow().moment
    }

    fn add(&mut self, since: u64, links: &[RowLinks]) -> Result<Vec<u32>> {
        let before = self.0.borrow_mut().before.take();
        if let Some(mut before) = before {
            before();
        }
        let mut kept = self.0.borrow_mut();
        let mut refused = Vec::new();
        for (place, (row, link)) in (0..).zip(links.iter().flat_map(pairs)) {
            if kept.asked.get(&row).is_some_and(|asked| *asked > since) {
                refused.push(place);
            } else {
                kept.links.entry(row).or_default().insert(link);
            }
        }
        Ok(refused)
    }

    fn parents(&mut self, relation: &str, rows: &[Vec<u8>]) -> Result<Vec<Vec<Vec<u8>>>> {
        let mut kept = self.0.borrow_mut();
        kept.moment += 1;
        let moment = kept.moment;
        let rows = rows.iter().map(|row| (relation.to_owned(), row.clone()));
        Ok(rows
            .map(|row| {
                let links = kept.links.get(&row).map(|links| links.iter().cloned().collect()).unwrap_or_default();
                kept.asked.insert(row, moment);
                links
            })
            .collect())
    }
}
