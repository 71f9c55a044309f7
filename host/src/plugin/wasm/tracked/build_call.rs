//! One call of `tracked-builder.build-many`, seen from the reads that it makes: each lookup is checked against what the builder
//! declared, recorded for its document, and only then made. What a guest does wrong is kept here too, so that a guest that goes on
//! all the same cannot hide it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::encoding;
use super::plan::{Plan, Relation as Way};
use crate::limits;
use crate::model::TableName;
use crate::plugin::links::lookups::{DocumentKey, DocumentLookup, Lookup, RelationNumber};
use crate::plugin::links::{RowLinks, Table as Links, put_link};
use crate::plugin::state::StateError;
use crate::plugin::wasm::bindings::flusso::connector::tracked_reader::Lookups;
use crate::plugin::wasm::bindings::flusso::connector::types::{Filter, Relation};
use crate::plugin::wasm::bindings::flusso::connector::types::{TableName as WitTable, Value as WitValue};

/// A row as it crosses.
pub(in crate::plugin::wasm) type WitRow = Vec<WitValue>;

/// The state of a call.
pub(in crate::plugin::wasm) struct BuildCall {
    plan: Arc<Plan>,
    index: usize,
    links: Links,
    /// What the clock showed before the view began.
    since: u64,
    documents: Vec<DocumentKey>,
    made: Vec<Vec<Lookup>>,
    /// Documents that hold what a change was resolved for since: to be built again in a new view.
    late: HashSet<usize>,
    wrong: Option<String>,
}

/// What came of a call, beside its outcomes.
pub(super) struct Ended {
    /// Each document with its lookups.
    pub(super) built: Vec<(DocumentKey, Vec<Lookup>)>,
    /// The places of the documents that are to be built again.
    pub(super) late: HashSet<usize>,
    /// What the guest did wrong.
    pub(super) wrong: Option<String>,
}

/// How the rows of one read go to its lookups.
pub(in crate::plugin::wasm) struct Deal {
    /// The values that are asked for, encoded, and their places among the questions.
    groups: HashMap<Vec<u8>, usize>,
    /// Which values each lookup asks for; `None`: a null, which finds nothing.
    lookups: Vec<Option<usize>>,
    /// The document of each lookup.
    documents: Vec<usize>,
    /// How many columns stand before the wanted ones.
    by: usize,
    wanted: usize,
    /// Where the values of the row's key stand, and the name under which rows are recorded.
    key: Option<(Vec<usize>, String)>,
}

impl BuildCall {
    pub(super) fn new(plan: Arc<Plan>, index: usize, links: Links, since: u64, documents: Vec<DocumentKey>) -> Self {
        let made = vec![Vec::new(); documents.len()];
        Self { plan, index, links, since, documents, made, late: HashSet::new(), wrong: None }
    }

    pub(super) fn end(self) -> Ended {
        let built = self.documents.into_iter().zip(self.made).collect();
        Ended { built, late: self.late, wrong: self.wrong }
    }

    /// Keeps what the guest did wrong, and returns it.
    fn refuse(&mut self, what: String) -> String {
        let index = self.plan.offers.get(self.index).map_or("", |offer| &offer.mapping.index);
        let what = format!("the build of index {index:?} {what}");
        self.wrong.get_or_insert_with(|| what.clone());
        what
    }

    /// Checks reads and records their lookups. Returns what is asked of the source, each value once, and how its answers go to
    /// the lookups.
    ///
    /// # Errors
    ///
    /// What is wrong with them, for the guest.
    pub(in crate::plugin::wasm) async fn ask(
        &mut self,
        reads: Vec<Lookups>,
    ) -> Result<(Vec<Relation>, Vec<Deal>), String> {
        let (mut relations, mut deals, mut recording) = (Vec::new(), Vec::new(), Vec::new());
        for read in reads {
            let way = match self.check(&read) {
                Ok(way) => way,
                Err(what) => return Err(self.refuse(what)),
            };
            let number = match &way {
                Some(way) => Some(self.links.number(&way.name).map_err(|error| error.to_string())?),
                // The whole table: a change of it builds every document again, so that nothing is to be recorded.
                None => None,
            };
            let (relation, deal) = self.question(read, way.as_ref(), number, &mut recording)?;
            relations.push(relation);
            deals.push(deal);
        }
        self.record(recording).await?;
        Ok((relations, deals))
    }

