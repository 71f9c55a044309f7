//! The definition of a table at one moment. Compared with an earlier one it shows what the change stream does not report: a
//! column retyped in place, a partition attached, detached or truncated, a table recreated or out of the publication for a
//! while, a replica identity that no longer covers the link columns.

mod diff;

use crate::error::{Error, Result};
use crate::protocol::session::Session;
use crate::protocol::sql;
use flusso_plugin::TableInterest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the catalogue says about a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Another one: the table was dropped and made again.
    oid: u32,
    /// Where its rows are stored. Another one: they were written anew, by an `ALTER`, but also by `VACUUM FULL`.
    file: u32,
    /// `p`ermanent, `u`nlogged.
    persistence: String,
    /// Replica identity: `d`efault, `f`ull, `n`othing, `i`ndex.
    identity: String,
    /// The columns of the index that is the replica identity.
    identity_columns: Vec<String>,
    /// Whether the table and each of its partitions tell whole old rows.
    whole: bool,
    /// The primary key's columns.
    key: Vec<String>,
    columns: BTreeMap<String, Column>,
    /// Everything below it, by oid.
    partitions: BTreeMap<u32, Partition>,
    /// What a view selects, in short; `None` for a table, and in what an older version stored.
    #[serde(default)]
    definition: Option<String>,
    /// The ways in which the publication covers it wholly. None is left of what there was: changes were missed.
    pub published: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Column {
    /// Its place. Another one under the same name: it was dropped and added again.
    number: i16,
    /// The type, as declared.
    declared: String,
    type_oid: u32,
    modifier: i32,
    /// Who wrote its line of the catalogue last: not `VACUUM FULL`.
    written: u32,
    /// The labels of every enum that its values hold, behind domains, arrays, composites and ranges alike.
    labels: Option<Vec<String>>,
    /// The attributes of every composite that its values hold; `None` in what an older version stored.
    #[serde(default)]
    attributes: Option<Vec<String>>,
    /// What the server computes it by; `None` in what an older version stored.
    #[serde(default)]
    expression: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Partition {
    name: String,
    file: u32,
    /// Who attached it.
    attached: u32,
}

impl Fingerprint {
    /// The tables of some interests, in one query; `None` where there is none of the name.
    pub fn all<'a>(
        session: &mut Session,
        publication: &str,
        interest: impl Iterator<Item = &'a TableInterest>,
    ) -> Result<Vec<Option<Self>>> {
        let names: Vec<String> =
            interest.map(|one| format!("({},{})", sql::text(&one.table.schema), sql::text(&one.table.name))).collect();
        let mut found: Vec<Option<Self>> = names.iter().map(|_| None).collect();
        if names.is_empty() {
            return Ok(found);
        }
        let (unfiltered, by_schema) = if session.version >= 150_000 { (UNFILTERED, BY_SCHEMA) } else { ("", "") };
        let query = SQL
            .replace("$names", &names.join(","))
            .replace("$publication", &sql::text(publication))
            .replace("$unfiltered", unfiltered)
            .replace("$by_schema", by_schema);
        for row in session.simple(&query)? {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let place = cells.next().and_then(|text| text.parse::<usize>().ok());
            let fingerprint = serde_json::from_str(&cells.next().unwrap_or_default())
                .map_err(|error| Error::protocol(format_args!("the catalogue: {error}")))?;
            if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
                *slot = Some(fingerprint);
            }
        }
        Ok(found)
    }

    /// The primary key's columns.
    pub(crate) fn key(&self) -> &[String] {
        &self.key
    }

    /// Whether it had this column.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// Whether the table is defined as it was there, published or not.
    pub fn has_definition_of(&self, other: &Self) -> bool {
        let Self {
            oid,
            file,
            persistence,
            identity,
            identity_columns,
            whole,
            key,
            columns,
            partitions,
            definition,
            published: _,
        } = self;
        (oid, file, persistence, identity, identity_columns)
            == (&other.oid, &other.file, &other.persistence, &other.identity, &other.identity_columns)
            && (whole, key, columns) == (&other.whole, &other.key, &other.columns)
            && (partitions, definition) == (&other.partitions, &other.definition)
    }

    /// Whether the old value of a column comes with every update and delete.
    fn sends_old(&self, column: &String) -> bool {
        self.whole || (self.partitions.is_empty() && self.identity == "i" && self.identity_columns.contains(column))
    }
}

/// Since PostgreSQL 15 a publication can hide rows and columns, and name a schema.
const UNFILTERED: &str = "AND r.prqual IS NULL AND r.prattrs IS NULL";
const BY_SCHEMA: &str = "UNION ALL SELECT 'schema ' || s.oid FROM pg_catalog.pg_publication_namespace s
    WHERE s.pnpubid = p.oid AND s.pnnspid = n.oid";

