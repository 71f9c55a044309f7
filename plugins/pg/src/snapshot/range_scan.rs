//! A keyset scan of one range of a table: pages by `WHERE key > last ORDER BY key LIMIT n`, each a short statement of its
//! own, so that no snapshot is held open and the scan can resume after any page.
//!
//! One call reads one page. At the end of the call the next page is requested, and its rows wait in the socket: the server
//! works while the host flushes, and back-pressure reaches the server through TCP. A page therefore shows the table as of
//! the end of the previous call at the earliest, which the contract allows; a page that is cut short is requested again.

use crate::catalog::key_columns::KeyColumns;
use crate::documents::executor::Executor;
use crate::error::{Error, Result};
use crate::protocol::session::{Session, Statement};
use crate::protocol::wire::Frame;
use serde::{Deserialize, Serialize};

/// A range of the leading key column: from `low` (included) to `high` (not included). Open ends hold whatever comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// Its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<String>,
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<String>,
}

/// A walk in progress.
pub struct RangeScan {
    range: KeyRange,
    last: Option<Vec<String>>,
    /// Rows the next statement asks for.
    page: usize,
    /// Rows the statement under way asked for.
    limit: usize,
    rows: usize,
    asked: bool,
    done: bool,
}

impl KeyRange {
    /// As the contract's opaque bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What [`KeyRange::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|_| Error::Fatal("a range that this plugin did not make: start the backfill anew".into()))
    }
}

impl RangeScan {
    /// Of a range, from a cursor or from its start, in pages of at most `page` rows.
    pub fn new(range: &[u8], cursor: Option<&[u8]>, page: usize) -> Result<Self> {
        let last = cursor.map(serde_json::from_slice).transpose();
        let last =
            last.map_err(|_| Error::Fatal("a cursor that this plugin did not make: start the backfill anew".into()))?;
        Ok(Self {
            range: KeyRange::from_bytes(range)?,
            last,
            page: page.max(1),
            limit: 0,
            rows: 0,
            asked: false,
            done: false,
        })
    }

    /// Where to go on; `None` when the range is done.
    pub fn cursor(&self) -> Option<Vec<u8>> {
        let last = self.last.as_ref().filter(|_| !self.done)?;
        serde_json::to_vec(last).ok()
    }

    /// Whether this walk stands exactly at `cursor` of `range`.
    pub fn is_at(&self, range: &[u8], cursor: Option<&[u8]>) -> bool {
        !self.done
            && KeyRange::from_bytes(range).is_ok_and(|range| range == self.range)
            && self.cursor().as_deref() == cursor
    }

    /// The next row; `None` at the range's end. The caller says by [`RangeScan::passed`] where it got to.
    #[inline]
    pub fn next_row(&mut self, session: &mut Session, plan: &KeyColumns) -> Result<Option<Frame>> {
        if self.done {
            return Ok(None);
        }
        if !self.asked {
            self.ask(session, plan)?;
        }
        match session.next_row()? {
            Some(frame) => {
                self.rows += 1;
                Ok(Some(frame))
            }
            None => {
                self.asked = false;
                self.done = self.rows < self.limit;
                Ok(None)
            }
        }
    }

