//! Documents that end a sink's instance when they are written: a trap, a limit, an answer that breaks the contract. They are found
//! by halving the entry that failed, down to the document, which then follows the index's policy like any other that the sink
//! rejects. Without that one such document would end every run, whatever the policy.

use std::ops::Range;
use std::sync::Arc;

use super::lane::{Entry, Work};
use super::sink_task::{SinkTask, write};
use crate::engine::durability::quarantine::RejectedDocument;
use crate::engine::error::StageError;
use crate::engine::stage::{Documents, Flushed};
use crate::limits;
use crate::model::Document;

impl SinkTask {
    /// Writes and flushes an entry part by part. Returns what was rejected, and how many documents were written.
    ///
    /// # Errors
    ///
    /// Any error that is not of one document.
    pub(super) async fn write_around_poison(
        &mut self,
        entry: &Arc<Entry>,
    ) -> Result<(Vec<RejectedDocument>, usize), StageError> {
        let group = std::slice::from_ref(entry);
        let documents = match &entry.work {
            Work::Live { documents, .. } => documents,
            Work::Seed { sinks, documents } if sinks.contains(self.number) => documents,
            _ => return self.write_and_flush(group).await,
        };
        // What the entry clears is gone before any of its documents is written, and is not cleared again.
        self.clear_and_flush(&entry.work).await?;
        let (mut rejected, mut written) = (Vec::new(), 0);
        let mut parts = if documents.is_empty() { Vec::new() } else { vec![0..documents.len()] };
        // The last first: the stack is taken from its end.
        while let Some(part) = parts.pop() {
            let error = match self.write_part(&entry.work, part.clone()).await {
                Ok(flushed) => {
                    rejected.extend(self.rejected_documents(group, flushed.rejected)?);
                    (self.poison_in_a_row, written) = (0, written + part.len());
                    continue;
                }
                Err(error) => error,
            };
            if !error.may_be_of_one_document() {
                return Err(error);
            }
            if part.len() > 1 {
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
                continue;
            }
            // Alone, and no accident: it does the same again, and a flush of nothing does not.
            match self.write_part(&entry.work, part.clone()).await {
                Ok(flushed) => {
                    rejected.extend(self.rejected_documents(group, flushed.rejected)?);
                    written += 1;
                    continue;
                }
                Err(again) if again.to_string() != error.to_string() => return Err(again),
                Err(_) => self.write_part(&entry.work, 0..0).await?,
            };
            self.poison_in_a_row += 1;
            if self.poison_in_a_row > limits::engine::POISON_IN_A_ROW {
                return Err(error);
            }
            rejected.extend(documents.get(part.start).map(|document| poison(document, &error)));
        }
        Ok((rejected, written))
    }

    /// Clears what an entry clears.
    async fn clear_and_flush(&mut self, work: &Work) -> Result<(), StageError> {
        let Work::Live { clear, version, .. } = work else { return Ok(()) };
        if clear.is_empty() {
            return Ok(());
        }
        let mut writer = self.take_writer().await?;
        for index in clear {
            for target in self.targets.live_targets_of(*index) {
                writer.clear(*target, *version).await?;
            }
        }
        self.flush_part(writer).await.map(drop)
    }

    /// Writes and flushes some of an entry's documents.
    async fn write_part(&mut self, work: &Work, part: Range<usize>) -> Result<Flushed, StageError> {
        let mut writer = self.take_writer().await?;
        // After the instance was opened: a fresh one gives out targets of its own.
        let (documents, targets) = match work {
            Work::Live { documents, .. } => (Arc::clone(documents), self.targets.of_live_documents()),
            Work::Seed { documents, .. } => (Arc::clone(documents), self.targets.of_seed_documents()),
            Work::BeginSeed { .. } | Work::Seeded { .. } | Work::End => (Arc::default(), Arc::default()),
        };
        let documents = Documents::new(documents, targets).only(part);
        write(&mut *writer, documents, self.context.options.call_bytes).await?;
        self.flush_part(writer).await
    }
}

fn poison(document: &Document, error: &StageError) -> RejectedDocument {
    let (id, key) = (document.id.clone(), document.key.clone());
    RejectedDocument { index: document.index, id, key, version: document.version, failure: error.of_document() }
}
