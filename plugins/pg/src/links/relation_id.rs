//! Names of relations in the link table. A name is the same in every run as long as the stored links mean the same.

use crate::catalog::table::Table;
use crate::error::Result;
use crate::protocol::codec::Kind;
use flusso_resolve::Relation;

/// A relation that is followed through the link table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkRelation {
    /// Its number to the resolver.
    pub(crate) number: u32,
    /// Its name.
    pub(crate) name: String,
    /// The kinds of its rows' key columns.
    pub(crate) key: Vec<Kind>,
    /// The kinds of its link columns.
    pub(crate) links: Vec<Kind>,
}

impl LinkRelation {
    /// `schema.table (id integer → user_id integer)`: another key, other columns or other types are another relation, because
    /// what was remembered of it is not found any more.
    pub(crate) fn of(relation: &Relation, table: &Table) -> Result<Self> {
        let kinds = |columns: &[String]| -> Result<Vec<Kind>> {
            columns.iter().map(|name| Ok(Kind::of(table.column(name)?.base))).collect()
        };
        let (key, links) = (kinds(&relation.key)?, kinds(&relation.columns)?);
        let list = |columns: &[String], kinds: &[Kind]| {
            let one =
                |(name, kind): (&String, &Kind)| format!("{} {}", plain(name), format!("{kind:?}").to_lowercase());
            columns.iter().zip(kinds).map(one).collect::<Vec<_>>().join(", ")
        };
        let name = format!(
            "{}.{} ({} → {})",
            plain(&table.schema),
            plain(&table.name),
            list(&relation.key, &key),
            list(&relation.columns, &links)
        );
        Ok(Self { number: relation.number, name, key, links })
    }
}

/// A name unquoted, if it contains no separator of the format.
fn plain(name: &str) -> String {
    let usual = name.chars().all(|character| character.is_alphanumeric() || character == '_');
    if usual { name.to_owned() } else { crate::protocol::sql::name(name) }
}
