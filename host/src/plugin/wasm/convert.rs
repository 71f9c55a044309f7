//! The only place where the contract's types meet the model. What comes from a guest is untrusted: counts and sizes are
//! checked here, and what cannot be is an error of the guest. What goes to a guest is the host's own.

use std::time::Duration;

use super::bindings::exports::flusso::connector as exports;
use super::bindings::flusso::connector::types as wit;
use super::bodies;
use super::fault::{Checked, Fault, GuestError, Origin, Violation};
use crate::engine::StageError;
use crate::engine::stage;
use crate::limits;
use crate::model;
use crate::plugin::links::RowLinks;
use crate::plugin::plain::plain;

/// A list that is not longer than it may be.
pub(super) fn counted<T>(list: Vec<T>, max: usize, what: &str) -> Checked<Vec<T>> {
    let max = max.min(limits::guest::ITEMS);
    match list.len() > max {
        true => Err(Violation::TooMany { what: what.to_owned(), found: list.len(), limit: max }),
        false => Ok(list),
    }
}

fn sized(bytes: Vec<u8>, max: usize, what: &str) -> Checked<Vec<u8>> {
    match bytes.len() > max {
        true => Err(Violation::TooLong { what: what.to_owned(), found: bytes.len(), limit: max }),
        false => Ok(bytes),
    }
}

fn name(text: String, what: &str) -> Checked<String> {
    let bad = text.is_empty() || text.len() > limits::guest::NAME_CHARACTERS || text.chars().any(char::is_control);
    match bad {
        true => Err(Violation::Rule(format!(
            "a {what} that is empty, longer than {} bytes or unprintable",
            limits::guest::NAME_CHARACTERS
        ))),
        false => Ok(text),
    }
}

/// A number that must be one of `count`.
fn place(number: u32, count: usize, what: &str) -> Checked<u32> {
    match usize::try_from(number).is_ok_and(|number| number < count) {
        true => Ok(number),
        false => Err(Violation::Rule(format!("{what} number {number}, and there are {count}"))),
    }
}

/// Why a stage has no result: the guest's own answer, with plugin and call before it.
pub(super) fn refused(origin: &Origin, call: &str, error: wit::Error) -> StageError {
    let said = |text: &str| {
        format!("plugin {} ({}), {call}: {}", origin.plugin, origin.instance, plain(text, limits::guest::TEXT_BYTES))
    };
    match error {
        wit::Error::Transient(wit::Transient { message, retry_after_ms, .. }) => {
            StageError::Transient { message: said(&message), retry_after: retry_after_ms.map(Duration::from_millis) }
        }
        wit::Error::Busy(holder) => StageError::Busy(said(&holder)),
        wit::Error::HistoryLost(detail) => StageError::HistoryLost(said(&detail)),
        wit::Error::Configuration(wit::ConfigurationError { setting, message, .. }) => match setting.as_str() {
            "" => StageError::Configuration(said(&message)),
            setting => StageError::Configuration(said(&format!("setting `{setting}`: {message}"))),
        },
        wit::Error::Denied(capability) => StageError::Denied(said(&capability)),
        wit::Error::Unsupported => StageError::Unsupported(said("this")),
        wit::Error::Fatal(message) => StageError::Fatal(said(&message)),
        wit::Error::Other(wit::OtherError { code, message, .. }) => {
            StageError::Fatal(said(&format!("{code}: {message}")))
        }
    }
}

impl From<GuestError> for StageError {
    fn from(error: GuestError) -> Self {
        match error.fault() {
            Fault::Grant(_) => Self::Configuration(error.to_string()),
            Fault::Violation(_) => Self::Violation(error.to_string()),
            Fault::Trapped(_) | Fault::Failed(_) | Fault::Memory { .. } | Fault::Handles(_) | Fault::Handover(_)
                if error.repeats =>
            {
                Self::Violation(error.to_string())
            }
            _ => Self::Crashed(error.to_string()),
        }
    }
}

// Values and keys, both ways.

