//! How rows of one table are selected and rendered: the select list, one renderer a column, and where the key is.

use crate::catalog::{Column, Table};
use crate::codec::Kind;
use crate::error::{Error, Result};
use crate::json::{Render, quoted};
use crate::sql;
use crate::wire::Cut;
use flusso_plugin::Value;
use std::ops::Range;

/// Changes when the same row would render to other bytes.
const RENDERER: &str = "rows-1";

/// The plan of one table.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `"schema"."table" AS t`.
    pub from: String,
    /// What is selected: the document's columns, then key columns that do not come as plain text among them.
    pub select: String,
    /// The key.
    pub key: Vec<KeyColumn>,
    fields: Vec<Rendered>,
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
    /// How its text becomes a value.
    pub kind: Kind,
    /// Where it stands in the select list.
    pub at: usize,
}

#[derive(Debug, Clone)]
struct Rendered {
    /// `{"name":` or `,"name":`.
    before: Vec<u8>,
    render: Render,
}

impl Plan {
    /// Whole rows as documents.
    pub fn documents(table: &Table) -> Result<Self> {
        let mut select = Vec::new();
        let mut fields = Vec::new();
        for column in &table.columns {
            let mut before = vec![if fields.is_empty() { b'{' } else { b',' }];
            quoted(column.name.as_bytes(), &mut before);
            before.push(b':');
            let sql = format!("t.{}", sql::name(&column.name));
            let structured = is_structured(column);
            select.push(if structured { format!("pg_catalog.to_json({sql})") } else { sql });
            fields.push(Rendered { before, render: if structured { Render::Json } else { Render::of(column.base) } });
        }
        Self::with_key(table, select, fields)
    }

    /// Keys alone.
    pub fn keys(table: &Table) -> Result<Self> {
        Self::with_key(table, Vec::new(), Vec::new())
    }

    fn with_key(table: &Table, mut select: Vec<String>, fields: Vec<Rendered>) -> Result<Self> {
        let mut key = Vec::new();
        for name in &table.key {
            let column = table.column(name)?;
            let sql = format!("t.{}", sql::name(name));
            let at = select.iter().position(|selected| *selected == sql).unwrap_or_else(|| {
                select.push(sql.clone());
                select.len() - 1
            });
            let (type_name, listable) = (column.type_name.clone(), column.listable && column.element == 0);
            key.push(KeyColumn { sql, type_name, listable, kind: Kind::of(column.base), at });
        }
        Ok(Self { from: format!("{} AS t", table.sql()), select: select.join(", "), key, fields })
    }

    /// The key columns, joined for `ORDER BY` and row comparisons.
    pub fn key_list(&self) -> String {
        self.key.iter().map(|column| column.sql.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Renders a row to the end of `out`; where its key columns are in `row` goes into `key`, in the key's order.
    #[inline]
    pub fn render(&self, row: &[u8], out: &mut Vec<u8>, key: &mut KeyPlaces) -> Result<()> {
        let mut cut = Cut(row);
        let _count = cut.u16()?;
        key.places.clear();
        key.places.resize(self.key.len(), 0..0);
        let mut at = 0;
        for field in &self.fields {
            out.extend_from_slice(&field.before);
            match self.next_column(&mut cut, row.len(), at, key)? {
                Some(text) => field.render.render(text, out),
                None => out.extend_from_slice(b"null"),
            }
            at += 1;
        }
        if !self.fields.is_empty() {
            out.push(b'}');
        }
        while !cut.0.is_empty() {
            self.next_column(&mut cut, row.len(), at, key)?;
            at += 1;
        }
        Ok(())
    }

    /// The next column of a row of `length` bytes, its place noted if it belongs to the key.
    #[inline]
    fn next_column<'a>(
        &self,
        cut: &mut Cut<'a>,
        length: usize,
        at: usize,
        key: &mut KeyPlaces,
    ) -> Result<Option<&'a [u8]>> {
        let value = cut.column()?;
        for (column, place) in self.key.iter().zip(&mut key.places) {
            if column.at == at {
                let text = value.ok_or_else(|| Error::Fatal("a primary key is null, which cannot be".into()))?;
                let end = length - cut.0.len();
                *place = end - text.len()..end;
            }
        }
        Ok(value)
    }

    /// The key of a row as values.
    #[inline]
    pub fn key_values(&self, row: &[u8], key: &KeyPlaces) -> Vec<Value> {
        self.key.iter().zip(key.texts(row)).map(|(column, text)| column.kind.decode(text)).collect()
    }
}

/// Where a row's key columns are in its bytes. Kept from row to row.
#[derive(Debug, Default)]
pub struct KeyPlaces {
    places: Vec<Range<usize>>,
}

impl KeyPlaces {
    /// The key's texts.
    pub fn texts<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.places.iter().map(|place| row.get(place.clone()).unwrap_or_default())
    }
}

/// Whether `row_to_json` shows more than the type's text: arrays, composites, types with their own cast to JSON.
fn is_structured(column: &Column) -> bool {
    column.element != 0 || column.class == "c" || column.json_cast
}

/// Names everything that decides what a row of the table renders to, and which table it is: one that was dropped and made
/// again, or renamed into another's place, has other rows under the same name.
pub fn hash(table: &Table) -> String {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    };
    add(RENDERER);
    add(&table.oid.to_string());
    add(&table.schema);
    add(&table.name);
    table.key.iter().for_each(|name| add(name));
    add("");
    for column in &table.columns {
        add(&column.name);
        add(&column.declared);
        add(&column.type_name);
    }
    format!("{hash:032x}")
}

/// A column's type in the schema language, and whether it is a list.
pub fn field_type(column: &Column) -> (&'static str, bool) {
    if column.element != 0 {
        let class = column.element_class.as_deref().unwrap_or("b");
        return (if class == "c" { "json" } else { scalar(column.element, class) }, true);
    }
    if column.class == "c" || column.json_cast {
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
