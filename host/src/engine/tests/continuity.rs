//! Whether a history goes on, for every answer of a source.

use std::sync::Arc;

use crate::engine::stage::{Continuity, Inspection};
use crate::engine::startup::continuity::{Resumption, resumption};

#[test]
fn a_history_goes_on_only_where_both_sides_remember_the_same_one() {
    let found = |history: Option<&str>, continuity| Inspection {
        history: history.map(Arc::from),
        continuity,
        unrecorded: Vec::new(),
    };
    let remembered = Arc::from("one");
    let same = found(Some("one"), Continuity::Continuous);
    assert_eq!(resumption(&same, Some(&remembered)), Resumption::Resume);
    assert_eq!(resumption(&same, None), Resumption::Begin, "the host remembers nothing");
    assert_eq!(resumption(&found(None, Continuity::Fresh), None), Resumption::Begin);
    let lost = |inspection| matches!(resumption(&inspection, Some(&remembered)), Resumption::Lost(_));
    assert!(lost(found(None, Continuity::Fresh)), "the source remembers nothing");
    assert!(lost(found(Some("two"), Continuity::Continuous)), "another history");
    assert!(lost(found(None, Continuity::Continuous)));
    assert!(lost(found(Some("one"), Continuity::Lost("dropped".to_owned()))));
}
