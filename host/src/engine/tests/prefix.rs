//! The deployment's prefix on its way to the sinks.

use crate::engine::Options;
use crate::model::Mapping;

fn mapping(extra: Option<&str>) -> Mapping {
    let (index, hash) = ("users".to_owned(), "1a2b".to_owned());
    Mapping { index, hash, fields: Vec::new(), prefix: String::new(), extra: extra.map(str::to_owned) }
}

#[test]
fn a_sink_is_told_the_prefix_that_stands_before_an_index() {
    let options = Options { prefix: "dev_".to_owned(), ..Options::default() };
    let told = options.at_sinks(&mapping(Some(r#"{"builder":1}"#)));
    assert_eq!((told.index.as_str(), told.prefix.as_str()), ("dev_users", "dev_"));
    assert_eq!(told.extra.as_deref(), Some(r#"{"builder":1}"#), "what the builder says stays");
}

#[test]
fn without_a_prefix_a_mapping_reaches_a_sink_as_the_builder_made_it() {
    let mapping = mapping(Some(r#"{"builder":1}"#));
    assert_eq!(Options::default().at_sinks(&mapping), mapping);
}
