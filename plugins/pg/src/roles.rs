//! The contract's roles on this plugin's types: settings in, errors translated, nothing else.

use crate::catalog::shape_store;
use crate::documents::builder::DocumentBuilder;
use crate::documents::reader::PgReader;
use crate::error::Error;
use crate::replication::position::Place;
use crate::replication::source::PgSource;
use crate::settings::Settings;
use crate::snapshot::key_pages::PgSnapshot;
use flusso_plugin as contract;
use flusso_plugin::{
    Affected, Builder, Change, Cursor, Division, DocumentId, Event, IndexNumber, IndexRequest, Inspection, Key,
    Mapping, Outcome, Page, PollRequest, Position, Preparation, Range, RangeBuilder, RangedPage, Reader, Relation,
    Result, Row, Scope, Snapshot, Source, TableInterest, TableName, TableNumber,
};

impl From<Error> for contract::Error {
    fn from(error: Error) -> Self {
        match error.classified() {
            Error::Transient(text) => Self::transient(text),
            Error::Busy(text) => Self::Busy(text),
            Error::HistoryLost(text) => Self::HistoryLost(text),
            Error::Configuration(setting, text) => Self::configuration(setting, text),
            Error::Denied(text) => Self::Denied(text),
            Error::Fatal(text) => Self::Fatal(text),
            Error::Server(error) => Self::Fatal(error.to_string()),
        }
    }
}

fn settings(given: &contract::Settings) -> Result<Settings> {
    Ok(Settings::from_json(given.parse()?)?)
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Source for PgSource {
    fn open(given: contract::Settings, interest: Vec<TableInterest>) -> Result<Self> {
        Ok(Self::start(settings(&given)?, interest)?.remembering(shape_store::Host))
    }
    fn identity(&mut self) -> Result<String> {
        Ok(self.name())
    }
    fn inspect(&mut self, resume: Option<Position>) -> Result<Inspection> {
        Ok(self.look(resume.as_deref())?)
    }
    fn prepare(&mut self, resume: Option<Position>) -> Result<Preparation> {
        Ok(self.ready(resume.as_deref())?)
    }
    fn poll(&mut self, request: PollRequest) -> Result<Vec<Event>> {
        Ok(self.events(&request)?)
    }
    fn head(&mut self) -> Result<Position> {
        Ok(self.latest()?.to_bytes())
    }
    fn compare(&mut self, a: Position, b: Position) -> Result<i32> {
        let (a, b) = (Place::from_bytes(&a)?, Place::from_bytes(&b)?);
        if a.origin != b.origin {
            return Err(contract::Error::HistoryLost("the two positions are of different histories".into()));
        }
        Ok(a.lsn.cmp(&b.lsn) as i32)
    }
    fn parse(&mut self, text: String) -> Result<Position> {
        Ok(self.place(&text)?.to_bytes())
    }
    fn print(&mut self, position: Position) -> Result<String> {
        Ok(Place::from_bytes(&position)?.to_string())
    }
    fn lag(&mut self) -> Result<Option<u64>> {
        Ok(self.behind()?)
    }
    fn close(&mut self, confirmed: Option<Position>) -> Result<()> {
        Ok(self.end(confirmed.as_deref())?)
    }
    fn discard(&mut self) -> Result<Vec<String>> {
        Ok(self.remove()?)
    }
}

impl Snapshot for PgSnapshot {
    fn open(given: contract::Settings, interest: Vec<TableInterest>) -> Result<Self> {
        Ok(Self::start(&settings(&given)?, interest)?)
    }
    fn split(&mut self, table: TableNumber, parts: u32) -> Result<Division> {
        Ok(self.divide(table, parts)?)
    }
    fn begin(&mut self, table: TableNumber, range: Range, cursor: Option<Cursor>) -> Result<()> {
        Ok(self.at(table, &range, cursor.as_deref())?)
    }
    fn next(&mut self, max: u32) -> Result<Page> {
        Ok(self.page(size(max))?)
    }
}

impl Reader for PgReader {
    fn open(given: contract::Settings) -> Result<Self> {
        Ok(Self::start(&settings(&given)?)?)
    }
    fn primary_key(&mut self, table: TableName) -> Result<Vec<String>> {
        Ok(self.key_of(&table)?)
    }
    fn begin(&mut self) -> Result<()> {
        Ok(self.moment()?)
    }
    fn rows(&mut self, table: TableName, columns: Vec<String>, keys: Vec<Key>) -> Result<Vec<Row>> {
        Ok(self.by_keys(&table, &columns, &keys)?)
    }
    fn related(&mut self, relation: Relation) -> Result<Vec<Row>> {
        Ok(self.by_relation(&relation)?)
    }
}

impl Builder for DocumentBuilder {
    fn open(given: contract::Settings, indexes: Vec<IndexRequest>) -> Result<Self> {
        Ok(Self::start(&settings(&given)?, &indexes)?)
    }
    fn mappings(&mut self) -> Result<Vec<Mapping>> {
        Ok(self.describe()?)
    }
    fn scopes(&mut self) -> Result<Vec<Scope>> {
        Ok(self.roots())
    }
    fn interest(&mut self) -> Result<Vec<TableInterest>> {
        Ok(self.tables())
    }
    fn resolve(&mut self, changes: Vec<Change>) -> Result<Affected> {
        Ok(self.touched(&changes)?)
    }
    fn resolve_more(&mut self, cursor: Cursor, max: u32) -> Result<Affected> {
        Ok(self.touched_more(&cursor, size(max))?)
    }
    fn reshaped(&mut self, tables: Vec<TableNumber>) -> Result<Affected> {
        Ok(Self::look_again(self, &tables)?)
    }
    fn build_many(&mut self, ids: Vec<DocumentId>) -> Result<Vec<Outcome>> {
        Ok(self.build(&ids)?)
    }
}

impl RangeBuilder for DocumentBuilder {
    fn build_range(
        &mut self,
        index: IndexNumber,
        range: Range,
        cursor: Option<Cursor>,
        max: u32,
        max_bytes: u32,
    ) -> Result<RangedPage> {
        Ok(self.range(index, &range, cursor.as_deref(), size(max), size(max_bytes))?)
    }
}