/// Takes no lock on any table: a long `ALTER TABLE` does not hold it up.
const SQL: &str = "
WITH names AS (SELECT w.*, row_number() OVER () - 1 AS place FROM (VALUES $names) w(schema, name))
SELECT names.place, pg_catalog.row_to_json(t) FROM names
JOIN pg_catalog.pg_namespace n ON n.nspname = names.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = names.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
CROSS JOIN LATERAL (
    WITH RECURSIVE parts(oid, attached) AS (
        SELECT i.inhrelid, i.xmin FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid AND c.relkind = 'p'
        UNION ALL
        SELECT i.inhrelid, i.xmin FROM pg_catalog.pg_inherits i JOIN parts ON i.inhparent = parts.oid
    )
    SELECT (WITH RECURSIVE reads(oid) AS (
            SELECT c.oid
            UNION
            SELECT d.refobjid FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.oid
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
                AND d.refclassid = 'pg_catalog.pg_class'::regclass
        )
        SELECT string_agg(md5(w.ev_action::text) || CASE q.relkind WHEN 'm' THEN ' ' || q.relfilenode ELSE '' END, ',' ORDER BY q.oid)
        FROM reads JOIN pg_catalog.pg_class q ON q.oid = reads.oid
        JOIN pg_catalog.pg_rewrite w ON w.ev_class = q.oid AND w.rulename = '_RETURN'
        WHERE c.relkind IN ('v', 'm')) AS definition,
        c.oid::int8 AS oid, c.relfilenode::int8 AS file, c.relpersistence AS persistence,
        c.relreplident AS identity, keys.identity_columns, keys.key,
        c.relreplident = 'f' AND coalesce(below.whole, true) AS whole,
        columns.columns, coalesce(below.partitions, '{}') AS partitions, ways.published
    FROM (
        SELECT coalesce(json_agg(a.attname ORDER BY k.place) FILTER (WHERE i.indisprimary), '[]') AS key,
               coalesce(json_agg(a.attname ORDER BY k.place) FILTER (WHERE i.indisreplident), '[]') AS identity_columns
        FROM pg_catalog.pg_index i
        CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND k.place <= i.indnkeyatts AND (i.indisprimary OR i.indisreplident)
    ) keys
    CROSS JOIN (
        SELECT coalesce(json_object_agg(a.attname, json_build_object(
            'number', a.attnum, 'declared', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'type_oid', a.atttypid::int8, 'modifier', a.atttypmod, 'written', a.xmin::text::int8,
            'labels', held.labels, 'attributes', held.attributes,
            'expression', (SELECT coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') FROM pg_catalog.pg_attrdef d
                WHERE a.attgenerated <> '' AND d.adrelid = a.attrelid AND d.adnum = a.attnum)
        )), '{}') AS columns
        FROM pg_catalog.pg_attribute a
        CROSS JOIN LATERAL (
            WITH RECURSIVE held(oid) AS (
                SELECT a.atttypid
                UNION
                SELECT part.oid FROM held JOIN pg_catalog.pg_type y ON y.oid = held.oid CROSS JOIN LATERAL (
                    SELECT y.typbasetype UNION ALL SELECT y.typelem
                    UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE y.oid IN (g.rngtypid, g.rngmultitypid)
                    UNION ALL SELECT f.atttypid FROM pg_catalog.pg_attribute f
                        WHERE y.typrelid <> 0 AND f.attrelid = y.typrelid AND f.attnum > 0 AND NOT f.attisdropped
                ) part(oid) WHERE part.oid <> 0
            )
            SELECT (SELECT json_agg(e.enumlabel ORDER BY e.oid) FROM pg_catalog.pg_enum e JOIN held ON e.enumtypid = held.oid) AS labels,
                (SELECT coalesce(json_agg(y.oid || ' ' || f.attnum || ' ' || f.attname || ' ' || f.atttypid || ' ' || f.atttypmod ORDER BY y.oid, f.attnum), '[]')
                 FROM held JOIN pg_catalog.pg_type y ON y.oid = held.oid JOIN pg_catalog.pg_attribute f ON f.attrelid = y.typrelid
                 WHERE y.typrelid <> 0 AND f.attnum > 0 AND NOT f.attisdropped) AS attributes
        ) held
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) columns
    CROSS JOIN (
        SELECT bool_and(b.relreplident = 'f') AS whole, json_object_agg(b.oid, json_build_object(
            'name', m.nspname || '.' || b.relname, 'file', b.relfilenode::int8, 'attached', parts.attached::text::int8)) AS partitions
        FROM parts JOIN pg_catalog.pg_class b ON b.oid = parts.oid JOIN pg_catalog.pg_namespace m ON m.oid = b.relnamespace
    ) below
    CROSS JOIN (
        SELECT coalesce(json_agg(way.way), '[]') AS published
        FROM pg_catalog.pg_publication p
        CROSS JOIN LATERAL (
            SELECT 'everything of ' || p.oid AS way WHERE p.puballtables
            UNION ALL
            SELECT 'table ' || r.oid FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid $unfiltered
            $by_schema
        ) way
        WHERE p.pubname = $publication AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
            AND (p.pubviaroot OR c.relkind <> 'p')
    ) ways
) t";