    /// Whether there is nothing more.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The key of the last row that was used.
    pub fn passed<'a>(&mut self, key: impl Iterator<Item = &'a [u8]>) {
        self.last = Some(key.map(|text| String::from_utf8_lossy(text).into_owned()).collect());
    }

    /// The statement for the next page, from the last key passed.
    fn question(&self, session: &mut Session, plan: &KeyColumns) -> Result<(Statement, Vec<String>)> {
        let lead = plan.key.first().ok_or_else(|| Error::Fatal("a table without a key cannot be walked".into()))?;
        let mut conditions = Vec::new();
        let mut parameters: Vec<String> = Vec::new();
        match (&self.last, &self.range.low) {
            (Some(last), _) => {
                let places =
                    plan.key.iter().enumerate().map(|(at, column)| format!("${}::{}", at + 1, column.type_name));
                conditions.push(format!("({}) > ({})", plan.key_list(), places.collect::<Vec<_>>().join(", ")));
                parameters.extend(last.iter().cloned());
            }
            (None, Some(low)) => {
                conditions.push(format!("{} >= $1::{}", lead.sql, lead.type_name));
                parameters.push(low.clone());
            }
            (None, None) => {}
        }
        if let Some(high) = &self.range.high {
            conditions.push(format!("{} < ${}::{}", lead.sql, parameters.len() + 1, lead.type_name));
            parameters.push(high.clone());
        }
        let nullable = plan.key.iter().filter(|column| column.nullable);
        conditions.extend(nullable.map(|column| format!("{} IS NOT NULL", column.sql)));
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let text = format!(
            "SELECT {} FROM {}{condition} ORDER BY {} LIMIT {}",
            plan.select,
            plan.from,
            plan.key_list(),
            self.page
        );
        Ok((session.prepare(&text)?, parameters))
    }

    /// Sends it off.
    fn ask(&mut self, session: &mut Session, plan: &KeyColumns) -> Result<()> {
        let (statement, parameters) = self.question(session, plan)?;
        self.send(session, &statement, &parameters)
    }

    fn send(&mut self, session: &mut Session, statement: &Statement, parameters: &[String]) -> Result<()> {
        let parameters: Vec<Option<&str>> = parameters.iter().map(|text| Some(text.as_str())).collect();
        session.execute(statement, &parameters)?;
        (self.limit, self.rows, self.asked) = (self.page, 0, true);
        Ok(())
    }

    /// Sends it off within a reading, if it is not on its way already.
    pub(crate) fn begin(&mut self, executor: &mut Executor<'_>, plan: &KeyColumns, alone: bool) -> Result<()> {
        if self.asked || self.done {
            return Ok(());
        }
        let (statement, parameters) = self.question(executor.session(), plan)?;
        if !alone {
            executor.begin()?;
            executor.beside();
        }
        self.send(executor.session(), &statement, &parameters)?;
        if alone { Ok(()) } else { executor.begun() }
    }

    /// Makes pages no larger than that; one that is larger and on its way is dropped.
    pub(crate) fn at_most(&mut self, session: &mut Session, most: usize) -> Result<()> {
        self.page = self.page.min(most);
        if self.asked && self.limit > most { self.abandon(session) } else { Ok(()) }
    }

    /// What was on its way is lost, or was dropped by another session.
    pub(crate) fn lost(&mut self) {
        self.asked = false;
    }

    /// Ends a call that has read a whole page, of which all rows or the first `used` were used. Pages grow, up to `most`,
    /// while there is room.
    pub(crate) fn read(&mut self, used: usize, roomy: bool, most: usize) {
        if used < self.rows {
            self.done = false;
            self.page = (used.max(1) + 1).next_power_of_two() / 2;
        }
        self.page = if roomy { (self.page * 2).min(most) } else { self.page.min(most) }.max(1);
    }

    /// Asks for the next page ahead of time.
    pub(crate) fn ahead(&mut self, session: &mut Session, plan: &KeyColumns) -> Result<()> {
        if self.done || self.asked { Ok(()) } else { self.ask(session, plan) }
    }

    /// Reads what is still on its way and drops it, so that the session is free again.
    pub fn abandon(&mut self, session: &mut Session) -> Result<()> {
        if std::mem::take(&mut self.asked) {
            while session.next_row()?.is_some() {}
        }
        Ok(())
    }

    /// Whether the row just read is the last that its statement can give.
    pub fn ends_page(&self) -> bool {
        self.rows >= self.limit
    }

    /// How many rows the first statement asks for, if none is under way.
    pub fn start_with(&mut self, page: usize) {
        if !self.asked {
            self.page = page.max(1);
        }
    }

    /// Ends a call after `used` rows, and asks for the next page ahead of time. A page that was left in the middle is dropped,
    /// and those after it are smaller; pages grow again, up to `most`, while there is room.
    pub fn turn(
        &mut self,
        session: &mut Session,
        plan: &KeyColumns,
        used: usize,
        roomy: bool,
        most: usize,
    ) -> Result<()> {
        if self.asked && self.ends_page() {
            while self.next_row(session, plan)?.is_some() {}
        } else if self.asked {
            self.abandon(session)?;
            self.page = (used.max(1) + 1).next_power_of_two() / 2;
        }
        if roomy && self.page < most {
            self.page = (self.page * 2).min(most);
        }
        if self.done { Ok(()) } else { self.ask(session, plan) }
    }
}
