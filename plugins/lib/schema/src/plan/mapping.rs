//! The mapping: every place in a document with its type, in the terms of `wit/types.wit`.

use super::constant::{Inferred, constant_type};
use crate::model::{AggregateOp, Field, FieldKind, Link, ScalarType, Schema};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// One field of a mapping, member by member the record `field` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedField {
    /// The field's place in the document, parts joined by `.`.
    pub path: String,
    /// The type. Scalars: their word in the language (`LeafType::opensearch` tells the sink's type), so that a sink can
    /// tell `text` from `identifier`. Beside these: `object`, `nested`, `geo_point`, and whatever a `custom` field names.
    pub ty: String,
    /// Whether it can be null.
    pub nullable: bool,
    /// Whether it holds a list.
    pub array: bool,
    /// Options for the sink, a JSON object as text; `{}` when there are none.
    pub options: String,
    /// The values of an ordered enum, in their order.
    pub variants: Option<Vec<String>>,
    /// The type of a map's values.
    pub map_values: Option<String>,
}

impl Schema {
    /// The fields of a document, parents before children, in the order of the file.
    pub fn mapping(&self) -> Vec<MappedField> {
        let mut out = Vec::new();
        fields("", &self.fields, &mut out);
        out
    }
}

fn fields(prefix: &str, list: &[Field], out: &mut Vec<MappedField>) {
    for one in list.iter().filter(|one| one.hidden().is_none()) {
        field(&format!("{prefix}{}", one.key), one, out);
    }
}

fn field(path: &str, field: &Field, out: &mut Vec<MappedField>) {
    let mut options = field.options.clone();
    let (mut variants, mut map_values) = (None, None);
    let (ty, nullable, array) = match &field.kind {
        FieldKind::Scalar(scalar) => {
            let ty = match &scalar.ty {
                ScalarType::Leaf(ty) => ty.word().to_owned(),
                ScalarType::Ranked(ranked) => {
                    variants = Some(ranked.clone());
                    "enum".to_owned()
                }
                ScalarType::Custom { opensearch, .. } => opensearch.clone(),
            };
            (ty, scalar.nullable, false)
        }
        FieldKind::Geo(geo) => ("geo_point".to_owned(), geo.nullable(), false),
        FieldKind::Object(_) => ("object".to_owned(), false, false),
        FieldKind::Map(map) => {
            options.entry("dynamic".to_owned()).or_insert(Json::Bool(true));
            map_values = Some(map.values.word().to_owned());
            ("object".to_owned(), map.nullable, false)
        }
        FieldKind::Constant(value) => {
            if let Some(inferred) = constant_type(value) {
                constant(path, &inferred, out);
            }
            return;
        }
        FieldKind::Join(join) if join.is_to_many() => ("nested".to_owned(), false, true),
        FieldKind::Join(join) => ("object".to_owned(), join.nullable(), false),
        FieldKind::Aggregate(one) => {
            let array = matches!(one.op, AggregateOp::Ids { .. });
            (one.op.value_type().word().to_owned(), one.op.nullable(), array)
        }
    };
    out.push(MappedField { path: path.to_owned(), ty, nullable, array, options: text(options), variants, map_values });
    match &field.kind {
        FieldKind::Object(members) => fields(&format!("{path}."), members, out),
        FieldKind::Join(join) => {
            fields(&format!("{path}."), &join.fields, out);
            if let Link::ManyToMany { through, .. } = &join.link {
                fields(&format!("{path}."), &through.fields, out);
            }
        }
        _ => {}
    }
}

fn constant(path: &str, inferred: &Inferred, out: &mut Vec<MappedField>) {
    out.push(MappedField {
        path: path.to_owned(),
        ty: inferred.ty.to_owned(),
        nullable: inferred.nullable,
        array: inferred.array,
        options: "{}".to_owned(),
        variants: None,
        map_values: None,
    });
    for (key, child) in &inferred.children {
        constant(&format!("{path}.{key}"), child, out);
    }
}

fn text(options: BTreeMap<String, Json>) -> String {
    Json::Object(options.into_iter().collect()).to_string()
}
