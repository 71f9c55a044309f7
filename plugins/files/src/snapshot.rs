//! The keys that are there.

use std::ops::Bound;

use flusso_plugin::{Cursor, Division, Error, Page, Range, Result, Settings, Snapshot, TableInterest, TableNumber};

use crate::folder::Folder;
use crate::key::{KeyBytes, key_of};
use crate::table::{Table, Wanted};

/// The snapshot, opened.
#[derive(Debug)]
pub struct FilesSnapshot {
    folder: Folder,
    interest: Vec<TableInterest>,
    reading: Option<Reading>,
}

/// The range that is read.
#[derive(Debug)]
struct Reading {
    table: TableNumber,
    /// Behind this one; none: from the first.
    after: Option<KeyBytes>,
    /// Up to this one; none: to the last.
    last: Option<KeyBytes>,
}

/// The keys between which a range lies, as bytes.
type Bounds = (Option<KeyBytes>, Option<KeyBytes>);

impl FilesSnapshot {
    fn table(&self, number: TableNumber) -> Result<Option<&Table>> {
        let wanted = self.interest.get(usize::try_from(number).unwrap_or(usize::MAX));
        let wanted = wanted.ok_or_else(|| Error::fatal(format!("there is no table number {number}")))?;
        Ok(self.folder.table(&wanted.table))
    }
}

impl Snapshot for FilesSnapshot {
    fn open(settings: Settings, interest: Vec<TableInterest>) -> Result<Self> {
        let mut folder = Folder::new(settings.parse()?);
        folder.look(Wanted::Rows)?;
        Ok(Self { folder, interest, reading: None })
    }

    fn split(&mut self, table: TableNumber, parts: u32) -> Result<Division> {
        let Some(table) = self.table(table)? else {
            return Ok(Division { ranges: Vec::new(), estimated_rows: Some(0), extra: None });
        };
        let size = table.rows.len().div_ceil(usize::try_from(parts).unwrap_or(1).max(1)).max(1);
        let ends: Vec<&KeyBytes> = table.rows.keys().skip(size).step_by(size).collect();
        let mut ranges: Vec<Bounds> = Vec::new();
        let mut after = None;
        for end in ends {
            ranges.push((after.clone(), Some(end.clone())));
            after = Some(end.clone());
        }
        ranges.push((after, None));
        let ranges = ranges.iter().map(flusso_abi::encode).collect();
        Ok(Division { ranges, estimated_rows: u64::try_from(table.rows.len()).ok(), extra: None })
    }

    fn begin(&mut self, table: TableNumber, range: Range, cursor: Option<Cursor>) -> Result<()> {
        let (after, last): Bounds = if range.is_empty() {
            (None, None)
        } else {
            flusso_abi::decode(&range).map_err(|error| Error::fatal(format!("a range that is none: {error}")))?
        };
        self.folder.look(Wanted::Rows)?;
        self.reading = Some(Reading { table, after: cursor.or(after), last });
        Ok(())
    }

    fn next(&mut self, max: u32) -> Result<Page> {
        let Some(Reading { table, after, last }) = &self.reading else {
            return Err(Error::fatal("no range was begun"));
        };
        let Some(of) = self.table(*table)? else { return Ok(Page { keys: Vec::new(), cursor: None, extra: None }) };
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let to = last.as_ref().map_or(Bound::Unbounded, Bound::Included);
        if matches!((after, last), (Some(after), Some(last)) if after >= last) {
            return Ok(Page { keys: Vec::new(), cursor: None, extra: None });
        }
        let keys: Vec<&KeyBytes> = of
            .rows
            .range::<KeyBytes, _>((from, to))
            .map(|(key, _)| key)
            .take(usize::try_from(max).unwrap_or(usize::MAX))
            .collect();
        let cursor =
            keys.last().filter(|_| keys.len() >= usize::try_from(max).unwrap_or(usize::MAX)).map(|key| (*key).clone());
        let page = Page {
            keys: keys.iter().map(|key| key_of(key)).collect::<Result<_>>()?,
            cursor: cursor.clone(),
            extra: None,
        };
        if let Some(reading) = &mut self.reading {
            reading.after = cursor;
        }
        Ok(page)
    }
}
