//! One table as its files are now: where each row stands, by its key.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use flusso_plugin::{Error, Key, Result, Value, log};

use crate::content::{Content, Packing, Stamp, failed};
use crate::format::{self, Column, Format, Line, Type};
use crate::options::{OnBadRow, TableOptions};

/// A file whose last line has no end is read to its end once nobody wrote to it for so long.
const STILL: Duration = Duration::from_secs(1);
/// Lines that are left out and said, of one look.
const SAID: usize = 10;

/// A key, as bytes.
pub(crate) type KeyBytes = Vec<u8>;

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
}

/// The key of a row, as bytes.
pub(crate) fn key_bytes(key: &Key) -> KeyBytes {
    flusso_abi::encode(key)
}

/// The same back.
pub(crate) fn key_of(bytes: &[u8]) -> Result<Key> {
    flusso_abi::decode(bytes).map_err(|error| Error::fatal(format!("a key that is none: {error}")))
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

    /// Reads what is new in its files.
    pub(crate) fn look(&mut self, found: &[Found]) -> Result<Look> {
        if self.is_read(found)? {
            return Ok(Look::default());
        }
        self.said = 0;
        let before = self.shape();
        let mut look = Look::default();
        if !self.grow(found, &mut look.changed)? {
            look.changed.extend(self.read_anew(found)?);
            look.changed.sort_unstable();
            look.changed.dedup();
        }
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
    fn grow(&mut self, found: &[Found], changed: &mut Vec<KeyBytes>) -> Result<bool> {
        let kept =
            self.files.len() <= found.len() && self.files.iter().zip(found).all(|(file, found)| file.found == *found);
        if !kept || self.files.is_empty() {
            return Ok(false);
        }
        let keys = self.key_types();
        for (at, found) in found.iter().enumerate() {
            match self.files.get(at) {
                None => changed.extend(self.read_file(at, found, None)?),
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
                    changed.extend(self.read_file(at, found, Some(content))?);
                }
            }
        }
        // A key that is written otherwise now is another key.
        Ok(keys == self.key_types())
    }

    fn key_types(&self) -> Vec<Option<Type>> {
        self.key.iter().map(|name| self.column(name).and_then(|at| self.columns.get(at)).map(Column::kind)).collect()
    }

    /// Reads all of it. Returns the keys of the rows that are other than before.
    fn read_anew(&mut self, found: &[Found]) -> Result<Vec<KeyBytes>> {
        let before = std::mem::take(&mut self.rows);
        self.files.clear();
        self.columns.clear();
        self.key = self.options.key.clone().unwrap_or_default();
        for (at, found) in found.iter().enumerate() {
            let reading = self.read_file(at, found, None);
            if reading.is_err() {
                // As if nothing had been read: the next look reads all of it.
                self.files.clear();
                self.rows = before;
                return reading;
            }
        }
        let new = self.rows.iter().filter(|(key, place)| before.get(*key).map(|old| old.hash) != Some(place.hash));
        let gone = before.keys().filter(|key| !self.rows.contains_key(*key));
        Ok(new.map(|(key, _)| key).chain(gone).cloned().collect())
    }

    /// Reads a file: all of it, or what is behind its end as it was. Returns the keys of the rows.
    fn read_file(&mut self, at: usize, found: &Found, grown: Option<Content>) -> Result<Vec<KeyBytes>> {
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
        let mut raw: Vec<(Vec<String>, Place, u64)> = Vec::new();
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
            let seen = format::see(found.format, &mut table.columns, &header, line.bytes);
            match seen.and_then(|()| table.raw_key(found.format, &header, line.bytes)) {
                Ok(key) => {
                    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(line.bytes, names);
                    let length = u32::try_from(line.bytes.len()).unwrap_or(u32::MAX);
                    raw.push((key, Place { file: number, offset: line.offset, length, hash }, line.number));
                    Ok(())
                }
                Err(why) => table.bad(found, line.number, &why),
            }
        };
        let (from, lines) = (file.end, file.lines);
        let read = {
            let input = file.content.from(from)?;
            format::lines(&found.path, found.format, input, from, lines, is_still, |line| take(self, line))?
        };
        let format::End { offset, lines, is_open } = read;
        (file.end, file.lines, file.is_open, file.header) = (offset, lines, is_open, header);
        file.tail = file.content.tail(offset)?;
        let mut changed = Vec::with_capacity(raw.len());
        for (parts, place, line) in raw {
            let key = match self.typed_key(found.format, &parts) {
                Ok(key) => key_bytes(&key),
                Err(why) => {
                    self.bad(found, line, &why)?;
                    continue;
                }
            };
            if self.rows.contains_key(&key) {
                self.bad(found, line, &format!("the key {} is there twice", parts.join(", ")))?;
            }
            self.rows.insert(key.clone(), place);
            changed.push(key);
        }
        match self.files.get_mut(at) {
            Some(place) => *place = file,
            None => self.files.push(file),
        }
        Ok(changed)
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

    /// The values of the key of a row as they are written.
    fn raw_key(&mut self, format: Format, header: &[usize], bytes: &[u8]) -> std::result::Result<Vec<String>, String> {
        if self.key.is_empty() {
            self.find_key();
            if self.key.is_empty() {
                return Err(format!(
                    "no key: there is no column `id`; set `tables.{}.key` to the columns that tell its rows apart",
                    self.name
                ));
            }
        }
        let wanted: std::result::Result<Vec<usize>, String> = self
            .key
            .iter()
            .map(|name| self.column(name).ok_or_else(|| format!("there is no column `{name}`, which the key names")))
            .collect();
        format::raw(format, &self.columns, header, &wanted?, bytes)
    }

    fn typed_key(&self, format: Format, parts: &[String]) -> std::result::Result<Key, String> {
        self.key
            .iter()
            .zip(parts)
            .map(|(name, part)| {
                let column = self.column(name).and_then(|at| self.columns.get(at));
                match format::typed(format, part, column)? {
                    Value::Null => Err(format!("the column `{name}` of the key is empty")),
                    value => Ok(value),
                }
            })
            .collect()
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
                let read = format::values(file.found.format, &self.columns, &file.header, wanted, bytes);
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
