//! The contract's builder: documents by key, each of a root row and the tree of rows that belong to it.

mod describe;
pub(crate) mod index_names;
mod mapping_hash;
pub(crate) mod open;
mod resolve;
mod table_selection;

use crate::catalog::table_catalog::TableCatalog;
use crate::catalog::views;
use crate::documents::executor::Executor;
use crate::documents::lookup::{PgLookup, fits};
use crate::documents::query::Queries;
use crate::error::{Error, Result};
use crate::links::{self, LinkRecorder, LinkRelation, LinkTable, ParentLookup};
use crate::protocol::codec;
use crate::protocol::session::{CALL_LIMIT, Session};
use crate::settings::Settings;
use crate::snapshot::range_scan::RangeScan;
use flusso_documents::{Assembly, CHUNK, Chunk, Plan, Rows, build};
use flusso_plugin as contract;
use flusso_plugin::{
    Affected, Builder, Change, Cursor, DocumentId, IndexRequest, Mapping, Outcome, Scope, TableInterest, TableNumber,
    Value,
};
use flusso_resolve::{Resolver, Touched};
use flusso_schema::Schema;
use std::collections::{BTreeSet, HashMap};

/// Chunks of documents whose questions are on their way at the same time.
pub(crate) const CHUNKS_IN_FLIGHT: usize = 4;
/// Documents that were overtaken are built again this many at a time.
pub(crate) const OVERTAKEN_CHUNK: usize = 32;
/// How often documents that were overtaken are built again before the call fails.
const MAX_OVERTAKEN_ROUNDS: usize = 50;
/// Documents in the first answer to a batch of changes, at most.
const FIRST_DOCUMENTS: usize = 8192;

/// A builder, opened.
pub struct DocumentBuilder {
    pub(crate) session: Session,
    pub(crate) indexes: Vec<Index>,
    /// The ways from rows to documents; the contract's numbers of tables are its.
    pub(crate) resolver: Resolver,
    pub(crate) scan: Option<(u32, RangeScan)>,
    /// Where links are remembered that the server does not tell; none outside a component.
    pub(crate) links: Option<Box<dyn LinkTable>>,
    /// The relations that are followed through it.
    pub(crate) followed: Vec<LinkRelation>,
    /// Their names, and those of before.
    pub(crate) kept: BTreeSet<String>,
    /// Whether replica identity is set where it may be.
    pub(crate) manages: bool,
}

/// An index. Its place is its number.
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) origin_of_documents: DocumentOrigin,
    pub(crate) catalog: TableCatalog,
    /// What the documents are made of.
    pub(crate) bare: Plan,
    /// The same, with the links that are read beside it.
    pub(crate) plan: Plan,
    pub(crate) queries: Queries,
    /// Several root rows with one key were seen, and that was said.
    pub(crate) repeated_keys: bool,
}

/// What documents are made of.
pub(crate) enum DocumentOrigin {
    /// Whole rows of one table.
    Rows { schema: String, table: String },
    /// What a schema says.
    Schema {
        schema: Box<Schema>,
        /// Where its text came from, for messages.
        origin: String,
    },
}

impl DocumentBuilder {
    /// Opens a session, reads the schemas and looks the tables up. `links`: the link table, where there is one.
    pub fn start(
        settings: &Settings,
        requests: &[IndexRequest],
        mut links: Option<Box<dyn LinkTable>>,
    ) -> Result<Self> {
        let mut session = Session::open(&settings.connection, crate::protocol::session::Mode::Reading)?;
        let indexes = crate::documents::builder::open::indexes(&mut session, requests)?;
        let manages = settings.manage_replica_identity;
        let resolver = crate::documents::builder::resolve::resolver(&indexes, manages)?;
        let kept = links.as_mut().map(|links| links.recorded_relations()).unwrap_or_default().into_iter().collect();
        let mut builder = Self { session, indexes, resolver, scan: None, links, followed: Vec::new(), kept, manages };
        builder.connect()?;
        Ok(builder)
    }

    /// Builds documents by key, one outcome an id, `chunk` documents at a time. A document is built again while a row that it was
    /// made of changed before its links were recorded: the change was resolved without them, so nothing else would correct the
    /// document.
    pub(crate) fn build_current(&mut self, ids: &[DocumentId], chunk: usize) -> Result<Vec<Outcome>> {
        let mut outcomes = vec![Outcome::Absent; ids.len()];
        let (mut places, mut chunk): (Vec<usize>, _) = ((0..ids.len()).collect(), chunk.max(1));
        for _ in 0..=MAX_OVERTAKEN_ROUNDS {
            let mut overtaken = Vec::new();
            for places in places.chunks(chunk) {
                self.session.within(CALL_LIMIT);
                overtaken.extend(self.build_places(ids, places, &mut outcomes)?);
            }
            if overtaken.is_empty() {
                return Ok(outcomes);
            }
            // Small chunks are read quickly, and are hardly overtaken again.
            (places, chunk) = (overtaken, OVERTAKEN_CHUNK);
        }
        Err(Error::Transient("rows change faster than documents of them can be read; it is tried again".into()))
    }

