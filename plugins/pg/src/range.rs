//! The range builder: documents of whole ranges of a root table, rendered as the rows arrive.

use crate::builder::{RowBuilder, unknown};
use crate::error::Result;
use crate::session::CALL;
use crate::walk::Walk;
use flusso_plugin::{Outcome, Ranged, RangedPage};

impl RowBuilder {
    /// The next documents of a range: at most `max`, and about `max_bytes` of bodies.
    pub fn range(&mut self, index: u32, range: &[u8], cursor: Option<&[u8]>, max: usize, max_bytes: usize) -> Result<RangedPage> {
        self.session.within(CALL);
        let current = self.walk.as_ref().is_some_and(|(number, walk)| *number == index && walk.is_at(range, cursor));
        if !current {
            self.release()?;
            self.freshen(index)?;
            self.walk = Some((index, Walk::new(range, cursor, max)?));
        }
        let plan = usize::try_from(index).ok().and_then(|index| self.indexes.get(index)).map(|index| &index.plan);
        let (Some(plan), Some((_, walk))) = (plan, &mut self.walk) else {
            return Err(unknown(index));
        };
        let session = &mut self.session;
        let mut documents = Vec::with_capacity(max.min(4096));
        let (mut bytes, mut size) = (0, 128);
        let max_bytes = max_bytes.max(1);
        while let Some(frame) = walk.next_row(session, plan)? {
            let mut body = Vec::with_capacity(size);
            let mut key = Vec::with_capacity(plan.key.len());
            plan.render(session.row(frame), &mut body, &mut key)?;
            bytes += body.len();
            let last = bytes >= max_bytes || walk.ends_page();
            if last {
                walk.passed(&key);
            }
            size = body.len() + 16;
            documents.push(Ranged { key: plan.key_values(&key), outcome: Outcome::Built(body) });
            if last {
                break;
            }
        }
        walk.turn(session, plan, documents.len(), bytes < max_bytes / 2, max.max(1))?;
        let rows = documents.len() as u64;
        Ok(RangedPage { documents, rows, cursor: walk.cursor(), extra: None })
    }
}
