//! What is read like a table and is none: views, materialized views, foreign tables. Their rows are read by a key that the
//! schema file declares. The change stream has no changes of them: documents are brought up to date by changes of the tables
//! that a view selects from, as far as the schema names those (as joins, or under `follow`).

use crate::catalog::table::Table;
use crate::catalog::table_catalog::TableCatalog;
use crate::error::Result;
use crate::protocol::session::Session;
use flusso_resolve::{Relation, Tracing};
use flusso_schema::{Link, Schema, TableName};
use std::collections::BTreeSet;

impl Table {
    /// Whether the change stream tells its changes.
    pub fn is_streamed(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p")
    }

    /// What it is, for a person.
    pub fn kind_word(&self) -> &'static str {
        match self.kind.as_str() {
            "v" => "view",
            "m" => "materialized view",
            "f" => "foreign table",
            _ => "table",
        }
    }

    /// Why it is no index of its own accord; `None` for a table.
    pub(crate) fn needs_schema(&self) -> Option<String> {
        (!self.is_streamed()).then(|| {
            format!(
                "{} is a {}, which has no primary key: give the index a schema file with `table: {}`, `primary_key:` and `fields:`, and it is seeded by that key",
                self.label(),
                self.kind_word(),
                self.name
            )
        })
    }
}

/// Whether a place of a schema is an entry of `follow`.
pub(crate) fn is_follow(path: &str) -> bool {
    path.starts_with("follow[")
}

/// Why entries of `follow` would miss changes, each as a sentence.
pub(crate) fn misplaced(schema: &Schema, catalog: &TableCatalog) -> Vec<String> {
    let found = |name: &TableName| catalog.table(name.schema.as_str(), name.name.as_str());
    let mut wrong = Vec::new();
    for place in schema.places().iter().filter(|place| is_follow(&place.path)) {
        if let Some(view) = found(&place.table).filter(|table| !table.is_streamed()) {
            wrong.push(format!(
                "{}: {} is a {}, whose changes are not in the stream; name the tables that it selects from",
                place.path,
                view.label(),
                view.kind_word()
            ));
        }
    }
    let Some(root) = found(&schema.table).filter(|table| !table.is_streamed()) else { return wrong };
    for (path, join) in schema.fields.iter().filter_map(|field| Some((&field.key, field.hidden()?))) {
        if matches!(join.link, Link::BelongsTo { .. }) {
            wrong.push(format!(
                "{path}: `column` looks up rows of the {} {}, and one that a change takes out of it is not found there any more; follow by `foreign_key`, or by way of a table that has both keys (an entry under `follow` of that table)",
                root.kind_word(),
                root.label()
            ));
        }
    }
    wrong
}

/// Why the old links of a followed table would not be known; `None` where they are.
pub(crate) fn untold(relation: &Relation) -> Option<String> {
    let (_, path) = relation.paths.iter().find(|(_, path)| is_follow(path))?;
    let Tracing::Untold { remedy } = &relation.tracing else { return None };
    let label = format!("{}.{}", relation.table.schema, relation.table.name);
    let columns = relation.columns.join(", ");
    Some(match remedy {
        Some(statement) => format!(
            "{path}: a row of {label} that goes or moves has to tell its old {columns}: {statement}; or `manage_replica_identity = true`"
        ),
        None => format!("{path}: {label} has a generated column among {columns}, which the stream does not tell"),
    })
}

/// For each view of a schema whose changes are not all noticed, a sentence that says what is not, and what helps.
pub(crate) fn unfollowed(
    session: &mut Session,
    index: &str,
    schema: &Schema,
    catalog: &TableCatalog,
) -> Result<Vec<String>> {
    // A join of `fields` says which documents show a row, and not which rows the view has because of it.
    let places = schema.places();
    let followed = places.iter().filter(|place| is_follow(&place.path));
    let named: BTreeSet<String> =
        followed.map(|place| format!("{}.{}", place.table.schema, place.table.name)).collect();
    let mut found = Vec::new();
    for view in catalog.tables().filter(|table| !table.is_streamed()) {
        let missing: Vec<String> =
            tables_of(session, view.oid)?.into_iter().filter(|table| !named.contains(table)).collect();
        let what = format!("{} is a {}", view.label(), view.kind_word());
        let reindex = format!("run `flusso-host reindex {index}`");
        match view.kind.as_str() {
            "m" => found.push(format!(
                "{what}: its rows are read, and a REFRESH MATERIALIZED VIEW is noticed within `look_every` and builds the index anew; one that is CONCURRENTLY is not noticed: {reindex} after it"
            )),
            "f" => found.push(format!(
                "{what}: its rows are read, and its changes are not followed, because they are in the log of another server: {reindex} to bring it up to date, or follow that server with a host of its own"
            )),
            _ if missing.is_empty() => {}
            _ => found.push(format!(
                "{what}: its rows are read, and changes of {} are not followed; name what it selects from under `follow:` in the schema file, or {reindex} to bring it up to date",
                missing.join(", ")
            )),
        }
    }
    found.sort();
    Ok(found)
}

/// The tables that a view selects from, also through other views, as `schema.table`.
fn tables_of(session: &mut Session, view: u32) -> Result<Vec<String>> {
    let rows = session.simple(&format!(
        "WITH RECURSIVE reads(oid) AS (
             SELECT {view}::oid
             UNION
             SELECT d.refobjid FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.oid
             JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
                 AND d.refclassid = 'pg_catalog.pg_class'::regclass
         )
         SELECT n.nspname || '.' || c.relname FROM reads JOIN pg_catalog.pg_class c ON c.oid = reads.oid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.oid <> {view} ORDER BY 1"
    ))?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

/// How many views there are that no schema file names, in words: `2 views and 1 foreign table`. `None` where there are none.
pub(crate) fn left_out(session: &mut Session) -> Result<Option<String>> {
    let rows = session.simple(
        "SELECT c.relkind, count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
             AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                 WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
         GROUP BY 1 ORDER BY 1 DESC",
    )?;
    let words: Vec<String> = rows
        .iter()
        .filter_map(|row| match row.as_slice() {
            [Some(kind), Some(count)] => {
                let word = match kind.as_str() {
                    "v" => "view",
                    "m" => "materialized view",
                    _ => "foreign table",
                };
                Some(format!("{count} {word}{}", if count == "1" { "" } else { "s" }))
            }
            _ => None,
        })
        .collect();
    let words = words.join(" and ");
    Ok((!words.is_empty()).then(|| {
        format!(
            "{words} left out: without a primary key they are an index only with a schema file that names them as `table:`, with a `primary_key:`"
        )
    }))
}
