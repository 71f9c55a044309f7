//! Conditions as SQL. Operands are literals in the column's own type, so that the server refuses a wrong one when the
//! statement is prepared and compares as it compares columns; a raw condition stands as the operator wrote it.

use crate::catalog::table::{Column, Table};
use crate::catalog::table_catalog::form;
use crate::error::Result;
use crate::protocol::sql;
use flusso_documents::{Deleted, Form};
use flusso_schema::{Comparison, Filter, Identifier, Literal};

/// A condition on a row of `table`, which the statement calls `alias`.
pub(crate) fn condition(table: &Table, alias: &str, filter: &Filter) -> Result<String> {
    let column =
        |name: &Identifier| Ok((format!("{alias}.{}", sql::name(name.as_str())), table.column(name.as_str())?));
    Ok(match filter {
        // On a line of its own: it may end in a comment.
        Filter::Raw(text) => format!("({text}\n)"),
        Filter::IsNull { column: name } => format!("{} IS NULL", column(name)?.0),
        Filter::IsNotNull { column: name } => format!("{} IS NOT NULL", column(name)?.0),
        Filter::Compare { column: name, op, value } => {
            let (left, column) = column(name)?;
            let operator = match op {
                Comparison::Eq => "=",
                Comparison::Neq => "<>",
                Comparison::Lt => "<",
                Comparison::Lte => "<=",
                Comparison::Gt => ">",
                Comparison::Gte => ">=",
                Comparison::Like => return Ok(pattern(&left, column, "LIKE", value)),
                Comparison::Ilike => return Ok(pattern(&left, column, "ILIKE", value)),
            };
            format!("{left} {operator} {}", literal(value, column))
        }
        Filter::In { column: name, values } => {
            let (left, column) = column(name)?;
            format!("{left} IN ({})", literals(values, column))
        }
        Filter::NotIn { column: name, values } => {
            let (left, column) = column(name)?;
            format!("{left} NOT IN ({})", literals(values, column))
        }
        Filter::Between { column: name, low, high } => {
            let (left, column) = column(name)?;
            format!("{left} BETWEEN {} AND {}", literal(low, column), literal(high, column))
        }
    })
}

/// What all must hold of a row, if anything must: filters, and that it is not marked as deleted. A mark or condition that
/// is null does not hold, so the row stays.
pub(crate) fn conditions(
    table: &Table,
    alias: &str,
    filters: &[Filter],
    deleted: Option<&Deleted>,
) -> Result<Vec<String>> {
    let mut all = filters.iter().map(|filter| condition(table, alias, filter)).collect::<Result<Vec<_>>>()?;
    if let Some(deleted) = deleted {
        let mark = format!("{alias}.{}", sql::name(&deleted.column));
        let mut marked = vec![if deleted.boolean { mark } else { format!("{mark} IS NOT NULL") }];
        for filter in &deleted.when {
            marked.push(format!("({})", condition(table, alias, filter)?));
        }
        all.push(format!("({}) IS NOT TRUE", marked.join(" AND ")));
    }
    Ok(all)
}

fn literal(value: &Literal, column: &Column) -> String {
    format!("{}::{}", sql::text(&value.to_string()), column.type_name)
}

fn literals(values: &[Literal], column: &Column) -> String {
    values.iter().map(|value| literal(value, column)).collect::<Vec<_>>().join(", ")
}

/// A pattern is text, and not of the column's type: `character(5)` would pad it.
fn pattern(left: &str, column: &Column, operator: &str, value: &Literal) -> String {
    let cast = if form(column) == Form::Text { "" } else { "::text" };
    format!("{left}{cast} {operator} {}", sql::text(&value.to_string()))
}
