//! Names with capitals: a database that was made with quoted names (Prisma, Entity Framework) has them, one that folds names
//! does not. The catalogue decides: the exact name goes first, the folded one second.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use crate::model::{
    Aggregate, AggregateLink, AggregateOp, Field, FieldKind, Filter, Geo, Identifier, Join, Key, Link, Schema,
    SoftDelete, TableName, Through,
};

/// Whether a database has a table, or a column in a table that it has.
pub trait Names {
    /// A table of exactly this name.
    fn has_table(&self, schema: &str, table: &str) -> bool;
    /// A column of exactly this name.
    fn has_column(&self, table: &TableName, column: &str) -> bool;
}

impl Schema {
    /// Whether any name was written with capitals, so that a catalogue has to be asked.
    pub fn has_written_names(&self) -> bool {
        let mut copy = self.clone();
        let seen = Cell::new(false);
        copy.resolve_names(&Seen(&seen));
        seen.get()
    }

    /// The names that the file has in capitals and that are read folded. After [`Self::resolve_names`]: those that the database
    /// does not have as they are written.
    pub fn folded_names(&self) -> BTreeSet<String> {
        let written = Written(RefCell::default());
        self.clone().resolve_names(&written);
        written.0.into_inner()
    }

    /// The tables that its names may mean, each by schema and name: exact and folded.
    pub fn possible_tables(&self) -> Vec<(String, String)> {
        let asked = Asked(RefCell::default());
        self.clone().resolve_names(&asked);
        let mut tables = asked.0.into_inner();
        tables.extend(
            crate::tables([self]).into_iter().map(|one| (one.table.schema.to_string(), one.table.name.to_string())),
        );
        tables.sort();
        tables.dedup();
        tables
    }

    /// Takes each name as it was written where the database has it so, and folded where not.
    pub fn resolve_names(&mut self, names: &dyn Names) {
        resolve_table(&mut self.table, names);
        let table = self.table.clone();
        if let Key::Declared(columns) = &mut self.primary_key {
            resolve(&table, columns, names);
        }
        filters(&table, &mut self.filters, names);
        if let SoftDelete::Marked { column, when } = &mut self.soft_delete {
            resolve(&table, [column], names);
            filters(&table, when, names);
        }
        fields(&table, &mut self.fields, names);
    }
}

/// Notes whether there is anything to resolve.
struct Seen<'a>(&'a Cell<bool>);

impl Names for Seen<'_> {
    fn has_table(&self, _: &str, _: &str) -> bool {
        self.0.set(true);
        false
    }

    fn has_column(&self, _: &TableName, _: &str) -> bool {
        self.0.set(true);
        false
    }
}

/// Notes every name that is asked for.
struct Written(RefCell<BTreeSet<String>>);

impl Names for Written {
    fn has_table(&self, schema: &str, table: &str) -> bool {
        self.0.borrow_mut().extend([schema.to_owned(), table.to_owned()]);
        false
    }

    fn has_column(&self, _: &TableName, column: &str) -> bool {
        self.0.borrow_mut().insert(column.to_owned());
        false
    }
}

/// Notes the tables that are asked for.
struct Asked(RefCell<Vec<(String, String)>>);

impl Names for Asked {
    fn has_table(&self, schema: &str, table: &str) -> bool {
        self.0.borrow_mut().push((schema.to_owned(), table.to_owned()));
        false
    }

    fn has_column(&self, _: &TableName, _: &str) -> bool {
        false
    }
}

fn resolve_table(table: &mut TableName, names: &dyn Names) {
    let (schema, name) = (table.schema.clone(), table.name.clone());
    let schemas = [schema.written(), Some(schema.as_str())];
    let tables = [name.written(), Some(name.as_str())];
    if schema.written().is_none() && name.written().is_none() {
        return;
    }
    for schema in schemas.into_iter().flatten() {
        for name in tables.into_iter().flatten() {
            if names.has_table(schema, name) {
                if schema != table.schema.as_str() {
                    table.schema.take_written();
                }
                if name != table.name.as_str() {
                    table.name.take_written();
                }
                return;
            }
        }
    }
}

fn resolve<'i>(table: &TableName, columns: impl IntoIterator<Item = &'i mut Identifier>, names: &dyn Names) {
    for column in columns {
        if column.written().is_some_and(|written| names.has_column(table, written)) {
            column.take_written();
        }
    }
}

fn fields(table: &TableName, list: &mut [Field], names: &dyn Names) {
    for field in list {
        match &mut field.kind {
            FieldKind::Scalar(scalar) => resolve(table, [&mut scalar.column], names),
            FieldKind::Geo(Geo::Pair { lat, lon, .. }) => resolve(table, [lat, lon], names),
            FieldKind::Geo(Geo::Single { column, .. }) => resolve(table, [column], names),
            FieldKind::Map(map) => resolve(table, [&mut map.column], names),
            FieldKind::Object(members) => fields(table, members, names),
            FieldKind::Constant(_) => {}
            FieldKind::Join(one) => join(table, one, names),
            FieldKind::Aggregate(one) => aggregate(one, names),
        }
    }
}

fn join(above: &TableName, join: &mut Join, names: &dyn Names) {
    resolve_table(&mut join.table, names);
    let table = join.table.clone();
    resolve(&table, &mut join.primary_key, names);
    match &mut join.link {
        Link::BelongsTo { column, when, .. } => {
            resolve(above, column, names);
            filters(above, when, names);
        }
        Link::HasOne { foreign_key, .. } | Link::HasMany { foreign_key, .. } => resolve(&table, foreign_key, names),
        Link::ManyToMany { through, .. } => junction(through, names),
    }
    filters(&table, &mut join.filters, names);
    resolve(&table, join.order_by.iter_mut().map(|order| &mut order.column), names);
    fields(&table, &mut join.fields, names);
}

fn aggregate(one: &mut Aggregate, names: &dyn Names) {
    resolve_table(&mut one.table, names);
    match &mut one.link {
        AggregateLink::ForeignKey(columns) => resolve(&one.table, columns, names),
        AggregateLink::Through(through) => junction(through, names),
    }
    if let AggregateOp::Avg { column }
    | AggregateOp::Sum { column, .. }
    | AggregateOp::Min { column, .. }
    | AggregateOp::Max { column, .. } = &mut one.op
    {
        resolve(&one.table, [column], names);
    }
    filters(&one.table, &mut one.filters, names);
}

fn junction(through: &mut Through, names: &dyn Names) {
    resolve_table(&mut through.table, names);
    let table = through.table.clone();
    resolve(&table, through.left_key.iter_mut().chain(&mut through.right_key), names);
    resolve(&table, through.order_by.iter_mut().map(|order| &mut order.column), names);
    filters(&table, &mut through.filters, names);
    fields(&table, &mut through.fields, names);
}

fn filters(table: &TableName, list: &mut [Filter], names: &dyn Names) {
    for filter in list {
        if let Filter::Compare { column, .. }
        | Filter::In { column, .. }
        | Filter::NotIn { column, .. }
        | Filter::Between { column, .. }
        | Filter::IsNull { column }
        | Filter::IsNotNull { column } = filter
        {
            resolve(table, [column], names);
        }
    }
}
