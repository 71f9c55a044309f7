//! What a plain scalar means: the core schema of YAML 1.2, with one exception that protects people. Digits with a zero in
//! front (`007`) are text: the zeros were written on purpose.

use super::Value;
use serde_json::Number;

/// The value of a plain (unquoted) scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !unsigned.contains(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    if unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let written = text.strip_prefix('+').unwrap_or(text);
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let whole = written.parse::<i64>().map(Number::from).or_else(|_| written.parse::<u64>().map(Number::from));
        if let Ok(number) = whole {
            return Some(Value::Number(number, written.to_owned()));
        }
    }
    if !unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let number = Number::from_f64(written.parse::<f64>().ok()?)?;
    Some(Value::Number(number, written.to_owned()))
}

fn based(digits: &str, base: u32) -> Option<Value> {
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, base).ok()?;
    Some(Value::Number(Number::from(value), value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match plain(text) {
            Value::Number(number, text) => format!("number {number} as {text}"),
            Value::Text(text) => format!("text {text}"),
            Value::Boolean(value) => format!("boolean {value}"),
            Value::Null => "null".to_owned(),
            _ => unreachable!(),
        }
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, meaning) in [
            ("", "null"),
            ("~", "null"),
            ("TRUE", "boolean true"),
            ("yes", "text yes"),
            ("12", "number 12 as 12"),
            ("-3", "number -3 as -3"),
            ("+3", "number 3 as 3"),
            ("1.50", "number 1.5 as 1.50"),
            ("1e3", "number 1000.0 as 1e3"),
            ("18446744073709551615", "number 18446744073709551615 as 18446744073709551615"),
            ("0x1F", "number 31 as 31"),
            ("0o17", "number 15 as 15"),
            ("007", "text 007"),
            ("1.2.3", "text 1.2.3"),
            ("2024-01-31", "text 2024-01-31"),
            ("12ab", "text 12ab"),
            (".", "text ."),
            (".inf", "text .inf"),
            ("0x-1", "text 0x-1"),
        ] {
            assert_eq!(shown(text), meaning, "{text:?}");
        }
    }
}
