//! What the server's catalogue says about tables: columns, types with domains resolved, keys, replica identity.

use crate::error::{Error, Result};
use crate::protocol::pg_types;
use crate::protocol::session::Session;
use crate::protocol::sql;
use serde::Deserialize;

/// A table.
#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is partitioned.
    pub partitioned: bool,
    /// What it is: `r` or `p` for a table, else a view of some kind ([`crate::catalog::views`]).
    pub kind: String,
    /// `p`ermanent, `u`nlogged.
    pub persistence: String,
    /// Replica identity: `d`efault, `f`ull, `n`othing, `i`ndex. A partitioned table has that of its partitions where they are
    /// not all `f`ull.
    pub identity: String,
    /// Whether this role may set it, for all partitions too.
    pub alterable: bool,
    /// Whether this role may read it: all of it, or after [`Table::read_only_by`] the columns that are wanted.
    pub readable: bool,
    /// Whether row-level security would hide rows from this role.
    pub hidden_rows: bool,
    /// Who owns it.
    pub owner: String,
    /// Who asks.
    pub role: String,
    /// The primary key's columns, in order.
    pub key: Vec<String>,
    /// Whether the primary key tells the rows of an update or delete apart in the stream; a deferrable one does not.
    pub key_identifies: bool,
    /// The columns of the index that is the replica identity, if one is.
    pub identity_columns: Vec<String>,
    /// All columns, in order.
    pub columns: Vec<Column>,
    /// The same in short: what [`shape_query`] answers while they are what they were.
    pub shape: String,
}

/// A column.
#[derive(Debug, Clone, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type, as the change stream names it.
    pub type_oid: u32,
    /// Whether the server computes it; such a column is not in the change stream.
    pub generated: bool,
    /// The base type, domains resolved.
    pub base: u32,
    /// That type as SQL writes it.
    pub type_name: String,
    /// That type's own name, without its schema.
    pub short_name: String,
    /// Whether texts that are equal are the same bytes: not under a collation of one's own that ignores case.
    pub bytewise: bool,
    /// The type as declared, with its modifier; for the mapping's hash.
    pub declared: String,
    /// `b`ase, `e`num, `c`omposite, `r`ange, `m`ultirange.
    pub class: String,
    /// The element type of an array, else 0.
    pub element: u32,
    /// The element's class.
    pub element_class: Option<String>,
    /// Whether there is an array type over the base type.
    pub listable: bool,
    /// Whether the type has its own cast to JSON.
    pub json_cast: bool,
    /// Whether this role may read it.
    pub readable: bool,
    /// Whether it is never null.
    pub required: bool,
    /// Whether rows are found by it: a whole index begins with it.
    pub indexed: bool,
}

impl Column {
    /// Whether its values are equal to the server exactly where they look the same to whoever reads them; not in `citext`, under a
    /// collation that ignores case, in `interval` and JSON, in what is made of parts, nor, for all we know, in types of extensions.
    pub fn is_equal_as_read(&self) -> bool {
        let built_in = pg_types::find(self.base).is_some_and(|row| !matches!(row.name, "json" | "jsonb" | "timetz"));
        let plain = matches!(self.short_name.as_str(), "inet" | "cidr" | "macaddr" | "macaddr8" | "pg_lsn" | "xid8");
        self.bytewise && (built_in || plain || self.class == "e")
    }

    /// Whether a list of its values can be given as an array of its type.
    pub fn can_be_listed(&self) -> bool {
        self.listable && self.element == 0
    }

    /// Whether an index over it serves for values of another column.
    pub fn is_found_by(&self, value: &Self) -> bool {
        let family = |column: &Self| pg_types::find(column.base).and_then(|row| row.family);
        self.indexed && (self.base == value.base || family(self).is_some_and(|own| family(value) == Some(own)))
    }
}

impl Table {
    /// `"schema"."table"`.
    pub fn sql(&self) -> String {
        sql::table(&self.schema, &self.name)
    }

