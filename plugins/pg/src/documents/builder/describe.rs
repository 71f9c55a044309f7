//! The description of the indexes for the host: mappings, scopes, and the tables whose changes matter.

use crate::catalog::table::Column;
use crate::catalog::table_catalog::form;
use crate::documents::builder::mapping_hash;
use crate::documents::builder::{DocumentOrigin, Index};
use crate::error::Result;
use crate::links::LinkRelation;
use crate::protocol::pg_types;
use flusso_documents::Form;
use flusso_plugin::{Field, Mapping};
use flusso_schema::Schema;
use std::collections::BTreeSet;

/// The mapping of an index.
pub(super) fn mapping(index: &Index) -> Result<Mapping> {
    let fields = match &index.origin_of_documents {
        DocumentOrigin::Rows { schema, table } => {
            let table = index.catalog.table(schema, table);
            table.map(|table| table.columns.iter().map(row_field).collect()).unwrap_or_default()
        }
        DocumentOrigin::Schema { schema, .. } => schema_fields(schema),
    };
    Ok(Mapping {
        index: index.name.clone(),
        hash: mapping_hash::of(index)?,
        fields,
        prefix: String::new(),
        extra: None,
    })
}

/// The names of the relations whose links builds of an index record.
pub(super) fn recorded_relations(index: &Index, followed: &[LinkRelation]) -> Vec<String> {
    let link_cells = index.plan.nodes.iter().flat_map(|node| &node.link_cells).map(|track| track.relation);
    let numbers: BTreeSet<u32> = link_cells.collect();
    let names = followed.iter().filter(|relation| numbers.contains(&relation.number));
    names.map(|relation| relation.name.clone()).collect()
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
            variants: field.variants,
            map_values: field.map_values,
            extra: None,
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
        variants: None,
        map_values: None,
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
    match class {
        "e" => "enum",
        _ => pg_types::find(base).map_or("keyword", |row| row.field),
    }
}
