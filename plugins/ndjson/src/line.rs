//! One line a document, in the format of the host's standard output.

use flusso_plugin::json::{push_line, push_string};

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
            push_string(&mut line, index);
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
                push_string(to, id);
            }
            Some(body) => {
                to.reserve(self.upsert.len() + id.len() + body.len() + 32);
                to.extend_from_slice(&self.upsert);
                push_string(to, id);
                to.extend_from_slice(b",\"document\":");
                push_line(to, body);
            }
        }
        to.extend_from_slice(b"}\n");
    }

    /// Adds the line that voids what came before.
    pub(crate) fn clear(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.clear);
    }
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
