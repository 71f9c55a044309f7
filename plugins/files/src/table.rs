//! One table as its files are now: where each row stands, by its key.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use flusso_plugin::{Error, Key, Result, Value, log};

use crate::column::{Column, Type};
use crate::content::{Content, Packing, Stamp, failed};
use crate::format::{self, Format, Line, Record};
use crate::key::{KeyBytes, key_bytes};
use crate::options::{OnBadRow, TableOptions};

/// A file whose last line has no end is read to its end once nobody wrote to it for so long.
const STILL: Duration = Duration::from_secs(1);
/// Lines that are left out and said, of one look.
const SAID: usize = 10;

/// A file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) packing: Packing,
    pub(crate) format: Format,
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file: u32,
    offset: u64,
    length: u32,
    /// Of its bytes and of the names of its columns.
    pub(crate) hash: u64,
    /// The reading that found it last.
    round: u32,
}

/// A file that was read.
#[derive(Debug)]
struct DataFile {
    found: Found,
    content: Content,
    /// Of a CSV file: for each of its columns that of the table.
    header: Vec<usize>,
    /// Where reading goes on.
    end: u64,
    lines: u64,
    /// The bytes before that.
    tail: u64,
    /// The last line had no end.
    is_open: bool,
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// The keys of rows that are new, are other than before, or are gone.
    pub(crate) changed: Vec<KeyBytes>,
    /// What is said of the columns, where they are other than before.
    pub(crate) reshaped: Option<String>,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// The columns of its key; empty until a file said which there are.
    pub(crate) key: Vec<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: BTreeMap<KeyBytes, Place>,
    options: TableOptions,
    on_bad_row: OnBadRow,
    files: Vec<DataFile>,
    said: usize,
    /// Counts the readings of all of it: what an earlier one found and the last did not is gone.
    round: u32,
    /// The types that the keys of this reading are written in.
    keyed_as: Option<Vec<Option<Type>>>,
}

/// What a look is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The rows as they are now.
    Rows,
    /// Also which of them changed.
    Changes,
}

/// Where the keys of changed rows go, if they are wanted.
type Changed<'a> = Option<&'a mut Vec<KeyBytes>>;

/// A key for a person.
fn said(key: &Key) -> String {
    let part = |value: &Value| match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) | Value::Decimal(text) | Value::Date(text) | Value::Timestamp(text) => text.clone(),
        other => format!("{other:?}"),
    };
    key.iter().map(part).collect::<Vec<_>>().join(", ")
}

impl Table {
    pub(crate) fn new(name: &str, options: TableOptions, on_bad_row: OnBadRow) -> Self {
        let key = options.key.clone().unwrap_or_default();
        Self {
            name: name.to_owned(),
            key,
            columns: Vec::new(),
            rows: BTreeMap::new(),
            options,
            on_bad_row,
            files: Vec::new(),
            said: 0,
            round: 0,
            keyed_as: None,
        }
    }