    /// The declared relation by which a read goes; `None`: it reads the whole table.
    fn check(&self, read: &Lookups) -> Result<Option<Way>, String> {
        let name = TableName { schema: read.table.schema.clone(), name: read.table.name.clone() };
        let offer = self.plan.offers.get(self.index).ok_or("is of no index")?;
        let declared = offer.reads.iter().filter(|declared| declared.table == name).collect::<Vec<_>>();
        if declared.is_empty() {
            return Err(format!("reads {name}, which is not among its `reads`; declare it there"));
        }
        let filtered = read.filters.iter().filter_map(|filter| match filter {
            Filter::Condition(condition) => Some(&condition.column),
            Filter::Raw(_) => None,
        });
        let ordered = read.order.iter().map(|ordering| &ordering.column);
        let has = |column: &String| declared.iter().any(|declared| declared.columns.contains(column));
        if let Some(column) = read.columns.iter().chain(&read.by).chain(filtered).chain(ordered).find(|name| !has(name))
        {
            return Err(format!(
                "reads the column {column:?} of {name}, which is not among its `reads`; declare it there"
            ));
        }
        if read.filters.iter().any(|filter| matches!(filter, Filter::Raw(_))) {
            return Err(format!("filters {name} by SQL, whose columns nobody can follow; use conditions on columns"));
        }
        if !declared.iter().any(|declared| declared.by.contains(&read.by)) {
            let by = if read.by.is_empty() { "no column".to_owned() } else { read.by.join(", ") };
            return Err(format!(
                "looks up {name} by {by}, which is not among the lookups of its `reads`; declare it there"
            ));
        }
        if read.by.is_empty() {
            return Ok(None);
        }
        let table = self.plan.table(&name).ok_or_else(|| format!("reads {name}, which is not followed"))?;
        Ok(table.relations.iter().find(|way| way.by == read.by).cloned())
    }

    /// One question to the source for all lookups of a read.
    fn question(
        &mut self,
        read: Lookups,
        way: Option<&Way>,
        number: Option<RelationNumber>,
        recording: &mut Vec<(DocumentLookup, usize)>,
    ) -> Result<(Relation, Deal), String> {
        let (mut asked, mut groups) = (Vec::new(), HashMap::new());
        let (mut lookups, mut documents) =
            (Vec::with_capacity(read.lookups.len()), Vec::with_capacity(read.lookups.len()));
        for lookup in read.lookups {
            let document = usize::try_from(lookup.document).unwrap_or(usize::MAX);
            let (Some(made), Some(of)) = (self.made.get_mut(document), self.documents.get(document)) else {
                let count = self.documents.len();
                return Err(
                    self.refuse(format!("looks something up for document {document}, and the batch has {count}"))
                );
            };
            if lookup.values.len() != read.by.len() {
                let (given, by) = (lookup.values.len(), read.by.join(", "));
                return Err(self.refuse(format!("gives {given} values to look up by {by}")));
            }
            documents.push(document);
            let Some(values) = encoding::looked_for(&lookup.values) else {
                lookups.push(None);
                continue;
            };
            if let Some(relation) = number {
                let by_own_key = encoding::key_of_values(&values).is_some_and(|key| key == of.key);
                let lookup = Lookup { relation, values: values.clone() };
                if by_own_key || !made.contains(&lookup) {
                    if made.len() >= limits::state::LOOKUPS_OF_DOCUMENT {
                        let most = limits::state::LOOKUPS_OF_DOCUMENT;
                        return Err(self.refuse(format!(
                            "makes more than {most} lookups for one document; look up by fewer values, or split the document"
                        )));
                    }
                    if !by_own_key {
                        made.push(lookup.clone());
                    }
                    recording.push((DocumentLookup { lookup, document: of.clone(), by_own_key }, document));
                }
            }
            let group = *groups.entry(values).or_insert_with(|| {
                asked.push(lookup.values);
                asked.len() - 1
            });
            lookups.push(Some(group));
        }
        let wanted = read.columns.len();
        let mut columns = read.columns;
        let key = way.and_then(|way| {
            let table =
                self.plan.tables.iter().find(|table| table.relations.iter().any(|other| other.name == way.name))?;
            let rows = way.rows.clone()?;
            // The row's key stands among the `by` columns, the wanted ones, or behind them.
            let place = |column: &String| {
                let all = read.by.iter().chain(&columns);
                all.clone().position(|known| known == column).unwrap_or_else(|| {
                    columns.push(column.clone());
                    read.by.len() + columns.len() - 1
                })
            };
            Some((table.key.iter().map(place).collect(), rows))
        });
        let deal = Deal { groups, lookups, documents, by: read.by.len(), wanted, key };
        let table = WitTable { schema: read.table.schema, name: read.table.name };
        let relation = Relation {
            table,
            columns,
            by: read.by,
            values: asked,
            filters: read.filters,
            order: read.order,
            limit: read.limit,
            extra: None,
        };
        Ok((relation, deal))
    }

