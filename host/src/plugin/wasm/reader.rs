//! A guest of the source plugin that reads rows for one builder instance.

use async_trait::async_trait;

use super::bindings::exports::flusso::connector::batch_reader;
use super::bindings::flusso::connector::types::{Error, Relation, TableName, Transient, Value};
use super::convert;
use super::fault::GuestError;
use super::guest::Guest;
use super::plugin::Plugin;
use super::roles::call;
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
        let batches = plugin.prepared().exports("batch-reader");
        let settings = plugin.settings();
        let opening =
            guest.call("reader.open", move |live| Box::pin(async move { call!(live, reader.call_open(&settings)) }));
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
            Box::pin(async move { call!(live, reader.call_primary_key(&table)) })
        });
        answer(call.await)
    }

    async fn begin(&self) -> Result<(), Error> {
        let call = self.guest.call("reader.begin", |live| Box::pin(async move { call!(live, reader.call_begin()) }));
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
                call!(live, reader.call_rows(&table, &convert::texts(&columns), &keys))
            })
        });
        answer(call.await)
    }

    async fn related(&self, relation: Relation) -> Result<Vec<Vec<Value>>, Error> {
        let call = self
            .guest
            .call("reader.related", move |live| Box::pin(async move { call!(live, reader.call_related(&relation)) }));
        answer(call.await)
    }

    async fn describe(&self, tables: Vec<TableName>) -> Result<Vec<Option<TableDescription>>, Error> {
        if !self.batches {
            let mut described = Vec::with_capacity(tables.len());
            for table in tables {
                let key = self.primary_key(table).await?;
                described.push(Some(TableDescription {
                    name: None,
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
                call!(live, batch_reader.call_describe(&tables))
            })
        });
        let described = answer(call.await)?;
        let described = if asked == 0 { described } else { one_each(described, asked, "batch-reader.describe")? };
        described.into_iter().map(|found| found.map(described_table).transpose()).collect()
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
                call!(live, batch_reader.call_related_many(&relations))
            })
        });
        one_each(answer(call.await)?, asked, "batch-reader.related-many")
    }
}

fn described_table(found: batch_reader::TableDescription) -> Result<TableDescription, Error> {
    let extra: DescriptionExtra = match &found.extra {
        Some(text) => serde_json::from_str(text).map_err(|error| {
            Error::Fatal(format!(
                "the source's batch-reader.describe gave an `extra` that is not what it may be: {error}"
            ))
        })?,
        None => DescriptionExtra::default(),
    };
    let name = extra.schema.zip(extra.name).map(|(schema, name)| crate::model::TableName { schema, name });
    Ok(TableDescription {
        name,
        key: found.key,
        columns: Some(found.columns),
        tells_before: found.tells_before,
        looking_different: extra.looking_different,
    })
}

/// What `table-description.extra` may say; what a later version says there is left alone.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct DescriptionExtra {
    looking_different: Vec<String>,
    schema: Option<String>,
    name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(extra: Option<&str>) -> Result<TableDescription, Error> {
        let (key, columns, extra) = (Vec::new(), Vec::new(), extra.map(str::to_owned));
        described_table(batch_reader::TableDescription { key, columns, tells_before: false, extra })
    }

    #[test]
    fn what_a_description_adds_is_taken_or_refused_and_never_dropped() {
        let columns =
            |extra| described(extra).map(|found| found.looking_different).map_err(|error| format!("{error:?}"));
        assert_eq!(columns(Some(r#"{"looking-different":["code"],"later":1}"#)), Ok(vec!["code".to_owned()]));
        assert_eq!(columns(None), Ok(Vec::new()));
        for wrong in ["", "code", r#"{"looking-different":"code"}"#] {
            assert!(columns(Some(wrong)).is_err_and(|error| error.contains("batch-reader.describe")), "{wrong}");
        }
    }
}
