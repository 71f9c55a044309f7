//! Documents as schema files describe them, over any source: the schema language as a tracked builder.
//!
//! ```text
//! schema file ─▶ flusso_schema ─▶ flusso_documents::Plan ─▶ reads: what each node of the plan looks up
//! build_many: root rows ─▶ executor ──lookups──▶ host ─▶ source
//!                             └─▶ flusso_documents::Assembly ─▶ bodies
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `catalogue` | what the source says of its tables |
//! | `index` | an index: its plan, what it offers the host |
//! | `reads` | what a node of a plan looks up, and where in the rows its cells stand |
//! | `executor` | the lookups of many documents together, level by level |
//! | `aggregates` | counts, sums, means, extremes, lists of keys |
//! | `values` | the contract's values as the cells that documents are rendered from |
//!
//! The source compares, filters, orders and limits, by the rules of its own types; here, rows are only put together. Where that
//! needs an order among rows of several lookups (junctions, the extremes of more than one column), texts go by code point.

mod aggregates;
mod catalogue;
mod executor;
mod index;
mod reads;
mod values;

use flusso_plugin::{
    Error, IndexNumber, IndexRequest, OfferedIndex, Outcome, RequestedIndexes, Result, Row, Settings, TableDescription,
    TableName, TrackedBuilder,
};

use crate::catalogue::Described;
use crate::index::{Index, Request};

/// The builder.
#[derive(Debug, Default)]
pub struct SchemaBuilder {
    requests: Vec<Request>,
    wanted: Vec<TableName>,
    indexes: Vec<Index>,
}

flusso_plugin::plugin! {
    manifest: include_str!("../manifest.json"),
    index_schema: flusso_schema::JSON_SCHEMA,
    tracked_builder: SchemaBuilder,
    requested_indexes: SchemaBuilder,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

impl TrackedBuilder for SchemaBuilder {
    fn open(settings: Settings) -> Result<Self> {
        let NoSettings {} = settings.parse()?;
        Ok(Self::default())
    }

    fn indexes(&mut self) -> Result<Vec<OfferedIndex>> {
        Ok(self.indexes.iter().map(Index::offered).collect())
    }

    fn build_many(&mut self, index: IndexNumber, roots: Vec<Row>) -> Result<Vec<Outcome>> {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let index = self.indexes.get(place).ok_or_else(|| Error::fatal("an index that is not offered"))?;
        executor::build(index, &roots)
    }
}

impl RequestedIndexes for SchemaBuilder {
    fn request(&mut self, indexes: Vec<IndexRequest>) -> Result<Vec<TableName>> {
        self.requests = indexes.into_iter().map(Request::read).collect::<Result<_>>()?;
        self.wanted.clear();
        for table in self.requests.iter().flat_map(Request::tables) {
            if !self.wanted.iter().any(|known| (&known.schema, &known.name) == (&table.schema, &table.name)) {
                self.wanted.push(table);
            }
        }
        Ok(self.wanted.clone())
    }

    fn describe(&mut self, tables: Vec<Option<TableDescription>>) -> Result<()> {
        let mut requests = std::mem::take(&mut self.requests);
        let described = match requests.is_empty() {
            false => Described::new(std::mem::take(&mut self.wanted), tables),
            true => Described::everything(tables),
        };
        if requests.is_empty() {
            requests = described.with_keys().map(Request::rows).collect();
        }
        if requests.is_empty() {
            return Err(Error::configuration(
                "index",
                "no index is named, and the source lists no table with a key; name one in the configuration, such as `[[index]]` with \
                 `name = \"orders\"` and `schema = \"orders.schema.yml\"`",
            ));
        }
        self.indexes = requests.into_iter().map(|request| Index::new(request, &described)).collect::<Result<_>>()?;
        Ok(())
    }
}
