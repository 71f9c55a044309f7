//! The backfills that are running, by index: from before their beginning is in the lane until their end is durable. The
//! worker adds them, the confirmer brings them up to date, `status` reads them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::durability::durable_watermark::BackfillStep;
use crate::engine::durability::records::BackfillRecord;
use crate::model::IndexNumber;

/// One backfill.
struct Running {
    attempt: u64,
    /// None until its ranges are planned.
    record: Option<BackfillRecord>,
    started: Instant,
}

/// A backfill whose end is durable.
pub(crate) struct FinishedBackfill {
    pub(crate) index: IndexNumber,
    /// The sinks that were seeded.
    pub(crate) sinks: Vec<String>,
    pub(crate) rows: u64,
    pub(crate) took: Duration,
}

/// How many rows of a backfill are durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCount {
    /// Rows that are durable.
    pub done: u64,
    /// About how many there are.
    pub estimated: Option<u64>,
}

/// All running backfills.
#[derive(Clone, Default)]
pub(crate) struct RunningBackfills(Arc<Mutex<HashMap<IndexNumber, Running>>>);

impl RunningBackfills {
    fn lock(&self) -> MutexGuard<'_, HashMap<IndexNumber, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(crate) fn contains(&self, index: IndexNumber) -> bool {
        self.lock().contains_key(&index)
    }

    /// How far the backfill of an index is, if one is running.
    pub(crate) fn rows(&self, index: IndexNumber) -> Option<RowCount> {
        let backfills = self.lock();
        let record = backfills.get(&index)?.record.as_ref();
        Some(RowCount {
            done: record.map_or(0, BackfillRecord::rows),
            estimated: record.and_then(|record| record.estimated_rows),
        })
    }

    /// A backfill begins; an earlier attempt at the same index is given up.
    pub(crate) fn begin(&self, index: IndexNumber, attempt: u64) {
        self.lock().insert(index, Running { attempt, record: None, started: Instant::now() });
    }

    /// The ranges of a backfill are planned. Called before a range is read, so that no step comes before its plan.
    pub(crate) fn plan(&self, index: IndexNumber, record: BackfillRecord) {
        if let Some(running) = self.lock().get_mut(&index).filter(|running| running.attempt == record.attempt) {
            running.record = Some(record);
        }
    }

    /// Pages became durable: brings the records up to date. Returns those that moved. A page of an attempt that was given up
    /// counts for nothing.
    pub(crate) fn advance(&self, steps: Vec<BackfillStep>) -> Vec<(IndexNumber, BackfillRecord)> {
        let mut backfills = self.lock();
        let mut moved: Vec<IndexNumber> = Vec::new();
        for step in steps {
            let running = backfills.get_mut(&step.index).filter(|running| running.attempt == step.attempt);
            let Some(record) = running.and_then(|running| running.record.as_mut()) else { continue };
            let Some(part) = record.parts.get_mut(step.part) else { continue };
            part.rows += step.rows;
            part.done = step.cursor.is_none();
            part.cursor = step.cursor;
            if !moved.contains(&step.index) {
                moved.push(step.index);
            }
        }
        let record = |index| Some((index, backfills.get(&index)?.record.clone()?));
        moved.into_iter().filter_map(record).collect()
    }

    /// The end of a backfill is durable. Returns none for an attempt that was given up.
    pub(crate) fn finish(&self, index: IndexNumber, attempt: u64) -> Option<FinishedBackfill> {
        let mut backfills = self.lock();
        backfills.get(&index).filter(|running| running.attempt == attempt)?;
        let running = backfills.remove(&index)?;
        let (sinks, rows) = running.record.map_or_else(Default::default, |record| {
            let rows = record.rows();
            (record.sinks, rows)
        });
        Some(FinishedBackfill { index, sinks, rows, took: running.started.elapsed() })
    }
}
