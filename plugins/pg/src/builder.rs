//! The builder: one document a row, built by key; and which documents a batch of changes touches.

mod select;

use crate::catalog::{self, Table};
use crate::codec;
use crate::error::{Error, Result};
use crate::plan::{self, KeyPlaces, Plan};
use crate::session::{CALL, Session, TextRow};
use crate::settings::Settings;
use crate::sql;
use crate::walk::Walk;
use flusso_plugin::{
    Affected, Change, DocumentId, Field, IndexRequest, Mapping, Op, Outcome, Scope, TableInterest, TableName, Value,
};
use std::collections::{HashMap, HashSet};

/// A builder, opened.
pub struct RowBuilder {
    pub(crate) session: Session,
    pub(crate) indexes: Vec<Index>,
    pub(crate) walk: Option<(u32, Walk)>,
}

/// An index of one table's rows. Its place is its number, and its table's.
pub(crate) struct Index {
    name: String,
    table: Table,
    pub(crate) plan: Plan,
}

impl RowBuilder {
    /// Opens a session and looks the tables up.
    pub fn start(settings: &Settings, requests: &[IndexRequest]) -> Result<Self> {
        let mut session = Session::open(&settings.connection, crate::session::Mode::Sql)?;
        let found = if requests.is_empty() {
            select::every_table(&mut session)?
        } else {
            select::named(&mut session, requests)?
        };
        let indexes = found
            .into_iter()
            .map(|(name, table)| Ok(Index { name, plan: Plan::documents(&table)?, table }))
            .collect::<Result<_>>()?;
        Ok(Self { session, indexes, walk: None })
    }

    /// The mappings.
    pub fn describe(&self) -> Vec<Mapping> {
        self.indexes
            .iter()
            .map(|index| Mapping {
                index: index.name.clone(),
                hash: plan::hash(&index.table),
                fields: index
                    .table
                    .columns
                    .iter()
                    .map(|column| {
                        let (name, array) = plan::field_type(column);
                        Field {
                            path: column.name.clone(),
                            type_: name.to_owned(),
                            nullable: !column.required,
                            array,
                            options: "{}".to_owned(),
                            extra: None,
                        }
                    })
                    .collect(),
                extra: None,
            })
            .collect()
    }

    /// One scope an index.
    pub fn roots(&self) -> Vec<Scope> {
        (0..).zip(&self.indexes).map(|(number, _)| Scope { index: number, root: number, extra: None }).collect()
    }

    /// One table an index; every column counts.
    pub fn tables(&self) -> Vec<TableInterest> {
        self.indexes
            .iter()
            .map(|index| TableInterest {
                table: TableName { schema: index.table.schema.clone(), name: index.table.name.clone() },
                key: index.table.key.clone(),
                links: Vec::new(),
                reads: None,
                extra: None,
            })
            .collect()
    }

    /// Each change is its own document's.
    pub fn touched(changes: Vec<Change>) -> Affected {
        let (mut seen, mut clear) = (HashSet::new(), Vec::new());
        let mut ids = Vec::with_capacity(changes.len());
        for change in changes {
            if change.op == Op::Truncate {
                if !clear.contains(&change.table) {
                    clear.push(change.table);
                }
            } else if seen.insert((change.table, codec::distinguish_key(&change.key))) {
                ids.push(DocumentId { index: change.table, key: change.key });
            }
        }
        Affected { ids, more: None, rebuild: Vec::new(), clear, extra: None }
    }

