//! From changes to the first values that are followed: the links of each changed row before and after.

use crate::links::{Link, Links};
use crate::network::{Node, Part, Resolver, Table};
use crate::pruning::Changed;
use crate::rounds::Work;
use flusso_plugin::{Change, Key, Op, Row, Value};
use std::collections::BTreeSet;

/// Indexes as wholes.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) rebuild: BTreeSet<u32>,
    pub(crate) clear: BTreeSet<u32>,
}

/// Rows whose links before are to be asked for: the relation, where they lead, the keys.
struct Unknown {
    relation: u32,
    node: usize,
    rows: Vec<(Key, u32)>,
}

impl Resolver {
    /// Where a batch begins.
    pub(crate) fn begin<E>(&self, changes: &[Change], links: &mut dyn Links<E>) -> Result<(Work, Whole), E> {
        let (mut work, mut whole) = (Work::default(), Whole::default());
        let (mut seen, mut unknown): (Vec<Link>, Vec<Unknown>) = (Vec::new(), Vec::new());
        for (rank, change) in (0..).zip(changes) {
            let Some(table) = usize::try_from(change.table).ok().and_then(|number| self.tables.get(number)) else {
                continue;
            };
            let changed = Changed::read(change);
            for (number, node) in table.nodes.iter().filter_map(|number| Some((*number, self.nodes.get(*number)?))) {
                if change.op == Op::Truncate {
                    let list = if node.parent.is_none() { &mut whole.clear } else { &mut whole.rebuild };
                    list.insert(node.index);
                } else if !changed.spares(node, table, change) {
                    self.follow(number, node, table, change, rank, &mut work, &mut seen, &mut unknown);
                }
            }
        }
        // What stands in a cleared index now came after the truncate, and is in this batch or a later one.
        whole.rebuild.retain(|index| !whole.clear.contains(index));
        links.remember(&seen)?;
        for Unknown { relation, node, rows } in unknown {
            let (keys, ranks): (Vec<Key>, Vec<u32>) = rows.into_iter().unzip();
            for (parents, rank) in links.parents(relation, &keys)?.into_iter().zip(ranks) {
                parents.into_iter().for_each(|values| self.rise(&mut work, node, values, rank));
            }
        }
        Ok((work, whole))
    }

    #[expect(clippy::too_many_arguments, reason = "the lists that one pass over a batch fills")]
    fn follow(
        &self,
        number: usize,
        node: &Node,
        table: &Table,
        change: &Change,
        rank: u32,
        work: &mut Work,
        seen: &mut Vec<Link>,
        unknown: &mut Vec<Unknown>,
    ) {
        let before = values(node, table, &change.key, change.before.as_ref());
        if let Some(values) = &before {
            self.rise(work, number, values.clone(), rank);
        } else if let (false, Some(relation)) = (node.exact, node.relation) {
            let group = unknown.iter_mut().find(|group| (group.relation, group.node) == (relation, number));
            match group {
                Some(group) => group.rows.push((change.key.clone(), rank)),
                None => unknown.push(Unknown { relation, node: number, rows: vec![(change.key.clone(), rank)] }),
            }
        }
        if change.op != Op::Upsert {
            return;
        }
        match (values(node, table, &change.key, change.after.as_ref()), node.own) {
            (Some(values), _) => {
                if let (false, Some(relation)) = (node.exact, node.relation) {
                    seen.push(Link { relation, row: change.key.clone(), values: values.clone() });
                }
                if before.as_ref() != Some(&values) {
                    self.rise(work, number, values, rank);
                }
            }
            // The change does not carry it: the row does.
            (None, Some(own)) => work.arrive(own, change.key.clone(), rank),
            (None, None) => {}
        }
    }
}

/// The links of a row, from its key and the links that came with the change; `None` where one is not there.
fn values(node: &Node, table: &Table, key: &Key, links: Option<&Row>) -> Option<Vec<Value>> {
    let links = links.filter(|links| links.len() == table.links.len());
    node.parts
        .iter()
        .map(|part| match part {
            Part::Key(at) => key.get(*at).cloned(),
            Part::Link(at) => links?.get(*at).cloned(),
            Part::Nowhere => None,
        })
        .collect()
}
