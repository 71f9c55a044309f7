//! Document ids as the cluster takes them: 1 to 512 bytes. An empty or longer id becomes another one, the same for the same id and
//! for no other, so that a later change or deletion of the document finds it.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

/// The longest id that the cluster takes, in bytes.
const MAX_BYTES: usize = 512;
/// What an id begins with that does not stand for itself. A document's own id that begins so is replaced as well.
const PREFIX: &str = "flusso:";

/// The id under which a document is written.
pub(crate) fn of(id: &str) -> Cow<'_, str> {
    if id.is_empty() {
        return Cow::Borrowed("flusso:empty");
    }
    if id.len() <= MAX_BYTES && !id.starts_with(PREFIX) {
        return Cow::Borrowed(id);
    }
    let digest: String = Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Cow::Owned(format!("{PREFIX}sha256:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_the_cluster_takes_stays_as_it_is() {
        let longest = "x".repeat(512);
        for id in ["1", "a:b", " ", longest.as_str(), "é"] {
            assert_eq!(of(id), id);
        }
    }

    #[test]
    fn every_other_id_becomes_one_of_its_own() {
        let (long, longer) = ("x".repeat(513), "x".repeat(514));
        let ids = ["", &long, &longer, "flusso:empty", "flusso:sha256:00"];
        let made: Vec<_> = ids.iter().map(|id| of(id).into_owned()).collect();
        assert_eq!(made.first().map(String::as_str), Some("flusso:empty"));
        assert!(made.iter().all(|id| id.len() <= 512 && id.starts_with("flusso:")), "{made:?}");
        let distinct: std::collections::BTreeSet<_> = made.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{made:?}");
    }
}