    /// Builds by key: one query an index.
    pub fn build(&mut self, ids: &[DocumentId]) -> Result<Vec<Outcome>> {
        self.session.within(CALL);
        self.release()?;
        let mut outcomes = vec![Outcome::Absent; ids.len()];
        let mut by_index: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, id) in ids.iter().enumerate() {
            by_index.entry(id.index).or_default().push(at);
        }
        for (number, places) in by_index {
            self.build_index(number, &places, ids, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn build_index(
        &mut self,
        number: u32,
        places: &[usize],
        ids: &[DocumentId],
        outcomes: &mut [Outcome],
    ) -> Result<()> {
        let keys: Vec<&[Value]> = places.iter().filter_map(|at| ids.get(*at)).map(|id| id.key.as_slice()).collect();
        // A key asked for twice is answered twice.
        let mut wanted: HashMap<Vec<u8>, Vec<usize>> = HashMap::with_capacity(keys.len());
        for (key, at) in keys.iter().zip(places) {
            wanted.entry(codec::distinguish_key(key)).or_default().push(*at);
        }
        self.send_by_key(number, &keys)?;
        let index = at(&self.indexes, number)?;
        let (plan, session) = (&index.plan, &mut self.session);
        let (mut body, mut key, mut distinct) = (Vec::new(), KeyPlaces::default(), Vec::new());
        while let Some(frame) = session.next_row()? {
            let row = session.row(frame);
            body.clear();
            plan.render(row, &mut body, &mut key)?;
            distinct.clear();
            plan.key_values(row, &key).iter().for_each(|value| codec::distinguish(value, &mut distinct));
            // What is equal to the server alone (citext) is another document: its own id finds it.
            for at in wanted.get(&distinct).into_iter().flatten() {
                if let Some(outcome) = outcomes.get_mut(*at) {
                    *outcome = Outcome::Built(body.clone());
                }
            }
        }
        Ok(())
    }

    /// Sends the query off, behind a look at the columns; when they are not what was planned for, plans and sends it again.
    fn send_by_key(&mut self, number: u32, keys: &[&[Value]]) -> Result<()> {
        loop {
            let index = at(&self.indexes, number)?;
            let plan = &index.plan;
            let look = self.session.prepare(catalog::FINGERPRINT)?;
            let query = format!("SELECT {} FROM {} WHERE {}", plan.select, plan.from, by_key(plan));
            // The statement of a plan that no longer fits the table is refused already here.
            let query = match self.session.prepare(&query) {
                Err(error @ Error::Server(_)) => {
                    if self.freshen(number)? {
                        continue;
                    }
                    return Err(error);
                }
                prepared => prepared?,
            };
            let arrays = key_arrays(plan, keys);
            let parameters: Vec<Option<&str>> = arrays.iter().map(|text| Some(text.as_str())).collect();
            self.session.line_up(&look, &[Some(index.table.oid.to_string().as_str())]);
            self.session.execute(&query, &parameters)?;
            if one(self.session.rest()?).as_ref() == Some(&index.table.fingerprint) {
                return Ok(());
            }
            match self.session.rest() {
                Ok(_) | Err(Error::Server(_)) => self.freshen(number)?,
                Err(error) => return Err(error),
            };
        }
    }

    /// Looks whether the table still has the columns it was planned with, and plans it again if not; whether it had changed.
    pub(crate) fn freshen(&mut self, number: u32) -> Result<bool> {
        let index = usize::try_from(number)
            .ok()
            .and_then(|number| self.indexes.get_mut(number))
            .ok_or_else(|| unknown(number))?;
        let look = self.session.prepare(catalog::FINGERPRINT)?;
        let found = one(self.session.rows(&look, &[Some(index.table.oid.to_string().as_str())])?);
        if found.as_ref() == Some(&index.table.fingerprint) {
            return Ok(false);
        }
        let (schema, name) = (&index.table.schema, &index.table.name);
        let table = catalog::table(&mut self.session, schema, name)?.ok_or_else(|| {
            Error::Transient(format!("the table {schema}.{name} is gone: the tables are looked up again"))
        })?;
        index.plan = Plan::documents(&table)?;
        index.table = table;
        self.session.forget()?;
        Ok(true)
    }

    /// Tables changed their shape: their documents are built anew.
    pub fn look_again(&mut self, tables: &[u32]) -> Result<Affected> {
        self.session.within(CALL);
        self.release()?;
        self.walk = None;
        for table in tables {
            self.freshen(*table)?;
        }
        Ok(Affected { ids: Vec::new(), more: None, rebuild: tables.to_vec(), clear: Vec::new(), extra: None })
    }

    /// Frees the session from a range that was left in the middle.
    pub(crate) fn release(&mut self) -> Result<()> {
        match &mut self.walk {
            Some((_, walk)) => walk.abandon(&mut self.session),
            None => Ok(()),
        }
    }
}

fn at(indexes: &[Index], number: u32) -> Result<&Index> {
    usize::try_from(number).ok().and_then(|number| indexes.get(number)).ok_or_else(|| unknown(number))
}

fn one(rows: Vec<TextRow>) -> Option<String> {
    rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten()
}

pub(crate) fn unknown(number: u32) -> Error {
    Error::Fatal(format!("there is no index {number}"))
}

/// The condition for a list of keys, given as one array a key column.
pub(crate) fn by_key(plan: &Plan) -> String {
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
pub(crate) fn key_arrays(plan: &Plan, keys: &[&[Value]]) -> Vec<String> {
    (0..plan.key.len())
        .map(|at| sql::array(keys.iter().filter_map(|key| key.get(at).and_then(codec::encode))))
        .collect()
}
