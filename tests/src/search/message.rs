//! HTTP/1.1 as far as the tests need it, written anew: it shares no code with the plugin.

use std::io::{self, BufRead, Read, Write};

/// A request or an answer, whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    /// The first line.
    pub(super) start: String,
    /// The others, but for those that say how long the body is.
    headers: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn new(start: &str, headers: &[&str], body: &str) -> Self {
        let headers = headers.iter().map(|header| (*header).to_owned()).collect();
        Self { start: start.to_owned(), headers, body: body.as_bytes().to_vec() }
    }

    /// The next one of a connection; none: it was closed before one began.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut message = Self::default();
        if from.read_line(&mut message.start)? == 0 {
            return Ok(None);
        }
        message.start.truncate(message.start.trim_end().len());
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "transfer-encoding" => chunked = true,
                _ => message.headers.push(line.to_owned()),
            }
        }
        if chunked {
            message.body = chunks(from)?;
        } else {
            message.body.resize(length, 0);
            from.read_exact(&mut message.body)?;
        }
        Ok(Some(message))
    }

    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut text = format!("{}\r\n", self.start);
        self.headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        to.write_all(&[text.as_bytes(), &self.body].concat())
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.headers.iter().filter_map(|header| header.split_once(':'));
        pairs.find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

fn chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        from.take(size).read_to_end(&mut body)?;
        line.clear();
        from.read_line(&mut line)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