    /// Whether these files, as they are, are what was read.
    fn is_read(&self, found: &[Found]) -> Result<bool> {
        if self.files.len() != found.len() {
            return Ok(false);
        }
        for (file, found) in self.files.iter().zip(found) {
            let stamp = Stamp::of(&found.path).map_err(|error| failed(&found.path, error))?;
            if file.found != *found || file.content.stamp != stamp || file.is_waiting(&stamp) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads what is new in its files. After an error the table is as nobody may use it, until a look succeeds, which reads all of it.
    pub(crate) fn look(&mut self, found: &[Found], wanted: Wanted) -> Result<Look> {
        if self.is_read(found)? {
            return Ok(Look::default());
        }
        self.said = 0;
        let before = self.shape();
        let mut look = Look::default();
        let mut changed = (wanted == Wanted::Changes).then_some(&mut look.changed);
        let reading = match self.grow(found, &mut changed) {
            Ok(false) => self.read_anew(found, &mut changed),
            grown => grown.map(drop),
        };
        if reading.is_err() {
            self.files.clear();
        }
        reading?;
        look.changed.sort_unstable();
        look.changed.dedup();
        let now = self.shape();
        let is_other = |(name, _): &&(String, Type)| !now.iter().any(|column| column.0 == *name);
        let is_retyped =
            |(name, kind): &&(String, Type)| now.iter().any(|column| column.0 == *name && column.1 != *kind);
        if before.iter().any(|column| is_other(&column) || is_retyped(&column)) {
            let shape = |shape: &[(String, Type)]| {
                shape
                    .iter()
                    .map(|(name, kind)| format!("{name} {}", format!("{kind:?}").to_lowercase()))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            look.reshaped = Some(format!("were ({}), are ({})", shape(&before), shape(&now)));
        }
        Ok(look)
    }

    /// The columns of which a value was seen, and their types.
    fn shape(&self) -> Vec<(String, Type)> {
        self.columns
            .iter()
            .filter(|column| column.is_known())
            .map(|column| (column.name.clone(), column.kind()))
            .collect()
    }

    /// Reads what was appended, and adds the keys of its rows to `changed`. False: something else happened as well, and all of it has to
    /// be read anew.
    fn grow(&mut self, found: &[Found], changed: &mut Changed<'_>) -> Result<bool> {
        let kept =
            self.files.len() <= found.len() && self.files.iter().zip(found).all(|(file, found)| file.found == *found);
        if !kept || self.files.is_empty() {
            return Ok(false);
        }
        let keys = self.key_types();
        for (at, found) in found.iter().enumerate() {
            match self.files.get(at) {
                None => self.read_file(at, found, None, changed)?,
                Some(file) => {
                    let stamp = Stamp::of(&found.path).map_err(|error| failed(&found.path, error))?;
                    if file.content.stamp == stamp && !file.is_waiting(&stamp) {
                        continue;
                    }
                    let content = Content::open(&found.path, found.packing)?;
                    if file.is_open || stamp.length < file.content.stamp.length || content.tail(file.end)? != file.tail
                    {
                        return Ok(false);
                    }
                    self.read_file(at, found, Some(content), changed)?;
                }
            }
        }
        // A key that is written otherwise now is another key.
        Ok(keys == self.key_types())
    }

    fn key_types(&self) -> Vec<Option<Type>> {
        self.key.iter().map(|name| self.column(name).and_then(|at| self.columns.get(at)).map(Column::kind)).collect()
    }

    /// Reads all of it.
    fn read_anew(&mut self, found: &[Found], changed: &mut Changed<'_>) -> Result<()> {
        self.columns.clear();
        self.key = self.options.key.clone().unwrap_or_default();
        loop {
            self.files.clear();
            self.round = self.round.wrapping_add(1);
            self.keyed_as = None;
            for (at, found) in found.iter().enumerate() {
                self.read_file(at, found, None, changed)?;
            }
            // Where a later line made the type of a key another, the earlier keys are written otherwise. A type only gets wider.
            if self.keyed_as.is_none() || self.keyed_as == Some(self.key_types()) {
                break;
            }
        }
        let round = self.round;
        self.rows.retain(|key, place| {
            let stays = place.round == round;
            if let Some(changed) = changed.as_mut().filter(|_| !stays) {
                changed.push(key.clone());
            }
            stays
        });
        Ok(())
    }

    /// Reads a file: all of it, or what is behind its end as it was.
    fn read_file(&mut self, at: usize, found: &Found, grown: Option<Content>, changed: &mut Changed<'_>) -> Result<()> {
        let mut file = match grown {
            Some(content) => {
                let file = self.files.get_mut(at).ok_or_else(|| Error::fatal("a file that was not read"))?;
                DataFile { content, found: found.clone(), header: file.header.clone(), ..*file }
            }
            None => {
                let content = Content::open(&found.path, found.packing)?;
                DataFile {
                    content,
                    found: found.clone(),
                    header: Vec::new(),
                    end: 0,
                    lines: 0,
                    tail: 0,
                    is_open: false,
                }
            }
        };
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        let is_still = file.is_still();
        let (mut header, mut names) = (std::mem::take(&mut file.header), 0);
        let has_header = found.format == Format::Csv && file.end == 0;
        let mut take = |table: &mut Self, line: Line<'_>| -> Result<()> {
            if has_header && line.offset == 0 {
                header = table.take_header(found, line.bytes)?;
                table.find_key();
                return Ok(());
            }
            if names == 0 {
                names = xxhash_rust::xxh3::xxh3_64(
                    header.iter().map(|at| at.to_string() + ",").collect::<String>().as_bytes(),
                );
            }
            let read = Record::read(found.format, line.bytes).and_then(|record| {
                record.show(&mut table.columns, &header)?;
                table.key_in(&record, &header)
            });
            let key = match read {
                Ok(key) => key,
                Err(why) => return table.bad(found, line.number, &why),
            };
            let hash = xxhash_rust::xxh3::xxh3_64_with_seed(line.bytes, names);
            let length = u32::try_from(line.bytes.len()).unwrap_or(u32::MAX);
            let place = Place { file: number, offset: line.offset, length, hash, round: table.round };
            table.put(found, line.number, key, place, changed)
        };
        let (from, lines) = (file.end, file.lines);
        let read = {
            let input = file.content.from(from)?;
            format::lines(&found.path, found.format, input, from, lines, is_still, |line| take(self, line))?
        };
        let format::End { offset, lines, is_open } = read;
        (file.end, file.lines, file.is_open, file.header) = (offset, lines, is_open, header);
        file.tail = file.content.tail(offset)?;
        match self.files.get_mut(at) {
            Some(place) => *place = file,
            None => self.files.push(file),
        }
        Ok(())
    }

    /// Puts a row where it was found.
    fn put(&mut self, found: &Found, line: u64, key: Key, place: Place, changed: &mut Changed<'_>) -> Result<()> {
        let bytes = key_bytes(&key);
        let before = self.rows.insert(bytes.clone(), place);
        if before.is_some_and(|before| before.round == place.round) {
            self.bad(found, line, &format!("the key {} is there twice", said(&key)))?;
        }
        if let Some(changed) = changed.as_mut().filter(|_| before.map(|before| before.hash) != Some(place.hash)) {
            changed.push(bytes);
        }
        Ok(())
    }

    fn take_header(&mut self, found: &Found, bytes: &[u8]) -> Result<Vec<usize>> {
        let names =
            format::header(bytes).map_err(|why| Error::fatal(format!("{}, line 1: {why}", found.path.display())))?;
        Ok(names
            .iter()
            .map(|name| {
                self.column(name).unwrap_or_else(|| {
                    self.columns.push(Column::new(name, self.options.types.get(name).copied()));
                    self.columns.len() - 1
                })
            })
            .collect())
    }

    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Where no key is set it is the column `id`, if there is one.
    fn find_key(&mut self) {
        if self.key.is_empty() && self.column("id").is_some() {
            self.key = vec!["id".to_owned()];
        }
    }

    /// The key of a row.
    fn key_in(&mut self, record: &Record<'_>, header: &[usize]) -> std::result::Result<Key, String> {
        self.find_key();
        if self.key.is_empty() {
            return Err(format!(
                "no key: there is no column `id`; set `tables.{}.key` to the columns that tell its rows apart",
                self.name
            ));
        }
        let column = |name: &String| {
            self.column(name).ok_or_else(|| format!("there is no column `{name}`, which the key names"))
        };
        let wanted: Vec<usize> = self.key.iter().map(column).collect::<std::result::Result<_, _>>()?;
        let key = record.values(&self.columns, header, &wanted)?;
        if let Some((name, _)) = self.key.iter().zip(&key).find(|(_, value)| **value == Value::Null) {
            return Err(format!("the column `{name}` of the key is empty"));
        }
        if self.keyed_as.is_none() {
            self.keyed_as = Some(self.key_types());
        }
        Ok(key)
    }

    /// A line that is no row.
    fn bad(&mut self, found: &Found, line: u64, why: &str) -> Result<()> {
        let place = format!("{}, line {line}", found.path.display());
        if self.on_bad_row == OnBadRow::Stop {
            return Err(Error::fatal(format!("{place}: {why}; mend it, or set `on_bad_row` to \"skip\"")));
        }
        self.said += 1;
        if self.said <= SAID {
            log::warn("a line is left out", &[("place", &place), ("why", why)]);
        }
        Ok(())
    }

    /// The values of some columns of the rows with these keys; none for a key that is not there.
    pub(crate) fn values(&self, keys: &[KeyBytes], wanted: &[usize]) -> Result<Vec<Option<Vec<Value>>>> {
        let mut answers: Vec<Option<Vec<Value>>> = vec![None; keys.len()];
        let mut places: Vec<(Place, usize)> =
            keys.iter().enumerate().filter_map(|(at, key)| Some((*self.rows.get(key)?, at))).collect();
        places.sort_unstable_by_key(|(place, _)| (place.file, place.offset));
        for of_file in places.chunk_by(|(one, _), (other, _)| one.file == other.file) {
            let file = of_file.first().and_then(|(place, _)| self.files.get(usize::try_from(place.file).ok()?));
            let Some(file) = file else { continue };
            let pieces: Vec<(u64, u32)> = of_file.iter().map(|(place, _)| (place.offset, place.length)).collect();
            file.content.pieces(&pieces, |at, bytes| {
                let Some((_, answer)) = of_file.get(at) else { return Ok(()) };
                let record = Record::read(file.found.format, bytes);
                let read = record.and_then(|record| record.values(&self.columns, &file.header, wanted));
                let read = read.map_err(|why| {
                    // It was read before: so the file is another by now.
                    Error::transient(format!("{} was changed while it was read: {why}", file.found.path.display()))
                })?;
                if let Some(answer) = answers.get_mut(*answer) {
                    *answer = Some(read);
                }
                Ok(())
            })?;
        }
        Ok(answers)
    }

    /// All rows go.
    pub(crate) fn empty(&mut self) -> Look {
        self.files.clear();
        let changed = std::mem::take(&mut self.rows).into_keys().collect();
        Look { changed, reshaped: None }
    }
}

impl DataFile {
    fn is_still(&self) -> bool {
        let age = self.content.stamp.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.is_none_or(|age| age >= STILL)
    }

    /// Its last line had no end when it was read, and nobody goes on writing it.
    fn is_waiting(&self, stamp: &Stamp) -> bool {
        self.end < stamp.length && self.found.packing == Packing::Plain && self.is_still()
    }
}