    /// The table as a statement reads it: without the tables that inherit from it, whose rows are theirs (they have keys of
    /// their own, and the stream sends their changes under their own names). A partitioned table is read with its partitions.
    pub fn read_from(&self) -> String {
        if self.kind == "r" { format!("ONLY {}", self.sql()) } else { self.sql() }
    }

    /// Only these columns are read: a role that was granted SELECT on them needs no more.
    pub fn read_only_by<'c>(&mut self, mut columns: impl Iterator<Item = &'c str>) {
        let may = |name: &str| self.columns.iter().any(|column| column.name == name && column.readable);
        self.readable = self.readable || columns.all(may);
    }

    /// For a person.
    pub fn label(&self) -> String {
        sql::label(&self.schema, &self.name)
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Result<&Column> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            Error::Transient(format!(
                "the table {} has no column {name} (any more): its shape is read again",
                self.label()
            ))
        })
    }

    /// Why its changes cannot be followed, and what would help; `None` when they can.
    pub fn obstacle(&self) -> Option<String> {
        if !self.is_streamed() {
            return self.unreadable();
        }
        if self.key.is_empty() {
            return Some(format!("it has no primary key; ALTER TABLE {} ADD PRIMARY KEY (…) gives it one", self.sql()));
        }
        self.unreadable().or_else(|| self.without_identity())
    }

    /// Why its changes cannot be followed by a key that is not its primary one.
    pub fn obstacle_by(&self, key: &[String]) -> Option<String> {
        self.unreadable().or_else(|| self.untold(key))
    }

    /// Updates and deletes come with the replica identity's columns alone.
    pub fn untold(&self, key: &[String]) -> Option<String> {
        let told = match self.identity.as_str() {
            "f" => return None,
            "d" if self.key_identifies => &self.key,
            // Each partition has an identity of its own.
            "i" if !self.partitioned => &self.identity_columns,
            _ => &Vec::new(),
        };
        let missing: Vec<&str> = key.iter().filter(|column| !told.contains(column)).map(String::as_str).collect();
        (!missing.is_empty()).then(|| format!(
            "its replica identity does not tell {}, so updates and deletes would come without the key ({}); ALTER TABLE {table} REPLICA IDENTITY FULL helps, or REPLICA IDENTITY USING INDEX with a unique index over it",
            missing.join(", "),
            key.join(", "),
            table = self.sql()
        ))
    }

    /// Why its rows cannot be read and followed, whatever its key.
    pub fn unreadable(&self) -> Option<String> {
        let table = self.sql();
        if !self.readable {
            return Some(format!(
                "this role may not read it, or not all of the columns that are read; GRANT SELECT ON {table} TO CURRENT_USER (and USAGE on its schema) helps"
            ));
        }
        if self.persistence == "u" {
            return Some(format!(
                "it is unlogged, so its changes are not in the log; ALTER TABLE {table} SET LOGGED helps"
            ));
        }
        if self.hidden_rows {
            return Some("row-level security hides rows of it from this role; ALTER ROLE … BYPASSRLS helps".to_owned());
        }
        None
    }

    fn without_identity(&self) -> Option<String> {
        let table = self.sql();
        match self.identity.as_str() {
            "d" if !self.key_identifies => Some(format!(
                "its primary key is deferrable, which is no replica identity, so published updates and deletes would fail; ALTER TABLE {table} REPLICA IDENTITY FULL helps, or a primary key that is not deferrable"
            )),
            "n" => Some(format!(
                "its replica identity is NOTHING, so published updates and deletes would fail; ALTER TABLE {table} REPLICA IDENTITY DEFAULT helps"
            )),
            "i" if self.identity_columns.is_empty() => Some(format!(
                "the index of its replica identity is gone, so published updates and deletes would fail; ALTER TABLE {table} REPLICA IDENTITY DEFAULT helps"
            )),
            "i" if !self.key.iter().all(|column| self.identity_columns.contains(column)) => Some(format!(
                "its replica identity is an index that does not cover the primary key; ALTER TABLE {table} REPLICA IDENTITY DEFAULT helps"
            )),
            _ => None,
        }
    }
}

