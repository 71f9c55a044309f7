//! What a builder's guest reads rows through: the host's answer to the import `reader`.

use async_trait::async_trait;

use super::bindings::flusso::connector::types::Relation;
use super::bindings::flusso::connector::types::{Error, TableName, Value};
use super::tracked::TableDescription;

/// An open reader. A reader that has died answers a transient error: the builder's call is made again on fresh instances of
/// both.
#[async_trait]
pub(super) trait RowReader: Send + Sync {
    /// See `reader.primary-key`.
    async fn primary_key(&self, table: TableName) -> Result<Vec<String>, Error>;
    /// See `reader.begin`.
    async fn begin(&self) -> Result<(), Error>;
    /// See `reader.rows`.
    async fn rows(
        &self,
        table: TableName,
        columns: Vec<String>,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Vec<Value>>, Error>;
    /// See `reader.related`.
    async fn related(&self, relation: Relation) -> Result<Vec<Vec<Value>>, Error>;
    /// See `batch-reader.describe`; a source without it is asked for the primary keys alone.
    async fn describe(&self, tables: Vec<TableName>) -> Result<Vec<Option<TableDescription>>, Error>;
    /// See `batch-reader.related-many`; a source without it is asked once a relation.
    async fn related_many(&self, relations: Vec<Relation>) -> Result<Vec<Vec<Vec<Value>>>, Error>;
}
