//! A guest of the source plugin that reads rows for one builder instance.

use async_trait::async_trait;

use super::bindings::flusso::connector::reader::Relation;
use super::bindings::flusso::connector::types::{Error, TableName, Transient, Value};
use super::convert::{self, RelationParts};
use super::fault::GuestError;
use super::guest::Guest;
use super::plugin::Plugin;
use super::row_reader::RowReader;

/// An opened reader.
pub(super) struct GuestReader {
    guest: Guest,
}

impl GuestReader {
    /// Makes a guest and opens it with the source's settings.
    pub(super) async fn open(plugin: &Plugin) -> Result<Result<Self, Error>, GuestError> {
        let guest = plugin.spawn(None).await?;
        let settings = plugin.settings();
        let opening = guest.call("reader.open", move |live| {
            Box::pin(async move { live.exports.reader()?.call_open(&mut live.store, &settings).await })
        });
        Ok(opening.await?.map(|()| Self { guest }))
    }
}

fn answer<T>(answer: Result<Result<T, Error>, GuestError>) -> Result<T, Error> {
    let died = |error: GuestError| {
        Error::Transient(Transient { message: error.to_string(), retry_after_ms: None, extra: None })
    };
    answer.unwrap_or_else(|error| Err(died(error)))
}

#[async_trait]
impl RowReader for GuestReader {
    async fn primary_key(&self, table: TableName) -> Result<Vec<String>, Error> {
        let call = self.guest.call("reader.primary-key", move |live| {
            Box::pin(async move { live.exports.reader()?.call_primary_key(&mut live.store, &table).await })
        });
        answer(call.await)
    }

    async fn begin(&self) -> Result<(), Error> {
        let call = self.guest.call("reader.begin", |live| {
            Box::pin(async move { live.exports.reader()?.call_begin(&mut live.store).await })
        });
        answer(call.await)
    }

    async fn rows(
        &self,
        table: TableName,
        columns: Vec<String>,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let call = self.guest.call("reader.rows", move |live| {
            Box::pin(async move {
                let keys: Vec<_> = keys.iter().collect();
                live.exports.reader()?.call_rows(&mut live.store, &table, &convert::texts(&columns), &keys).await
            })
        });
        answer(call.await)
    }

    async fn related(&self, relation: Relation) -> Result<Vec<Vec<Value>>, Error> {
        let call = self.guest.call("reader.related", move |live| {
            Box::pin(async move {
                let parts = RelationParts::of(&relation);
                let filters = parts.filters(&relation);
                live.exports.reader()?.call_related(&mut live.store, parts.relation(&relation, &filters)).await
            })
        });
        answer(call.await)
    }
}