pub(super) fn value(value: wit::Value) -> model::Value {
    match value {
        wit::Value::Null => model::Value::Null,
        wit::Value::Boolean(value) => model::Value::Boolean(value),
        wit::Value::Integer(value) => model::Value::Integer(value),
        wit::Value::Float(value) => model::Value::Float(value),
        wit::Value::Decimal(text) => model::Value::Decimal(text),
        wit::Value::Text(text) => model::Value::Text(text),
        wit::Value::Bytes(bytes) => model::Value::Bytes(bytes),
        wit::Value::Uuid(text) => model::Value::Uuid(text),
        wit::Value::Date(text) => model::Value::Date(text),
        wit::Value::Time(text) => model::Value::Time(text),
        wit::Value::Timestamp(text) => model::Value::Timestamp(text),
        wit::Value::Json(text) => model::Value::Json(text),
    }
}

fn to_value(value: &model::Value) -> wit::Value {
    match value {
        model::Value::Null => wit::Value::Null,
        model::Value::Boolean(value) => wit::Value::Boolean(*value),
        model::Value::Integer(value) => wit::Value::Integer(*value),
        model::Value::Float(value) => wit::Value::Float(*value),
        model::Value::Decimal(text) => wit::Value::Decimal(text.clone()),
        model::Value::Text(text) => wit::Value::Text(text.clone()),
        model::Value::Bytes(bytes) => wit::Value::Bytes(bytes.clone()),
        model::Value::Uuid(text) => wit::Value::Uuid(text.clone()),
        model::Value::Date(text) => wit::Value::Date(text.clone()),
        model::Value::Time(text) => wit::Value::Time(text.clone()),
        model::Value::Timestamp(text) => wit::Value::Timestamp(text.clone()),
        model::Value::Json(text) => wit::Value::Json(text.clone()),
    }
}

pub(super) fn key(key: Vec<wit::Value>) -> model::Key {
    model::Key::new(row(key))
}

fn row(row: Vec<wit::Value>) -> model::Row {
    row.into_iter().map(value).collect()
}

pub(super) fn to_row(row: &[model::Value]) -> Vec<wit::Value> {
    row.iter().map(to_value).collect()
}

// What a source says.

pub(super) fn position(bytes: Vec<u8>) -> Checked<model::Position> {
    Ok(model::Position::new(sized(bytes, limits::guest::POSITION_BYTES, "position")?))
}

pub(super) fn cursor(cursor: Option<Vec<u8>>) -> Checked<Option<Vec<u8>>> {
    cursor.map(|bytes| sized(bytes, limits::guest::CURSOR_BYTES, "cursor")).transpose()
}

/// A version, within what a sink can store: a document at the end of the numbers could never be written again.
fn version(version: u64) -> Checked<model::Version> {
    match version < i64::MAX.unsigned_abs() {
        true => Ok(version),
        false => Err(Violation::Rule(format!("the version {version}; versions end before {}", i64::MAX))),
    }
}

/// An event about one of `tables` tables.
pub(super) fn event(event: wit::Event, tables: usize) -> Checked<model::Event> {
    Ok(match event {
        wit::Event::Change(change) => model::Event::Change(model::Change {
            table: place(change.table, tables, "table")?,
            op: match change.op {
                wit::Op::Upsert => model::Op::Upsert,
                wit::Op::Delete => model::Op::Delete,
                wit::Op::Truncate => model::Op::Truncate,
            },
            key: key(change.key),
            before: change.before.map(row),
            after: change.after.map(row),
            version: version(change.version)?,
            changed: change.changed,
            extra: change.extra,
        }),
        wit::Event::Checkpoint(checkpoint) => model::Event::Checkpoint(model::Checkpoint {
            position: position(checkpoint.position)?,
            version: version(checkpoint.version)?,
            committed_at: checkpoint.committed_at,
        }),
        wit::Event::TableChanged(changed) => model::Event::TableChanged(model::TableChanged {
            table: place(changed.table, tables, "table")?,
            detail: plain(&changed.detail, limits::guest::TEXT_BYTES),
        }),
    })
}

