//! What the documents of an index look like.

use super::change::TableNumber;
use super::document::IndexNumber;

/// One field of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its place in the document, parts joined by `.`.
    pub path: String,
    /// Its type in the schema language.
    pub kind: String,
    /// Whether it can be null.
    pub nullable: bool,
    /// Whether it holds a list.
    pub array: bool,
    /// Options for the sink, a JSON object as text.
    pub options: String,
    /// The values of an enum in the order in which they sort, if the field is an ordered enum.
    pub variants: Option<Vec<String>>,
    /// The type of the values of a map, if the field is a map.
    pub map_values: Option<String>,
    /// Room to grow.
    pub extra: Option<String>,
}

/// What the documents of one index look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The index's name; the deployment's prefix is already before it when a sink gets it.
    pub index: String,
    /// Changes whenever the same rows could give another body.
    pub hash: String,
    /// The fields, parents before children.
    pub fields: Vec<Field>,
    /// The deployment's prefix, with which `index` begins when a sink gets the mapping.
    pub prefix: String,
    /// Room to grow.
    pub extra: Option<String>,
}

/// Where the documents of an index are rooted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The index.
    pub index: IndexNumber,
    /// The table each of whose rows may be a document.
    pub root: TableNumber,
    /// The relations whose links its builds record, by names that stay from run to run.
    pub recorded_relations: Vec<String>,
}
