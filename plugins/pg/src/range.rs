//! The range builder: documents of whole ranges of a root table, rendered as the rows arrive.

use crate::builder::{RowBuilder, unknown};
use crate::error::Result;
use crate::plan::KeyPlaces;
use crate::session::CALL;
use crate::walk::Walk;
use flusso_plugin::{Outcome, Ranged, RangedPage};

impl RowBuilder {
    /// The next documents of a range: at most `max`, and about `max_bytes` of bodies.
    pub fn range(
        &mut self,
        index: u32,
        range: &[u8],
        cursor: Option<&[u8]>,
        max: usize,
        max_bytes: usize,
    ) -> Result<RangedPage> {
        self.session.within(CALL);
        let current = self.walk.as_ref().is_some_and(|(number, walk)| *number == index && walk.is_at(range, cursor));
        if !current {
            self.release()?;
            self.freshen(index)?;
            // The first page is small: nothing is known yet of how large rows are.
            self.walk = Some((index, Walk::new(range, cursor, max.min(256))?));
        }
        let plan = usize::try_from(index).ok().and_then(|index| self.indexes.get(index)).map(|index| &index.plan);
        let (Some(plan), Some((_, walk))) = (plan, &mut self.walk) else {
            return Err(unknown(index));
        };
        let session = &mut self.session;
        let mut documents = Vec::with_capacity(max.min(4096));
        let (mut bytes, mut body, mut key) = (0, Vec::new(), KeyPlaces::default());
        let (max, max_bytes) = (max.max(1), max_bytes.max(1));
        while let Some(frame) = walk.next_row(session, plan)? {
            let row = session.row(frame);
            body.clear();
            plan.render(row, &mut body, &mut key)?;
            bytes += body.len();
            // Copied out at its exact size: a body that had grown into its place would be moved once more on its way out.
            documents
                .push(Ranged { key: plan.key_values(row, &key), outcome: Outcome::Built(body.as_slice().to_vec()) });
            if documents.len() >= max || bytes >= max_bytes || walk.ends_page() {
                walk.passed(key.texts(row));
                break;
            }
        }
        walk.turn(session, plan, documents.len(), bytes < max_bytes / 2, max)?;
        let rows = documents.len() as u64;
        Ok(RangedPage { documents, rows, cursor: walk.cursor(), extra: None })
    }
}
