//! The nodes of a plan as SQL: one statement each, with the links as one array parameter a column.
//!
//! Rows are looked up by `link = ANY($1)` where the text of the link column says which link a row belongs to; that is four
//! times as fast as a join with the array, and with an index on the column an order by it costs nothing. Where the text
//! does not tell (`1.0` and `1.00`), or a link has several columns, the array is joined and its numbering says it. Integers
//! that fill most of their span, as while seeding, are looked up by the span's two ends, which is faster still.
//!
//! Where only the first rows of each link are wanted and an index finds them, they are read link by link, so that a parent
//! of a million children costs no more than one of ten; without an index that would read the table once a link, and the rows
//! of all links are numbered instead.

use crate::catalog::key_columns::KeyColumns;
use crate::catalog::table::{Column, Table, shape_query};
use crate::catalog::table_catalog::TableCatalog;
use crate::documents::filter;
use crate::error::{Error, Result};
use crate::protocol::codec::Kind;
use crate::protocol::pg_types;
use crate::protocol::sql;
use flusso_documents::{Cell, Content, Grouping, Node, Plan, Reduction};
use flusso_schema::{AggregateOp, Direction, Filter, OrderBy, Transform};

/// The statements of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Queries {
    /// By node.
    pub(crate) by_links: Vec<ByLinks>,
    /// The root's rows along their key; the first cell is null where a row is no document.
    pub(crate) roots: KeyColumns,
    /// What asks for the tables' shapes, and its answer while they are the same.
    pub(crate) shape_query: String,
    pub(crate) expected_shapes: Vec<(String, String)>,
}

/// The statements that find the rows of a node.
#[derive(Debug, Clone)]
pub(crate) struct ByLinks {
    /// By the values of the links, an array a column.
    pub(crate) list: String,
    /// By the least and the greatest value, where links are integers; it also finds the rows between that were not asked for.
    pub(crate) range: Option<String>,
}

impl Queries {
    /// Writes them.
    pub(crate) fn of(plan: &Plan, catalog: &TableCatalog) -> Result<Self> {
        let by_links = plan.nodes.iter().map(|node| by_links(node, catalog)).collect::<Result<Vec<_>>>()?;
        let root = plan.nodes.first().ok_or_else(|| Error::Fatal("a plan without a root".into()))?;
        let table = catalog.of_plan(&root.table)?;
        let conditions = filter::conditions(table, ROOT, &root.filters, root.deleted.as_ref())?;
        let mut select = vec![match conditions.is_empty() {
            true => "0".to_owned(),
            false => format!("CASE WHEN {} THEN 0 END", joined(&conditions)),
        }];
        select.extend(cells((table, ROOT), (table, ROOT), &root.content)?);
        let place = |at: usize| plan.key.get(at).copied().unwrap_or(0);
        let roots = KeyColumns::selecting(table, ROOT, &root.key, select.join(", "), place)?;
        let mut tables = plan.tables().into_iter().map(|table| catalog.of_plan(table)).collect::<Result<Vec<_>>>()?;
        tables.sort_by_key(|table| table.oid);
        let statement = shape_query(&tables.iter().map(|table| table.oid).collect::<Vec<_>>());
        let expected_shapes = tables.iter().map(|table| (table.oid.to_string(), table.shape.clone())).collect();
        Ok(Self { by_links, roots, shape_query: statement, expected_shapes })
    }
}

/// What raw conditions on root rows may call them; the ancestor did.
const ROOT: &str = "root";

