//! `reader` as a builder imports it: the calls go on to a guest of the source plugin that serves this builder alone.

use std::sync::Arc;

use crate::plugin::wasm::bindings::flusso::connector::reader;
use crate::plugin::wasm::bindings::flusso::connector::types::{ConfigurationError, Error, Relation, TableName, Value};
use crate::plugin::wasm::context::Context;
use crate::plugin::wasm::row_reader::RowReader;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Context {
    pub(super) fn row_reader(&self) -> Result<Arc<dyn RowReader>, Error> {
        self.reader.clone().ok_or_else(|| {
            Error::Configuration(ConfigurationError {
                setting: String::new(),
                message: "this builder reads rows, and the source plugin exports no reader".to_owned(),
                extra: None,
            })
        })
    }

    /// Remembers that an error was answered: a guest that dies of it may not die again.
    fn answered<T>(&mut self, answer: Result<T, Error>) -> Answer<T> {
        self.reader_failed |= answer.is_err();
        Ok(answer)
    }
}

impl reader::Host for Context {
    async fn open(&mut self, _settings: String) -> Answer<()> {
        // The host has opened the reader already, with the source's settings.
        Ok(self.row_reader().map(drop))
    }

    async fn primary_key(&mut self, table: TableName) -> Answer<Vec<String>> {
        let answer = match self.row_reader() {
            Ok(reader) => reader.primary_key(table).await,
            Err(error) => Err(error),
        };
        self.answered(answer)
    }

    async fn begin(&mut self) -> Answer<()> {
        let answer = match self.row_reader() {
            Ok(reader) => reader.begin().await,
            Err(error) => Err(error),
        };
        self.answered(answer)
    }

    async fn rows(&mut self, table: TableName, columns: Vec<String>, keys: Vec<Vec<Value>>) -> Answer<Vec<Vec<Value>>> {
        let answer = match self.row_reader() {
            Ok(reader) => reader.rows(table, columns, keys).await,
            Err(error) => Err(error),
        };
        self.answered(answer)
    }

    async fn related(&mut self, relation: Relation) -> Answer<Vec<Vec<Value>>> {
        let answer = match self.row_reader() {
            Ok(reader) => reader.related(relation).await,
            Err(error) => Err(error),
        };
        self.answered(answer)
    }
}
