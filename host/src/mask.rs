//! Secrets do not stand in what the host prints: neither where the host itself says something, nor in what a guest logs, an
//! error of a server that a guest passes on, or a trace. Their exact values are replaced, also as they stand in JSON, in a debug
//! text and in a URL.
//!
//! A value of fewer than [`LEAST`] bytes is not looked for, and nor is one of lower-case letters alone below [`LEAST_OF_A_WORD`]: it is a
//! word (`postgres`), and to replace it would make the log unreadable and tell what it is.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// The shortest secret that is replaced, in bytes.
const LEAST: usize = 8;
/// The shortest one of lower-case letters alone.
const LEAST_OF_A_WORD: usize = 16;
/// What stands in its place.
const MASK: &[u8] = b"[secret]";

/// What is replaced, the longest first: one may be a part of another.
static SECRETS: RwLock<Secrets> = RwLock::new(Secrets { seen: BTreeSet::new(), forms: Vec::new() });

struct Secrets {
    seen: BTreeSet<String>,
    forms: Vec<Vec<u8>>,
}

/// From now on this value is replaced. Of a URL, its password.
pub fn hide(value: &str) {
    match value.split_once("://") {
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
            if let Some((_, password)) = password {
                hide_one(password);
                hide_one(&percent_encoding::percent_decode_str(password).decode_utf8_lossy());
            }
        }
        None => hide_one(value),
    }
}

fn hide_one(value: &str) {
    let is_word = value.len() < LEAST_OF_A_WORD && value.bytes().all(|byte| byte.is_ascii_lowercase());
    if value.len() < LEAST || is_word {
        return;
    }
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if !secrets.seen.insert(value.to_owned()) {
        return;
    }
    let json = serde_json::to_string(value).unwrap_or_default();
    let debug = format!("{value:?}");
    let inner = |quoted: &str| quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let encoded = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string();
    // A guest's message may have been put into another's, and the whole into JSON.
    let twice = serde_json::to_string(&inner(&json)).unwrap_or_default();
    for form in [value.to_owned(), inner(&json), inner(&debug), inner(&twice), encoded] {
        let form = form.into_bytes();
        if !secrets.forms.contains(&form) {
            secrets.forms.push(form);
        }
    }
    secrets.forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
}

/// A text without secrets.
pub fn masked(text: &[u8]) -> Cow<'_, [u8]> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = Cow::Borrowed(text);
    for secret in &secrets.forms {
        if let Some(replaced) = without(&text, secret) {
            text = Cow::Owned(replaced);
        }
    }
    text
}

/// The text with a secret replaced; `None`: it is not in it.
fn without(text: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let finder = memchr::memmem::Finder::new(secret);
    let mut places = finder.find_iter(text).peekable();
    places.peek()?;
    let (mut out, mut from) = (Vec::with_capacity(text.len()), 0);
    for place in places {
        out.extend_from_slice(text.get(from..place).unwrap_or_default());
        out.extend_from_slice(MASK);
        from = place + secret.len();
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        String::from_utf8_lossy(&masked(text.as_bytes())).into_owned()
    }

    #[test]
    fn a_secret_is_replaced_however_it_is_written() {
        hide("s3cr\"et\\p/ss");
        hide("s3cr\"et\\p/ss and more");
        assert_eq!(shown("a s3cr\"et\\p/ss b"), "a [secret] b");
        assert_eq!(shown("s3cr\"et\\p/ss and more"), "[secret]", "the longer one first");
        assert_eq!(shown(&serde_json::json!({ "a": "s3cr\"et\\p/ss" }).to_string()), r#"{"a":"[secret]"}"#);
        assert_eq!(shown(&format!("{:?}", Some("s3cr\"et\\p/ss"))), "Some(\"[secret]\")");
        hide("postgres://me:p%40ss-w0rd%21@db:5432/shop?password=x");
        for text in ["p%40ss-w0rd%21", "p@ss-w0rd!", "p%40ss%2Dw0rd%21"] {
            assert_eq!(shown(&format!("<{text}>")), "<[secret]>");
        }
        assert_eq!(shown("db:5432/shop"), "db:5432/shop", "the address is none");
    }

    #[test]
    fn what_is_too_short_or_a_word_is_not_looked_for() {
        ["short7!", "postgres", "opensearch", ""].iter().for_each(|value| hide(value));
        hide("postgres://postgres:postgres@localhost/shop");
        assert_eq!(shown("short7! postgres opensearch"), "short7! postgres opensearch");
        hide("averylongsecretofletters");
        assert_eq!(shown("averylongsecretofletters"), "[secret]");
    }
}
