//! Documents that were not written as they were built: counted by index and kind, and said once for each.

use std::collections::BTreeMap;

use flusso_plugin::{Target, log};

use super::chunk::Item;
use super::rewrite::Change;
use crate::indexes::Indexes;

/// The documents of one index that were changed in one way.
struct Count {
    documents: u64,
    /// Id and path of the first.
    first: (String, String),
    said: bool,
}

/// All of them, since this instance was opened. Of what is kept unindexed each field counts for itself.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<(Target, Change, String), Count>);

impl Changes {
    /// A document is written: counts what of it was changed.
    pub(super) fn applied(&mut self, item: &Item) {
        let Some(amended) = &item.amended else { return };
        for (change, path) in &amended.changes {
            let field = if *change == Change::Unindexed { path.clone() } else { String::new() };
            let count = self.0.entry((item.target, *change, field)).or_insert_with(|| Count {
                documents: 0,
                first: (item.id.clone(), path.clone()),
                said: false,
            });
            count.documents += 1;
            flusso_plugin::metrics::add("changed_documents", 1, &[("change".to_owned(), change.word().to_owned())]);
        }
    }

    /// Says what was not said yet.
    pub(super) fn say(&mut self, indexes: &Indexes) {
        for ((target, change, _), count) in self.0.iter_mut().filter(|(_, count)| !count.said) {
            count.said = true;
            let Ok(generation) = indexes.get(*target) else { continue };
            let (id, path) = &count.first;
            let documents = count.documents.to_string();
            let fields =
                [("index", generation.index()), ("field", path), ("first_document", id), ("documents", &documents)];
            log::warn(
                &format!(
                    "the cluster does not take documents as they are: {}; further ones are counted",
                    change.text()
                ),
                &fields,
            );
        }
    }
}
