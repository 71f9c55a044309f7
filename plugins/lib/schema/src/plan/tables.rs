//! The tables that documents read, each with the columns that matter: what a source has to watch.

use crate::model::{
    AggregateLink, Field, FieldKind, Filter, Geo, Identifier, Join, Key, Link, Schema, SoftDelete, TableName, Through,
};
use std::collections::BTreeSet;

/// A table, and what documents want of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUse {
    /// The table.
    pub table: TableName,
    /// Its key as the file declares it: that of the root, else of the first join. Where a catalogue is at hand, its word
    /// goes before.
    pub key: Key,
    /// The columns by which a row leads to the rows above it: their values before and after a change say which documents
    /// it is in. May hold columns of the key.
    pub links: BTreeSet<Identifier>,
    /// What documents read of it beside `links`.
    pub reads: Reads,
}

/// Which columns are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// These: a change of none of them, and no link, changes no document.
    Columns(BTreeSet<Identifier>),
    /// A raw condition stands over the table: any column may matter.
    Every,
}

/// The tables of some schemas, each once, in the order they are met: roots before what is joined to them.
pub fn tables<'s>(schemas: impl IntoIterator<Item = &'s Schema>) -> Vec<TableUse> {
    let mut tables = Tables { list: Vec::new() };
    for schema in schemas {
        tables.root(schema);
    }
    for table in &mut tables.list {
        if let Reads::Columns(columns) = &mut table.reads {
            columns.retain(|column| !table.links.contains(column));
        }
    }
    tables.list
}

struct Tables {
    list: Vec<TableUse>,
}

impl Tables {
    fn root(&mut self, schema: &Schema) {
        let table = &schema.table;
        self.read(table, schema.primary_key.columns());
        if let (Some(found), Key::Declared(_)) = (self.find(table), &schema.primary_key) {
            found.key = schema.primary_key.clone();
        }
        self.filters(table, &schema.filters);
        if let SoftDelete::Marked { column, when } = &schema.soft_delete {
            self.read(table, [column]);
            self.filters(table, when);
        }
        self.fields(table, &schema.fields);
    }

    fn fields(&mut self, table: &TableName, fields: &[Field]) {
        for field in fields {
            match &field.kind {
                FieldKind::Scalar(scalar) => self.read(table, [&scalar.column]),
                FieldKind::Geo(Geo::Pair { lat, lon, .. }) => self.read(table, [lat, lon]),
                FieldKind::Geo(Geo::Single { column, .. }) => self.read(table, [column]),
                FieldKind::Map(map) => self.read(table, [&map.column]),
                FieldKind::Object(members) => self.fields(table, members),
                FieldKind::Constant(_) => {}
                FieldKind::Join(join) => self.join(table, join),
                FieldKind::Aggregate(one) => {
                    match &one.link {
                        AggregateLink::ForeignKey(columns) => self.link(&one.table, columns),
                        AggregateLink::Through(through) => self.junction(through),
                    }
                    self.read(&one.table, one.op.column());
                    self.filters(&one.table, &one.filters);
                }
            }
        }
    }

    fn join(&mut self, above: &TableName, join: &Join) {
        self.read(&join.table, &join.primary_key);
        if let Some(found) = self.find(&join.table).filter(|found| found.key == Key::FromCatalogue) {
            found.key = Key::Declared(join.primary_key.clone());
        }
        match &join.link {
            Link::BelongsTo { column, when, .. } => {
                self.read(above, column);
                self.filters(above, when);
                self.link(&join.table, &join.primary_key);
            }
            Link::HasOne { foreign_key, .. } | Link::HasMany { foreign_key, .. } => self.link(&join.table, foreign_key),
            Link::ManyToMany { through, .. } => {
                self.junction(through);
                self.link(&join.table, &join.primary_key);
            }
        }
        self.filters(&join.table, &join.filters);
        if join.hidden
            && let Some(found) = self.find(&join.table)
        {
            found.reads = Reads::Every;
        }
        self.read(&join.table, join.order_by.iter().map(|order| &order.column));
        self.fields(&join.table, &join.fields);
    }

    fn junction(&mut self, through: &Through) {
        let table = &through.table;
        self.link(table, &through.left_key);
        self.read(table, &through.right_key);
        self.filters(table, &through.filters);
        self.read(table, through.order_by.iter().map(|order| &order.column));
        self.fields(table, &through.fields);
    }

    fn filters(&mut self, table: &TableName, filters: &[Filter]) {
        self.read(table, filters.iter().filter_map(Filter::column));
        if filters.iter().any(|filter| matches!(filter, Filter::Raw(_)))
            && let Some(found) = self.find(table)
        {
            found.reads = Reads::Every;
        }
    }

    fn read<'c>(&mut self, table: &TableName, columns: impl IntoIterator<Item = &'c Identifier>) {
        if let Some(Reads::Columns(reads)) = self.find(table).map(|found| &mut found.reads) {
            reads.extend(columns.into_iter().cloned());
        }
    }

    fn link(&mut self, table: &TableName, columns: &[Identifier]) {
        if let Some(found) = self.find(table) {
            found.links.extend(columns.iter().cloned());
        }
    }

    /// The entry of a table, made on first sight.
    fn find(&mut self, table: &TableName) -> Option<&mut TableUse> {
        let at = self.list.iter().position(|found| found.table == *table).unwrap_or_else(|| {
            self.list.push(TableUse {
                table: table.clone(),
                key: Key::FromCatalogue,
                links: BTreeSet::new(),
                reads: Reads::Columns(BTreeSet::new()),
            });
            self.list.len() - 1
        });
        self.list.get_mut(at)
    }
}
