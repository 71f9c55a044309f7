//! The snapshot: the keys of a table, range by range.

use crate::catalog::key_columns::{KeyPlaces, Keyed};
use crate::catalog::table::{self, Table};
use crate::error::{Error, Result};
use crate::protocol::session::{CALL, Mode, Session};
use crate::settings::Settings;
use crate::snapshot::range_scan::{KeyRange, Walk};
use crate::snapshot::split::split;
use flusso_plugin::{Division, Page, TableInterest};

/// A snapshot, opened.
pub struct PgSnapshot {
    session: Session,
    interest: Vec<TableInterest>,
    walk: Option<(Keyed, Walk)>,
}

impl PgSnapshot {
    /// Connects.
    pub fn start(settings: &Settings, interest: Vec<TableInterest>) -> Result<Self> {
        Ok(Self { session: Session::open(&settings.connection, Mode::Sql)?, interest, walk: None })
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

    /// Ranges that hold every row.
    pub fn divide(&mut self, number: u32, parts: u32) -> Result<Division> {
        self.session.within(CALL);
        let table = self.table(number)?;
        let plan = Keyed::keys(&table)?;
        let (ranges, rows) = split(&mut self.session, &table, &plan, usize::try_from(parts).unwrap_or(1))?;
        Ok(Division {
            ranges: ranges.iter().map(KeyRange::to_bytes).collect(),
            estimated_rows: Some(rows),
            extra: None,
        })
    }

    /// Starts a range.
    pub fn at(&mut self, number: u32, range: &[u8], cursor: Option<&[u8]>) -> Result<()> {
        self.session.within(CALL);
        if let Some((_, walk)) = &mut self.walk {
            walk.abandon(&mut self.session)?;
        }
        let table = self.table(number)?;
        self.walk = Some((Keyed::keys(&table)?, Walk::new(range, cursor, 1)?));
        Ok(())
    }

    /// The next keys.
    pub fn page(&mut self, max: usize) -> Result<Page> {
        self.session.within(CALL);
        let (plan, walk) = self.walk.as_mut().ok_or_else(|| Error::Fatal("no range was begun".into()))?;
        walk.start_with(max);
        let (mut keys, mut key) = (Vec::with_capacity(max.min(4096)), KeyPlaces::default());
        while let Some(frame) = walk.next_row(&mut self.session, plan)? {
            let row = self.session.row(frame);
            plan.find(row, &mut key)?;
            keys.push(plan.values(key.texts(row)));
            if keys.len() >= max.max(1) || walk.ends_page() {
                walk.passed(key.texts(row));
                break;
            }
        }
        walk.turn(&mut self.session, plan, keys.len(), true, max.max(1))?;
        Ok(Page { keys, cursor: walk.cursor(), extra: None })
    }
}
