//! Schemas of the schema language as a tracked builder. It knows nothing of changes and nothing of SQL: it walks a schema and makes
//! one lookup a relation, and the host finds out by these what a change touches. Its documents must be those of `pg.wasm`'s own
//! builder, which does neither.
//!
//! It knows what the differential test asks of it: whole numbers, texts and booleans, every kind of relation, nested, with conditions, orders and
//! limits, and the aggregates that need no decimals.

mod documents;
mod rows;

use std::collections::BTreeMap;

use flusso_plugin::{
    Error, Field, IndexNumber, Mapping, OfferedIndex, Outcome, Result, Row, Settings, TableName, TrackedBuilder,
};
use flusso_schema::{Schema, SoftDelete};
use serde::Deserialize;

use crate::documents::{Documents, columns, reads};

/// The builder.
pub struct Schemas {
    indexes: Vec<(String, Schema)>,
}

#[derive(Deserialize)]
struct Given {
    schemas: BTreeMap<String, String>,
}

flusso_plugin::plugin! {
    manifest: include_str!("../manifest.json"),
    tracked_builder: Schemas,
}

pub(crate) fn table(name: &flusso_schema::TableName) -> TableName {
    TableName { schema: name.schema.to_string(), name: name.name.to_string() }
}

/// The columns of root rows: those of the fields, and those that say whether a row is a document.
fn root_columns(schema: &Schema) -> Vec<String> {
    let mut all = columns(&schema.fields);
    let mut add = |name: &str| {
        if !all.iter().any(|known| known == name) {
            all.push(name.to_owned());
        }
    };
    if let SoftDelete::Marked { column, when } = &schema.soft_delete {
        add(column.as_str());
        when.iter().filter_map(|filter| filter.column()).for_each(|column| add(column.as_str()));
    }
    schema.filters.iter().filter_map(|filter| filter.column()).for_each(|column| add(column.as_str()));
    all
}

impl TrackedBuilder for Schemas {
    fn open(settings: Settings) -> Result<Self> {
        let Given { schemas } = settings.parse()?;
        let parse = |(name, text): (String, String)| match flusso_schema::parse(&text, &name) {
            Ok(schema) => Ok((name, schema)),
            Err(problems) => Err(Error::fatal(problems.to_string())),
        };
        Ok(Self { indexes: schemas.into_iter().map(parse).collect::<Result<_>>()? })
    }

    fn indexes(&mut self) -> Result<Vec<OfferedIndex>> {
        let offered = |(name, schema): &(String, Schema)| {
            let field = |field: flusso_schema::MappedField| Field {
                path: field.path,
                type_: field.ty,
                nullable: field.nullable,
                array: field.array,
                options: field.options,
                variants: field.variants,
                map_values: field.map_values,
                extra: None,
            };
            let fields = schema.mapping().into_iter().map(field).collect();
            let mapping =
                Mapping { index: name.clone(), hash: schema.hash(), fields, prefix: String::new(), extra: None };
            OfferedIndex {
                mapping,
                root: table(&schema.table),
                columns: root_columns(schema),
                reads: reads(&schema.fields),
                extra: None,
            }
        };
        Ok(self.indexes.iter().map(offered).collect())
    }

    fn build_many(&mut self, index: IndexNumber, roots: Vec<Row>) -> Result<Vec<Outcome>> {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let (_, schema) = self.indexes.get(place).ok_or_else(|| Error::fatal("an index that is not offered"))?;
        Documents::of(root_columns(schema), roots).build(schema)
    }
}
