//! The places at which rows of tables stand in one document: how each is reached from the place above, and which columns
//! the document reads there.

use crate::problem::Problem;
use flusso_plugin::TableName;
use flusso_schema::{
    Aggregate, AggregateLink, AggregateOp, Field, FieldKind, Filter, Geo, Identifier, Join, Key, Link, Schema,
    SoftDelete, Through,
};
use std::collections::BTreeSet;

/// A place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableRead {
    /// The table.
    pub(crate) table: TableName,
    /// Where in the document its rows show, parts joined by `.`; empty for the root.
    pub(crate) path: String,
    /// The place above, by its number; `None` for the root.
    pub(crate) parent: Option<usize>,
    /// The columns by which a row here leads up; for the root those that name its document.
    pub(crate) from: Vec<String>,
    /// The columns of the place above that hold the same values.
    pub(crate) by: Vec<String>,
    /// What the document reads here.
    pub(crate) reads: Reads,
}

/// The columns that a document reads at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    /// These.
    Columns(BTreeSet<String>),
    /// It cannot be told: every one may matter.
    Every,
}

impl Reads {
    pub(crate) fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Columns(these), Self::Columns(others)) => these.extend(others.iter().cloned()),
            _ => *self = Self::Every,
        }
    }
}

/// What a table's primary key is.
pub(crate) type KeyOf<'a> = dyn Fn(&TableName) -> Result<Vec<String>, Problem> + 'a;

/// The places of a schema, parents before children.
pub(crate) fn of_schema(schema: &Schema, key_of: &KeyOf<'_>) -> Result<Vec<TableRead>, Problem> {
    let table = name(&schema.table);
    // Documents may be named by other columns than the primary key's: then these are a link like any other.
    let key = match &schema.primary_key {
        Key::Declared(columns) => names(columns),
        Key::FromCatalogue => key_of(&table)?,
    };
    let mut walk = ReadCollector { places: Vec::new(), key_of };
    let root = walk.push(table, String::new(), None, key.clone(), Vec::new())?;
    walk.filters(root, &schema.filters);
    if let SoftDelete::Marked { column, when } = &schema.soft_delete {
        walk.read(root, [column]);
        walk.filters(root, when);
    }
    walk.fields(&schema.fields, "", root, &key)?;
    Ok(walk.places)
}

struct ReadCollector<'a> {
    places: Vec<TableRead>,
    key_of: &'a KeyOf<'a>,
}

impl ReadCollector<'_> {
    /// The fields of rows at a place, whose key is `key`.
    fn fields(&mut self, fields: &[Field], prefix: &str, at: usize, key: &[String]) -> Result<(), Problem> {
        for field in fields {
            let path = format!("{prefix}{}", field.key);
            match &field.kind {
                FieldKind::Scalar(scalar) => self.read(at, [&scalar.column]),
                FieldKind::Geo(Geo::Pair { lat, lon, .. }) => self.read(at, [lat, lon]),
                FieldKind::Geo(Geo::Single { column, .. }) => self.read(at, [column]),
                FieldKind::Map(map) => self.read(at, [&map.column]),
                FieldKind::Constant(_) => {}
                FieldKind::Object(members) => self.fields(members, &format!("{path}."), at, key)?,
                FieldKind::Join(join) => self.join(join, path, at, key)?,
                FieldKind::Aggregate(one) => self.aggregate(one, path, at, key)?,
            }
        }
        Ok(())
    }

    fn join(&mut self, join: &Join, path: String, at: usize, key: &[String]) -> Result<(), Problem> {
        let related = names(&join.primary_key);
        let below = format!("{path}.");
        let place = match &join.link {
            Link::BelongsTo { column, when, .. } => {
                self.filters(at, when);
                self.push(name(&join.table), path, Some(at), related.clone(), names(column))?
            }
            Link::HasOne { foreign_key, .. } | Link::HasMany { foreign_key, .. } => {
                self.push(name(&join.table), path, Some(at), names(foreign_key), key.to_vec())?
            }
            Link::ManyToMany { through, .. } => {
                self.through(through, name(&join.table), path, at, key, related.clone())?
            }
        };
        self.read(place, &join.primary_key);
        self.filters(place, &join.filters);
        if join.hidden
            && let Some(place) = self.places.get_mut(place)
        {
            place.reads = Reads::Every;
        }
        self.read(place, join.order_by.iter().map(|order| &order.column));
        self.fields(&join.fields, &below, place, &related)
    }

    fn aggregate(&mut self, one: &Aggregate, path: String, at: usize, key: &[String]) -> Result<(), Problem> {
        let table = name(&one.table);
        let place = match &one.link {
            AggregateLink::ForeignKey(columns) => {
                self.push(table.clone(), path, Some(at), names(columns), key.to_vec())?
            }
            AggregateLink::Through(through) => {
                let related = (self.key_of)(&table)?;
                self.through(through, table.clone(), path, at, key, related)?
            }
        };
        self.read(place, one.op.column());
        self.filters(place, &one.filters);
        if matches!(one.op, AggregateOp::Ids { .. }) {
            let key = (self.key_of)(&table)?;
            self.note(place, key);
        }
        Ok(())
    }

    fn through(
        &mut self,
        through: &Through,
        far: TableName,
        path: String,
        at: usize,
        key: &[String],
        related: Vec<String>,
    ) -> Result<usize, Problem> {
        let left = names(&through.left_key);
        let junction = self.push(name(&through.table), path.clone(), Some(at), left.clone(), key.to_vec())?;
        self.filters(junction, &through.filters);
        self.read(junction, through.order_by.iter().map(|order| &order.column));
        // They read columns alone, so that it does not matter what their key is.
        self.fields(&through.fields, "", junction, &left)?;
        self.push(far, path, Some(junction), related, names(&through.right_key))
    }

    /// A place. Both ends of its link are read there.
    fn push(
        &mut self,
        table: TableName,
        path: String,
        parent: Option<usize>,
        from: Vec<String>,
        by: Vec<String>,
    ) -> Result<usize, Problem> {
        if let Some(parent) = parent {
            if from.len() != by.len() || from.is_empty() {
                return Err(Problem::Width { path, table, from, by });
            }
            self.note(parent, by.iter().cloned());
        }
        let reads = Reads::Columns(from.iter().cloned().collect());
        self.places.push(TableRead { table, path, parent, from, by, reads });
        Ok(self.places.len() - 1)
    }

    fn filters(&mut self, at: usize, filters: &[Filter]) {
        self.read(at, filters.iter().filter_map(Filter::column));
        if filters.iter().any(|filter| matches!(filter, Filter::Raw(_)))
            && let Some(place) = self.places.get_mut(at)
        {
            place.reads = Reads::Every;
        }
    }

    fn read<'c>(&mut self, at: usize, columns: impl IntoIterator<Item = &'c Identifier>) {
        self.note(at, columns.into_iter().map(ToString::to_string));
    }

    fn note(&mut self, at: usize, columns: impl IntoIterator<Item = String>) {
        if let Some(Reads::Columns(reads)) = self.places.get_mut(at).map(|place| &mut place.reads) {
            reads.extend(columns);
        }
    }
}

pub(crate) fn name(table: &flusso_schema::TableName) -> TableName {
    TableName { schema: table.schema.to_string(), name: table.name.to_string() }
}

pub(crate) fn names(columns: &[Identifier]) -> Vec<String> {
    columns.iter().map(ToString::to_string).collect()
}