/// Every ordinary and partitioned table outside the system schemas; not partitions, nor what an extension owns.
pub fn all(session: &mut Session) -> Result<Vec<Table>> {
    read(session, "c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')")
}

/// One table or view, if it is there.
pub fn find(session: &mut Session, schema: &str, name: &str) -> Result<Option<Table>> {
    let found = read(session, &format!("n.nspname = {} AND c.relname = {}", sql::text(schema), sql::text(name)))?;
    Ok(found.into_iter().next())
}

/// The tables and views of some names, in one query.
pub fn named(session: &mut Session, names: &[(&str, &str)]) -> Result<Vec<Table>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<String> =
        names.iter().map(|(schema, name)| format!("({},{})", sql::text(schema), sql::text(name))).collect();
    read(session, &format!("(n.nspname::text, c.relname::text) IN (VALUES {})", list.join(",")))
}

/// Every table that could be read, as `schema.name`.
pub fn labels(session: &mut Session) -> Result<Vec<String>> {
    let rows = session.simple(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2",
    )?;
    Ok(rows.iter().filter_map(|row| row_label(row)).collect())
}

/// The label in a row of a schema and a table.
pub(crate) fn row_label(row: &[Option<String>]) -> Option<String> {
    match row {
        [Some(schema), Some(name)] => Some(sql::label(schema, name)),
        _ => None,
    }
}

/// The keys of a table, each told by a primary key, a unique constraint or a unique index over columns that are never null.
pub fn keys(session: &mut Session, oid: u32) -> Result<Vec<Vec<String>>> {
    let rows = session.simple(&format!(
        "SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
         FROM pg_catalog.pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(number, place)
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND a.attnotnull
         WHERE i.indrelid = {oid} AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts
         GROUP BY i.indexrelid, i.indisprimary HAVING pg_catalog.bool_and(a.attname IS NOT NULL)
         ORDER BY i.indisprimary DESC, i.indexrelid"
    ))?;
    let keys = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
    keys.map(|text| {
        serde_json::from_str(&text).map_err(|error| Error::protocol(format_args!("the catalogue: {error}")))
    })
    .collect()
}

/// The statement that answers, for tables in the order of their oids, each that is there and what [`Table::shape`] has.
/// The oids are part of it: it is asked with every reading of documents, and so it is planned once.
pub fn shape_query(oids: &[u32]) -> String {
    SHAPE_QUERY.replace("$1", &sql::text(&sql::array(oids.iter().map(u32::to_string))))
}

const SHAPE_QUERY: &str =
    "SELECT a.attrelid, string_agg(a.attname || ' ' || a.atttypid || ' ' || a.atttypmod, ',' ORDER BY a.attnum)
         || (SELECT ' ' || c.relreplident::text FROM pg_catalog.pg_class c WHERE c.oid = a.attrelid)
     FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
     GROUP BY a.attrelid ORDER BY a.attrelid";

fn read(session: &mut Session, which: &str) -> Result<Vec<Table>> {
    session
        .simple(&SQL.replace("$which", which))?
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .map(|text| {
            serde_json::from_str(&text).map_err(|error| Error::protocol(format_args!("the catalogue: {error}")))
        })
        .collect()
}

