//! An index: what the configuration says of it, how its documents are planned, and what it offers the host.

use flusso_documents::{Content, Plan, Table, rows_of_table};
use flusso_plugin::{Error, Field, IndexRequest, Mapping, OfferedIndex, Result, TableName, TableRead, log};
use flusso_schema::{Key, Schema, SoftDelete};

use crate::catalogue::{Described, tagged};
use crate::reads::{NodeReads, RootReads};

/// Change when the same rows would render to other bytes.
const RENDERER: &str = "schema-builder-1";

/// An index as the configuration asks for it.
#[derive(Debug)]
pub(crate) struct Request {
    name: String,
    wanted: Wanted,
}

/// What documents are made of.
#[derive(Debug)]
enum Wanted {
    /// Whole rows of one table.
    Rows { schema: String, table: String },
    /// What a schema says.
    Schema {
        schema: Box<Schema>,
        /// Where its text came from, for messages.
        origin: String,
    },
}

/// An index that is built.
#[derive(Debug)]
pub(crate) struct Index {
    mapping: Mapping,
    pub(crate) plan: Plan,
    pub(crate) root: RootReads,
    /// What each node of the plan looks up; that of the root is not looked up.
    pub(crate) nodes: Vec<NodeReads>,
}

impl Request {
    /// Reads the schema, if the index has one.
    pub(crate) fn read(request: IndexRequest) -> Result<Self> {
        let IndexRequest { name, schema, origin, .. } = request;
        let Some(text) = schema else {
            let (schema, table) = name.split_once('.').unwrap_or(("public", &name));
            return Ok(Self { wanted: Wanted::Rows { schema: schema.to_owned(), table: table.to_owned() }, name });
        };
        let origin = origin.unwrap_or_else(|| format!("the schema of {name}"));
        let (schema, notes) = flusso_schema::parse_with_notes(&text, &origin)
            .map_err(|problems| Error::configuration(setting(&name), problems.to_string()))?;
        for note in notes.iter().filter(|note| note.name.is_none()) {
            log::warn(&note.to_string(), &[("index", &name)]);
        }
        Ok(Self { name, wanted: Wanted::Schema { schema: Box::new(schema), origin } })
    }

    /// A table without a schema, under its own name (`schema.table` outside `public`).
    pub(crate) fn rows(table: &TableName) -> Self {
        let TableName { schema, name: table } = table.clone();
        let name = if schema == "public" { table.clone() } else { format!("{schema}.{table}") };
        Self { name, wanted: Wanted::Rows { schema, table } }
    }

    /// The tables that it may mean.
    pub(crate) fn tables(&self) -> Vec<TableName> {
        match &self.wanted {
            Wanted::Rows { schema, table } => vec![TableName { schema: schema.clone(), name: table.clone() }],
            Wanted::Schema { schema, .. } => {
                let named = |(schema, name): (String, String)| TableName { schema, name };
                schema.possible_tables().into_iter().map(named).collect()
            }
        }
    }
}

/// The setting that an index is, for messages.
fn setting(index: &str) -> String {
    format!("index.{index}")
}

impl Index {
    pub(crate) fn new(request: Request, tables: &Described) -> Result<Self> {
        let Request { name, wanted } = request;
        match wanted {
            Wanted::Rows { schema, table } => Self::of_rows(name, Table { schema, name: table }, tables),
            Wanted::Schema { mut schema, origin } => {
                schema.resolve_names(tables);
                Self::of_schema(name, &schema, &origin, tables)
            }
        }
    }

    fn of_rows(name: String, table: Table, tables: &Described) -> Result<Self> {
        let wrong = |message: String| Error::configuration(setting(&name), message);
        let Some(found) = tables.table(&table.schema, &table.name) else {
            return Err(wrong(format!(
                "there is no table {table}; name an index as its table, `schema.table` outside public, or give it a schema"
            )));
        };
        if found.key.is_empty() {
            return Err(wrong(format!("the table {table} has no primary key, so its rows have no names as documents")));
        }
        if found.columns.is_empty() {
            return Err(wrong(format!("the source does not say which columns {table} has; give the index a schema")));
        }
        let columns: Vec<_> = found.columns.iter().map(|column| (column.clone(), tagged())).collect();
        let plan = rows_of_table(table, &found.key, &columns);
        let hash = hash(&[&found.key.join("\n"), &found.columns.join("\n")]);
        let root = RootReads::new(&plan, &[], None).map_err(&wrong)?;
        let nodes = nodes(&plan).map_err(&wrong)?;
        let mapping = Mapping { index: name.clone(), hash, fields: Vec::new(), prefix: String::new(), extra: None };
        Ok(Self { mapping, root, nodes, plan })
    }

