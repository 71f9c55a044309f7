//! One call of `tracked-builder.build-many`, seen from the reads that it makes: each lookup is checked against what the builder
//! declared, recorded for its document, and only then made. What a guest does wrong is kept here too, so that a guest that goes on
//! all the same cannot hide it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::encoding;
use super::plan::{Plan, Relation as Way};
use crate::limits;
use crate::model::{Key, TableName, Value};
use crate::plugin::links::lookups::{DocumentKey, Lookup, RelationNumber};
use crate::plugin::links::{RowLinks, Table as Links, packed};
use crate::plugin::state::StateError;
use crate::plugin::wasm::bindings::flusso::connector::tracked_reader::Lookups;
use crate::plugin::wasm::bindings::flusso::connector::types::{Filter, Relation};
use crate::plugin::wasm::bindings::flusso::connector::types::{TableName as WitTable, Value as WitValue};
use crate::plugin::wasm::convert;

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
    /// The values of each lookup, encoded; `None`: a null, which finds nothing.
    values: Vec<Option<Vec<u8>>>,
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
        recording: &mut Vec<(Lookup, usize)>,
    ) -> Result<(Relation, Deal), String> {
        let (mut asked, mut seen) = (Vec::new(), HashSet::new());
        let (mut values, mut documents) =
            (Vec::with_capacity(read.lookups.len()), Vec::with_capacity(read.lookups.len()));
        for lookup in read.lookups {
            let document = usize::try_from(lookup.document).unwrap_or(usize::MAX);
            let Some(made) = self.made.get_mut(document) else {
                let count = self.documents.len();
                return Err(
                    self.refuse(format!("looks something up for document {document}, and the batch has {count}"))
                );
            };
            if lookup.values.len() != read.by.len() {
                let (given, by) = (lookup.values.len(), read.by.join(", "));
                return Err(self.refuse(format!("gives {given} values to look up by {by}")));
            }
            let row: Vec<Value> = lookup.values.iter().cloned().map(convert::value).collect();
            let encoded = encoding::looked_for(&row);
            if let (Some(relation), Some(values)) = (number, &encoded) {
                let lookup = Lookup { relation, values: values.clone() };
                if !made.contains(&lookup) {
                    if made.len() >= limits::state::LOOKUPS_OF_DOCUMENT {
                        let most = limits::state::LOOKUPS_OF_DOCUMENT;
                        return Err(self.refuse(format!(
                            "makes more than {most} lookups for one document; look up by fewer values, or split the document"
                        )));
                    }
                    made.push(lookup.clone());
                    recording.push((lookup, document));
                }
            }
            if let Some(values) = &encoded
                && seen.insert(values.clone())
            {
                asked.push(lookup.values);
            }
            values.push(encoded);
            documents.push(document);
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
        let deal = Deal { values, documents, by: read.by.len(), wanted, key };
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
    async fn record(&mut self, recording: Vec<(Lookup, usize)>) -> Result<(), String> {
        let of = |place: usize| self.documents.get(place).cloned();
        let places: Vec<usize> = recording.iter().map(|(_, place)| *place).collect();
        let adding: Vec<_> = recording.into_iter().filter_map(|(lookup, place)| Some((lookup, of(place)?))).collect();
        let since = self.since;
        let added = self.links.run(move |links| links.add_lookups(since, &adding)).await.map_err(failed)?;
        self.late.extend(added.into_iter().filter_map(|place| places.get(place).copied()));
        Ok(())
    }

    /// Deals the rows of each question out to its lookups, and records where they were found.
    pub(in crate::plugin::wasm) async fn deal(
        &mut self,
        deals: Vec<Deal>,
        answers: Vec<Vec<WitRow>>,
    ) -> Result<Vec<Vec<Vec<WitRow>>>, String> {
        let (mut dealt, mut recording, mut holders) = (Vec::with_capacity(answers.len()), Vec::new(), Vec::new());
        for (deal, rows) in deals.into_iter().zip(answers) {
            let mut found: HashMap<Vec<u8>, Vec<WitRow>> = HashMap::new();
            let mut links = Vec::new();
            for mut row in rows {
                let by: Vec<Value> = row.iter().take(deal.by).cloned().map(convert::value).collect();
                let Some(values) = encoding::looked_for(&by) else { continue };
                if let Some((places, _)) = &deal.key {
                    let key = places.iter().filter_map(|place| row.get(*place).cloned().map(convert::value)).collect();
                    links.push((encoding::key(&Key::new(key)), values.clone()));
                }
                let wanted = row.drain(..).skip(deal.by).take(deal.wanted).collect();
                found.entry(values).or_default().push(wanted);
            }
            if let Some((_, rows)) = deal.key
                && !links.is_empty()
            {
                let mut of: HashMap<&[u8], Vec<usize>> = HashMap::new();
                for (values, document) in deal.values.iter().zip(&deal.documents) {
                    of.entry(values.as_deref().unwrap_or_default()).or_default().push(*document);
                }
                holders.extend(links.iter().map(|(_, values)| of.get(values.as_slice()).cloned().unwrap_or_default()));
                let pairs = links.iter().map(|(row, values)| (row.as_slice(), values.as_slice()));
                recording.push(RowLinks { relation: rows, packed: packed(pairs) });
            }
            let rows_of =
                |values: Option<Vec<u8>>| values.and_then(|values| found.get(&values).cloned()).unwrap_or_default();
            dealt.push(deal.values.into_iter().map(rows_of).collect());
        }
        if !recording.is_empty() {
            let since = self.since;
            let late = self.links.run(move |links| links.add(since, &recording)).await.map_err(failed)?;
            for place in late {
                self.late.extend(holders.get(place as usize).into_iter().flatten());
            }
        }
        Ok(dealt)
    }
}

fn failed(error: StateError) -> String {
    error.to_string()
}