    /// Records lookups before they are made.
    async fn record(&mut self, recording: Vec<(DocumentLookup, usize)>) -> Result<(), String> {
        let (adding, places): (Vec<DocumentLookup>, Vec<usize>) = recording.into_iter().unzip();
        let since = self.since;
        let added = self.links.run(move |links| links.add_lookups(since, &adding)).await.map_err(failed)?;
        self.late.extend(added.into_iter().filter_map(|place| places.get(place).copied()));
        Ok(())
    }

    /// Deals the rows of each question out to its lookups, and records where they were found.
    pub(in crate::plugin::wasm) async fn deal(
        &mut self,
        mut deals: Vec<Deal>,
        answers: Vec<Vec<WitRow>>,
    ) -> Result<Vec<Vec<Vec<WitRow>>>, String> {
        let (mut dealt, mut recording, mut holders) = (Vec::with_capacity(answers.len()), Vec::new(), Vec::new());
        for (place, (deal, rows)) in deals.iter_mut().zip(answers).enumerate() {
            let mut found: Vec<Vec<WitRow>> = vec![Vec::new(); deal.groups.len()];
            let mut links = Vec::new();
            for mut row in rows {
                let values = row.get(..deal.by).and_then(encoding::looked_for);
                let Some((values, group)) = values.as_ref().and_then(|values| deal.groups.get_key_value(values)) else {
                    continue;
                };
                if let Some((places, _)) = &deal.key {
                    let key = encoding::key_of(places.iter().filter_map(|place| row.get(*place)));
                    put_link((&key, values), &mut links);
                    holders.push((place, *group));
                }
                row.drain(..deal.by.min(row.len()));
                row.truncate(deal.wanted);
                if let Some(rows) = found.get_mut(*group) {
                    rows.push(row);
                }
            }
            if let Some((_, rows)) = deal.key.take()
                && !links.is_empty()
            {
                recording.push(RowLinks { relation: rows, packed: links });
            }
            dealt.push(hand_out(found, &deal.lookups));
        }
        if !recording.is_empty() {
            let since = self.since;
            let late = self.links.run(move |links| links.add(since, &recording)).await.map_err(failed)?;
            for (deal, group) in late.into_iter().filter_map(|place| holders.get(place as usize)) {
                let Some(deal) = deals.get(*deal) else { continue };
                let of = deal.lookups.iter().zip(&deal.documents).filter(|(lookup, _)| **lookup == Some(*group));
                self.late.extend(of.map(|(_, document)| *document));
            }
        }
        Ok(dealt)
    }
}

/// To each lookup the rows of its values; several may ask for the same.
fn hand_out(mut found: Vec<Vec<WitRow>>, lookups: &[Option<usize>]) -> Vec<Vec<WitRow>> {
    let mut left = vec![0_usize; found.len()];
    for group in lookups.iter().flatten() {
        if let Some(left) = left.get_mut(*group) {
            *left += 1;
        }
    }
    let mut rows_of = |lookup: &Option<usize>| {
        let (rows, left) = lookup.and_then(|group| found.get_mut(group).zip(left.get_mut(group)))?;
        *left -= 1;
        Some(if *left == 0 { std::mem::take(rows) } else { rows.clone() })
    };
    lookups.iter().map(|lookup| rows_of(lookup).unwrap_or_default()).collect()
}

fn failed(error: StateError) -> String {
    error.to_string()
}
