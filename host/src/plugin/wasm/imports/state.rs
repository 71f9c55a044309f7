//! `state`: what a plugin keeps over restarts.

use crate::limits;
use crate::plugin::state::{Mutation, Scope, StateError};
use crate::plugin::wasm::bindings::flusso::connector::state;
use crate::plugin::wasm::bindings::flusso::connector::types::{Error, OtherError};
use crate::plugin::wasm::context::Context;

pub(super) fn wrong(error: StateError) -> Error {
    match error {
        StateError::Quota { .. } | StateError::TooManyLinks { .. } => {
            Error::Other(OtherError { code: "quota".to_owned(), message: error.to_string(), extra: None })
        }
        error => Error::Fatal(error.to_string()),
    }
}

fn scope(context: &Context) -> Result<Scope, Error> {
    context
        .setup
        .state
        .get()
        .cloned()
        .ok_or_else(|| Error::Denied("state: this host keeps none for this plugin".to_owned()))
}

impl state::Host for Context {
    async fn get(&mut self, key: Vec<u8>) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let scope = match scope(self) {
            Ok(scope) => scope,
            Err(error) => return Ok(Err(error)),
        };
        Ok(scope.run(move |scope| scope.get(&key)).await.map_err(wrong))
    }

    async fn scan(
        &mut self,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<(Vec<u8>, Vec<u8>)>, Error>> {
        let scope = match scope(self) {
            Ok(scope) => scope,
            Err(error) => return Ok(Err(error)),
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(scope
            .run(move |scope| scope.scan(&prefix, after.as_deref(), limit, limits::guest::STATE_SCAN_BYTES))
            .await
            .map_err(wrong))
    }

    async fn apply(&mut self, mutations: Vec<state::Mutation>) -> wasmtime::Result<Result<(), Error>> {
        let scope = match scope(self) {
            Ok(scope) => scope,
            Err(error) => return Ok(Err(error)),
        };
        let mutations: Vec<_> = mutations
            .into_iter()
            .map(|mutation| match mutation {
                state::Mutation::Put((key, value)) => Mutation::Put(key, value),
                state::Mutation::Delete(key) => Mutation::Delete(key),
            })
            .collect();
        let gate = self.writes.clone();
        Ok(scope.run(move |scope| gate.pass(|| scope.apply(&mutations))).await.map_err(wrong))
    }
}