    fn of_schema(name: String, schema: &Schema, origin: &str, tables: &Described) -> Result<Self> {
        let wrong = |lines: Vec<String>| {
            let lines: Vec<String> = lines.into_iter().map(|line| format!("{origin}: {line}")).collect();
            Error::configuration(setting(&name), lines.join("\n"))
        };
        if schema.fields.iter().any(|field| field.hidden().is_some()) {
            return Err(wrong(vec![
                "follow: this is for views of a database, whose tables the source has to follow; let the source build (leave [builder] out)"
                    .to_owned(),
            ]));
        }
        let plan = Plan::of_schema(schema, tables)
            .map_err(|problems| wrong(problems.iter().map(ToString::to_string).collect()))?;
        if let (Key::Declared(declared), Some(found)) =
            (&schema.primary_key, tables.table(schema.table.schema.as_str(), schema.table.name.as_str()))
        {
            let declared: Vec<String> = declared.iter().map(ToString::to_string).collect();
            if declared != found.key {
                return Err(wrong(vec![format!(
                    "primary_key: a document is named by the primary key of {}, which is {}, and not {}; leave `primary_key` out",
                    schema.table,
                    if found.key.is_empty() { "missing".to_owned() } else { found.key.join(", ") },
                    declared.join(", ")
                )]));
            }
        }
        let deleted = match &schema.soft_delete {
            SoftDelete::Never => None,
            SoftDelete::Marked { column, when } => Some((column, when.as_slice())),
        };
        let root = RootReads::new(&plan, &schema.filters, deleted).map_err(|line| wrong(vec![line]))?;
        let nodes = nodes(&plan).map_err(|line| wrong(vec![line]))?;
        let field = |field: flusso_schema::MappedField| Field {
            path: field.path,
            type_: field.ty,
            nullable: field.nullable,
            array: field.array,
            options: field.options,
            variants: field.variants,
            map_values: field.map_values,
            extra: None,
        };
        let fields = schema.mapping().into_iter().map(field).collect();
        let key = plan.nodes.first().map(|root| root.key.join("\n")).unwrap_or_default();
        let hash = hash(&[&schema.hash(), &key]);
        let mapping = Mapping { index: name.clone(), hash, fields, prefix: String::new(), extra: None };
        Ok(Self { mapping, plan, root, nodes })
    }

    /// What it offers.
    pub(crate) fn offered(&self) -> OfferedIndex {
        let root = self.plan.nodes.first();
        let name = |table: &Table| TableName { schema: table.schema.clone(), name: table.name.clone() };
        let mut reads: Vec<TableRead> = Vec::new();
        let root_reads = self.root.lookups().into_iter();
        for read in root_reads.chain(self.nodes.iter().skip(1).flat_map(NodeReads::lookups)) {
            let columns = read.columns.iter().chain(&read.by).cloned();
            let filtered = read.filters.iter().filter_map(|filter| match filter {
                flusso_plugin::Filter::Condition(condition) => Some(condition.column.clone()),
                flusso_plugin::Filter::Raw(_) => None,
            });
            let ordered = read.order.iter().map(|order| order.column.clone());
            let columns: Vec<String> = columns.chain(filtered).chain(ordered).collect();
            let same = |known: &&mut TableRead| {
                (&known.table.schema, &known.table.name) == (&read.table.schema, &read.table.name)
            };
            let place = match reads.iter_mut().find(same) {
                Some(known) => known,
                None => {
                    let (table, columns, by) = (read.table.clone(), Vec::new(), Vec::new());
                    reads.push(TableRead { table, columns, by, extra: None });
                    let Some(new) = reads.last_mut() else { continue };
                    new
                }
            };
            for column in columns {
                if !place.columns.contains(&column) {
                    place.columns.push(column);
                }
            }
            if !place.by.contains(&read.by) {
                place.by.push(read.by.clone());
            }
        }
        OfferedIndex {
            mapping: self.mapping.clone(),
            root: root
                .map(|root| name(&root.table))
                .unwrap_or(TableName { schema: String::new(), name: String::new() }),
            columns: self.root.columns.clone(),
            reads,
            extra: None,
        }
    }
}

fn nodes(plan: &Plan) -> std::result::Result<Vec<NodeReads>, String> {
    plan.nodes.iter().map(NodeReads::new).collect()
}

/// FNV-1a over the renderer and these.
fn hash(parts: &[&str]) -> String {
    let bytes = std::iter::once(&RENDERER).chain(parts).flat_map(|part| part.bytes().chain([0xff]));
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", bytes.fold(0xcbf2_9ce4_8422_2325, add))
}

/// The columns of a content's cells, whoever holds them.
pub(crate) fn cells(content: &Content) -> &[flusso_documents::Cell] {
    match content {
        Content::Rows { cells, .. } => cells,
        Content::Aggregates(_) => &[],
    }
}
