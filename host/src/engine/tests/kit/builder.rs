//! The builder: one document an item, one a group with its items. It notes at which version of the store it read, in the
//! body before `#`, so that a document can be compared with the version that the engine stamped it with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::links::RELATION;
use super::run::{Inner, World};
use super::source::range;
use super::store::{GROUPS, ITEMS, NAMES, integer, key};
use crate::engine::StageError;
use crate::engine::stage::{Affected, Builder, Description, RangeBuilder, RangedPage, Result, Slice};
use crate::model::{
    Change, DocumentId, Failure, IndexNumber, Mapping, Op, Outcome, Scope, TableInterest, TableName, TableNumber, Value,
};

/// How it behaves, and what it was asked.
pub(crate) struct BuilderSetup {
    pub(crate) instances: usize,
    /// Whole ranges can be built.
    pub(crate) by_range: bool,
    /// Answers touched documents as often as they are touched.
    pub(crate) repeats: bool,
    /// The most documents in an answer of `resolve`.
    pub(crate) most: usize,
    /// A truncate of items names every group instead of a rebuild.
    pub(crate) names_all: bool,
    /// The sizes of the batches it was asked to resolve.
    pub(crate) resolved: Vec<usize>,
    /// The documents it was asked to build, by call.
    pub(crate) built: Vec<Vec<(u32, i64)>>,
    pub(crate) hash: String,
    /// Its ranges and its resolve answer the cursor that they were given.
    pub(crate) stands_still: bool,
    /// The store does not tell where a deleted or moved item was, so the builder records its links.
    pub(crate) untold: bool,
    /// It was so in some run.
    pub(crate) was_untold: bool,
}

impl Default for BuilderSetup {
    fn default() -> Self {
        Self {
            instances: 1,
            by_range: false,
            repeats: false,
            most: usize::MAX,
            names_all: false,
            resolved: Vec::new(),
            built: Vec::new(),
            hash: "1".to_owned(),
            stands_still: false,
            untold: false,
            was_untold: false,
        }
    }
}

pub(super) struct Builders {
    pub(super) world: Arc<World>,
    pub(super) incarnation: u64,
}

fn outcome(inner: &Inner, index: u32, at: i64) -> Outcome {
    match inner.store.document(index, at) {
        None => Outcome::Absent,
        Some(text) if text.contains("unbuildable") => {
            Outcome::Failed(Failure { class: "unbuildable".to_owned(), reason: "it says so".to_owned() })
        }
        Some(text) => Outcome::Built(format!("{}#{text}", inner.store.visible).into_bytes()),
    }
}

/// Documents that are read and not handed over yet.
struct Read {
    since: u64,
    documents: Vec<((u32, i64), Outcome)>,
    /// Items, each with the group that was seen to list it.
    links: Vec<(i64, i64)>,
}

impl Read {
    fn of(inner: &Inner, ids: &[(u32, i64)]) -> Self {
        let groups = ids.iter().filter(|(index, _)| *index == GROUPS).map(|(_, at)| *at);
        let groups: BTreeSet<i64> = groups.collect();
        let items = inner.store.rows[ITEMS as usize].iter().map(|(item, row)| (*item, row.parent));
        Self {
            since: inner.links.moment,
            documents: ids.iter().map(|id| (*id, outcome(inner, id.0, id.1))).collect(),
            links: items.filter(|(_, group)| groups.contains(group)).collect(),
        }
    }

    /// Before it is handed over: what was overtaken is read again.
    fn remember(&mut self, inner: &mut Inner) {
        if !inner.builder.untold {
            return;
        }
        let again = inner.links.remember(self.since, &self.links);
        let ids: Vec<_> = self.documents.iter().map(|(id, _)| *id).filter(|(_, at)| again.contains(at)).collect();
        if ids.is_empty() {
            return;
        }
        let mut fresh = Self::of(inner, &ids);
        fresh.remember(inner);
        for (id, outcome) in fresh.documents {
            self.documents.iter_mut().filter(|(of, _)| *of == id).for_each(|(_, held)| *held = outcome.clone());
        }
    }

