//! `pg@sha256:…`: a plugin's name or path, and the digest that its bytes must have.

/// What stands between them.
const PIN: &str = "@sha256:";
/// Hexadecimal digits of a digest.
const DIGITS: usize = 64;

/// The name or path, and the digest in lower case if there is one.
///
/// # Errors
///
/// A sentence, when what stands behind `@sha` is no digest.
pub fn split_pin(word: &str) -> Result<(&str, Option<String>), String> {
    let wrong = || {
        format!(
            "`{word}`: behind a plugin's name stands `{PIN}` and {DIGITS} hexadecimal digits, as `flusso-host plugin inspect` shows them"
        )
    };
    let Some((name, hex)) = word.split_once(PIN) else {
        // Another digest than ours, or a slip: nothing is read over.
        return if word.contains("@sha") { Err(wrong()) } else { Ok((word, None)) };
    };
    let is_digest = hex.len() == DIGITS && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest && !name.is_empty() { Ok((name, Some(hex.to_ascii_lowercase()))) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn a_digest_stands_behind_a_name_or_a_path() {
        assert_eq!(split_pin("pg"), Ok(("pg", None)));
        assert_eq!(split_pin("a@b.wasm"), Ok(("a@b.wasm", None)));
        for name in ["pg", "./x/pg.wasm"] {
            let word = format!("{name}@sha256:{}", DIGEST.to_uppercase());
            assert_eq!(split_pin(&word), Ok((name, Some(DIGEST.to_owned()))));
        }
        let short = format!("pg@sha256:{}", DIGEST.get(1..).unwrap_or_default());
        let (long, letters) = (format!("pg@sha256:{DIGEST}0"), format!("pg@sha256:{}", "g".repeat(DIGITS)));
        for wrong in ["pg@sha256:", "@sha256:ab", "pg@sha512:ab", &short, &long, &letters] {
            assert!(split_pin(wrong).is_err_and(|said| said.contains("64 hexadecimal digits")), "{wrong}");
        }
    }
}
