//! The contract's reader: rows by key and by relation in one snapshot, for builders of other plugins.

use crate::catalog::key_columns::KeyColumns;
use crate::catalog::table::{self, Table};
use crate::catalog::table_catalog::form;
use crate::documents::dense_range::DenseRange;
use crate::error::{Error, Result};
use crate::protocol::codec;
use crate::protocol::session::{CALL_LIMIT, Mode, Session};
use crate::protocol::sql;
use crate::protocol::wire::Cut;
use crate::settings::Settings;
use flusso_documents::Form;
use flusso_plugin as contract;
use flusso_plugin::{
    BatchReader, Comparison, Condition, Filter, Key, Reader, Relation, Row, TableDescription, TableName, Value,
};
use std::collections::HashMap;

/// Bytes of statements that are sent off before their answers are read.
const PIPELINED_BYTES: usize = 32 << 10;

/// A reader, opened.
pub struct PgReader {
    session: Session,
    tables: HashMap<(String, String), Table>,
}

impl PgReader {
    /// Connects.
    pub fn start(settings: &Settings) -> Result<Self> {
        Ok(Self { session: Session::open(&settings.connection, Mode::Reading)?, tables: HashMap::new() })
    }

    fn table(&mut self, name: &TableName) -> Result<Table> {
        let key = (name.schema.clone(), name.name.clone());
        if let Some(table) = self.tables.get(&key) {
            return Ok(table.clone());
        }
        let table = table::find(&mut self.session, &name.schema, &name.name)?
            .ok_or_else(|| Error::configuration("", format!("there is no table {}.{}", name.schema, name.name)))?;
        self.tables.insert(key, table.clone());
        Ok(table)
    }

    /// Sends questions off together, a round trip for as many as fit into the connection's buffers, and reads their answers.
    fn ask(&mut self, questions: &[Question]) -> Result<Vec<Vec<Row>>> {
        let mut answers = Vec::with_capacity(questions.len());
        let mut rest = questions;
        while !rest.is_empty() {
            // Without an end, both sides would wait for the other to read.
            let mut bytes = 0;
            let fit = rest.iter().take_while(|question| {
                let first = bytes == 0;
                bytes += question.parameters.iter().map(String::len).sum::<usize>() + question.text.len();
                first || bytes <= PIPELINED_BYTES
            });
            let (now, later) = rest.split_at(fit.count());
            let prepared = now.iter().map(|question| self.session.prepare(&question.text));
            for (question, statement) in now.iter().zip(prepared.collect::<Result<Vec<_>>>()?) {
                let parameters: Vec<Option<&str>> =
                    question.parameters.iter().map(|text| Some(text.as_str())).collect();
                self.session.line_up(&statement, &parameters)?;
            }
            self.session.send()?;
            for question in now {
                answers.push(self.answer(question)?);
            }
            rest = later;
        }
        Ok(answers)
    }

