//! The places at which rows of tables stand in a document, and the way from each up to the root: what has to be followed
//! to find the documents that a changed row is in. A table may stand at several places, the root among them.

use crate::model::{AggregateLink, Field, FieldKind, Identifier, Join, Key, Link, Schema, TableName, Through};

/// A place at which rows of a table stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRef {
    /// The table.
    pub table: TableName,
    /// Where in the document its rows show, parts joined by `.`; empty for the root. A junction has the path of the field
    /// it serves.
    pub path: String,
    /// What it is there for.
    pub role: Role,
    /// The place that the first hop leads to, by its number in the list; `None` for the root.
    pub parent: Option<usize>,
    /// From a row here up to its root rows, nearest first; empty for the root.
    pub hops: Vec<Hop>,
}

/// What a table is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Its rows are the documents.
    Root,
    /// Its rows are rendered.
    Joined,
    /// Its rows connect two others and show nowhere.
    Junction,
    /// Its rows are reduced to a value.
    Aggregated,
}

/// One step up: the rows of `to` whose `by` columns equal the `from` columns of the row at hand, in order. Where `by` is
/// the key of `to`, and `to` is the root, the values of `from` already name the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Columns of the row at hand.
    pub from: Key,
    /// The table one step up.
    pub to: TableName,
    /// Its columns.
    pub by: Key,
}

impl Schema {
    /// Every place, parents before children; the root is the first.
    pub fn places(&self) -> Vec<TableRef> {
        let root = TableRef {
            table: self.table.clone(),
            path: String::new(),
            role: Role::Root,
            parent: None,
            hops: Vec::new(),
        };
        let mut places = Places { list: vec![root] };
        places.fields(&self.fields, "", 0, &self.primary_key);
        places.list
    }
}

struct Places {
    list: Vec<TableRef>,
}

impl Places {
    /// The fields of rows at the place `at`, whose key is `key`.
    fn fields(&mut self, fields: &[Field], prefix: &str, at: usize, key: &Key) {
        for field in fields {
            let path = format!("{prefix}{}", field.key);
            match &field.kind {
                FieldKind::Object(members) => self.fields(members, &format!("{path}."), at, key),
                FieldKind::Join(join) => self.join(join, path, at, key),
                FieldKind::Aggregate(one) => match &one.link {
                    AggregateLink::ForeignKey(columns) => {
                        self.push(&one.table, &path, Role::Aggregated, at, declared(columns), key.clone());
                    }
                    AggregateLink::Through(through) => {
                        self.through(through, &one.table, &path, Role::Aggregated, at, key, Key::FromCatalogue);
                    }
                },
                FieldKind::Scalar(_) | FieldKind::Geo(_) | FieldKind::Map(_) | FieldKind::Constant(_) => {}
            }
        }
    }

    fn join(&mut self, join: &Join, path: String, at: usize, key: &Key) {
        let related = declared(&join.primary_key);
        let place = match &join.link {
            Link::BelongsTo { column, .. } => {
                self.push(&join.table, &path, Role::Joined, at, related.clone(), declared(column))
            }
            Link::HasOne { foreign_key, .. } | Link::HasMany { foreign_key, .. } => {
                self.push(&join.table, &path, Role::Joined, at, declared(foreign_key), key.clone())
            }
            Link::ManyToMany { through, .. } => {
                self.through(through, &join.table, &path, Role::Joined, at, key, related.clone())
            }
        };
        self.fields(&join.fields, &format!("{path}."), place, &related);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call each for joins and aggregates; a struct would say the same twice"
    )]
    fn through(
        &mut self,
        through: &Through,
        far: &TableName,
        path: &str,
        role: Role,
        at: usize,
        key: &Key,
        related: Key,
    ) -> usize {
        let junction = self.push(&through.table, path, Role::Junction, at, declared(&through.left_key), key.clone());
        self.push(far, path, role, junction, related, declared(&through.right_key))
    }

    fn push(&mut self, table: &TableName, path: &str, role: Role, parent: usize, from: Key, by: Key) -> usize {
        let mut hops = Vec::new();
        if let Some(above) = self.list.get(parent) {
            hops.push(Hop { from, to: above.table.clone(), by });
            hops.extend(above.hops.iter().cloned());
        }
        self.list.push(TableRef { table: table.clone(), path: path.to_owned(), role, parent: Some(parent), hops });
        self.list.len() - 1
    }
}

fn declared(columns: &[Identifier]) -> Key {
    Key::Declared(columns.to_vec())
}
