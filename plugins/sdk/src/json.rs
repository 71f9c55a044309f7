//! JSON text for sinks that write lines: strings, and bodies on one line. Bodies are not parsed.

/// Appends a JSON string.
pub fn push_string(to: &mut Vec<u8>, text: &str) {
    let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        to.reserve(text.len() + 2);
        to.push(b'"');
        to.extend_from_slice(text.as_bytes());
        to.push(b'"');
    } else {
        // Writing a string to memory cannot fail.
        let _ = serde_json::to_writer(to, text);
    }
}

/// Appends a JSON text on one line: a line break can only stand between tokens, where a space means the same.
pub fn push_line(to: &mut Vec<u8>, body: &[u8]) {
    let start = to.len();
    to.extend_from_slice(body);
    if body.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        to.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_string_is_escaped_as_json_wants_it() {
        for text in ["", "plain", "a\"b\\c\n\u{1}é"] {
            let mut out = Vec::new();
            super::push_string(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn a_body_over_several_lines_becomes_one() {
        let mut out = b"x".to_vec();
        super::push_line(&mut out, b"{\r\n\"a\": 1\n}");
        assert_eq!(out, b"x{  \"a\": 1 }");
    }
}