    fn answer(&mut self, question: &Question) -> Result<Vec<Row>> {
        let (kinds, range) = (&question.kinds, question.range.as_ref());
        let mut rows = Vec::new();
        while let Some(frame) = self.session.next_row()? {
            let mut cut = Cut(self.session.row(frame));
            let _count = cut.u16()?;
            let mut values = kinds.iter().map(|kind| Ok(cut.column()?.map_or(Value::Null, |text| kind.decode(text))));
            let first: Option<Value> = values.next().transpose()?;
            if let (Some(range), Some(first)) = (range, &first)
                && !range.contains(first)
            {
                continue;
            }
            let row = first.map(Ok).into_iter().chain(values).collect::<Result<_>>()?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// The question for the rows of a relation.
    fn question(&mut self, relation: &Relation) -> Result<Question> {
        let mut table = self.table(&relation.table)?;
        let wanted: Vec<String> = relation.by.iter().chain(&relation.columns).cloned().collect();
        // The link columns take the key's place: they are looked up the same way.
        let key = std::mem::replace(&mut table.key, relation.by.clone());
        let plan = KeyColumns::keys(&table)?;
        let links: Vec<&[Value]> =
            relation.values.iter().filter(|link| !link.contains(&Value::Null)).map(Vec::as_slice).collect();
        let raw = relation.filters.iter().any(|filter| matches!(filter, Filter::Raw(_)));
        // What the operator wrote is asked of the rows that are wanted, and of no others: it may fail on those.
        let range = if raw { None } else { DenseRange::of(&links) };
        let mut parameters = match &range {
            Some(range) => vec![range.low.to_string(), range.high().to_string()],
            None => key_arrays(&plan, &links),
        };
        // By no column: the whole table.
        let mut conditions = match (plan.key.as_slice(), &range) {
            ([], _) => Vec::new(),
            ([key], Some(_)) => vec![format!("{0} BETWEEN $1::{1} AND $2::{1}", key.sql, key.type_name)],
            _ => vec![by_key(&plan)],
        };
        for filter in &relation.filters {
            conditions.push(match filter {
                Filter::Raw(text) => format!("({text})"),
                Filter::Condition(condition) => compare(&table, condition, &mut parameters)?,
            });
        }
        // A lookup by the whole key leads to one row: there is nothing to order, and nothing to count.
        let is_one = !key.is_empty() && key.iter().all(|column| relation.by.contains(column));
        let limit = relation.limit.filter(|limit| !is_one || *limit == 0);
        let mut order: Vec<String> = Vec::new();
        for ordering in &relation.order {
            order.push(format!("t.{}{}", sql::name(&ordering.column), if ordering.descending { " DESC" } else { "" }));
        }
        // The key last, so that an order is total and a limit keeps the same rows each time.
        order.extend(key.iter().map(|column| format!("t.{}", sql::name(column))));
        let shown = shown(&table, &wanted, relation.by.len())?;
        let (select, from) = (shown.join(", "), &plan.from);
        let conditions =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let order = if order.is_empty() || (is_one && limit.is_none()) {
            String::new()
        } else {
            format!(" ORDER BY {}", order.join(", "))
        };
        let text = match limit {
            None => format!("SELECT {select} FROM {from}{conditions}{order}"),
            Some(limit) if relation.by.is_empty() => {
                format!("SELECT {select} FROM {from}{conditions}{order} LIMIT {limit}")
            }
            Some(limit) => {
                let names = (0..wanted.len()).map(|at| format!("c{at}")).collect::<Vec<_>>().join(", ");
                let inner = shown.iter().enumerate().map(|(at, sql)| format!("{sql} AS c{at}"));
                let inner = inner.collect::<Vec<_>>().join(", ");
                format!(
                    "SELECT {names} FROM (SELECT {inner}, row_number() OVER (PARTITION BY {}{order}) AS place FROM {from}{conditions}) numbered WHERE place <= {limit} ORDER BY place",
                    plan.key_list()
                )
            }
        };
        Ok(Question { range, ..Question::new(&table, &wanted, relation.by.len(), text, parameters)? })
    }
}

/// A statement with its parameters, and how its columns are read.
struct Question {
    kinds: Vec<codec::Kind>,
    text: String,
    parameters: Vec<String>,
    /// What is asked for by its ends; of the rows, those alone are wanted whose first column is in it.
    range: Option<DenseRange>,
}

impl Question {
    /// The first `links` of the columns are links, which are compared as they are.
    fn new(table: &Table, wanted: &[String], links: usize, text: String, parameters: Vec<String>) -> Result<Self> {
        let kind = |(at, name): (usize, &String)| {
            let column = table.column(name)?;
            let is_json = at >= links && form(column) == Form::Structured;
            Ok(if is_json { codec::Kind::Json } else { codec::Kind::of(column.base) })
        };
        Ok(Self { kinds: wanted.iter().enumerate().map(kind).collect::<Result<_>>()?, text, parameters, range: None })
    }
}

impl Reader for PgReader {
    fn open(given: contract::Settings) -> contract::Result<Self> {
        Ok(Self::start(&Settings::from_json(given.parse()?)?)?)
    }

    fn primary_key(&mut self, table: TableName) -> contract::Result<Vec<String>> {
        self.session.within(CALL_LIMIT);
        Ok(self.table(&table)?.key)
    }

    /// Begins a transaction: one snapshot for all reads until the next.
    fn begin(&mut self) -> contract::Result<()> {
        self.session.within(CALL_LIMIT);
        let end = if self.session.in_transaction() { "COMMIT; " } else { "" };
        self.session.simple(&format!("{end}BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).map(drop)?;
        Ok(())
    }

    fn rows(&mut self, table: TableName, columns: Vec<String>, keys: Vec<Key>) -> contract::Result<Vec<Row>> {
        self.session.within(CALL_LIMIT);
        let table = self.table(&table)?;
        let plan = KeyColumns::keys(&table)?;
        let keys: Vec<&[Value]> = keys.iter().map(Vec::as_slice).collect();
        let wanted: Vec<String> = table.key.iter().chain(&columns).cloned().collect();
        let (links, shown) = (table.key.len(), shown(&table, &wanted, table.key.len())?.join(", "));
        let text = format!("SELECT {shown} FROM {} WHERE {}", plan.from, by_key(&plan));
        let question = Question::new(&table, &wanted, links, text, key_arrays(&plan, &keys))?;
        Ok(self.ask(&[question])?.pop().unwrap_or_default())
    }

    fn related(&mut self, relation: Relation) -> contract::Result<Vec<Row>> {
        Ok(self.related_many(vec![relation])?.pop().unwrap_or_default())
    }
}

impl BatchReader for PgReader {
    fn describe(&mut self, tables: Vec<TableName>) -> contract::Result<Vec<Option<TableDescription>>> {
        self.session.within(CALL_LIMIT);
        let names: Vec<(&str, &str)> =
            tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).collect();
        let found = table::named(&mut self.session, &names)?;
        let description = |table: &Table| TableDescription {
            key: table.key.clone(),
            columns: table.columns.iter().map(|column| column.name.clone()).collect(),
            tells_before: table.identity == "f",
            extra: extra(table, tables.is_empty()),
        };
        if tables.is_empty() {
            let all = table::all(&mut self.session)?.into_iter();
            return Ok(all
                .filter(|table| table.readable && table.obstacle().is_none())
                .map(|table| Some(description(&table)))
                .collect());
        }
        let of = |(schema, name): (&str, &str)| {
            found.iter().find(|table| table.schema == schema && table.name == name).map(description)
        };
        Ok(names.into_iter().map(of).collect())
    }

    fn related_many(&mut self, relations: Vec<Relation>) -> contract::Result<Vec<Vec<Row>>> {
        self.session.within(CALL_LIMIT);
        let questions: Vec<Question> = relations.iter().map(|it| self.question(it)).collect::<Result<_>>()?;
        Ok(self.ask(&questions)?)
    }
}

/// The columns that hold values as equal which look different, for the host: by them, rows could not be told apart. And the table's
/// name, where every table was asked for.
fn extra(table: &Table, is_named: bool) -> Option<String> {
    let columns = table.columns.iter().filter(|column| !column.is_equal_as_read());
    let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    let mut extra = serde_json::Map::new();
    if !columns.is_empty() {
        extra.insert("looking-different".to_owned(), columns.into());
    }
    if is_named {
        extra.insert("schema".to_owned(), table.schema.as_str().into());
        extra.insert("name".to_owned(), table.name.as_str().into());
    }
    (!extra.is_empty()).then(|| serde_json::Value::from(extra).to_string())
}

/// The columns as they are selected: what has parts (an array, a composite) as JSON, but for the first, by which rows are found.
fn shown(table: &Table, columns: &[String], links: usize) -> Result<Vec<String>> {
    let shown = |(at, name): (usize, &String)| {
        let sql = format!("t.{}", sql::name(name));
        let is_json = at >= links && form(table.column(name)?) == Form::Structured;
        Ok(if is_json { format!("pg_catalog.to_json({sql})") } else { sql })
    };
    columns.iter().enumerate().map(shown).collect()
}

/// A condition as SQL; operands become parameters of the column's own type.
fn compare(table: &Table, condition: &Condition, parameters: &mut Vec<String>) -> Result<String> {
    let column = table.column(&condition.column)?;
    let sql = format!("t.{}", sql::name(&condition.column));
    let mut place = |text: String, type_name: &str| {
        parameters.push(text);
        format!("${}::{type_name}", parameters.len())
    };
    let operands: Vec<String> = condition.operands.iter().filter_map(codec::encode).collect();
    let scalar =
        |operator: &str, type_name: &str, place: &mut dyn FnMut(String, &str) -> String| match operands.as_slice() {
            [one] => Ok(format!("{sql} {operator} {}", place(one.clone(), type_name))),
            _ => Err(Error::configuration(
                "",
                format!("a filter on {} wants one operand that is not null", condition.column),
            )),
        };
    let own = column.type_name.as_str();
    Ok(match condition.comparison {
        Comparison::Eq => scalar("=", own, &mut place)?,
        Comparison::Neq => scalar("<>", own, &mut place)?,
        Comparison::Lt => scalar("<", own, &mut place)?,
        Comparison::Lte => scalar("<=", own, &mut place)?,
        Comparison::Gt => scalar(">", own, &mut place)?,
        Comparison::Gte => scalar(">=", own, &mut place)?,
        Comparison::Like => scalar("LIKE", "text", &mut place)?,
        Comparison::Ilike => scalar("ILIKE", "text", &mut place)?,
        Comparison::In => format!("{sql} = ANY({})", place(sql::array(&operands), &format!("{own}[]"))),
        Comparison::NotIn => format!("{sql} <> ALL({})", place(sql::array(&operands), &format!("{own}[]"))),
        Comparison::Between => match operands.as_slice() {
            [low, high] => format!("{sql} BETWEEN {} AND {}", place(low.clone(), own), place(high.clone(), own)),
            _ => return Err(Error::configuration("", format!("`between` on {} wants two operands", condition.column))),
        },
        Comparison::IsNull => format!("{sql} IS NULL"),
        Comparison::IsNotNull => format!("{sql} IS NOT NULL"),
    })
}

/// The condition for a list of keys, given as one array a key column.
pub(crate) fn by_key(plan: &KeyColumns) -> String {
    let column = |at: usize, sql: &str, type_name: &str, listable: bool| {
        if listable {
            (sql.to_owned(), format!("${}::{type_name}[]", at + 1))
        } else {
            (format!("{sql}::text"), format!("${}::text[]", at + 1))
        }
    };
    let columns: Vec<(String, String)> =
        plan.key.iter().enumerate().map(|(at, key)| column(at, &key.sql, &key.type_name, key.listable)).collect();
    match columns.as_slice() {
        [(sql, array)] => format!("{sql} = ANY({array})"),
        several => {
            let (sqls, arrays): (Vec<&str>, Vec<&str>) =
                several.iter().map(|(sql, array)| (sql.as_str(), array.as_str())).unzip();
            format!("({}) IN (SELECT * FROM unnest({}))", sqls.join(", "), arrays.join(", "))
        }
    }
}

/// One array literal a key column.
pub(crate) fn key_arrays(plan: &KeyColumns, keys: &[&[Value]]) -> Vec<String> {
    (0..plan.key.len())
        .map(|at| sql::array(keys.iter().filter_map(|key| key.get(at).and_then(codec::encode))))
        .collect()
}