pub(super) fn history(history: String) -> Checked<model::HistoryId> {
    Ok(name(history, "history")?.into())
}

/// What a source calls itself: the name of the folder with its progress, so that it must not lead anywhere else.
pub(super) fn identity(text: String) -> Checked<String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.@+=%~".contains(letter);
    match text.starts_with('.') || text.len() > limits::guest::FILE_NAME_BYTES || !text.chars().all(fits) {
        true => Err(Violation::Rule(format!(
            "the identity {:?}, which is no name of a file: at most {} ASCII letters, digits and -_.@+=%~, the first no dot",
            plain(&text, 80),
            limits::guest::FILE_NAME_BYTES
        ))),
        false => name(text, "identity"),
    }
}

/// A position for a person.
pub(super) fn printed(text: String) -> Checked<String> {
    name(text, "position")
}

/// The name of an index. Sinks make names of files and of indexes of it.
fn index_name(text: String) -> Checked<String> {
    let mut parts = text.split(['/', '\\']);
    match text.starts_with(['/', '\\']) || parts.any(|part| part == "." || part == "..") {
        true => Err(Violation::Rule(format!(
            "the index name {:?}, which could lead a sink out of its folder; name the index otherwise",
            plain(&text, 80)
        ))),
        false => name(text, "index name"),
    }
}

pub(super) fn inspection(found: exports::source::Inspection) -> Checked<stage::Inspection> {
    Ok(stage::Inspection {
        history: found.history.map(history).transpose()?,
        continuity: match found.continuity {
            exports::source::Continuity::Fresh => stage::Continuity::Fresh,
            exports::source::Continuity::Continuous => stage::Continuity::Continuous,
            exports::source::Continuity::Lost(detail) => {
                stage::Continuity::Lost(plain(&detail, limits::guest::TEXT_BYTES))
            }
        },
        unrecorded: found.unrecorded,
    })
}

pub(super) fn preparation(answer: exports::source::Preparation) -> Checked<stage::Preparation> {
    Ok(match answer {
        exports::source::Preparation::Pending(reason) => {
            stage::Preparation::Pending(plain(&reason, limits::guest::TEXT_BYTES))
        }
        exports::source::Preparation::Ready(prepared) => stage::Preparation::Ready(stage::Prepared {
            history: history(prepared.history)?,
            position: position(prepared.position)?,
            version: prepared.version,
            resources: lines(prepared.resources)?,
        }),
    })
}

/// Lines for a person.
pub(super) fn lines(lines: Vec<String>) -> Checked<Vec<String>> {
    Ok(counted(lines, 1_000, "lines")?.iter().map(|line| plain(line, limits::guest::TEXT_BYTES)).collect())
}

pub(super) fn division(division: exports::snapshot::Division, parts: u32) -> Checked<stage::Division> {
    let ranges = counted(division.ranges, usize::try_from(parts.max(1)).unwrap_or(limits::guest::ITEMS), "ranges")?;
    let ranges =
        ranges.into_iter().map(|range| sized(range, limits::guest::CURSOR_BYTES, "range")).collect::<Checked<_>>()?;
    Ok(stage::Division { ranges, estimated_rows: division.estimated_rows })
}

pub(super) fn page(page: exports::snapshot::Page, max: u32) -> Checked<stage::Page> {
    let keys = counted(page.keys, usize::try_from(max).unwrap_or(limits::guest::ITEMS), "keys")?;
    Ok(stage::Page { keys: keys.into_iter().map(key).collect(), cursor: cursor(page.cursor)? })
}

pub(super) fn to_interest(interest: &model::TableInterest) -> wit::TableInterest {
    wit::TableInterest {
        table: wit::TableName { schema: interest.table.schema.clone(), name: interest.table.name.clone() },
        key: interest.key.clone(),
        links: interest.links.clone(),
        reads: interest.reads.clone(),
        wants_changed: interest.wants_changed,
        extra: interest.extra.clone(),
    }
}