    /// Builds the documents at some places of a list and records the links that were read. Returns the places of those that were
    /// overtaken meanwhile.
    fn build_places(&mut self, ids: &[DocumentId], places: &[usize], outcomes: &mut [Outcome]) -> Result<Vec<usize>> {
        let since = self.clock();
        let (mut recorder, mut chunks) = (LinkRecorder::default(), Vec::new());
        let mut by_index: HashMap<u32, Vec<usize>> = HashMap::new();
        for place in places {
            let Some(id) = ids.get(*place) else { continue };
            by_index.entry(id.index).or_default().push(*place);
            if let Some(outcome) = outcomes.get_mut(*place) {
                *outcome = Outcome::Absent;
            }
        }
        for (number, places) in by_index {
            let followed = self.followed.clone();
            self.with_replan(number, |session, index| {
                let mut record = |assembly: &Assembly<'_>, places: Vec<usize>| {
                    recorder.take(assembly, &followed);
                    chunks.push(places);
                };
                read_by_key(session, index, &places, ids, outcomes, &mut record)
            })?;
        }
        let overtaken = self.record_links(since, recorder)?.into_iter();
        let overtaken = overtaken.filter_map(|chunk| chunks.get(usize::try_from(chunk).ok()?));
        Ok(overtaken.flatten().copied().collect())
    }

    /// The link table's clock, read before anything is read from the database.
    pub(crate) fn clock(&mut self) -> u64 {
        match &mut self.links {
            Some(links) if !self.followed.is_empty() => links.clock(),
            _ => 0,
        }
    }

    /// Records the links that were read. Returns the chunks that were overtaken.
    pub(crate) fn record_links(&mut self, since: u64, recorder: LinkRecorder) -> Result<BTreeSet<u32>> {
        match &mut self.links {
            Some(links) if !self.followed.is_empty() => recorder.record(&mut **links, since, &self.followed),
            _ => Ok(BTreeSet::new()),
        }
    }

    /// Reads documents of an index, and again with a new plan where a table was altered.
    pub(crate) fn with_replan(
        &mut self,
        number: u32,
        mut read: impl FnMut(&mut Session, &Index) -> Result<()>,
    ) -> Result<()> {
        for _ in 0..3 {
            let index = at(&self.indexes, number)?;
            let failed = match read(&mut self.session, index) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !matches!(failed, Error::Server(_) | Error::Transient(_)) || !self.replan_if_altered(number)? {
                return Err(failed);
            }
        }
        Err(Error::Transient("the tables change their shape faster than they can be read; it is tried again".into()))
    }

    /// Compares the tables' columns with those the documents were planned with, and plans again where they differ. Returns
    /// whether they did.
    pub(crate) fn replan_if_altered(&mut self, number: u32) -> Result<bool> {
        let index = usize::try_from(number).ok().and_then(|number| self.indexes.get_mut(number));
        let index = index.ok_or_else(|| unknown(number))?;
        let look = self.session.prepare(&index.queries.shape_query)?;
        let found = self.session.rows(&look, &[])?;
        let found: Vec<(String, String)> = found
            .into_iter()
            .map(|row| {
                let mut cells = row.into_iter().map(Option::unwrap_or_default);
                (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
            })
            .collect();
        if found == index.queries.expected_shapes {
            return Ok(false);
        }
        self.session.forget()?;
        index.plan_again(&mut self.session)?;
        self.connect()?;
        Ok(true)
    }

    /// Reads the rest of a range's statement, so that the session is free for another.
    pub(crate) fn release(&mut self) -> Result<()> {
        match &mut self.scan {
            Some((_, scan)) => scan.abandon(&mut self.session),
            None => Ok(()),
        }
    }
}

impl Builder for DocumentBuilder {
    fn open(given: contract::Settings, indexes: Vec<IndexRequest>) -> contract::Result<Self> {
        let builder = Self::start(&Settings::from_json(given.parse()?)?, &indexes, links::of_host())?;
        match builder.relations().iter().find_map(views::untold) {
            Some(problem) => Err(Error::configuration("index", problem).into()),
            None => Ok(builder),
        }
    }

    fn mappings(&mut self) -> contract::Result<Vec<Mapping>> {
        Ok(self.indexes.iter().map(describe::mapping).collect::<Result<_>>()?)
    }

    fn scopes(&mut self) -> contract::Result<Vec<Scope>> {
        let mut scopes = self.resolver.scopes();
        for scope in &mut scopes {
            let index = at(&self.indexes, scope.index)?;
            scope.recorded_relations = describe::recorded_relations(index, &self.followed);
        }
        Ok(scopes)
    }

    fn interest(&mut self) -> contract::Result<Vec<TableInterest>> {
        Ok(self.resolver.interest())
    }

