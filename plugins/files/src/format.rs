//! From a file to rows: where each one stands, and what its values are.
//!
//! A column of a CSV file has the narrowest type that all its values fit, or the one that is set; an empty value is null. A number of
//! JSON is a whole number where all numbers of its column are, else a decimal; objects and lists are JSON.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use flusso_plugin::{Result, Value};
use serde_json::value::RawValue;

use crate::content::failed;

/// The type of a column of a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    Text,
    Integer,
    Decimal,
    Boolean,
    Date,
    Timestamp,
    Json,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Ndjson,
}

/// What the values of a column have been so far.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    set: Option<Type>,
    integer: bool,
    decimal: bool,
    boolean: bool,
    date: bool,
    timestamp: bool,
    /// There was a value.
    seen: bool,
}

impl Column {
    pub(crate) fn new(name: &str, set: Option<Type>) -> Self {
        Self {
            name: name.to_owned(),
            set,
            integer: true,
            decimal: true,
            boolean: true,
            date: true,
            timestamp: true,
            seen: false,
        }
    }

    /// Whether its type is set, or follows from a value.
    pub(crate) fn is_known(&self) -> bool {
        self.seen || self.set.is_some()
    }

    /// The type of its values, all of them seen.
    pub(crate) fn kind(&self) -> Type {
        match self.set {
            Some(kind) => kind,
            None if !self.seen => Type::Text,
            None if self.integer => Type::Integer,
            None if self.decimal => Type::Decimal,
            None if self.boolean => Type::Boolean,
            None if self.date => Type::Date,
            None if self.timestamp => Type::Timestamp,
            None => Type::Text,
        }
    }

    fn see(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.seen = true;
        self.integer &= is_integer(text);
        self.decimal &= is_decimal(text);
        self.boolean &= matches!(text, "true" | "false");
        self.date &= is_date(text);
        self.timestamp &= is_timestamp(text);
    }

    fn see_number(&mut self, text: &str) {
        self.seen = true;
        self.integer &= text.parse::<i64>().is_ok();
    }
}

/// `0`, `-12`; no sign before it, no zero before it, at most 64 bits: what comes back as it was.
fn is_integer(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|number| number.to_string() == text)
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole) && are_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
}

fn is_timestamp(text: &str) -> bool {
    text.get(..10).is_some_and(is_date)
        && text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b' '))
        && text.get(11..19).is_some_and(|time| {
            time.bytes()
                .enumerate()
                .all(|(at, byte)| if matches!(at, 2 | 5) { byte == b':' } else { byte.is_ascii_digit() })
        })
        && text.get(19..).is_some_and(|rest| {
            matches!(rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()), "" | "Z" | "+00:00")
        })
}

/// A decimal in its one form: no superfluous zeros.
fn decimal(text: &str) -> Option<String> {
    let number: bigdecimal::BigDecimal = text.parse().ok()?;
    Some(number.normalized().to_plain_string())
}

/// A moment in its one form.
fn timestamp(text: &str) -> String {
    let (moment, offset) = match text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00")) {
        Some(moment) => (moment, "+00:00"),
        None => (text, ""),
    };
    let mut moment = moment.replacen(' ', "T", 1);
    if moment.contains('.') {
        moment.truncate(moment.trim_end_matches('0').trim_end_matches('.').len());
    }
    moment + offset
}

/// A value of a CSV file; none: it does not fit the type.
fn csv_value(text: &str, kind: Type) -> Option<Value> {
    Some(match kind {
        _ if text.is_empty() => Value::Null,
        Type::Text => Value::Text(text.to_owned()),
        Type::Integer => Value::Integer(text.parse().ok()?),
        Type::Decimal => Value::Decimal(decimal(text)?),
        Type::Boolean => Value::Boolean(match text {
            "true" => true,
            "false" => false,
            _ => return None,
        }),
        Type::Date => Value::Date(is_date(text).then(|| text.to_owned())?),
        Type::Timestamp => Value::Timestamp(is_timestamp(text).then(|| timestamp(text))?),
        Type::Json => Value::Json(serde_json::from_str::<&RawValue>(text).ok()?.get().to_owned()),
    })
}

/// A value of JSON.
fn json_value(value: &RawValue, column: Option<&Column>) -> Option<Value> {
    let text = value.get();
    Some(match text.as_bytes().first()? {
        b'n' => Value::Null,
        b't' | b'f' => Value::Boolean(text == "true"),
        b'"' => Value::Text(serde_json::from_str(text).ok()?),
        b'{' | b'[' => Value::Json(text.to_owned()),
        _ if column.is_some_and(|column| column.integer) => Value::Integer(text.parse().ok()?),
        _ => Value::Decimal(decimal(text)?),
    })
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
