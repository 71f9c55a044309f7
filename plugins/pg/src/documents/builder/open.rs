//! Opening a builder: schema files are parsed, tables looked up, documents planned, statements prepared on the server.

use crate::catalog::table::{self, Table};
use crate::catalog::table_catalog::{TableCatalog, described};
use crate::catalog::views;
use crate::documents::builder::table_selection;
use crate::documents::builder::{DocumentOrigin, Index};
use crate::documents::query::Queries;
use crate::error::{Error, Result};
use crate::protocol::session::Session;
use flusso_documents::{Plan, RecordedRelation, rows_of_table};
use flusso_plugin::{IndexRequest, log};

/// The indexes of some requests; none: each table that can be followed.
pub(super) fn indexes(session: &mut Session, requests: &[IndexRequest]) -> Result<Vec<Index>> {
    if requests.is_empty() {
        let tables = table_selection::every_table(session)?;
        return tables.into_iter().map(|(name, table)| Index::of_rows(name, table)).collect();
    }
    requests
        .iter()
        .map(|request| match &request.schema {
            None => Index::of_rows(request.name.clone(), table_selection::named(session, &request.name)?),
            Some(text) => Index::of_schema(session, request, text),
        })
        .collect()
}

impl Index {
    fn of_rows(name: String, table: Table) -> Result<Self> {
        let columns: Vec<_> = table.columns.iter().map(|column| (column.name.clone(), described(column))).collect();
        let of = flusso_documents::Table { schema: table.schema.clone(), name: table.name.clone() };
        let plan = rows_of_table(of, &table.key, &columns);
        let origin_of_documents = DocumentOrigin::Rows { schema: table.schema.clone(), table: table.name.clone() };
        let mut catalog = TableCatalog::default();
        catalog.add(table);
        let queries = Queries::of(&plan, &catalog)?;
        Ok(Self { name, origin_of_documents, catalog, bare: plan.clone(), plan, queries, repeated_keys: false })
    }

    fn of_schema(session: &mut Session, request: &IndexRequest, text: &str) -> Result<Self> {
        let setting = format!("index.{}", request.name);
        let origin = request.origin.clone().unwrap_or_else(|| format!("the schema of {}", request.name));
        let (mut schema, notes) = flusso_schema::parse_with_notes(text, &origin)
            .map_err(|problems| Error::configuration(&setting, problems.to_string()))?;
        let catalog = TableCatalog::of_schema(session, &mut schema)?;
        // A name that the database has as it is written is read as it is written.
        let folded = schema.folded_names();
        for note in notes.iter().filter(|note| note.name.as_ref().is_none_or(|name| folded.contains(name))) {
            log::warn(&note.to_string(), &[("index", &request.name)]);
        }
        let (plan, queries) = planned(&setting, &origin, &schema, &catalog)?;
        try_out(session, &setting, &origin, &plan, &queries)?;
        for note in views::unfollowed(session, &request.name, &schema, &catalog)? {
            log::warn(&note, &[("index", &request.name)]);
        }
        let origin_of_documents = DocumentOrigin::Schema { schema: Box::new(schema), origin };
        Ok(Self {
            name: request.name.clone(),
            origin_of_documents,
            catalog,
            bare: plan.clone(),
            plan,
            queries,
            repeated_keys: false,
        })
    }

    /// Reads the links of these relations beside the documents from now on, and of no others.
    pub(super) fn follow(&mut self, relations: &[RecordedRelation]) -> Result<()> {
        let mut plan = self.bare.clone();
        plan.follow(relations);
        if plan != self.plan {
            self.queries = Queries::of(&plan, &self.catalog)?;
            self.plan = plan;
        }
        Ok(())
    }

    /// Looks the tables up once more, and plans what they are now.
    pub(super) fn plan_again(&mut self, session: &mut Session) -> Result<()> {
        let fresh = match &self.origin_of_documents {
            DocumentOrigin::Rows { schema, table } => {
                let found = table::find(session, schema, table)?.ok_or_else(|| {
                    Error::Transient(format!("the table {schema}.{table} is gone: the tables are looked up again"))
                })?;
                Self::of_rows(self.name.clone(), found)?
            }
            DocumentOrigin::Schema { schema, origin } => {
                let setting = format!("index.{}", self.name);
                let mut schema = schema.clone();
                let catalog = TableCatalog::of_schema(session, &mut schema)?;
                let (plan, queries) = planned(&setting, origin, &schema, &catalog)?;
                try_out(session, &setting, origin, &plan, &queries)?;
                let origin_of_documents = DocumentOrigin::Schema { schema, origin: origin.clone() };
                Self {
                    name: self.name.clone(),
                    origin_of_documents,
                    catalog,
                    bare: plan.clone(),
                    plan,
                    queries,
                    repeated_keys: self.repeated_keys,
                }
            }
        };
        *self = fresh;
        Ok(())
    }
}

fn planned(
    setting: &str,
    origin: &str,
    schema: &flusso_schema::Schema,
    catalog: &TableCatalog,
) -> Result<(Plan, Queries)> {
    let plan = Plan::of_schema(schema, catalog).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| format!("{origin}: {problem}")).collect();
        Error::configuration(setting, lines.join("\n"))
    })?;
    let misplaced = views::misplaced(schema, catalog);
    if !misplaced.is_empty() {
        let lines: Vec<String> = misplaced.iter().map(|problem| format!("{origin}: {problem}")).collect();
        return Err(Error::configuration(setting, lines.join("\n")));
    }
    for table in catalog.tables() {
        let root =
            plan.nodes.first().is_some_and(|root| root.table.schema == table.schema && root.table.name == table.name);
        // A junction may do without a key of its own, and the root's may be declared.
        let obstacle = if table.key.is_empty() { table.unreadable() } else { table.obstacle() };
        if let Some(reason) = obstacle {
            let key = if root { "table" } else { "fields" };
            return Err(Error::configuration(
                setting,
                format!("{origin}: {key}: the table {} cannot be followed: {reason}", table.label()),
            ));
        }
    }
    let queries = Queries::of(&plan, catalog)?;
    Ok((plan, queries))
}

/// Lets the server look at every statement: what it refuses (a raw condition, a value that is none of the column's type,
/// columns that cannot be compared) is the schema's fault.
fn try_out(session: &mut Session, setting: &str, origin: &str, plan: &Plan, queries: &Queries) -> Result<()> {
    for (node, statements) in plan.nodes.iter().zip(&queries.by_links) {
        match session.prepare(&statements.list) {
            Ok(_) => {}
            Err(Error::Server(error)) if error.code.starts_with("42") || error.code.starts_with("22") => {
                let place = if node.path.is_empty() { "filters" } else { node.path.as_str() };
                return Err(Error::configuration(
                    setting,
                    format!("{origin}: {place}: the database refuses it: {error}"),
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