fn by_links(node: &Node, catalog: &TableCatalog) -> Result<ByLinks> {
    let table = catalog.of_plan(&node.table)?;
    let alias = if node.path.is_empty() { ROOT } else { "t" };
    let mut from = format!("{} AS {alias}", table.read_from());
    let (mut linked, mut link_alias) = (table, alias);
    if let Some(through) = &node.link.through {
        (linked, link_alias) = (catalog.of_plan(&through.table)?, "flusso_j");
        let equal = through.right.iter().zip(&node.key);
        let equal = equal.map(|(right, key)| format!("{alias}.{} = flusso_j.{}", sql::name(key), sql::name(right)));
        from = format!("{} AS flusso_j JOIN {from} ON {}", linked.read_from(), equal.collect::<Vec<_>>().join(" AND "));
    }
    let mut conditions = filter::conditions(table, alias, &node.filters, node.deleted.as_ref())?;
    if let Some(through) = &node.link.through {
        conditions.extend(filter::conditions(linked, link_alias, &through.filters, None)?);
    }
    let mut links = Vec::new();
    let mut found_by_index = false;
    for ((at, name), (value_table, value)) in (1..).zip(&node.link.columns).zip(&node.link.values) {
        let column = linked.column(name)?;
        let value = catalog.of_plan(value_table)?.column(value)?;
        found_by_index |= at == 1 && column.is_found_by(value);
        links.push(Compared::new(at, format!("{link_alias}.{}", sql::name(name)), column, value));
    }
    if let (Some(limit), Content::Rows { .. }) = (node.limit, &node.content)
        && found_by_index
        && links.iter().all(|link| link.listed)
    {
        let list = limited(node, (table, alias), (linked, link_alias), &links, &from, conditions, limit)?;
        return Ok(ByLinks { list, range: None });
    }
    let found = |links: Vec<String>, group: &str, from: &str| {
        let condition = joined(&[links, conditions.clone()].concat());
        match &node.content {
            Content::Aggregates(reductions) => aggregates(node, reductions, (table, alias), group, from, &condition),
            Content::Rows { .. } => rows(node, (table, alias), (linked, link_alias), group, from, &condition),
        }
    };
    let (Grouping::Text, [link]) = (node.link.grouping, links.as_slice()) else {
        let list = found(equal(&links).collect(), "flusso_k.flusso_n", &format!("{}, {from}", numbered(&links)))?;
        return Ok(ByLinks { list, range: None });
    };
    let list = found(vec![format!("{} = ANY({})", link.column, link.array)], &link.column, &from)?;
    let range = match &link.integer {
        Some(integer) if !may_fail(node, table) => {
            let between = format!("{0} BETWEEN $1::{integer} AND $2::{integer}", link.column);
            Some(found(vec![between], &link.column, &from)?)
        }
        _ => None,
    };
    Ok(ByLinks { list, range })
}

/// Whether the statement could fail on rows that nobody asked for, where it does not on those that were.
fn may_fail(node: &Node, table: &Table) -> bool {
    let raw = |filters: &[Filter]| filters.iter().any(|filter| matches!(filter, Filter::Raw(_)));
    let through = node.link.through.iter().any(|through| raw(&through.filters));
    let within = match &node.content {
        Content::Rows { cells, .. } => cells.iter().any(|cell| raw(&cell.when)),
        // The sum of floating-point numbers can overflow, that of any others cannot.
        Content::Aggregates(reductions) => reductions.iter().any(|reduction| match &reduction.op {
            AggregateOp::Sum { column, .. } | AggregateOp::Avg { column } => table
                .column(column.as_str())
                .is_ok_and(|column| pg_types::find(column.base).is_none_or(|it| it.kind == Kind::Float)),
            AggregateOp::Count | AggregateOp::Min { .. } | AggregateOp::Max { .. } | AggregateOp::Ids { .. } => false,
        }),
    };
    raw(&node.filters) || through || within || node.deleted.as_ref().is_some_and(|deleted| raw(&deleted.when))
}

fn aggregates(
    node: &Node,
    reductions: &[Reduction],
    (table, alias): (&Table, &str),
    group: &str,
    from: &str,
    condition: &str,
) -> Result<String> {
    let mut select = vec![group.to_owned()];
    for reduction in reductions {
        select.push(reduced(reduction, node, table, alias)?);
    }
    Ok(format!("SELECT {} FROM {from} WHERE {condition} GROUP BY {group}", select.join(", ")))
}

