//! Coerces the text of a column to the type that a field declares. A text that is no such value stays a string as it is.

use super::quoted;

/// A number without quotes.
pub(super) fn number(text: &[u8], out: &mut Vec<u8>) {
    if is_number(text) { out.extend_from_slice(text) } else { quoted(text, out) }
}

/// A uuid in lower case, with hyphens and without braces.
pub(super) fn uuid(text: &[u8], out: &mut Vec<u8>) {
    let bare = text.strip_prefix(b"urn:uuid:").unwrap_or(text);
    let bare = bare.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or(bare);
    let hyphens = bare.len() == 36 && [8, 13, 18, 23].iter().all(|at| bare.get(*at) == Some(&b'-'));
    let digits: Vec<u8> = bare.iter().filter(|byte| !hyphens || **byte != b'-').map(u8::to_ascii_lowercase).collect();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return quoted(text, out);
    }
    out.push(b'"');
    for (at, digit) in digits.into_iter().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        out.push(digit);
    }
    out.push(b'"');
}

/// A date with two digits of month and day.
pub(super) fn date(text: &[u8], out: &mut Vec<u8>) {
    let mut parts = text.split(|byte| *byte == b'-');
    let mut part = |longest: usize| {
        let digits = parts.next().filter(|part| (1..=longest).contains(&part.len()))?;
        digits.iter().try_fold(0_u32, |value, digit| Some(value * 10 + char::from(*digit).to_digit(10)?))
    };
    match (part(4), part(2), part(2), parts.next()) {
        (Some(year), Some(month @ 1..=12), Some(day), None) if (1..=days(year, month)).contains(&day) => {
            out.extend_from_slice(format!("\"{year:04}-{month:02}-{day:02}\"").as_bytes());
        }
        _ => quoted(text, out),
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whether it is a number of JSON.
pub(crate) fn is_number(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> (&[u8], &[u8]) {
        text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
    }
    let (whole, rest) = digits(text.strip_prefix(b"-").unwrap_or(text));
    if whole.is_empty() || (whole.len() > 1 && whole.first() == Some(&b'0')) {
        return false;
    }
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => digits(rest),
        None => (&b"0"[..], rest),
    };
    let (exponent, rest) = match rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        Some(rest) => digits(rest.strip_prefix(b"-").or(rest.strip_prefix(b"+")).unwrap_or(rest)),
        None => (&b"0"[..], rest),
    };
    !fraction.is_empty() && !exponent.is_empty() && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(render: impl Fn(&[u8], &mut Vec<u8>), text: &str) -> String {
        let mut out = Vec::new();
        render(text.as_bytes(), &mut out);
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {out:?}"));
        read.to_string()
    }

    #[test]
    fn uuids_are_shown_as_the_database_shows_them() {
        let uuid_of = "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13\"";
        for text in [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A13",
            "a0eebc999c0b4ef8bb6d6bb9bd380a13",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13}",
            "urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13",
        ] {
            assert_eq!(shown(uuid, text), uuid_of);
        }
        for text in [
            "",
            "no uuid",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
            "a0eebc99-9c0b4ef8-bb6d-6bb9-bd380a13",
        ] {
            assert_eq!(shown(uuid, text), format!("\"{text}\""));
        }
    }

    #[test]
    fn dates_are_shown_with_all_their_digits() {
        for (text, date_of) in [
            ("2020-2-9", "2020-02-09"),
            ("2020-02-29", "2020-02-29"),
            ("2000-2-29", "2000-02-29"),
            ("99-1-1", "0099-01-01"),
        ] {
            assert_eq!(shown(date, text), format!("\"{date_of}\""));
        }
        for text in [
            "2020-02-30",
            "1900-02-29",
            "2020-13-1",
            "2020-0-1",
            "2020-1-0",
            "2020-1",
            "2020-1-1-1",
            "2020-1-1 ",
            "20-+1-1",
            "",
        ] {
            assert_eq!(shown(date, text), format!("\"{text}\""));
        }
    }

    #[test]
    fn what_is_a_number_of_json_is_one() {
        for text in ["0", "-0", "12.50", "-1e3", "1E+10", "0.001e-7", "123456789012345678901234567890"] {
            let mut out = Vec::new();
            number(text.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            assert!(serde_json::from_slice::<serde_json::Number>(&out).is_ok(), "{text}");
        }
        for text in ["", "-", "01", ".5", "5.", "1e", "1e+", "+1", "1,5", "NaN", "1 ", "--1", "0x1"] {
            assert_eq!(shown(number, text), format!("\"{text}\""));
        }
    }
}
