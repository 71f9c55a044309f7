//! The tokens of a JSON text, as places in it: numbers and strings stay as they were written. Nothing recurses, so depth costs no
//! stack. The text is known to be well-formed ([`is_json`]); another one gives fewer or other tokens, and no panic.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

/// Whether a text is one JSON value.
pub(super) fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// One token; commas and colons are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `{` or `[`, and where it stands.
    Begin { object: bool, at: usize },
    /// `}` or `]`.
    End { object: bool },
    /// The name of a member, with its quotes.
    Key(Range<usize>),
    /// A string with its quotes, a number, `true`, `false` or `null`.
    Scalar(Range<usize>),
}

/// The tokens from a place on.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The bytes of a token.
    pub(super) fn bytes(&self, place: &Range<usize>) -> &'a [u8] {
        self.text.get(place.clone()).unwrap_or_default()
    }

    /// Passes the rest of a container whose beginning was the last token; returns the place behind its end.
    pub(super) fn pass_container(&mut self) -> usize {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next() {
                Some(Token::Begin { .. }) => depth += 1,
                Some(Token::End { .. }) => depth -= 1,
                Some(_) => {}
                None => break,
            }
        }
        self.at
    }

    /// Passes the value of a key that was the last token.
    pub(super) fn pass_value(&mut self) {
        if let Some(Token::Begin { .. }) = self.next() {
            self.pass_container();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn pass(&mut self, passed: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&passed) {
            self.at += 1;
        }
    }

    /// The end of a string that begins here.
    fn pass_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return;
                }
                _ => self.at += 1,
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.pass(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':'));
        let at = self.at;
        match self.peek()? {
            byte @ (b'{' | b'[') => {
                self.at += 1;
                Some(Token::Begin { object: byte == b'{', at })
            }
            byte @ (b'}' | b']') => {
                self.at += 1;
                Some(Token::End { object: byte == b'}' })
            }
            b'"' => {
                self.pass_string();
                let place = at..self.at.min(self.text.len());
                self.pass(|byte| byte.is_ascii_whitespace());
                Some(if self.peek() == Some(b':') { Token::Key(place) } else { Token::Scalar(place) })
            }
            _ => {
                self.pass(|byte| {
                    !matches!(byte, b',' | b']' | b'}' | b'"' | b'{' | b'[') && !byte.is_ascii_whitespace()
                });
                Some(Token::Scalar(at..self.at))
            }
        }
    }
}

/// What a string stands for, in UTF-8 without its quotes; half a surrogate pair is encoded like any other number.
pub(super) fn unescaped(quoted: &[u8]) -> Cow<'_, [u8]> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(byte) = inner.get(at).copied() {
        at += 1;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let escape = inner.get(at).copied().unwrap_or_default();
        at += 1;
        match escape {
            b'b' => plain.push(8),
            b'f' => plain.push(12),
            b'n' => plain.push(b'\n'),
            b'r' => plain.push(b'\r'),
            b't' => plain.push(b'\t'),
            b'u' => {
                let mut code = unit(inner, at);
                at += 4;
                let low = inner.get(at..at + 2).filter(|next| *next == b"\\u").map(|_| unit(inner, at + 2));
                if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (code, low) {
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    at += 6;
                }
                push_code(&mut plain, code);
            }
            other => plain.push(other),
        }
    }
    Cow::Owned(plain)
}

/// Four hexadecimal digits.
fn unit(text: &[u8], at: usize) -> u32 {
    let digits = text.get(at..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

fn push_code(to: &mut Vec<u8>, code: u32) {
    if let Some(one) = char::from_u32(code) {
        to.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
        return;
    }
    let byte = |shift: u32, mark: u32| u8::try_from(mark | ((code >> shift) & 0x3f)).unwrap_or_default();
    to.extend_from_slice(&[byte(12, 0xe0), byte(6, 0x80), byte(0, 0x80)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gives_its_tokens_as_they_are_written() {
        let text = br#" { "a" : [1e400, "x\"]", {}], "b":null }"#;
        let words: Vec<String> = Tokens::new(text)
            .map(|token| match token {
                Token::Begin { object, .. } => if object { "{" } else { "[" }.to_owned(),
                Token::End { object } => if object { "}" } else { "]" }.to_owned(),
                Token::Key(place) => format!("key {}", String::from_utf8_lossy(&text[place])),
                Token::Scalar(place) => String::from_utf8_lossy(&text[place]).into_owned(),
            })
            .collect();
        assert_eq!(words, ["{", "key \"a\"", "[", "1e400", r#""x\"]""#, "{", "}", "]", "key \"b\"", "null", "}"]);
    }

    #[test]
    fn keys_are_equal_where_what_they_stand_for_is() {
        let same = |one: &str, other: &str| unescaped(one.as_bytes()) == unescaped(other.as_bytes());
        assert!(same(r#""a\n\u00e9\/""#, "\"\\u0061\\n\u{e9}/\"") && same(r#""\ud83d\ude00""#, "\"\u{1f600}\""));
        assert!(same(r#""\ud800""#, r#""\uD800""#) && !same(r#""\ud800""#, r#""\ud801""#));
    }

    #[test]
    fn what_is_no_json_ends_all_the_same() {
        for text in ["{\"a", "\"\\", "[[[", "}}", "\"\\u12", "{\"a\":", "\\", "{\"\\ud800\\u"] {
            assert!(!is_json(text.as_bytes()) && Tokens::new(text.as_bytes()).count() < 9, "{text}");
            let _ = unescaped(text.as_bytes());
            Tokens::new(text.as_bytes()).pass_value();
        }
        let deep = "[".repeat(1 << 20);
        assert!(!is_json(deep.as_bytes()) && is_json(format!("{deep}{}", "]".repeat(1 << 20)).as_bytes()));
    }
}
