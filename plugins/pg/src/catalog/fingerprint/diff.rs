//! Which differences of two fingerprints change documents, each as a sentence for the log; the others are ignored.

use crate::catalog::fingerprint::{Column, Fingerprint};
use flusso_plugin::TableInterest;
use std::collections::BTreeSet;

/// Partitions that are named; of more only their number.
const NAMED_PARTITIONS: usize = 3;

impl Fingerprint {
    /// Why documents made of the table as it was before may not be what they would be now. Looks at what the interest wants
    /// of the table and at nothing else: a column that is not read may come and go.
    pub fn since(&self, before: &Self, interest: &TableInterest) -> Vec<String> {
        if self.oid != before.oid {
            return vec!["it was dropped and made again".to_owned()];
        }
        let mut found = self.columns_since(before, interest);
        if self.key != before.key {
            found.push(format!("its primary key is ({})", self.key.join(", ")));
        }
        if before.definition.is_some() && before.definition != self.definition {
            found.push("it was refreshed, or selects something else".to_owned());
        }
        self.partitions_since(before, &mut found);
        if !before.published.is_empty() && !before.published.iter().any(|way| self.published.contains(way)) {
            found.push("it was not in the publication for a while".to_owned());
        }
        let no_longer_sent: Vec<&str> = interest
            .links
            .iter()
            .filter(|link| before.sends_old(link) && !self.sends_old(link))
            .map(String::as_str)
            .collect();
        if !no_longer_sent.is_empty() {
            found.push(format!("its replica identity no longer covers {}", no_longer_sent.join(", ")));
        }
        found
    }

    /// Whether something has to be mended before the table can be followed on.
    pub fn is_broken_since(&self, before: &Self, interest: &TableInterest, manage_replica_identity: bool) -> bool {
        let no_longer_sent = || interest.links.iter().any(|link| before.sends_old(link) && !self.sends_old(link));
        self.oid != before.oid
            || (self.published.is_empty() && !before.published.is_empty())
            || (manage_replica_identity && no_longer_sent())
    }

    fn columns_since(&self, before: &Self, interest: &TableInterest) -> Vec<String> {
        let all = || before.columns.keys().chain(self.columns.keys()).collect::<BTreeSet<_>>();
        let wanted = match &interest.reads {
            Some(reads) => interest.key.iter().chain(&interest.links).chain(reads).collect(),
            None => all(),
        };
        let rewritten = self.file != before.file;
        let mut found = Vec::new();
        for name in wanted {
            match (before.columns.get(name), self.columns.get(name)) {
                (Some(old), None) => found.push(format!("-{name} {}", old.declared)),
                (None, Some(new)) => found.push(format!("+{name} {}", new.declared)),
                (Some(old), Some(new)) => found.extend(new.since(old, rewritten).map(|what| format!("{name} {what}"))),
                (None, None) => {}
            }
        }
        found
    }

    fn partitions_since(&self, before: &Self, found: &mut Vec<String>) {
        let (mut gone, mut come, mut emptied) = (Vec::new(), Vec::new(), Vec::new());
        for (oid, old) in &before.partitions {
            match self.partitions.get(oid) {
                None => gone.push(old.name.as_str()),
                Some(new) if new.attached != old.attached => come.push(new.name.as_str()),
                Some(new) if new.file != old.file => emptied.push(new.name.as_str()),
                Some(_) => {}
            }
        }
        let new = self.partitions.iter().filter(|(oid, _)| !before.partitions.contains_key(oid));
        come.extend(new.map(|(_, new)| new.name.as_str()));
        for (names, what) in
            [(gone, "is no partition any more"), (come, "was attached"), (emptied, "was truncated or rewritten")]
        {
            if let Some(more) = names.len().checked_sub(NAMED_PARTITIONS).filter(|more| *more > 0) {
                found.push(format!(
                    "{} and {more} more: each {what}",
                    names.iter().take(NAMED_PARTITIONS).copied().collect::<Vec<_>>().join(", ")
                ));
            } else {
                found.extend(names.iter().map(|name| format!("{name} {what}")));
            }
        }
    }
}

impl Column {
    fn since(&self, old: &Self, rewritten: bool) -> Option<String> {
        let renamed = |labels: &Vec<String>| {
            let now = self.labels.as_deref().unwrap_or_default();
            labels.iter().any(|label| !now.contains(label))
        };
        if self.number != old.number {
            Some("was dropped and added again".to_owned())
        } else if (self.type_oid, self.modifier) != (old.type_oid, old.modifier) {
            Some(format!("is {} and was {}", self.declared, old.declared))
        } else if rewritten && self.written != old.written {
            Some("was computed anew (ALTER COLUMN … TYPE … USING)".to_owned())
        } else if old.labels.as_ref().is_some_and(renamed) {
            Some(format!("holds values of {}, whose labels were renamed", self.declared))
        } else if old.attributes.is_some() && old.attributes != self.attributes {
            Some(format!("holds values of {}, whose attributes are others", self.declared))
        } else if old.attributes.is_some() && old.expression != self.expression {
            Some("is computed by another expression".to_owned())
        } else {
            None
        }
    }
}
