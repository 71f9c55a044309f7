//! What `check` says of each table of a tracked builder: through which reads a change of it builds documents again.

use super::plan::{Plan, Table};
use crate::model::IndexNumber;
use crate::plugin::finding::{Finding, Level};

/// A finding a table, and one more for a table that is read as a whole.
pub(super) fn findings(plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, table) in plan.tables.iter().enumerate() {
        let subject = format!("table {}", table.name);
        findings.push(Finding::new(Level::Ok, "wakes", &*subject, woken(plan, number, table)));
        if !table.whole.is_empty() {
            let message = format!(
                "it is read as a whole for {}, so any change of it builds every document there again; look rows up by a column where \
                 the table is large or changes often",
                names(plan, &table.whole)
            );
            findings.push(Finding::new(Level::Warning, "whole-table", &*subject, message));
        }
    }
    findings
}

/// `a change of a row builds its document of orders again, and those that looked for its user_id; changes of id, user_id count`
fn woken(plan: &Plan, number: usize, table: &Table) -> String {
    let mut ways = Vec::new();
    if !table.roots.is_empty() {
        ways.push(format!("its document of {}", names(plan, &table.roots)));
    }
    for relation in &table.relations {
        let old = if relation.rows.is_some() { " (before the change, from the link table)" } else { "" };
        ways.push(format!("those that looked for its {}{old}", relation.by.join(" and ")));
    }
    let Some(interest) = plan.description.interest.get(number) else { return ways.join(", ") };
    let mut columns: Vec<&str> = interest.key.iter().map(String::as_str).collect();
    for column in interest.links.iter().chain(interest.reads.iter().flatten()) {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    format!("a change of a row builds again {}; the columns {} count", ways.join(", "), columns.join(", "))
}

fn names(plan: &Plan, indexes: &[IndexNumber]) -> String {
    let name = |index: &IndexNumber| plan.offers.get(*index as usize).map(|offer| offer.mapping.index.as_str());
    indexes.iter().filter_map(name).collect::<Vec<_>>().join(", ")
}
