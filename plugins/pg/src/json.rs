//! Column values, as the server prints them, straight into the bytes of a document, equal to what `row_to_json` makes.

/// How a column's text becomes JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Render {
    /// As it is: integers.
    Bare,
    /// As it is when finite, else in quotes.
    Number,
    /// `t` and `f`.
    Boolean,
    /// In quotes, escaped where needed.
    Quoted,
    /// In quotes, a `T` between date and time.
    Timestamp,
    /// The same, the zone as `+00:00`.
    TimestampTz,
    /// JSON already; line breaks between its parts are dropped, because a document is one line.
    Json,
}

impl Render {
    /// By the oid of the base type, for a type whose text form is what `row_to_json` shows.
    pub fn of(base: u32) -> Self {
        match base {
            20 | 21 | 23 => Self::Bare,
            700 | 701 | 1700 => Self::Number,
            16 => Self::Boolean,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            114 | 3802 => Self::Json,
            _ => Self::Quoted,
        }
    }

    /// Appends a value.
    #[inline]
    pub fn render(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Bare => out.extend_from_slice(text),
            Self::Boolean => out.extend_from_slice(if text == b"t" { b"true" } else { b"false" }),
            Self::Number => match text.last() {
                Some(b'0'..=b'9') => out.extend_from_slice(text),
                _ => quoted(text, out),
            },
            Self::Quoted => quoted(text, out),
            Self::Timestamp => timestamp(text, false, out),
            Self::TimestampTz => timestamp(text, true, out),
            Self::Json => out.extend(text.iter().filter(|byte| !matches!(byte, b'\n' | b'\r'))),
        }
    }
}

fn timestamp(text: &[u8], zoned: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    match text.split_at_checked(10) {
        // The common form, four digits of year: `2020-01-02 03:04:05.6+00`.
        Some((date, [b' ', time @ ..])) if time.first() != Some(&b'B') => {
            out.extend_from_slice(date);
            out.push(b'T');
            clock(time, zoned, out);
        }
        _ => match text.iter().position(|byte| *byte == b' ') {
            Some(at) => {
                let (date, time) = text.split_at(at);
                out.extend_from_slice(date);
                out.push(b'T');
                clock(time.get(1..).unwrap_or_default(), zoned, out);
            }
            None => out.extend_from_slice(text),
        },
    }
    out.push(b'"');
}

fn clock(time: &[u8], zoned: bool, out: &mut Vec<u8>) {
    match time.strip_suffix(b" BC") {
        Some(time) => {
            out.extend_from_slice(time);
            out.extend_from_slice(if zoned { b":00 BC" } else { b" BC" });
        }
        None => {
            out.extend_from_slice(time);
            if zoned {
                out.extend_from_slice(b":00");
            }
        }
    }
}

/// Appends a JSON string.
#[inline]
pub fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if plain(text) {
        out.extend_from_slice(text);
    } else {
        escaped(text, out);
    }
    out.push(b'"');
}

/// Whether nothing needs escaping; eight bytes at a time.
#[inline]
fn plain(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (chunks, rest) = text.as_chunks::<8>();
    let mut found = 0;
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        let (quote, slash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5c));
        found |= (word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash);
    }
    found & HIGH == 0 && !rest.iter().any(|byte| special(*byte))
}

fn special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escaped(text: &[u8], out: &mut Vec<u8>) {
    for piece in text.chunk_by(|_, next| !special(*next)) {
        let Some((first, rest)) = piece.split_first() else { continue };
        match first {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            byte if *byte < 0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend(
                    [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }),
                );
            }
            byte => out.push(*byte),
        }
        out.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(oid: u32, text: &str) -> String {
        let mut out = Vec::new();
        Render::of(oid).render(text.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_byte_survives_quoting() {
        for length in 0..24 {
            for byte in 0..=127_u8 {
                for at in 0..=length {
                    let mut text = vec![b'x'; length];
                    text.insert(at, byte);
                    let mut out = Vec::new();
                    quoted(&text, &mut out);
                    let read: String = serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {out:?}"));
                    assert_eq!(read.as_bytes(), text);
                }
            }
        }
    }

    #[test]
    fn scalars_render_as_row_to_json_does() {
        assert_eq!(render(1700, "NaN"), "\"NaN\"");
        assert_eq!(render(701, "-Infinity"), "\"-Infinity\"");
        assert_eq!(render(701, "1e+30"), "1e+30");
        assert_eq!(render(1184, "2020-01-02 03:04:05.6+00"), "\"2020-01-02T03:04:05.6+00:00\"");
        assert_eq!(render(1184, "0044-03-15 00:00:00+00 BC"), "\"0044-03-15T00:00:00+00:00 BC\"");
        assert_eq!(render(1114, "10000-01-02 03:04:05"), "\"10000-01-02T03:04:05\"");
        assert_eq!(render(1114, "infinity"), "\"infinity\"");
        assert_eq!(render(114, "{\"a\":\n 1}"), "{\"a\": 1}");
    }
}
