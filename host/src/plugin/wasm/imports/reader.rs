//! `reader` as a builder imports it: the calls go on to a guest of the source plugin that serves this builder alone.

use crate::plugin::wasm::bindings::flusso::connector::reader::{self, Relation};
use crate::plugin::wasm::bindings::flusso::connector::types::{Error, TableName, Transient, Value};
use crate::plugin::wasm::context::Context;
use crate::plugin::wasm::guest::GuestError;
use crate::plugin::wasm::reader::Reader;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Context {
    fn reader(&self) -> Result<Reader, Error> {
        let none = || {
            Error::Configuration(crate::plugin::wasm::bindings::flusso::connector::types::ConfigurationError {
                setting: String::new(),
                message: "this builder reads rows, and the source plugin exports no reader".to_owned(),
                extra: None,
            })
        };
        self.reader.clone().ok_or_else(none)
    }
}

/// A reader that died is worth another try, on fresh instances of both.
fn flat<T>(answer: Result<Result<T, Error>, GuestError>) -> Answer<T> {
    Ok(answer.unwrap_or_else(|error| {
        Err(Error::Transient(Transient { message: error.to_string(), retry_after_ms: None, extra: None }))
    }))
}

impl reader::Host for Context {
    async fn open(&mut self, _settings: String) -> Answer<()> {
        // The host has opened it already, with the source's settings.
        Ok(self.reader().map(drop))
    }

    async fn primary_key(&mut self, table: TableName) -> Answer<Vec<String>> {
        match self.reader() {
            Ok(reader) => flat(reader.primary_key(table).await),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn begin(&mut self) -> Answer<()> {
        match self.reader() {
            Ok(reader) => flat(reader.begin().await),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn rows(&mut self, table: TableName, columns: Vec<String>, keys: Vec<Vec<Value>>) -> Answer<Vec<Vec<Value>>> {
        match self.reader() {
            Ok(reader) => flat(reader.rows(table, columns, keys).await),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn related(&mut self, relation: Relation) -> Answer<Vec<Vec<Value>>> {
        match self.reader() {
            Ok(reader) => flat(reader.related(relation).await),
            Err(error) => Ok(Err(error)),
        }
    }
}
