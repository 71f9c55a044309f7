//! Where the propagation of a change begins: at the link values of each changed row, before and after the change.

use crate::changed_columns::Changed;
use crate::graph::{Node, Part, Resolver, Table};
use crate::links::{Changed as Rows, Ended, Last, Link, Links};
use crate::propagation::Frontier;
use flusso_plugin::{Change, Key, Op, Row, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a batch does to whole indexes, and the links that it ended.
#[derive(Debug, Default)]
pub(crate) struct IndexEffects {
    pub(crate) rebuild: BTreeSet<u32>,
    pub(crate) clear: BTreeSet<u32>,
    pub(crate) ended: Ended,
}

impl Resolver {
    /// The link values with which a batch begins.
    pub(crate) fn begin<E>(&self, changes: &[Change], links: &mut dyn Links<E>) -> Result<(Frontier, IndexEffects), E> {
        let (mut work, mut whole) = (Frontier::default(), IndexEffects::default());
        let (mut followed, mut emptied): (BTreeMap<u32, Rows>, BTreeSet<u32>) = (BTreeMap::new(), BTreeSet::new());
        for (rank, change) in (0..).zip(changes) {
            let Some(table) = usize::try_from(change.table).ok().and_then(|number| self.tables.get(number)) else {
                continue;
            };
            let changed = Changed::of(change);
            for (number, node) in table.nodes.iter().filter_map(|number| Some((*number, self.nodes.get(*number)?))) {
                if change.op == Op::Truncate {
                    let list = if node.parent.is_none() { &mut whole.clear } else { &mut whole.rebuild };
                    list.insert(node.index);
                    emptied.extend(node.relation.filter(|_| node.followed));
                } else if !changed.spares(node, table, change) {
                    let after = self.follow(number, node, table, change, rank, &mut work);
                    if change.op == Op::Delete && !node.followed && !sends_old(node, table, change) {
                        // The old values should be there and are not (a partition has its own replica identity).
                        whole.rebuild.insert(node.index);
                    }
                    if let Some(relation) = node.relation.filter(|_| node.followed) {
                        followed.entry(relation).or_default().note(&change.key, rank, after);
                    }
                }
            }
        }
        // Documents that are in a cleared index now came after the truncate, in this batch or a later one.
        whole.rebuild.retain(|index| !whole.clear.contains(index));
        whole.ended.emptied = emptied.into_iter().collect();
        for (relation, Rows { rows, ends, .. }) in followed {
            let parents = links.parents(relation, &rows)?;
            for ((row, (rank, last)), parents) in rows.into_iter().zip(ends).zip(parents) {
                for values in parents {
                    let nodes = self.nodes.iter().enumerate();
                    for (number, _) in nodes.filter(|(_, node)| node.relation == Some(relation)) {
                        self.ascend(&mut work, number, values.clone(), rank);
                    }
                    let stays = match &last {
                        Last::Gone => false,
                        Last::At(now) => *now == values,
                        Last::Unsaid => true,
                    };
                    if !stays {
                        whole.ended.links.push(Link { relation, row: row.clone(), values });
                    }
                }
            }
        }
        Ok((work, whole))
    }

    /// Adds the links that came with a change. Returns where the row leads now.
    fn follow(
        &self,
        number: usize,
        node: &Node,
        table: &Table,
        change: &Change,
        rank: u32,
        work: &mut Frontier,
    ) -> Last {
        let before = values(node, table, &change.key, change.before.as_ref());
        if let Some(values) = &before {
            self.ascend(work, number, values.clone(), rank);
        }
        if change.op != Op::Upsert {
            return Last::Gone;
        }
        match (values(node, table, &change.key, change.after.as_ref()), node.own) {
            (Some(values), _) => {
                if before.as_ref() != Some(&values) {
                    self.ascend(work, number, values.clone(), rank);
                }
                Last::At(values)
            }
            // The change does not carry the values: they are read from the row.
            (None, Some(own)) => {
                work.add_values(own, change.key.clone(), rank);
                Last::Unsaid
            }
            (None, None) => Last::Unsaid,
        }
    }
}

/// Whether a change says where its row was.
fn sends_old(node: &Node, table: &Table, change: &Change) -> bool {
    values(node, table, &change.key, change.before.as_ref()).is_some()
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
