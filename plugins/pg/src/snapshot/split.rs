//! Divides a table into ranges of about equal size by the planner's histogram of the leading key column.

use crate::catalog::key_columns::KeyColumns;
use crate::catalog::table::Table;
use crate::error::{Error, Result};
use crate::protocol::session::Session;
use crate::protocol::sql;
use crate::snapshot::range_scan::KeyRange;
use std::collections::HashMap;

/// Below so many rows a table is one range.
const SMALL: f64 = 20_000.0;

/// At most `parts` ranges of a table of about so many rows.
pub fn split(
    session: &mut Session,
    table: &Table,
    plan: &KeyColumns,
    rows: f64,
    parts: usize,
) -> Result<Vec<KeyRange>> {
    let bounds = if parts < 2 || rows < SMALL { Vec::new() } else { bounds(session, table, plan, parts, rows)? };
    let mut ranges = Vec::new();
    let mut low = None;
    for bound in bounds {
        ranges.push(KeyRange { low: low.take(), high: Some(bound.clone()) });
        low = Some(bound);
    }
    ranges.push(KeyRange { low, high: None });
    Ok(ranges)
}

/// The planner's row counts, each scaled to its table's present size; of a partitioned table, of all that is below it.
pub fn estimates(session: &mut Session, tables: &[Table]) -> Result<Vec<f64>> {
    let oids = tables.iter().map(|table| table.oid.to_string());
    let rows = session.simple(&format!(
        "SELECT root.oid, coalesce(sum(CASE WHEN c.reltuples >= 0 AND c.relpages > 0
             THEN c.reltuples / c.relpages * (pg_catalog.pg_relation_size(c.oid) / 8192.0)
             ELSE pg_catalog.pg_relation_size(c.oid) / 100.0 END), 0)::float8
         FROM pg_catalog.unnest({}::oid[]) root(oid)
         CROSS JOIN LATERAL (SELECT root.oid UNION SELECT relid FROM pg_catalog.pg_partition_tree(root.oid)) below(oid)
         JOIN pg_catalog.pg_class c ON c.oid = below.oid WHERE c.relkind IN ('r', 'm') GROUP BY root.oid",
        sql::text(&sql::array(oids))
    ))?;
    let estimate = |row: &Vec<Option<String>>| match row.as_slice() {
        [Some(oid), Some(rows)] => Some((oid.parse::<u32>().ok()?, rows.parse::<f64>().ok()?)),
        _ => None,
    };
    let found: HashMap<u32, f64> = rows.iter().filter_map(estimate).collect();
    Ok(tables.iter().map(|table| found.get(&table.oid).copied().unwrap_or(0.0)).collect())
}

fn bounds(session: &mut Session, table: &Table, plan: &KeyColumns, parts: usize, rows: f64) -> Result<Vec<String>> {
    let (Some(lead), Some(column)) = (plan.key.first(), table.key.first()) else {
        return Err(Error::Fatal("a table without a key cannot be divided".into()));
    };
    let histogram = session.one(&format!(
        "SELECT pg_catalog.to_json(histogram_bounds::text::text[]) FROM pg_catalog.pg_stats
         WHERE schemaname = {} AND tablename = {} AND attname = {} AND inherited = {}",
        sql::text(&table.schema),
        sql::text(&table.name),
        sql::text(column),
        table.partitioned
    ))?;
    let known: Vec<String> = histogram.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    if known.len() > parts {
        let step = |part: usize| part * (known.len() - 1) / parts;
        return Ok(distinct((1..parts).filter_map(|part| known.get(step(part)).cloned())));
    }
    // Never analysed: some pages of it say enough.
    let percent = (100.0 * 30_000.0 / rows).clamp(0.01, 100.0);
    let places: Vec<String> = (1..parts).map(|part| format!("{part}.0 / {parts}")).collect();
    let sampled = session.one(&format!(
        "SELECT pg_catalog.to_json((percentile_disc(ARRAY[{}]::float8[]) WITHIN GROUP (ORDER BY {}))::text::text[]) FROM {} TABLESAMPLE SYSTEM ({percent})",
        places.join(", "),
        lead.sql,
        plan.from
    ))?;
    let sampled: Vec<Option<String>> = sampled.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(distinct(sampled.into_iter().flatten()))
}

fn distinct(bounds: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    bounds.for_each(|bound| {
        if kept.last() != Some(&bound) {
            kept.push(bound);
        }
    });
    kept
}
