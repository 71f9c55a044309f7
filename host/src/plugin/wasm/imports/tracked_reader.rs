//! `tracked-reader`: what a tracked builder reads, each lookup recorded for its document before it is made.

use crate::plugin::wasm::bindings::flusso::connector::tracked_reader::{self, Lookups};
use crate::plugin::wasm::bindings::flusso::connector::types::Error;
use crate::plugin::wasm::context::Context;
use crate::plugin::wasm::tracked::WitRow;

impl tracked_reader::Host for Context {
    async fn read(&mut self, reads: Vec<Lookups>) -> wasmtime::Result<Result<Vec<Vec<Vec<WitRow>>>, Error>> {
        let answer = self.tracked_read(reads).await;
        self.reader_failed |= answer.is_err();
        Ok(answer)
    }
}

impl Context {
    async fn tracked_read(&mut self, reads: Vec<Lookups>) -> Result<Vec<Vec<Vec<WitRow>>>, Error> {
        let reader = self.row_reader()?;
        let Some(call) = &mut self.build_call else {
            return Err(Error::Denied(
                "tracked-reader: rows are read while documents are built, and at no other time".to_owned(),
            ));
        };
        let (relations, deals) = call.ask(reads).await.map_err(Error::Fatal)?;
        let answers = reader.related_many(relations).await?;
        call.deal(deals, answers).await.map_err(Error::Fatal)
    }
}
