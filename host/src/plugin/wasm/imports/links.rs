//! `links`: what a builder's documents were made of, where the store does not tell.

use super::state::wrong;
use crate::plugin::links::{RowLinks, Table};
use crate::plugin::state::StateError;
use crate::plugin::wasm::bindings::flusso::connector::links;
use crate::plugin::wasm::bindings::flusso::connector::types::{Error, RowLinks as Given};
use crate::plugin::wasm::context::Context;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Context {
    /// Calls a function of the table on a thread that may block.
    async fn table<T: Send + 'static>(
        &mut self,
        function: impl FnOnce(&Table) -> Result<T, StateError> + Send + 'static,
    ) -> Answer<T> {
        let Some(table) = self.setup.links.get() else {
            return Ok(Err(Error::Denied("links: this host keeps none for this plugin".to_owned())));
        };
        Ok(table.run(function).await.map_err(wrong))
    }
}

impl links::Host for Context {
    async fn recorded_relations(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.setup.links.recorded_relations())
    }

    async fn clock(&mut self) -> wasmtime::Result<u64> {
        Ok(self.setup.links.get().map_or(0, |table| table.clock()))
    }

    async fn add(&mut self, since: u64, links: Vec<Given>) -> Answer<Vec<u32>> {
        let links: Vec<_> =
            links.into_iter().map(|Given { relation, packed, .. }| RowLinks { relation, packed }).collect();
        self.table(move |table| table.add(since, &links)).await
    }

    async fn parents(&mut self, relation: String, rows: Vec<Vec<u8>>) -> Answer<Vec<Vec<Vec<u8>>>> {
        self.table(move |table| table.parents(&relation, &rows)).await
    }
}
