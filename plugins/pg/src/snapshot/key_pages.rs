//! The contract's snapshot: the keys of a table, range by range.

use crate::catalog::key_columns::{KeyColumns, KeyPositions};
use crate::catalog::table::{self, Table};
use crate::error::{Error, Result};
use crate::protocol::session::{CALL_LIMIT, Mode, Session};
use crate::settings::Settings;
use crate::snapshot::range_scan::{KeyRange, RangeScan};
use crate::snapshot::split::{estimates, split};
use flusso_plugin as contract;
use flusso_plugin::{Cursor, Division, Page, Range, Snapshot, TableInterest, TableNumber};
use std::collections::HashMap;

/// A snapshot, opened.
pub struct PgSnapshot {
    session: Session,
    interest: Vec<TableInterest>,
    scan: Option<(KeyColumns, RangeScan)>,
    ahead: LookAhead,
}

/// Tables that will be divided next, looked up before they are asked for: twice as many each time, so that dividing one table
/// looks at one, and dividing thousands is a handful of queries. What is used is forgotten.
#[derive(Default)]
struct LookAhead {
    /// With an estimate of the rows.
    tables: HashMap<u32, (Table, f64)>,
    count: usize,
}

/// Most tables that are looked up ahead.
const MOST_AHEAD: usize = 512;

impl PgSnapshot {
    /// Connects.
    pub fn start(settings: &Settings, interest: Vec<TableInterest>) -> Result<Self> {
        Ok(Self {
            session: Session::open(&settings.connection, Mode::Reading)?,
            interest,
            scan: None,
            ahead: LookAhead::default(),
        })
    }

    fn table(&mut self, number: u32) -> Result<Table> {
        let interest = usize::try_from(number).ok().and_then(|number| self.interest.get(number));
        let interest = interest.ok_or_else(|| Error::Fatal(format!("there is no table {number}")))?;
        let (schema, name) = (&interest.table.schema, &interest.table.name);
        let found = table::find(&mut self.session, schema, name)?;
        let mut table = found.ok_or_else(|| {
            Error::Transient(format!("the table {schema}.{name} is gone: the tables are looked up again"))
        })?;
        table.key.clone_from(&interest.key);
        Ok(table)
    }

    /// A table to be divided, and about how many rows it has.
    fn undivided(&mut self, number: u32) -> Result<(Table, f64)> {
        if let Some(found) = self.ahead.tables.remove(&number) {
            return Ok(found);
        }
        self.ahead.count = (self.ahead.count * 2).clamp(1, MOST_AHEAD);
        let first = usize::try_from(number).unwrap_or(usize::MAX);
        let numbered: Vec<(u32, &TableInterest)> =
            (number..).zip(self.interest.iter().skip(first).take(self.ahead.count)).collect();
        let names: Vec<_> =
            numbered.iter().map(|(_, one)| (one.table.schema.as_str(), one.table.name.as_str())).collect();
        let tables = table::named(&mut self.session, &names)?;
        let rows = estimates(&mut self.session, &tables)?;
        let found: HashMap<_, _> = tables
            .into_iter()
            .zip(rows)
            .map(|(table, rows)| ((table.schema.clone(), table.name.clone()), (table, rows)))
            .collect();
        for (number, one) in numbered {
            if let Some((table, rows)) = found.get(&(one.table.schema.clone(), one.table.name.clone())) {
                let mut table = table.clone();
                table.key.clone_from(&one.key);
                self.ahead.tables.insert(number, (table, *rows));
            }
        }
        match self.ahead.tables.remove(&number) {
            Some(found) => Ok(found),
            // It is not there, and the error says so.
            None => self.table(number).map(|table| (table, 0.0)),
        }
    }
}

impl Snapshot for PgSnapshot {
    fn open(given: contract::Settings, interest: Vec<TableInterest>) -> contract::Result<Self> {
        Ok(Self::start(&Settings::from_json(given.parse()?)?, interest)?)
    }

    fn split(&mut self, number: TableNumber, parts: u32) -> contract::Result<Division> {
        self.session.within(CALL_LIMIT);
        let (table, rows) = self.undivided(number)?;
        let plan = KeyColumns::keys(&table)?;
        let ranges = split(&mut self.session, &table, &plan, rows, usize::try_from(parts).unwrap_or(1))?;
        Ok(Division {
            ranges: ranges.iter().map(KeyRange::to_bytes).collect(),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, clamped")]
            estimated_rows: Some(rows.max(0.0) as u64),
            extra: None,
        })
    }

    fn begin(&mut self, number: TableNumber, range: Range, cursor: Option<Cursor>) -> contract::Result<()> {
        self.session.within(CALL_LIMIT);
        if let Some((_, scan)) = &mut self.scan {
            scan.abandon(&mut self.session)?;
        }
        let table = self.table(number)?;
        self.scan = Some((KeyColumns::keys(&table)?, RangeScan::new(&range, cursor.as_deref(), 1)?));
        Ok(())
    }

    fn next(&mut self, max: u32) -> contract::Result<Page> {
        self.session.within(CALL_LIMIT);
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let (plan, scan) = self.scan.as_mut().ok_or_else(|| Error::Fatal("no range was begun".into()))?;
        scan.start_with(max);
        let (mut keys, mut key) = (Vec::with_capacity(max.min(4096)), KeyPositions::default());
        while let Some(frame) = scan.next_row(&mut self.session, plan)? {
            let row = self.session.row(frame);
            plan.find(row, &mut key)?;
            keys.push(plan.values(key.texts(row)));
            if keys.len() >= max.max(1) || scan.ends_page() {
                scan.passed(key.texts(row));
                break;
            }
        }
        scan.turn(&mut self.session, plan, keys.len(), true, max.max(1))?;
        Ok(Page { keys, cursor: scan.cursor(), extra: None })
    }
}
