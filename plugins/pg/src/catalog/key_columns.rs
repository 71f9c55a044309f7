//! The select list and the key columns with which rows of one table are read by key.

use crate::catalog::table::Table;
use crate::error::{Error, Result};
use crate::protocol::codec::Kind;
use crate::protocol::sql;
use crate::protocol::wire::Cut;
use flusso_plugin::Value;
use std::ops::Range;

/// What is selected of one table, and its key.
#[derive(Debug, Clone)]
pub struct KeyColumns {
    /// `ONLY "schema"."table" AS t`.
    pub from: String,
    /// What is selected.
    pub select: String,
    /// The key.
    pub key: Vec<KeyColumn>,
}

/// A column of the key.
#[derive(Debug, Clone)]
pub struct KeyColumn {
    /// `t."id"`.
    pub sql: String,
    /// Its base type as SQL writes it.
    pub type_name: String,
    /// Whether that type can be an array's element.
    pub listable: bool,
    /// Whether it may be null, as the columns of a key that a schema declares may. A row where it is has no name.
    pub nullable: bool,
    /// How its text becomes a value.
    pub kind: Kind,
    /// Where it stands in the select list.
    pub at: usize,
}

impl KeyColumns {
    /// Keys alone, as the table has them.
    pub fn keys(table: &Table) -> Result<Self> {
        let columns = table.key.iter().map(|name| format!("t.{}", sql::name(name))).collect::<Vec<_>>().join(", ");
        Self::selecting(table, "t", &table.key, columns, |at| at)
    }

    /// A select list of one's own, in which `place` says where each key column stands.
    pub fn selecting(
        table: &Table,
        alias: &str,
        key: &[String],
        select: String,
        place: impl Fn(usize) -> usize,
    ) -> Result<Self> {
        let mut columns = Vec::with_capacity(key.len());
        for (number, name) in key.iter().enumerate() {
            let column = table.column(name)?;
            columns.push(KeyColumn {
                sql: format!("{alias}.{}", sql::name(name)),
                type_name: column.type_name.clone(),
                listable: column.can_be_listed(),
                nullable: !column.required,
                kind: Kind::of(column.base),
                at: place(number),
            });
        }
        Ok(Self { from: format!("{} AS {alias}", table.read_from()), select, key: columns })
    }

    /// The key columns, joined for `ORDER BY` and row comparisons.
    pub fn key_list(&self) -> String {
        self.key.iter().map(|column| column.sql.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Finds where the key columns are in a row.
    #[inline]
    pub fn find(&self, row: &[u8], key: &mut KeyPositions) -> Result<()> {
        let mut cut = Cut(row);
        key.places.clear();
        key.places.resize(self.key.len(), 0..0);
        for at in 0..usize::from(cut.u16()?) {
            let value = cut.column()?;
            for (column, place) in self.key.iter().zip(&mut key.places) {
                if column.at == at {
                    let text = value.ok_or_else(|| Error::Fatal("a primary key is null, which cannot be".into()))?;
                    let end = row.len() - cut.0.len();
                    *place = end - text.len()..end;
                }
            }
        }
        Ok(())
    }

    /// A key from its texts.
    #[inline]
    pub fn values<'a>(&self, texts: impl Iterator<Item = &'a [u8]>) -> Vec<Value> {
        self.key.iter().zip(texts).map(|(column, text)| column.kind.decode(text)).collect()
    }

    /// Whether texts are those of a key.
    #[inline]
    pub fn is<'a>(&self, key: &[Value], texts: impl Iterator<Item = &'a [u8]>) -> bool {
        self.key.len() == key.len()
            && self.key.iter().zip(texts).zip(key).all(|((column, text), value)| column.kind.is(value, text))
    }
}

/// Where a row's key columns are in its bytes. Kept from row to row.
#[derive(Debug, Default)]
pub struct KeyPositions {
    places: Vec<Range<usize>>,
}

impl KeyPositions {
    /// The key's texts.
    pub fn texts<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.places.iter().map(|place| row.get(place.clone()).unwrap_or_default())
    }
}