    fn resolve(&mut self, changes: Vec<Change>) -> contract::Result<Affected> {
        self.session.within(CALL_LIMIT);
        self.release()?;
        let (indexes, session) = (&self.indexes, &mut self.session);
        let mut lookup = PgLookup { session, tables: &|name| resolve::table(indexes, name) };
        let table = self.links.as_mut().map(|table| &mut **table as &mut dyn LinkTable);
        let mut parents = ParentLookup { table, relations: &self.followed };
        let touched = self.resolver.resolve(&changes, FIRST_DOCUMENTS, &mut lookup, &mut parents)?;
        let Touched { mut affected, ended } = touched;
        links::put_ended(&mut affected, ended, &self.followed);
        Ok(affected)
    }

    fn resolve_more(&mut self, cursor: Cursor, max: u32) -> contract::Result<Affected> {
        self.session.within(CALL_LIMIT);
        self.release()?;
        let (indexes, session) = (&self.indexes, &mut self.session);
        let mut lookup = PgLookup { session, tables: &|name| resolve::table(indexes, name) };
        Ok(self.resolver.resolve_more(&cursor, usize::try_from(max).unwrap_or(usize::MAX), &mut lookup)?)
    }

    fn resolve_table_changes(&mut self, tables: Vec<TableNumber>) -> contract::Result<Affected> {
        self.session.within(CALL_LIMIT);
        self.release()?;
        self.scan = None;
        let affected = self.resolver.resolve_table_changes(&tables);
        for number in &affected.rebuild {
            self.replan_if_altered(*number)?;
        }
        self.connect()?;
        Ok(affected)
    }

    fn build_many(&mut self, ids: Vec<DocumentId>) -> contract::Result<Vec<Outcome>> {
        self.release()?;
        Ok(self.build_current(&ids, usize::MAX)?)
    }
}

/// Reads the documents at some places of a list, all of one index, chunk by chunk; `record` gets each chunk's rows and places.
fn read_by_key(
    session: &mut Session,
    index: &Index,
    places: &[usize],
    ids: &[DocumentId],
    outcomes: &mut [Outcome],
    record: &mut dyn FnMut(&Assembly<'_>, Vec<usize>),
) -> Result<()> {
    // A key asked for twice is read once and answered twice.
    let mut wanted: HashMap<Vec<u8>, usize> = HashMap::with_capacity(places.len());
    let mut keys: Vec<(&[Value], Vec<usize>)> = Vec::with_capacity(places.len());
    let root = index.plan.nodes.first().ok_or_else(|| Error::Fatal("a plan without a root".into()))?;
    let table = index.catalog.of_plan(&root.table)?;
    for place in places {
        // A link may name what its own type can say and the key's cannot: there is no such document.
        let Some(id) = ids.get(*place).filter(|id| fits(table, &root.key, &id.key)) else { continue };
        let known = *wanted.entry(codec::distinguish_key(&id.key)).or_insert_with(|| {
            keys.push((id.key.as_slice(), Vec::new()));
            keys.len() - 1
        });
        if let Some((_, places)) = keys.get_mut(known) {
            places.push(*place);
        }
    }
    let width = index.plan.key.len();
    let mut chunks = keys.chunks(CHUNK);
    let next = |_: &mut Executor<'_>| {
        let Some(chunk) = chunks.next() else { return Ok(None) };
        let mut rows = Rows::new(width);
        for (key, _) in chunk {
            let texts: Vec<Option<String>> = key.iter().map(codec::encode).collect();
            let pushed = rows.push(texts.iter().map(|text| text.as_ref().map(String::as_bytes)));
            pushed.map_err(|_| Error::Fatal("keys of more than 4 GiB".into()))?;
        }
        Ok(Some(Chunk::Keys(rows)))
    };
    let mut body = Vec::new();
    read(session, index, |executor| {
        executor.begin()?;
        build(&index.plan, executor, CHUNKS_IN_FLIGHT, next, |number, assembly| {
            let here = keys.iter().skip(number * CHUNK).take(assembly.len());
            record(assembly, here.flat_map(|(_, places)| places).copied().collect());
            for (document, (key, places)) in keys.iter().skip(number * CHUNK).take(assembly.len()).enumerate() {
                // What is equal to the server alone (citext) is another document.
                let same = assembly.key(document).is_some_and(|texts| index.queries.roots.is(key, texts));
                body.clear();
                if !same || !assembly.render(document, &mut body) {
                    continue;
                }
                for place in places {
                    if let Some(outcome) = outcomes.get_mut(*place) {
                        *outcome = Outcome::Built(body.as_slice().to_vec());
                    }
                }
            }
            Ok(true)
        })
    })
}

/// One reading: an executor is made for it, and the session is ready for something else afterwards, however it went.
pub(crate) fn read(
    session: &mut Session,
    index: &Index,
    work: impl FnOnce(&mut Executor<'_>) -> Result<()>,
) -> Result<()> {
    let mut executor = Executor::new(session, &index.queries)?;
    match work(&mut executor) {
        Ok(()) => executor.end(),
        Err(error) => {
            executor.give_up()?;
            Err(error)
        }
    }
}

pub(crate) fn at(indexes: &[Index], number: u32) -> Result<&Index> {
    usize::try_from(number).ok().and_then(|number| indexes.get(number)).ok_or_else(|| unknown(number))
}

pub(crate) fn unknown(number: u32) -> Error {
    Error::Fatal(format!("there is no index {number}"))
}
