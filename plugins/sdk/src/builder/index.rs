//! The builder of one index: what `#[builder]` makes of a function.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::documents::{Document, FieldType};
use super::executor::{Failed, build_with};
use super::rows::{TableRow, table_name};
use super::{Reads, prelude};
use crate::lookups::{self, Lookups};
use crate::{Error, Field, Mapping, OfferedIndex, Outcome, Row, TableRead};

/// The builder of one index, made by [`builder`](macro@super::builder).
pub trait IndexBuilder {
    /// The rows of the root table.
    type Root: TableRow;
    /// The documents.
    type Document: Document;
    /// The settings, read from the plugin's part of the configuration.
    type Settings: DeserializeOwned + schemars::JsonSchema + 'static;
    /// The index's name.
    const INDEX: &'static str;
    /// Raised whenever the same rows give another document.
    const VERSION: u32;

    /// What a build may look up.
    fn reads() -> Vec<TableRead>;

    /// Builds one document; none where the row is no document.
    ///
    /// # Errors
    ///
    /// Whatever keeps this document from being built. It is this document's failure and no other's.
    fn build(
        root: Self::Root,
        reads: &Reads,
        settings: &Self::Settings,
    ) -> impl Future<Output = prelude::Result<Option<Self::Document>>>;
}

/// The settings of a builder that has none.
#[derive(Debug, Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What a build may read of a row type's table: its columns, looked up by these lists of columns.
#[must_use]
pub fn read<R: TableRow>(by: Vec<Vec<&'static str>>) -> TableRead {
    let texts = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<String>>();
    TableRead {
        table: table_name::<R>(),
        columns: texts(R::COLUMNS.to_vec()),
        by: by.into_iter().map(texts).collect(),
        extra: None,
    }
}

/// What the host is told of an index. Reads of one table through several row types are one.
///
/// # Errors
///
/// [`Error::Fatal`], if the options of a field are no JSON object.
pub fn offered<B: IndexBuilder>() -> crate::Result<OfferedIndex> {
    let mut reads: Vec<TableRead> = Vec::new();
    for read in B::reads() {
        let same =
            |other: &&mut TableRead| (&other.table.schema, &other.table.name) == (&read.table.schema, &read.table.name);
        match reads.iter_mut().find(same) {
            Some(other) => {
                add_missing(&mut other.columns, read.columns);
                add_missing(&mut other.by, read.by);
            }
            None => reads.push(read),
        }
    }
    let fields = <B::Document as FieldType>::shape().fields;
    for field in &fields {
        let options: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(&field.options);
        if let Err(error) = options {
            let message = format!("index {}, field {}: its options are no JSON object: {error}", B::INDEX, field.path);
            return Err(Error::fatal(message));
        }
    }
    let columns: Vec<String> = B::Root::COLUMNS.iter().map(|&column| column.to_owned()).collect();
    let hash = hash(&described(B::VERSION, &fields, &columns, &reads));
    let mapping = Mapping { index: B::INDEX.to_owned(), hash, fields, prefix: String::new(), extra: None };
    Ok(OfferedIndex { mapping, root: table_name::<B::Root>(), columns, reads, extra: None })
}

fn add_missing<T: PartialEq>(list: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !list.contains(&one) {
            list.push(one);
        }
    }
}

/// Everything that the documents depend on but for the function itself, in a text that no compiler and no library decides.
fn described(version: u32, fields: &[Field], columns: &[String], reads: &[TableRead]) -> String {
    let fields = fields.iter().map(|field| {
        let Field { path, type_, nullable, array, options, variants, map_values, .. } = field;
        json!([path, type_, nullable, array, options, variants, map_values])
    });
    let reads = reads.iter().map(|read| json!([read.table.schema, read.table.name, read.columns, read.by]));
    json!([version, fields.collect::<Vec<_>>(), columns, reads.collect::<Vec<_>>()]).to_string()
}

/// FNV-1a, 64 bits, in hexadecimal: the same on every machine and with every compiler.
fn hash(text: &str) -> String {
    let byte = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, byte))
}

/// Builds the documents of these root rows, with the host's reader.
///
/// # Errors
///
/// As [`build_with`].
pub fn build_index<B: IndexBuilder>(roots: Vec<Row>, settings: &B::Settings) -> crate::Result<Vec<Outcome>> {
    build_index_with::<B>(roots, settings, lookups::read)
}

/// [`build_index`] with another reader.
///
/// # Errors
///
/// As [`build_with`].
pub(crate) fn build_index_with<B: IndexBuilder>(
    roots: Vec<Row>,
    settings: &B::Settings,
    reader: impl FnMut(&[Lookups]) -> crate::Result<Vec<Vec<Vec<Row>>>>,
) -> crate::Result<Vec<Outcome>> {
    let one = async |root: B::Root, reads: &Reads| -> Result<Option<B::Document>, Failed> {
        B::build(root, reads, settings).await
    };
    build_with(roots, one, reader)
}
