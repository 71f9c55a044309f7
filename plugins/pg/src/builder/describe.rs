//! What the host is told of the indexes: mappings, scopes, and the tables to watch.

use super::{DocumentBuilder, Index, MadeOf, hash};
use crate::catalog::Column;
use crate::error::Result;
use crate::known::form;
use flusso_documents::Form;
use flusso_plugin::{Field, Mapping, Scope, TableInterest, TableName};
use flusso_schema::{Key, Reads, Schema};

impl DocumentBuilder {
    /// The mappings.
    pub fn describe(&self) -> Result<Vec<Mapping>> {
        self.indexes
            .iter()
            .map(|index| {
                let fields = match &index.made_of {
                    MadeOf::Rows { schema, table } => {
                        let table = index.known.table(schema, table);
                        table.map(|table| table.columns.iter().map(row_field).collect()).unwrap_or_default()
                    }
                    MadeOf::Schema { schema, .. } => schema_fields(schema),
                };
                Ok(Mapping { index: index.name.clone(), hash: hash::of(index)?, fields, extra: None })
            })
            .collect()
    }

    /// One scope an index.
    pub fn roots(&self) -> Vec<Scope> {
        let numbered = (0..).zip(&self.indexes);
        numbered.filter_map(|(index, of)| Some(Scope { index, root: self.root_of(of)?, extra: None })).collect()
    }

    /// The number of an index's root table.
    pub(super) fn root_of(&self, index: &Index) -> Option<u32> {
        let root = &index.plan.nodes.first()?.table;
        let place =
            self.interest.iter().position(|one| one.table.schema == root.schema && one.table.name == root.name)?;
        u32::try_from(place).ok()
    }

    /// The tables.
    pub fn tables(&self) -> Vec<TableInterest> {
        self.interest.clone()
    }
}

/// The tables of all indexes, each once: roots first.
pub(super) fn interest(indexes: &[Index]) -> Vec<TableInterest> {
    let mut interest: Vec<TableInterest> = Vec::new();
    for index in indexes {
        for one in wanted(index) {
            match interest.iter_mut().find(|known| known.table == one.table) {
                None => interest.push(one),
                Some(known) => {
                    let links = one.links.into_iter().filter(|link| !known.links.contains(link)).collect::<Vec<_>>();
                    known.links.extend(links);
                    known.reads = known.reads.take().zip(one.reads).map(|(mut all, reads)| {
                        all.extend(reads);
                        all.sort();
                        all.dedup();
                        all
                    });
                }
            }
        }
    }
    interest
}

fn wanted(index: &Index) -> Vec<TableInterest> {
    let root = index.plan.nodes.first();
    match &index.made_of {
        MadeOf::Rows { schema, table } => vec![TableInterest {
            table: TableName { schema: schema.clone(), name: table.clone() },
            key: root.map(|root| root.key.clone()).unwrap_or_default(),
            links: Vec::new(),
            reads: None,
            extra: None,
        }],
        MadeOf::Schema { schema, .. } => flusso_schema::tables([schema.as_ref()])
            .into_iter()
            .map(|used| {
                let (of, name) = (used.table.schema.to_string(), used.table.name.to_string());
                let catalogued = index.known.table(&of, &name).map(|table| table.key.clone()).unwrap_or_default();
                // Documents are named by the root's key as the file has it; all other rows by what the catalogue says.
                let key = match &schema.primary_key {
                    Key::Declared(columns) if used.table == schema.table => {
                        columns.iter().map(ToString::to_string).collect()
                    }
                    _ => catalogued,
                };
                TableInterest {
                    table: TableName { schema: of, name },
                    key,
                    links: used.links.iter().map(ToString::to_string).collect(),
                    reads: match used.reads {
                        Reads::Every => None,
                        Reads::Columns(columns) => Some(columns.iter().map(ToString::to_string).collect()),
                    },
                    extra: None,
                }
            })
            .collect(),
    }
}

fn schema_fields(schema: &Schema) -> Vec<Field> {
    let fields = schema.mapping().into_iter();
    fields
        .map(|field| Field {
            path: field.path,
            type_: field.ty,
            nullable: field.nullable,
            array: field.array,
            options: field.options,
            extra: field.extra,
        })
        .collect()
}

fn row_field(column: &Column) -> Field {
    let (word, array) = field_type(column);
    Field {
        path: column.name.clone(),
        type_: word.to_owned(),
        nullable: !column.required,
        array,
        options: "{}".to_owned(),
        extra: None,
    }
}

/// A column's type in the schema language, and whether it is a list.
fn field_type(column: &Column) -> (&'static str, bool) {
    if column.element != 0 {
        let class = column.element_class.as_deref().unwrap_or("b");
        return (if class == "c" { "json" } else { scalar(column.element, class) }, true);
    }
    if form(column) == Form::Structured {
        return ("json", false);
    }
    (scalar(column.base, &column.class), false)
}

fn scalar(base: u32, class: &str) -> &'static str {
    match (class, base) {
        ("e", _) => "enum",
        (_, 16) => "boolean",
        (_, 21) => "short",
        (_, 23) => "integer",
        (_, 20) => "long",
        (_, 700) => "float",
        (_, 701) => "double",
        (_, 1700) => "decimal",
        (_, 2950) => "uuid",
        (_, 1082) => "date",
        (_, 1114 | 1184) => "timestamp",
        (_, 114 | 3802) => "json",
        (_, 25 | 1043) => "text",
        _ => "keyword",
    }
}
