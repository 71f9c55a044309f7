//! `[[index]]`: names that are told apart, and the texts of schemas.

use std::collections::BTreeSet;
use std::path::Path;

use super::validate::read;
use super::{ConfigError, Index, Location, OnError, Schema, file};

pub(super) fn indexes(
    written: Vec<file::Index>,
    on_error: OnError,
    base: &Path,
    path: Option<&Path>,
    notes: &mut Vec<String>,
) -> Result<Vec<Index>, ConfigError> {
    let any = !written.is_empty();
    let mut names = BTreeSet::new();
    let mut indexes = Vec::new();
    for mut index in written {
        fold(&mut index, notes);
        let place = || Location::part(path, format!("[[index]] {}", index.name));
        if index.name.is_empty() || index.name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ConfigError::wrong(place(), "an index needs a name without spaces"));
        }
        if !names.insert(index.name.clone()) {
            return Err(ConfigError::wrong(place(), "this name is given to two indexes; rename one of them"));
        }
        if index.enabled == Some(false) {
            continue;
        }
        let schema = match &index.schema {
            Some(schema) => {
                let path = base.join(schema);
                let text = read("the schema file", &path)?;
                Some(Schema { path, text })
            }
            None => None,
        };
        indexes.push(Index { name: index.name, schema, on_error: index.on_error.unwrap_or(on_error) });
    }
    if any && indexes.is_empty() {
        return Err(ConfigError::wrong(
            Location::part(path, "[[index]]"),
            "every index is disabled; enable one, or remove them all to get an index for each table with a primary key",
        ));
    }
    Ok(indexes)
}

/// An index of a schema is named in lower case, as flusso 0.15 folded it. One without a schema is named as its table.
fn fold(index: &mut file::Index, notes: &mut Vec<String>) {
    let folded = index.name.trim().to_lowercase();
    if index.schema.is_some() && folded != index.name {
        notes.push(format!("the index `{}` is read as `{folded}`: names are lower case; write it so", index.name));
        index.name = folded;
    }
}
