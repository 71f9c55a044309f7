//! One line a document, in the words of the host's own output.

/// The beginnings of an index's lines, made once.
pub(crate) struct Lines {
    upsert: Vec<u8>,
    delete: Vec<u8>,
    clear: Vec<u8>,
}

impl Lines {
    /// The lines of an index.
    pub(crate) fn of(index: &str) -> Self {
        let start = |op: &str| {
            let mut line = format!("{{\"op\":\"{op}\",\"index\":").into_bytes();
            string(&mut line, index);
            line
        };
        let with_id = |op: &str| [start(op).as_slice(), b",\"id\":"].concat();
        Self {
            upsert: with_id("upsert"),
            delete: with_id("delete"),
            clear: [start("clear").as_slice(), b"}\n"].concat(),
        }
    }

    /// Adds the line of a document; without a body it is deleted.
    pub(crate) fn document(&self, to: &mut Vec<u8>, id: &str, body: Option<&[u8]>) {
        match body {
            None => {
                to.extend_from_slice(&self.delete);
                string(to, id);
            }
            Some(body) => {
                to.reserve(self.upsert.len() + id.len() + body.len() + 32);
                to.extend_from_slice(&self.upsert);
                string(to, id);
                to.extend_from_slice(b",\"document\":");
                one_line(to, body);
            }
        }
        to.extend_from_slice(b"}\n");
    }

    /// Adds the line that voids what came before.
    pub(crate) fn clear(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.clear);
    }
}

/// A body as it is. A line end in JSON stands between tokens only, where a space means the same.
fn one_line(to: &mut Vec<u8>, body: &[u8]) {
    let start = to.len();
    to.extend_from_slice(body);
    if body.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        to.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

/// A JSON string.
fn string(to: &mut Vec<u8>, text: &str) {
    to.push(b'"');
    let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        to.extend_from_slice(text.as_bytes());
    } else {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => to.extend_from_slice(&[b'\\', byte]),
                b'\n' => to.extend_from_slice(b"\\n"),
                b'\r' => to.extend_from_slice(b"\\r"),
                b'\t' => to.extend_from_slice(b"\\t"),
                0..b' ' => to.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => to.push(byte),
            }
        }
    }
    to.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(index: &str, id: &str, body: Option<&str>) -> String {
        let mut to = Vec::new();
        Lines::of(index).document(&mut to, id, body.map(str::as_bytes));
        String::from_utf8_lossy(&to).into_owned()
    }

    #[test]
    fn keys_stand_in_the_order_of_the_hosts_own_output() {
        assert_eq!(
            line("users", "42", Some("{}")),
            "{\"op\":\"upsert\",\"index\":\"users\",\"id\":\"42\",\"document\":{}}\n"
        );
        assert_eq!(line("users", "42", None), "{\"op\":\"delete\",\"index\":\"users\",\"id\":\"42\"}\n");
        let mut clear = Vec::new();
        Lines::of("users").clear(&mut clear);
        assert_eq!(clear, b"{\"op\":\"clear\",\"index\":\"users\"}\n");
    }

    #[test]
    fn an_id_cannot_break_its_line() {
        assert_eq!(
            line("u", "a\"b\\c\n\u{1}é", None),
            "{\"op\":\"delete\",\"index\":\"u\",\"id\":\"a\\\"b\\\\c\\n\\u0001é\"}\n"
        );
    }

    #[test]
    fn a_body_over_several_lines_becomes_one() {
        assert_eq!(line("u", "1", Some("{\r\n \"a\": 1\n}")).matches('\n').count(), 1);
    }
}