// What a builder says.

pub(super) fn table_name(table: wit::TableName) -> Checked<model::TableName> {
    Ok(model::TableName { schema: name(table.schema, "schema")?, name: name(table.name, "table")? })
}

pub(super) fn interest(interest: wit::TableInterest) -> Checked<model::TableInterest> {
    Ok(model::TableInterest {
        table: table_name(interest.table)?,
        key: interest.key,
        links: interest.links,
        reads: interest.reads,
        wants_changed: interest.wants_changed,
        extra: interest.extra,
    })
}

pub(super) fn mapping(mapping: wit::Mapping) -> Checked<model::Mapping> {
    let field = |field: wit::Field| model::Field {
        path: field.path,
        kind: field.type_,
        nullable: field.nullable,
        array: field.array,
        options: field.options,
        variants: field.variants,
        map_values: field.map_values,
        extra: field.extra,
    };
    Ok(model::Mapping {
        index: index_name(mapping.index)?,
        hash: name(mapping.hash, "mapping hash")?,
        fields: counted(mapping.fields, 100_000, "fields")?.into_iter().map(field).collect(),
        prefix: mapping.prefix,
        extra: mapping.extra,
    })
}

pub(super) fn to_mapping(mapping: &model::Mapping) -> wit::Mapping {
    let field = |field: &model::Field| wit::Field {
        path: field.path.clone(),
        type_: field.kind.clone(),
        nullable: field.nullable,
        array: field.array,
        options: field.options.clone(),
        variants: field.variants.clone(),
        map_values: field.map_values.clone(),
        extra: field.extra.clone(),
    };
    wit::Mapping {
        index: mapping.index.clone(),
        hash: mapping.hash.clone(),
        fields: mapping.fields.iter().map(field).collect(),
        prefix: mapping.prefix.clone(),
        extra: mapping.extra.clone(),
    }
}

pub(super) fn scope(scope: &exports::builder::Scope, indexes: usize, tables: usize) -> Checked<model::Scope> {
    let relations = counted(scope.recorded_relations.clone(), 10_000, "relations")?;
    Ok(model::Scope {
        index: place(scope.index, indexes, "index")?,
        root: place(scope.root, tables, "table")?,
        recorded_relations: relations.into_iter().map(relation).collect::<Checked<_>>()?,
    })
}

pub(super) fn to_change(change: &model::Change) -> wit::Change {
    wit::Change {
        table: change.table,
        op: match change.op {
            model::Op::Upsert => wit::Op::Upsert,
            model::Op::Delete => wit::Op::Delete,
            model::Op::Truncate => wit::Op::Truncate,
        },
        key: to_row(change.key.parts()),
        before: change.before.as_deref().map(to_row),
        after: change.after.as_deref().map(to_row),
        version: change.version,
        changed: change.changed.clone(),
        extra: change.extra.clone(),
    }
}

pub(super) fn to_id(id: &model::DocumentId) -> wit::DocumentId {
    wit::DocumentId { index: id.index, key: to_row(id.key.parts()) }
}

fn relation(text: String) -> Checked<String> {
    name(text, "relation")
}

pub(super) fn row_links(links: wit::RowLinks) -> Checked<RowLinks> {
    Ok(RowLinks { relation: relation(links.relation)?, packed: links.packed })
}

/// The recorded links that changes ended, and the relations all of whose links they ended.
pub(super) type EndedLinks = (Vec<RowLinks>, Vec<String>);

/// What is affected among `indexes` indexes: at most `max` documents. And which links ended by it.
pub(super) fn affected(
    affected: exports::builder::Affected,
    indexes: usize,
    max: usize,
) -> Checked<(stage::Affected, EndedLinks)> {
    let id =
        |id: wit::DocumentId| Ok(model::DocumentId { index: place(id.index, indexes, "index")?, key: key(id.key) });
    let all = |numbers: Vec<u32>| -> Checked<Vec<u32>> {
        counted(numbers, indexes, "indexes")?.into_iter().map(|number| place(number, indexes, "index")).collect()
    };
    let ended = affected.ended_links.into_iter().map(row_links).collect::<Checked<_>>()?;
    let emptied = affected.emptied_relations.into_iter().map(relation).collect::<Checked<_>>()?;
    let affected = stage::Affected {
        ids: counted(affected.ids, max, "documents")?.into_iter().map(id).collect::<Checked<_>>()?,
        more: cursor(affected.more)?,
        rebuild: all(affected.rebuild)?,
        clear: all(affected.clear)?,
        link_removals: None,
    };
    Ok((affected, (ended, emptied)))
}

