//! A guest of the source plugin that reads rows for one builder instance.

use std::sync::Arc;

use super::Guest;
use super::bindings::flusso::connector::reader::Relation;
use super::bindings::flusso::connector::types::{Error, TableName, Value};
use super::convert::{self, RelationParts};
use super::guest::GuestError;
use super::plugin::Plugin;

/// An opened reader. Clones share the guest.
#[derive(Clone)]
pub(super) struct Reader {
    guest: Arc<Guest>,
}

type Answer<T> = Result<Result<T, Error>, GuestError>;

impl Reader {
    /// Makes a guest and opens it with the source's settings.
    pub(super) async fn open(plugin: &Plugin) -> Answer<Self> {
        let guest = Arc::new(plugin.spawn(None).await?);
        let settings = plugin.settings();
        let opening = guest.call("reader.open", move |live| {
            Box::pin(async move { live.exports.reader()?.call_open(&mut live.store, &settings).await })
        });
        Ok(opening.await?.map(|()| Self { guest }))
    }

    pub(super) async fn primary_key(&self, table: TableName) -> Answer<Vec<String>> {
        let call = self.guest.call("reader.primary-key", move |live| {
            Box::pin(async move { live.exports.reader()?.call_primary_key(&mut live.store, &table).await })
        });
        call.await
    }

    pub(super) async fn begin(&self) -> Answer<()> {
        let call = self.guest.call("reader.begin", |live| {
            Box::pin(async move { live.exports.reader()?.call_begin(&mut live.store).await })
        });
        call.await
    }

    pub(super) async fn rows(
        &self,
        table: TableName,
        columns: Vec<String>,
        keys: Vec<Vec<Value>>,
    ) -> Answer<Vec<Vec<Value>>> {
        let call = self.guest.call("reader.rows", move |live| {
            Box::pin(async move {
                let keys: Vec<_> = keys.iter().collect();
                live.exports.reader()?.call_rows(&mut live.store, &table, &convert::texts(&columns), &keys).await
            })
        });
        call.await
    }

    pub(super) async fn related(&self, relation: Relation) -> Answer<Vec<Vec<Value>>> {
        let call = self.guest.call("reader.related", move |live| {
            Box::pin(async move {
                let parts = RelationParts::of(&relation);
                let filters = parts.filters(&relation);
                live.exports.reader()?.call_related(&mut live.store, parts.relation(&relation, &filters)).await
            })
        });
        call.await
    }
}
