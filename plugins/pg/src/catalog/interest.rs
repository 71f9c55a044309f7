//! What a builder wants of tables, compared with the tables: missing ones, columns that are not there, and keys that do not
//! tell rows apart. A builder of another plugin writes its interest by hand, and each of these would give wrong documents, or
//! none, without a word.

use crate::catalog::fingerprint::Fingerprint;
use crate::catalog::table::{self, Table};
use crate::error::Result;
use crate::protocol::session::Session;
use flusso_plugin::TableInterest;
use flusso_schema::nearest;

/// One thing that an interest has wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// There is no such table.
    Table(String),
    /// The table has no such column.
    Column(String),
    /// The key tells no rows apart.
    Key(String),
}

impl Misfit {
    /// What is wrong and what would be right.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Table(message) | Self::Column(message) | Self::Key(message) => message,
        }
    }
}

/// A table that is not there, with the name that may have been meant.
pub(crate) fn missing(session: &mut Session, schema: &str, name: &str) -> Result<Misfit> {
    let label = crate::protocol::sql::label(schema, name);
    let there = table::labels(session)?;
    let hint = match nearest(&label, there.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "create it, or name one that is there".to_owned(),
    };
    Ok(Misfit::Table(format!("there is no table {label}; {hint}")))
}

/// What an interest has wrong about a table that is there.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) misfits: Vec<Misfit>,
    /// Rows are named by a key that is not the primary one.
    pub(crate) by_other_key: bool,
}

/// Compares an interest with its table. `before`: the table as it stood when documents were right last. What was right then has
/// been altered since; that is told as a change of the table, and is no slip of the pen. `named`: the key names rows; a table
/// that is listed again is a root named by other columns, and its rows come under the first key.
pub(crate) fn compare(
    session: &mut Session,
    interest: &TableInterest,
    table: &Table,
    before: Option<&Fingerprint>,
    named: bool,
) -> Result<Comparison> {
    let mut found = Comparison { misfits: unknown_columns(interest, table, before), by_other_key: false };
    let primary = interest.key == table.key || before.is_some_and(|before| before.key() == interest.key);
    // Rows without a name lead to others by their links, and are followed by whole old rows.
    // A view has no key that the catalogue knows.
    if named && table.is_streamed() && found.misfits.is_empty() && !primary && !interest.key.is_empty() {
        found.misfits.extend(key(session, interest, table)?);
        found.by_other_key = true;
    }
    Ok(found)
}

fn unknown_columns(interest: &TableInterest, table: &Table, before: Option<&Fingerprint>) -> Vec<Misfit> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let named = interest.key.iter().chain(&interest.links).chain(interest.reads.iter().flatten());
    let mut unknown: Vec<&String> = Vec::new();
    for name in named {
        let there = names.contains(&name.as_str()) || before.is_some_and(|before| before.has_column(name));
        if !there && !unknown.contains(&name) {
            unknown.push(name);
        }
    }
    let told = |name: &String| {
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", names.join(", ")),
        };
        Misfit::Column(format!("the table {} has no column {name}; {hint}", table.label()))
    };
    unknown.into_iter().map(told).collect()
}

/// A key that is not the primary one: it has to hold a key of the table, and no column of it may be null.
fn key(session: &mut Session, interest: &TableInterest, table: &Table) -> Result<Option<Misfit>> {
    let (written, label) = (interest.key.join(", "), table.label());
    let nullable = interest.key.iter().find(|name| table.column(name).is_ok_and(|column| !column.required));
    let holds = |key: &Vec<String>| key.iter().all(|column| interest.key.contains(column));
    let keys = table::keys(session, table.oid)?;
    if keys.iter().any(holds) {
        return Ok(nullable.map(|column| {
            Misfit::Key(format!(
                "({written}) names no row of {label} whose {column} is null, and it may be; take it out of the key, or: ALTER TABLE {} ALTER {} SET NOT NULL",
                table.sql(),
                crate::protocol::sql::name(column)
            ))
        }));
    }
    let there: Vec<String> = keys.iter().map(|key| format!("({})", key.join(", "))).collect();
    let there = match there.as_slice() {
        [] => format!(
            "it has no primary key; ALTER TABLE {} ADD PRIMARY KEY (…) gives it one, and so does a unique index over columns that are NOT NULL",
            table.sql()
        ),
        [one] => format!("its key is {one}"),
        several => format!("its keys are {}", several.join(", ")),
    };
    Ok(Some(Misfit::Key(format!(
        "({written}) is no key of the table {label}: several rows may have the same; {there}"
    ))))
}
