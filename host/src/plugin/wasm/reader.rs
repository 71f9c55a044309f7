//! A guest of the source plugin that reads rows for one builder instance.

use async_trait::async_trait;

use super::bindings::flusso::connector::types::{Error, Relation, TableName, Transient, Value};
use super::convert;
use super::fault::GuestError;
use super::guest::Guest;
use super::plugin::Plugin;
use super::row_reader::RowReader;
use super::tracked::TableDescription;

/// An opened reader.
pub(super) struct GuestReader {
    guest: Guest,
    /// Whether the source answers several questions in one call.
    batches: bool,
}

impl GuestReader {
    /// Makes a guest and opens it with the source's settings.
    pub(super) async fn open(plugin: &Plugin) -> Result<Result<Self, Error>, GuestError> {
        let guest = plugin.spawn(None).await?;
        let batches = plugin.prepared().roles().batch_reader.is_some();
        let settings = plugin.settings();
        let opening = guest.call("reader.open", move |live| {
            Box::pin(async move { live.exports.reader()?.call_open(&mut live.store, &settings).await })
        });
        Ok(opening.await?.map(|()| Self { guest, batches }))
    }
}

fn answer<T>(answer: Result<Result<T, Error>, GuestError>) -> Result<T, Error> {
    let died = |error: GuestError| transient(error.to_string());
    answer.unwrap_or_else(|error| Err(died(error)))
}

fn transient(message: String) -> Error {
    Error::Transient(Transient { message, retry_after_ms: None, extra: None })
}

/// One answer a question, no more and no fewer.
fn one_each<T>(answers: Vec<T>, asked: usize, call: &str) -> Result<Vec<T>, Error> {
    match answers.len() == asked {
        true => Ok(answers),
        false => Err(transient(format!("the source's {call} gave {} answers to {asked} questions", answers.len()))),
    }
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
            Box::pin(async move { live.exports.reader()?.call_related(&mut live.store, &relation).await })
        });
        answer(call.await)
    }

    async fn describe(&self, tables: Vec<TableName>) -> Result<Vec<Option<TableDescription>>, Error> {
        if !self.batches {
            let mut described = Vec::with_capacity(tables.len());
            for table in tables {
                let key = self.primary_key(table).await?;
                described.push(Some(TableDescription {
                    key,
                    columns: None,
                    tells_before: false,
                    looking_different: Vec::new(),
                }));
            }
            return Ok(described);
        }
        let asked = tables.len();
        let call = self.guest.call("batch-reader.describe", move |live| {
            Box::pin(async move {
                let tables: Vec<_> = tables.iter().collect();
                live.exports.batch_reader()?.call_describe(&mut live.store, &tables).await
            })
        });
        let described = one_each(answer(call.await)?, asked, "batch-reader.describe")?;
        let description = |found: super::bindings::exports::flusso::connector::batch_reader::TableDescription| {
            let said: Said =
                found.extra.as_deref().and_then(|extra| serde_json::from_str(extra).ok()).unwrap_or_default();
            let (columns, looking_different) = (Some(found.columns), said.looking_different);
            TableDescription { key: found.key, columns, tells_before: found.tells_before, looking_different }
        };
        Ok(described.into_iter().map(|found| found.map(description)).collect())
    }

    async fn related_many(&self, relations: Vec<Relation>) -> Result<Vec<Vec<Vec<Value>>>, Error> {
        if !self.batches {
            let mut answers = Vec::with_capacity(relations.len());
            for relation in relations {
                answers.push(self.related(relation).await?);
            }
            return Ok(answers);
        }
        let asked = relations.len();
        let call = self.guest.call("batch-reader.related-many", move |live| {
            Box::pin(async move {
                let relations: Vec<_> = relations.iter().collect();
                live.exports.batch_reader()?.call_related_many(&mut live.store, &relations).await
            })
        });
        one_each(answer(call.await)?, asked, "batch-reader.related-many")
    }
}

/// What `table-description.extra` may say.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Said {
    looking_different: Vec<String>,
}