/// Each part is made once for all tables and joined: a subquery for each table would read whole catalogues once a table.
const SQL: &str = "
WITH RECURSIVE wanted AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relreplident, c.relowner, c.relrowsecurity, c.relnamespace, n.nspname,
        pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS usable,
        pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND $which
), attributes AS MATERIALIZED (
    SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated, a.attnotnull, a.attcollation
    FROM wanted c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
), base(type, base) AS (
    SELECT DISTINCT a.atttypid, a.atttypid FROM attributes a
    UNION ALL
    SELECT b.type, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.base WHERE t.typtype = 'd'
), types AS MATERIALIZED (
    SELECT b.type, ty.oid, ty.typname, ty.typtype, pg_catalog.format_type(ty.oid, -1) AS type_name, ty.typarray <> 0 AS listable,
        CASE WHEN ty.typcategory = 'A' THEN ty.typelem::int8 ELSE 0 END AS element, el.typtype AS element_class,
        ty.oid >= 16384 AND EXISTS (SELECT FROM pg_catalog.pg_cast k WHERE k.castsource = ty.oid AND k.casttarget = 114 AND k.castfunc <> 0) AS json_cast
    FROM base b JOIN pg_catalog.pg_type ty ON ty.oid = b.base AND ty.typtype <> 'd'
    LEFT JOIN pg_catalog.pg_type el ON el.oid = ty.typelem
), indexes AS MATERIALIZED (
    SELECT i.indrelid, i.indkey, i.indnkeyatts, i.indisprimary, i.indisreplident, i.indimmediate, i.indisvalid, i.indpred IS NULL AS whole
    FROM wanted c JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
), first_columns AS (
    SELECT DISTINCT i.indrelid, i.indkey[0] AS number FROM indexes i WHERE i.whole AND i.indisvalid
), keys AS (
    SELECT i.indrelid, json_agg(a.attname ORDER BY k.place) FILTER (WHERE i.indisprimary) AS key,
        bool_or(i.indisprimary AND i.indimmediate AND i.indisvalid) AS key_identifies,
        json_agg(a.attname ORDER BY k.place) FILTER (WHERE i.indisreplident) AS identity_columns
    FROM indexes i
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(number, place)
    JOIN attributes a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE k.place <= i.indnkeyatts AND (i.indisprimary OR i.indisreplident)
    GROUP BY i.indrelid
), columns AS (
    SELECT a.attrelid, json_agg(json_build_object(
            'name', a.attname, 'type_oid', a.atttypid::int8, 'generated', a.attgenerated <> '', 'base', ty.oid::int8, 'type_name', ty.type_name,
            'short_name', ty.typname, 'bytewise', coalesce(co.collisdeterministic, true),
            'declared', pg_catalog.format_type(a.atttypid, a.atttypmod), 'class', ty.typtype,
            'element', ty.element, 'element_class', ty.element_class, 'listable', ty.listable, 'json_cast', ty.json_cast,
            'readable', c.readable OR c.usable AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
            'required', a.attnotnull, 'indexed', l.number IS NOT NULL) ORDER BY a.attnum) AS columns,
        string_agg(a.attname || ' ' || a.atttypid || ' ' || a.atttypmod, ',' ORDER BY a.attnum) AS shape
    FROM attributes a
    JOIN wanted c ON c.oid = a.attrelid
    JOIN types ty ON ty.type = a.atttypid
    LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
    LEFT JOIN first_columns l ON l.indrelid = a.attrelid AND l.number = a.attnum
    GROUP BY a.attrelid
)
SELECT pg_catalog.row_to_json(t) FROM (
    SELECT c.oid::int8 AS oid, c.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned, c.relkind AS kind,
        c.relpersistence AS persistence,
        CASE WHEN c.relkind = 'p' AND c.relreplident = 'f' AND EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p
            JOIN pg_catalog.pg_class q ON q.oid = p.relid WHERE q.relreplident <> 'f') THEN 'd' ELSE c.relreplident::text END AS identity,
        pg_catalog.pg_has_role(c.relowner, 'USAGE') AND (c.relkind <> 'p' OR NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p
            JOIN pg_catalog.pg_class q ON q.oid = p.relid WHERE NOT pg_catalog.pg_has_role(q.relowner, 'USAGE'))) AS alterable,
        c.readable,
        c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AS hidden_rows,
        pg_catalog.pg_get_userbyid(c.relowner) AS owner, current_user AS role,
        coalesce(keys.key, '[]') AS key, coalesce(keys.key_identifies, false) AS key_identifies,
        coalesce(keys.identity_columns, '[]') AS identity_columns, coalesce(columns.columns, '[]') AS columns,
        coalesce(columns.shape, '') || ' ' || c.relreplident::text AS shape
    FROM wanted c
    LEFT JOIN keys ON keys.indrelid = c.oid
    LEFT JOIN columns ON columns.attrelid = c.oid
    ORDER BY c.nspname, c.relname
) t";
