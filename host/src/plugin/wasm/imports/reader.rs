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
}

impl reader::Host for Context {
    async fn open(&mut self, _settings: String) -> Answer<()> {
        // The host has opened the reader already, with the source's settings.
        Ok(self.row_reader().map(drop))
    }

    async fn primary_key(&mut self, table: TableName) -> Answer<Vec<String>> {
        match self.row_reader() {
            Ok(reader) => Ok(reader.primary_key(table).await),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn begin(&mut self) -> Answer<()> {
        match self.row_reader() {
            Ok(reader) => Ok(reader.begin().await),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn rows(&mut self, table: TableName, columns: Vec<String>, keys: Vec<Vec<Value>>) -> Answer<Vec<Vec<Value>>> {
        match self.row_reader() {
            Ok(reader) => Ok(reader.rows(table, columns, keys).await),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn related(&mut self, relation: Relation) -> Answer<Vec<Vec<Value>>> {
        match self.row_reader() {
            Ok(reader) => Ok(reader.related(relation).await),
            Err(error) => Ok(Err(error)),
        }
    }
}
