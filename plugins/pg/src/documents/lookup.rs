//! The lookups of the resolver as SQL: one statement each, all of a step pipelined.

use crate::catalog::key_columns::KeyColumns;
use crate::catalog::table::Table;
use crate::documents::reader::{by_key, key_arrays};
use crate::error::{Error, Result};
use crate::protocol::codec::{self, Kind};
use crate::protocol::pg_types;
use crate::protocol::session::{Session, Statement};
use crate::protocol::wire::Cut;
use flusso_plugin::{Key, TableName, Value};
use flusso_resolve::{ColumnInfo, Hop, Identity, Lookup, Pair, TableInfo, Unreadable};

/// Bytes of questions under way at most, beyond a single one: a server that waits for us to read, while we wait for it to
/// read, would wait for ever.
const PIPELINE_BYTES: usize = 48 * 1024;

/// Asks through a session.
pub(crate) struct PgLookup<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) tables: &'a dyn Fn(&TableName) -> Option<&'a Table>,
}

struct Question {
    statement: Statement,
    parameters: Vec<String>,
    kinds: Vec<Kind>,
    /// How many of the columns are `select`'s.
    to: usize,
}

impl Question {
    fn size(&self) -> usize {
        self.parameters.iter().map(String::len).sum::<usize>() + 64
    }
}

impl Lookup for PgLookup<'_> {
    type Error = Error;

    fn unreadable(&self, error: Unreadable) -> Error {
        Error::Fatal(error.to_string())
    }

    fn lookup(&mut self, asked: &[Hop<'_>]) -> Result<Vec<Vec<Pair>>> {
        let questions = asked.iter().map(|hop| self.question(hop)).collect::<Result<Vec<_>>>()?;
        let mut answers = Vec::with_capacity(questions.len());
        let mut rest = questions.as_slice();
        while let Some(first) = rest.first() {
            let mut size = first.size();
            let more = rest.iter().skip(1).take_while(|question| {
                size += question.size();
                size <= PIPELINE_BYTES
            });
            let (together, later) = rest.split_at(1 + more.count());
            rest = later;
            for question in together {
                let parameters: Vec<Option<&str>> = question.parameters.iter().map(|it| Some(it.as_str())).collect();
                self.session.line_up(&question.statement, &parameters)?;
            }
            self.session.send()?;
            let mut refused = None;
            for question in together {
                // What follows a refusal is answered all the same: each statement is a transaction of its own.
                match self.answer(question) {
                    Ok(pairs) => answers.push(pairs),
                    Err(error @ Error::Server(_)) => refused = refused.or(Some(error)),
                    Err(error) => return Err(error),
                }
            }
            if let Some(error) = refused {
                return Err(error);
            }
        }
        Ok(answers)
    }
}

impl PgLookup<'_> {
    fn question(&mut self, hop: &Hop<'_>) -> Result<Question> {
        let table = (self.tables)(hop.table).ok_or_else(|| {
            Error::Transient(format!(
                "the table {}.{} is gone: the tables are looked up again",
                hop.table.schema, hop.table.name
            ))
        })?;
        let by = KeyColumns::selecting(table, "t", hop.by, String::new(), |at| at)?;
        let to = KeyColumns::selecting(table, "t", hop.select, String::new(), |at| at)?;
        let fitting: Vec<&[Value]> =
            hop.values.iter().map(Vec::as_slice).filter(|values| fits(table, hop.by, values)).collect();
        let mut parameters = key_arrays(&by, &fitting);
        let columns: Vec<_> = to.key.iter().chain(&by.key).collect();
        let names = (0..columns.len()).map(|at| format!("c{at}")).collect::<Vec<_>>().join(", ");
        let select: Vec<String> =
            columns.iter().enumerate().map(|(at, column)| format!("{} AS c{at}", column.sql)).collect();
        let mut conditions = vec![by_key(&by)];
        conditions.extend(to.key.iter().map(|column| format!("{} IS NOT NULL", column.sql)));
        if let Some(after) = hop.after {
            let mut places = Vec::new();
            for (column, value) in columns.iter().zip(after.to.iter().chain(&after.from)) {
                parameters.push(codec::encode(value).unwrap_or_default());
                places.push(format!("${}::{}", parameters.len(), column.type_name));
            }
            let sqls: Vec<&str> = columns.iter().map(|column| column.sql.as_str()).collect();
            conditions.push(format!("({}) > ({})", sqls.join(", "), places.join(", ")));
        }
        // Materialised: an order with a limit must not talk the planner into walking the whole key's index.
        let text = format!(
            "WITH found AS MATERIALIZED (SELECT DISTINCT {} FROM {} WHERE {}) SELECT {names} FROM found ORDER BY {names} LIMIT {}",
            select.join(", "),
            by.from,
            conditions.join(" AND "),
            hop.limit
        );
        let kinds = columns.iter().map(|column| column.kind).collect();
        Ok(Question { statement: self.session.prepare(&text)?, parameters, kinds, to: to.key.len() })
    }

    fn answer(&mut self, question: &Question) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        while let Some(frame) = self.session.next_row()? {
            let mut cut = Cut(self.session.row(frame));
            let _count = cut.u16()?;
            let mut values = question.kinds.iter().map(|kind| match cut.column()? {
                Some(text) => Ok(kind.decode(text)),
                None => Ok(Value::Null),
            });
            let to = values.by_ref().take(question.to).collect::<Result<Key>>()?;
            pairs.push(Pair { from: values.collect::<Result<Key>>()?, to });
        }
        Ok(pairs)
    }
}

/// Whether values can be read in the types of columns: those of another column may be too large, or no such thing at all,
/// and then equal nothing there.
pub(crate) fn fits(table: &Table, columns: &[String], values: &[Value]) -> bool {
    columns.iter().zip(values).all(|(name, value)| {
        let (Ok(column), Some(text)) = (table.column(name), codec::encode(value)) else { return false };
        pg_types::find(column.base).is_none_or(|row| (row.reads)(&text))
    })
}

/// What the resolver has to know of a table. `manages`: the source sets the replica identity where it may, before anything is
/// followed.
pub(crate) fn facts(table: &Table, manages: bool) -> TableInfo {
    let columns = table.columns.iter().map(|column| ColumnInfo {
        name: column.name.clone(),
        alike: crate::catalog::table_catalog::described(column).alike,
        generated: column.generated,
    });
    TableInfo {
        name: TableName { schema: table.schema.clone(), name: table.name.clone() },
        key: table.key.clone(),
        columns: columns.collect(),
        identity: match table.identity.as_str() {
            "f" => Identity::Full,
            // No change of a view comes, so there is nothing to remember.
            _ if !table.is_streamed() => Identity::Full,
            _ if manages && table.alterable => Identity::Full,
            // Each partition has an identity of its own.
            "i" if !table.partitioned => Identity::Columns(table.identity_columns.clone()),
            _ => Identity::Key,
        },
    }
}