fn rows(
    node: &Node,
    own: (&Table, &str),
    junction: (&Table, &str),
    group: &str,
    from: &str,
    condition: &str,
) -> Result<String> {
    let cells = cells(own, junction, &node.content)?;
    let (_, alias) = own;
    // A link by the whole key leads to one row: there is nothing to order.
    if node.link.through.is_none() && node.link.columns == node.key {
        let select = std::iter::once(group.to_owned()).chain(cells).collect::<Vec<_>>().join(", ");
        return Ok(format!("SELECT {select} FROM {from} WHERE {condition}"));
    }
    let order = ordered(node, alias);
    let order = order.iter().map(|(column, direction)| format!("{column}{direction}")).collect::<Vec<_>>().join(", ");
    let Some(limit) = node.limit else {
        let select = std::iter::once(group.to_owned()).chain(cells).collect::<Vec<_>>().join(", ");
        return Ok(format!("SELECT {select} FROM {from} WHERE {condition} ORDER BY {group}, {order}"));
    };
    let names = (1..=cells.len()).map(|at| format!(", c{at}")).collect::<String>();
    let inner = (1..).zip(cells).map(|(at, cell)| format!(", {cell} AS c{at}")).collect::<String>();
    Ok(format!(
        "SELECT link{names} FROM (SELECT {group} AS link{inner}, row_number() OVER (PARTITION BY {group} ORDER BY {order}) AS place FROM {from} WHERE {condition}) flusso_numbered WHERE place <= {limit} ORDER BY link, place"
    ))
}

/// The first rows of each link, read link by link.
fn limited(
    node: &Node,
    own: (&Table, &str),
    junction: (&Table, &str),
    links: &[Compared],
    from: &str,
    mut conditions: Vec<String>,
    limit: u64,
) -> Result<String> {
    conditions.splice(0..0, equal(links));
    let order = ordered(node, own.1);
    let group = if node.link.grouping == Grouping::Text { "flusso_k.flusso_1" } else { "flusso_k.flusso_n" };
    let (mut select, mut inner) = (group.to_owned(), Vec::new());
    for (at, cell) in (1..).zip(cells(own, junction, &node.content)?) {
        select.push_str(&format!(", c{at}"));
        inner.push(format!("{cell} AS c{at}"));
    }
    let (mut within, mut across) = (Vec::new(), String::from("flusso_k.flusso_n"));
    for (at, (column, direction)) in (1..).zip(&order) {
        inner.push(format!("{column} AS o{at}"));
        within.push(format!("{column}{direction}"));
        across.push_str(&format!(", o{at}{direction}"));
    }
    Ok(format!(
        "SELECT {select} FROM {}, LATERAL (SELECT {} FROM {from} WHERE {} ORDER BY {} LIMIT {limit}) AS flusso_first ORDER BY {across}",
        numbered(links),
        inner.join(", "),
        joined(&conditions),
        within.join(", "),
    ))
}

/// The columns that a node's rows are ordered by, and how; the key last, so that an order is total and the same rows give the
/// same document.
fn ordered(node: &Node, alias: &str) -> Vec<(String, &'static str)> {
    let by = |alias: &str, by: &OrderBy| {
        let direction = if by.direction == Direction::Desc { " DESC" } else { "" };
        (format!("{alias}.{}", sql::name(by.column.as_str())), direction)
    };
    let junction = node.link.through.iter().flat_map(|through| &through.order).map(|order| by("flusso_j", order));
    let own = node.order.iter().map(|order| by(alias, order));
    junction.chain(own).chain(node.key.iter().map(|column| (format!("{alias}.{}", sql::name(column)), ""))).collect()
}

/// The links' values as rows, with their numbers.
fn numbered(links: &[Compared]) -> String {
    let arrays = links.iter().map(|link| link.array.as_str()).collect::<Vec<_>>().join(", ");
    let names = (1..=links.len()).map(|at| format!("flusso_{at}")).collect::<Vec<_>>().join(", ");
    format!("unnest({arrays}) WITH ORDINALITY AS flusso_k({names}, flusso_n)")
}

/// That a row belongs to such a link.
fn equal(links: &[Compared]) -> impl Iterator<Item = String> {
    (1..).zip(links).map(|(at, link)| format!("{} = flusso_k.flusso_{at}", link.column))
}

