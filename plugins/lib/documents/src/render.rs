//! Values, as PostgreSQL prints them, straight into the bytes of a document.

mod coerce;

pub(crate) use coerce::is_number;

use crate::catalogue::Form;
use crate::plan::typed;
use flusso_schema::LeafType;

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
    /// A moment in time: the same, the fraction in three or six digits, as sinks and clients print it.
    Moment,
    /// The same without a zone.
    LocalMoment,
    /// A time of day, the fraction in three or six digits; one with a zone as it is.
    Clock,
    /// Bytes as base64.
    Base64,
    /// A number that a text holds.
    CoercedNumber,
    /// A uuid that a text holds.
    CoercedUuid,
    /// A date that a text holds.
    CoercedDate,
    /// As its own tag says, for a field of this type.
    Tagged(LeafType),
    /// JSON already; line breaks between its parts are dropped, because a document is one line.
    Json,
}

impl Render {
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
            Self::Timestamp => timestamp(text, false, false, out),
            Self::TimestampTz => timestamp(text, true, false, out),
            Self::LocalMoment => timestamp(text, false, true, out),
            Self::Moment => timestamp(text, true, true, out),
            Self::Clock if text.iter().any(|byte| matches!(byte, b'+' | b'-')) => quoted(text, out),
            Self::Clock => {
                out.push(b'"');
                clock(text, false, true, out);
                out.push(b'"');
            }
            Self::Base64 => base64(text, out),
            Self::CoercedNumber => coerce::number(text, out),
            Self::CoercedUuid => coerce::uuid(text, out),
            Self::CoercedDate => coerce::date(text, out),
            Self::Tagged(ty) => {
                let (form, text) = Form::of_tagged(text);
                typed(ty, form).render(text, out);
            }
            Self::Json => out.extend(text.iter().filter(|byte| !matches!(byte, b'\n' | b'\r'))),
        }
    }
}

fn timestamp(text: &[u8], zoned: bool, padded: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    match text.split_at_checked(10) {
        // The common form, four digits of year: `2020-01-02 03:04:05.6+00`.
        Some((date, [b' ', time @ ..])) if time.first() != Some(&b'B') => {
            out.extend_from_slice(date);
            out.push(b'T');
            clock(time, zoned, padded, out);
        }
        _ => match text.iter().position(|byte| *byte == b' ') {
            Some(at) => {
                let (date, time) = text.split_at(at);
                out.extend_from_slice(date);
                out.push(b'T');
                clock(time.get(1..).unwrap_or_default(), zoned, false, out);
            }
            None => out.extend_from_slice(text),
        },
    }
    out.push(b'"');
}

fn clock(time: &[u8], zoned: bool, padded: bool, out: &mut Vec<u8>) {
    match time.strip_suffix(b" BC") {
        Some(time) => {
            out.extend_from_slice(time);
            out.extend_from_slice(if zoned { b":00 BC" } else { b" BC" });
        }
        None => {
            // `03:04:05.6+00`: eight characters, then perhaps a fraction, then perhaps a zone of three.
            let fraction = time.len().saturating_sub(if zoned { 12 } else { 9 });
            match time.split_at_checked(9 + fraction) {
                Some((digits, zone)) if padded && !matches!(fraction, 0 | 3 | 6) => {
                    out.extend_from_slice(digits);
                    let missing = if fraction < 3 { 3 } else { 6_usize }.saturating_sub(fraction);
                    out.extend_from_slice(b"00000".get(..missing).unwrap_or_default());
                    out.extend_from_slice(zone);
                }
                _ => out.extend_from_slice(time),
            }
            if zoned {
                out.extend_from_slice(b":00");
            }
        }
    }
}

/// `\\x00ff` as base64; what is no such text is shown as text.
fn base64(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let nibble = |byte: &u8| char::from(*byte).to_digit(16);
    let Some(hex) = text.strip_prefix(b"\\x").filter(|hex| hex.iter().all(u8::is_ascii_hexdigit)) else {
        return quoted(text, out);
    };
    out.push(b'"');
    for six in hex.chunks(6) {
        let bits = six.iter().filter_map(nibble).fold(0, |bits, nibble| bits << 4 | nibble) << (4 * (6 - six.len()));
        let bytes = six.len() / 2;
        for place in 0..4_usize {
            let digit = DIGITS.get((bits >> (18 - 6 * place)) as usize & 63).copied().unwrap_or(b'=');
            out.push(if place <= bytes { digit } else { b'=' });
        }
    }
    out.push(b'"');
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

    fn render(render: Render, text: &str) -> String {
        let mut out = Vec::new();
        render.render(text.as_bytes(), &mut out);
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
        assert_eq!(render(Render::Number, "NaN"), "\"NaN\"");
        assert_eq!(render(Render::Number, "-Infinity"), "\"-Infinity\"");
        assert_eq!(render(Render::Number, "1e+30"), "1e+30");
        assert_eq!(render(Render::TimestampTz, "2020-01-02 03:04:05.6+00"), "\"2020-01-02T03:04:05.6+00:00\"");
        assert_eq!(render(Render::TimestampTz, "0044-03-15 00:00:00+00 BC"), "\"0044-03-15T00:00:00+00:00 BC\"");
        assert_eq!(render(Render::Timestamp, "10000-01-02 03:04:05"), "\"10000-01-02T03:04:05\"");
        assert_eq!(render(Render::Timestamp, "infinity"), "\"infinity\"");
        assert_eq!(render(Render::Json, "{\"a\":\n 1}"), "{\"a\": 1}");
    }

    #[test]
    fn moments_have_three_or_six_digits_or_none() {
        for (fraction, shown) in [
            ("", ""),
            (".6", ".600"),
            (".67", ".670"),
            (".678", ".678"),
            (".6789", ".678900"),
            (".67891", ".678910"),
            (".678912", ".678912"),
        ] {
            let moment = render(Render::Moment, &format!("2020-01-02 03:04:05{fraction}+00"));
            assert_eq!(moment, format!("\"2020-01-02T03:04:05{shown}+00:00\""));
            let local = render(Render::LocalMoment, &format!("2020-01-02 03:04:05{fraction}"));
            assert_eq!(local, format!("\"2020-01-02T03:04:05{shown}\""));
        }
        assert_eq!(render(Render::Moment, "infinity"), "\"infinity\"");
    }

    #[test]
    fn a_time_of_day_has_three_or_six_digits_or_none() {
        for (time, shown) in [
            ("03:04:05", "03:04:05"),
            ("03:04:05.2", "03:04:05.200"),
            ("03:04:05.1234", "03:04:05.123400"),
            ("24:00:00", "24:00:00"),
            ("03:04:05.2+02", "03:04:05.2+02"),
        ] {
            assert_eq!(render(Render::Clock, time), format!("\"{shown}\""));
        }
    }

    #[test]
    fn bytes_are_base64() {
        for (bytes, shown) in
            [("", ""), ("66", "Zg=="), ("666f", "Zm8="), ("666f6f", "Zm9v"), ("666f6f62617200ff", "Zm9vYmFyAP8=")]
        {
            assert_eq!(render(Render::Base64, &format!("\\x{bytes}")), format!("\"{shown}\""));
        }
    }
}
