//! From a file to rows: where each one stands, and what its values are.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use flusso_plugin::{Result, Value};
use serde_json::value::RawValue;

use crate::column::{Column, csv_value, json_value};
use crate::content::failed;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Ndjson,
}

/// A line, parsed once for whatever is wanted of it.
pub(crate) enum Record<'a> {
    Csv(csv::StringRecord),
    /// The fields in their order; of one that is there twice the last counts.
    Ndjson(Vec<(Cow<'a, str>, &'a RawValue)>),
}

impl<'a> Record<'a> {
    pub(crate) fn read(format: Format, bytes: &'a [u8]) -> std::result::Result<Self, Bad> {
        Ok(match format {
            Format::Csv => Self::Csv(record(bytes)?),
            Format::Ndjson => {
                let Fields(fields) = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
                Self::Ndjson(fields)
            }
        })
    }

    /// A value as it is written; `header` says for each value of a CSV line which column it is of.
    fn raw(&self, columns: &[Column], header: &[usize], column: usize) -> &str {
        match self {
            Self::Csv(record) => {
                let place = header.iter().position(|of| *of == column);
                place.and_then(|place| record.get(place)).unwrap_or_default()
            }
            Self::Ndjson(fields) => {
                let name = columns.get(column).map(|column| column.name.as_str());
                let found = fields.iter().rev().find(|(field, _)| Some(field.as_ref()) == name);
                found.map_or("null", |(_, value)| value.get())
            }
        }
    }

    /// The values of some columns; null for a column that the line has not.
    pub(crate) fn values(
        &self,
        columns: &[Column],
        header: &[usize],
        wanted: &[usize],
    ) -> std::result::Result<Vec<Value>, Bad> {
        let value = |at: &usize| {
            let Some(column) = columns.get(*at) else { return Ok(Value::Null) };
            let raw = self.raw(columns, header, *at);
            let value = match self {
                Self::Csv(_) => csv_value(raw, column.kind()),
                Self::Ndjson(_) => serde_json::from_str(raw).ok().and_then(|value| json_value(value, Some(column))),
            };
            value.ok_or_else(|| format!("{raw:?} in column `{}` is no {:?}", column.name, column.kind()))
        };
        wanted.iter().map(value).collect()
    }

    /// Lets the columns see its values; columns that are new are added.
    pub(crate) fn show(&self, columns: &mut Vec<Column>, header: &[usize]) -> std::result::Result<(), Bad> {
        match self {
            Self::Csv(record) => {
                if record.len() != header.len() {
                    return Err(format!("{} values, and the header has {} columns", record.len(), header.len()));
                }
                for (text, column) in record.iter().zip(header) {
                    if let Some(column) = columns.get_mut(*column) {
                        column.see(text);
                    }
                }
            }
            Self::Ndjson(fields) => {
                for (place, (name, value)) in fields.iter().enumerate() {
                    // Lines mostly have their fields in one order.
                    let expected = columns.get(place).is_some_and(|column| column.name == *name);
                    let known = expected.then_some(place);
                    let at = match known.or_else(|| columns.iter().position(|column| column.name == *name)) {
                        Some(at) => at,
                        None => {
                            columns.push(Column::new(name, None));
                            columns.len() - 1
                        }
                    };
                    let is_number = value.get().starts_with(|c: char| c == '-' || c.is_ascii_digit());
                    if let Some(column) = columns.get_mut(at).filter(|_| is_number) {
                        column.see_number(value.get());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The fields of a JSON line, in their order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        /// Borrowed where nothing in it is escaped.
        #[derive(serde::Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Entries;
        impl<'de> serde::de::Visitor<'de> for Entries {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    all.push((name, value));
                }
                Ok(all)
            }
        }
        deserializer.deserialize_map(Entries).map(Fields)
    }
}

/// A row as a scan finds it.
pub(crate) struct Line<'a> {
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
    /// From 1.
    pub(crate) number: u64,
}

/// Why a line is no row.
pub(crate) type Bad = String;

fn record(bytes: &[u8]) -> std::result::Result<csv::StringRecord, Bad> {
    // No more than the line: a row is parsed at a time.
    let mut reader = csv::ReaderBuilder::new()
        .buffer_capacity(bytes.len().max(1))
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => Ok(record),
        Ok(false) => Err("an empty line".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Where a scan ended.
pub(crate) struct End {
    pub(crate) offset: u64,
    pub(crate) lines: u64,
    /// The last line had no end.
    pub(crate) is_open: bool,
}

/// Calls `each` for every line from a place on; for one without an end only if the file `is_still`.
pub(crate) fn lines(
    path: &Path,
    format: Format,
    input: impl Read,
    offset: u64,
    number: u64,
    is_still: bool,
    mut each: impl FnMut(Line<'_>) -> Result<()>,
) -> Result<End> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    let (mut at, mut line, mut lines) = (offset, Vec::new(), number);
    loop {
        line.clear();
        // A record of a CSV file may stand on several lines: as long as a quote is open.
        let (mut in_quotes, mut own) = (false, 0);
        loop {
            let before = line.len();
            let read = input.read_until(b'\n', &mut line).map_err(|error| failed(path, error))?;
            own += u64::from(read > 0);
            let quotes = line.get(before..).unwrap_or_default().iter().filter(|byte| **byte == b'"').count();
            in_quotes ^= format == Format::Csv && quotes % 2 == 1;
            if read == 0 || !in_quotes {
                break;
            }
        }
        let is_whole = line.last() == Some(&b'\n');
        if line.is_empty() || !is_whole && !is_still {
            return Ok(End { offset: at, lines, is_open: false });
        }
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if !bytes.is_empty() {
            each(Line { offset: at, bytes, number: lines + 1 })?;
        }
        at += u64::try_from(line.len()).unwrap_or_default();
        lines += own;
        if !is_whole {
            return Ok(End { offset: at, lines, is_open: true });
        }
    }
}

/// The names in the first line of a CSV file.
pub(crate) fn header(bytes: &[u8]) -> std::result::Result<Vec<String>, Bad> {
    let record = record(bytes)?;
    let mut names: Vec<String> = Vec::new();
    for name in &record {
        let name = name.trim_start_matches('\u{feff}').trim().to_owned();
        if name.is_empty() || names.contains(&name) {
            return Err(format!("the header names a column {name:?} that is empty or there twice"));
        }
        names.push(name);
    }
    Ok(names)
}