/// A link column and the array of its values, as they are compared.
struct Compared {
    column: String,
    array: String,
    /// In their own type, not by their text.
    listed: bool,
    /// The type of the values, where both are integers of up to 64 bits.
    integer: Option<String>,
}

impl Compared {
    /// The values keep their own type, so that the server compares them as it would compare the columns. What has no array
    /// type is compared by its text.
    fn new(at: usize, sql: String, column: &Column, value: &Column) -> Self {
        if value.can_be_listed() && column.can_be_listed() {
            let integers = [column, value].iter().all(|column| {
                pg_types::find(column.base).is_some_and(|row| row.family == Some(pg_types::Family::Integer))
            });
            let integer = integers.then(|| value.type_name.clone());
            Self { column: sql, array: format!("${at}::{}[]", value.type_name), listed: true, integer }
        } else {
            Self { column: format!("{sql}::text"), array: format!("${at}::text[]"), listed: false, integer: None }
        }
    }
}

fn cells(own: (&Table, &str), junction: (&Table, &str), content: &Content) -> Result<Vec<String>> {
    let of = |wanted: &Cell| if wanted.junction { junction } else { own };
    match content {
        Content::Rows { cells, .. } => cells.iter().map(|wanted| cell(wanted, of(wanted).0, of(wanted).1)).collect(),
        Content::Aggregates(_) => Ok(Vec::new()),
    }
}

fn cell(cell: &Cell, table: &Table, alias: &str) -> Result<String> {
    let column = table.column(&cell.column)?;
    let mut sql = format!("{alias}.{}", sql::name(&cell.column));
    for transform in &cell.transforms {
        sql = match transform {
            Transform::Lowercase => format!("pg_catalog.lower({sql}::text)"),
            Transform::Trim => format!("pg_catalog.btrim({sql}::text)"),
        };
    }
    if let Some(default) = &cell.default {
        sql = format!("coalesce({sql}, {}::{})", sql::text(default), column.type_name);
    }
    if cell.json {
        sql = format!("pg_catalog.to_json({sql})");
    }
    let conditions = filter::conditions(table, alias, &cell.when, None)?;
    Ok(if conditions.is_empty() { sql } else { format!("CASE WHEN {} THEN {sql} END", joined(&conditions)) })
}

fn reduced(reduction: &Reduction, node: &Node, table: &Table, alias: &str) -> Result<String> {
    let column = |name: &str| format!("{alias}.{}", sql::name(name));
    let sql = match &reduction.op {
        AggregateOp::Count => "pg_catalog.count(*)".to_owned(),
        AggregateOp::Avg { column: name } => format!("pg_catalog.avg({})", column(name.as_str())),
        AggregateOp::Sum { column: name, .. } => format!("pg_catalog.sum({})", column(name.as_str())),
        AggregateOp::Min { column: name, .. } => extreme("min", "", table, name.as_str(), &column(name.as_str()))?,
        AggregateOp::Max { column: name, .. } => extreme("max", " DESC", table, name.as_str(), &column(name.as_str()))?,
        AggregateOp::Ids { .. } => {
            let key = column(node.key.first().map(String::as_str).unwrap_or_default());
            format!("pg_catalog.json_agg({key} ORDER BY {key})")
        }
    };
    Ok(if reduction.json { format!("pg_catalog.to_json({sql})") } else { sql })
}

/// The server has no `min` and `max` of uuids and booleans, but it orders them.
fn extreme(function: &str, direction: &str, table: &Table, name: &str, sql: &str) -> Result<String> {
    let has_extremes = pg_types::find(table.column(name)?.base).is_none_or(|row| row.has_extremes);
    Ok(match has_extremes {
        false => format!("(pg_catalog.array_agg({sql} ORDER BY {sql}{direction}) FILTER (WHERE {sql} IS NOT NULL))[1]"),
        // Found through the search path, as an extension's own are (citext).
        true => format!("{function}({sql})"),
    })
}

fn joined(conditions: &[String]) -> String {
    conditions.iter().map(|condition| format!("({condition})")).collect::<Vec<_>>().join(" AND ")
}