    fn outcomes(self) -> Vec<Outcome> {
        self.documents.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

/// A cursor holds what is left to name.
fn paged(mut ids: Vec<(u32, i64)>, most: usize, mut affected: Affected) -> Affected {
    if ids.len() > most {
        let rest = ids.split_off(most);
        affected.more = Some(serde_json::to_vec(&rest).unwrap());
    }
    affected.ids = ids.into_iter().map(|(index, at)| DocumentId { index, key: key(at) }).collect();
    affected
}

#[async_trait]
impl Builder for Builders {
    fn name(&self) -> &str {
        "builder"
    }

    fn instances(&self) -> usize {
        self.world.lock().builder.instances
    }

    async fn describe(&self) -> Result<Description> {
        if let Some(lost) = self.world.gate(self.incarnation, "builder.describe").await? {
            return Err(lost);
        }
        let (hash, untold) = {
            let builder = &mut self.world.lock().builder;
            builder.was_untold |= builder.untold;
            (builder.hash.clone(), builder.untold)
        };
        let recorded_relations = untold.then(|| RELATION.to_owned()).into_iter().collect();
        let mapping = |name: &&str| Mapping {
            index: (*name).to_owned(),
            hash: hash.clone(),
            fields: Vec::new(),
            prefix: String::new(),
            extra: None,
        };
        let interest = |name: &&str| TableInterest {
            table: TableName { schema: "public".to_owned(), name: (*name).to_owned() },
            key: vec!["key".to_owned()],
            links: vec!["parent".to_owned()],
            reads: None,
            wants_changed: false,
            extra: None,
        };
        Ok(Description {
            mappings: NAMES.iter().map(mapping).collect(),
            scopes: vec![
                Scope { index: ITEMS, root: ITEMS, recorded_relations: Vec::new() },
                Scope { index: GROUPS, root: GROUPS, recorded_relations },
            ],
            interest: NAMES.iter().map(interest).collect(),
        })
    }

    async fn resolve(&self, changes: Slice<Change>) -> Result<Affected> {
        let lost = self.world.gate(self.incarnation, "builder.resolve").await?;
        let mut inner = self.world.lock();
        inner.builder.resolved.push(changes.len());
        let mut affected = Affected::default();
        let mut ids = Vec::new();
        let (repeats, untold) = (inner.builder.repeats, inner.builder.untold);
        let (mut ended, mut emptied): (BTreeMap<i64, BTreeSet<i64>>, bool) = (BTreeMap::new(), false);
        let mut touch = |id| {
            if repeats || !ids.contains(&id) {
                ids.push(id);
            }
        };
        for change in changes.iter() {
            match (change.op, change.table) {
                (Op::Truncate, ITEMS) => {
                    affected.clear.push(ITEMS);
                    emptied = untold;
                    if inner.builder.names_all {
                        inner.store.rows[GROUPS as usize].keys().for_each(|at| touch((GROUPS, *at)));
                    } else {
                        affected.rebuild.push(GROUPS);
                    }
                }
                (Op::Truncate, table) => affected.clear.push(table),
                (_, table) => {
                    let at = integer(&change.key);
                    touch((table, at));
                    if untold && table == ITEMS {
                        let parents = inner.links.parents(at);
                        parents.iter().for_each(|parent| touch((GROUPS, *parent)));
                        ended.entry(at).or_default().extend(parents);
                        if let Some([Value::Integer(parent)]) = change.after.as_deref() {
                            ended.entry(at).or_default().remove(parent);
                        }
                    }
                    let before = change.before.iter().filter(|_| !untold);
                    for row in before.chain(&change.after).filter(|_| table == ITEMS) {
                        let [Value::Integer(parent)] = row.as_slice() else { continue };
                        touch((GROUPS, *parent));
                    }
                }
            }
        }
        let mut affected = paged(ids, inner.builder.most, affected);
        if emptied || !ended.is_empty() {
            let pairs = ended.into_iter().flat_map(|(item, groups)| groups.into_iter().map(move |group| (item, group)));
            affected.link_removals = Some(inner.links.end(pairs.collect(), emptied));
        }
        lost.map_or(Ok(affected), Err)
    }

    async fn resolve_more(&self, cursor: Vec<u8>, max: u32) -> Result<Affected> {
        let lost = self.world.gate(self.incarnation, "builder.more").await?;
        let most = self.world.lock().builder.most.min(max as usize);
        let mut affected = paged(serde_json::from_slice(&cursor).unwrap(), most, Affected::default());
        if self.world.lock().builder.stands_still {
            affected.more = Some(cursor);
        }
        lost.map_or(Ok(affected), Err)
    }

    async fn resolve_table_changes(&self, tables: &[TableNumber]) -> Result<Affected> {
        let lost = self.world.gate(self.incarnation, "builder.resolve_table_changes").await?;
        let mut affected = Affected::default();
        for table in tables {
            match *table {
                // A reshaped group table names its documents one by one.
                GROUPS => {
                    let inner = self.world.lock();
                    let ids = inner.store.rows[GROUPS as usize].keys().map(|at| (GROUPS, *at)).collect();
                    affected = paged(ids, inner.builder.most, affected);
                }
                table => affected.rebuild.push(table),
            }
        }
        lost.map_or(Ok(affected), Err)
    }

    async fn build_many(&self, ids: Slice<DocumentId>) -> Result<Vec<Outcome>> {
        let lost = self.world.gate(self.incarnation, "builder.build").await?;
        let mut read = {
            let mut inner = self.world.lock();
            let asked: Vec<_> = ids.iter().map(|id| (id.index, integer(&id.key))).collect();
            let deadly = |(index, at): &(u32, i64)| {
                inner.store.document(*index, *at).is_some_and(|text| text.contains("deadly"))
            };
            if asked.iter().any(deadly) {
                return Err(StageError::Crashed("the build trapped".to_owned()));
            }
            inner.builder.built.push(asked.clone());
            Read::of(&inner, &asked)
        };
        // The documents are read, and not handed over yet.
        if let Some(later) = self.world.gate(self.incarnation, "builder.built").await? {
            return Err(later);
        }
        read.remember(&mut self.world.lock());
        lost.map_or(Ok(read.outcomes()), Err)
    }

    async fn ranges(&self) -> Result<Box<dyn RangeBuilder>> {
        if !self.world.lock().builder.by_range {
            return Err(StageError::Unsupported("ranges".to_owned()));
        }
        if let Some(lost) = self.world.gate(self.incarnation, "ranges.open").await? {
            return Err(lost);
        }
        Ok(Box::new(Ranging { world: Arc::clone(&self.world), incarnation: self.incarnation, ahead: None }))
    }
}

struct Ranging {
    world: Arc<World>,
    incarnation: u64,
    /// A page that was read before it was asked for.
    ahead: Option<(IndexNumber, (i64, i64), (Read, Option<Vec<u8>>))>,
}

impl Ranging {
    fn page(&self, index: IndexNumber, (from, to): (i64, i64), max: u32) -> (Read, Option<Vec<u8>>) {
        let inner = self.world.lock();
        let rows = inner.store.rows[index as usize].range(from..to);
        let keys: Vec<i64> = rows.map(|(key, _)| *key).take(max as usize).collect();
        let last = keys.last().filter(|_| keys.len() == max as usize);
        let cursor = last.map(|last| last.to_be_bytes().to_vec());
        let ids: Vec<_> = keys.iter().map(|at| (index, *at)).collect();
        (Read::of(&inner, &ids), cursor)
    }
}

#[async_trait]
impl RangeBuilder for Ranging {
    async fn build_range(
        &mut self,
        index: IndexNumber,
        bytes: &[u8],
        cursor: Option<&[u8]>,
        max: u32,
        _: u32,
    ) -> Result<RangedPage> {
        let lost = self.world.gate(self.incarnation, "ranges.build").await?;
        let asked = range(bytes, cursor);
        let (mut read, mut next) = match self.ahead.take() {
            Some((of, range, page)) if of == index && range == asked => page,
            _ => self.page(index, asked, max),
        };
        if let Some(cursor) = cursor.filter(|_| self.world.lock().builder.stands_still) {
            next = Some(cursor.to_vec());
        }
        if let Some(last) = &next {
            let next = range(bytes, Some(last));
            self.ahead = Some((index, next, self.page(index, next, max)));
        }
        if let Some(later) = self.world.gate(self.incarnation, "ranges.built").await? {
            return Err(later);
        }
        read.remember(&mut self.world.lock());
        let documents: Vec<_> = read.documents.into_iter().map(|((_, at), outcome)| (key(at), outcome)).collect();
        let page = RangedPage { rows: documents.len() as u64, documents, cursor: next };
        lost.map_or(Ok(page), Err)
    }
}