pub(super) fn failure(failure: wit::Failure) -> model::Failure {
    model::Failure { class: plain(&failure.class, 64), reason: plain(&failure.reason, limits::guest::TEXT_BYTES) }
}

pub(super) fn outcome(outcome: wit::Outcome) -> model::Outcome {
    match outcome {
        wit::Outcome::Built(body) => bodies::checked(body),
        wit::Outcome::Absent => model::Outcome::Absent,
        wit::Outcome::Failed(reason) => model::Outcome::Failed(failure(reason)),
    }
}

/// One outcome an id: no more and no fewer.
pub(super) fn outcomes(outcomes: Vec<wit::Outcome>, asked: usize) -> Checked<Vec<model::Outcome>> {
    match outcomes.len() == asked {
        true => Ok(outcomes.into_iter().map(outcome).collect()),
        false => Err(Violation::Rule(format!("{} outcomes for {asked} documents", outcomes.len()))),
    }
}

pub(super) fn ranged(page: exports::range_builder::RangedPage, max: u32) -> Checked<stage::RangedPage> {
    let documents = counted(page.documents, usize::try_from(max).unwrap_or(limits::guest::ITEMS), "documents")?;
    Ok(stage::RangedPage {
        documents: documents.into_iter().map(|document| (key(document.key), outcome(document.outcome))).collect(),
        rows: page.rows,
        cursor: cursor(page.cursor)?,
    })
}

// What a sink says and gets.

/// Borrows the bodies: they are copied once, into the guest's memory.
pub(super) fn to_documents(documents: &stage::Documents) -> Vec<exports::sink::Document<'_>> {
    let documents = documents.iter().map(|(target, model::Document { id, version, body, .. })| {
        exports::sink::Document { target, id, version: *version, body: body.as_deref() }
    });
    documents.collect()
}

pub(super) fn flushed(report: exports::sink::Report) -> stage::Flushed {
    let rejection = |rejection: exports::sink::Rejection| model::Rejection {
        target: rejection.target,
        id: rejection.id,
        failure: failure(rejection.failure),
    };
    stage::Flushed { rejected: report.rejected.into_iter().map(rejection).collect(), visible: report.visible }
}

pub(super) fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_names_no_folder_but_one_of_the_hosts() {
        for good in ["pg-7712976094380466156-shop-flusso_shop", "files-0a1b", "a.b@c=d%20"] {
            assert!(identity(good.to_owned()).is_ok(), "{good}");
        }
        for evil in ["../../home/x", "/etc", "..", ".ssh", "a/b", "a\\b", "a\0b", "", "naïve", &"a".repeat(201)] {
            assert!(identity(evil.to_owned()).is_err(), "{evil}");
        }
    }

    #[test]
    fn a_version_leaves_room_for_later_ones() {
        assert_eq!(version(1 << 62).ok(), Some(1 << 62));
        assert!(version(u64::MAX).is_err() && version(1 << 63).is_err());
    }

    #[test]
    fn an_index_is_named_after_nothing_outside_of_a_sinks_folder() {
        for good in ["users", "crm.orders", "Order Items", "a/b", ".hidden", "a..b"] {
            assert!(index_name(good.to_owned()).is_ok(), "{good}");
        }
        for evil in ["../../x", "a/../../x", "..", "/etc/passwd", "..\\x", "./x", ""] {
            assert!(index_name(evil.to_owned()).is_err(), "{evil}");
        }
    }
}
