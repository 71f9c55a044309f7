//! The contract's snapshot: the keys of a table, range by range.

use crate::catalog::key_columns::{KeyColumns, KeyPositions};
use crate::catalog::table::{self, Table};
use crate::error::{Error, Result};
use crate::protocol::session::{CALL_LIMIT, Mode, Session};
use crate::settings::Settings;
use crate::snapshot::range_scan::{KeyRange, RangeScan};
use crate::snapshot::split::split;
use flusso_plugin as contract;
use flusso_plugin::{Cursor, Division, Page, Range, Snapshot, TableInterest, TableNumber};

/// A snapshot, opened.
pub struct PgSnapshot {
    session: Session,
    interest: Vec<TableInterest>,
    scan: Option<(KeyColumns, RangeScan)>,
}

impl PgSnapshot {
    /// Connects.
    pub fn start(settings: &Settings, interest: Vec<TableInterest>) -> Result<Self> {
        Ok(Self { session: Session::open(&settings.connection, Mode::Sql)?, interest, scan: None })
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
}

impl Snapshot for PgSnapshot {
    fn open(given: contract::Settings, interest: Vec<TableInterest>) -> contract::Result<Self> {
        Ok(Self::start(&Settings::from_json(given.parse()?)?, interest)?)
    }

    fn split(&mut self, number: TableNumber, parts: u32) -> contract::Result<Division> {
        self.session.within(CALL_LIMIT);
        let table = self.table(number)?;
        let plan = KeyColumns::keys(&table)?;
        let (ranges, rows) = split(&mut self.session, &table, &plan, usize::try_from(parts).unwrap_or(1))?;
        Ok(Division {
            ranges: ranges.iter().map(KeyRange::to_bytes).collect(),
            estimated_rows: Some(rows),
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
