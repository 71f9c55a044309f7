//! An answer, out of whatever pieces it arrives in: with a length, in chunks, or up to the connection's end.

use std::time::Duration;

/// The longest head, in bytes.
const HEAD: usize = 64 << 10;
/// Headers, at most.
const HEADERS: usize = 100;
/// The longest body, in bytes. What is asked for is small; a page of a search is the largest.
const BODY: usize = 64 << 20;

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The header `Location`, of a redirect.
    pub(crate) location: Option<String>,
    /// The header `Retry-After`, where it holds seconds.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the connection can carry another request.
    pub(crate) keep: bool,
}

impl Response {
    /// What something in front of the cluster (a proxy, a load balancer, a captive portal) said in its place, in one line: a body
    /// that is no JSON, or a redirect. `None` where the cluster may have written it. A 401 is about credentials whoever sends
    /// it (the security plugin writes plain text), a 413 is often written before the cluster sees the request, and 408, 429 and
    /// what is above 500 are waited for anyway, by their own rules.
    pub(crate) fn foreign(&self) -> Option<String> {
        let body = self.body.trim_ascii();
        let is_json = body.is_empty() || matches!(body.first(), Some(b'{' | b'['));
        match self.status {
            300..=399 => Some(match &self.location {
                Some(location) => format!("a redirect to {location}; if that is the cluster, set `url` to it"),
                None => "a redirect".to_owned(),
            }),
            401 | 408 | 413 | 429 | 500.. => None,
            _ if is_json => None,
            _ => {
                let text = String::from_utf8_lossy(body);
                let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
                let plain = line.chars().map(|one| if one.is_control() { ' ' } else { one });
                Some(format!("\"{}\", which is not the cluster's JSON", plain.take(120).collect::<String>()))
            }
        }
    }
}

/// The server said what is no HTTP, or no answer that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are still to come.
    Length(usize),
    /// Pieces, each behind its own length.
    Chunked(Chunk),
    /// Everything until the connection ends.
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size,
    Data(usize),
    /// The line end behind a chunk's data.
    End,
    Trailers,
}

/// Reads one answer.
#[derive(Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    /// Where what was not looked at begins.
    at: usize,
    head: Option<(Response, Framing)>,
}

impl Decoder {
    /// Whether nothing of an answer has come yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.buffer.is_empty() && self.head.is_none()
    }

    /// Takes what arrived; returns the answer once it is whole.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Response>, Malformed> {
        self.buffer.extend_from_slice(bytes);
        while self.head.is_none() {
            if !self.read_head()? {
                return Ok(None);
            }
        }
        self.read_body()
    }

    /// The connection ended: an answer that lasts until then is whole now.
    pub(crate) fn ended(&mut self) -> Option<Response> {
        match self.head.take() {
            Some((answer, Framing::Rest)) => Some(answer),
            other => {
                self.head = other;
                None
            }
        }
    }

    fn left(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Whether a head was there. One that only announces another (100 to 199) is passed over.
    fn read_head(&mut self) -> Result<bool, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(self.buffer.get(self.at..).unwrap_or_default()) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if self.left().len() > HEAD => return Err(Malformed("its head has no end")),
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(_) => return Err(Malformed("it is no HTTP")),
        };
        let status = head.code.unwrap_or_default();
        let mut answer = Response { status, keep: head.version == Some(1), ..Response::default() };
        let (mut content, mut chunked) = (None, false);
        for header in head.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            let has = |word: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
            match header.name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let length = value.parse::<usize>().map_err(|_| Malformed("its length is no number"))?;
                    if content.is_some_and(|known| known != length) {
                        return Err(Malformed("it has two lengths"));
                    }
                    content = Some(length);
                }
                "transfer-encoding" if has("chunked") => chunked = true,
                "transfer-encoding" => return Err(Malformed("its transfer encoding is unknown")),
                "content-encoding" if !has("identity") => return Err(Malformed("it is compressed, unasked")),
                "connection" if has("close") => answer.keep = false,
                "connection" if has("keep-alive") => answer.keep = true,
                "location" => answer.location = Some(value.to_owned()),
                "retry-after" => answer.retry_after = value.parse().ok().map(Duration::from_secs),
                _ => {}
            }
        }
        self.at += length;
        if (100..200).contains(&status) {
            return Ok(!self.left().is_empty());
        }
        let framing = match (status, chunked, content) {
            (204 | 304, _, _) => Framing::Length(0),
            (_, true, _) => Framing::Chunked(Chunk::Size),
            (_, _, Some(length)) if length > BODY => return Err(Malformed("it is too large")),
            (_, _, Some(length)) => Framing::Length(length),
            _ => Framing::Rest,
        };
        answer.keep &= framing != Framing::Rest;
        self.head = Some((answer, framing));
        Ok(true)
    }

    fn read_body(&mut self) -> Result<Option<Response>, Malformed> {
        let Some((answer, framing)) = &mut self.head else { return Ok(None) };
        let whole = loop {
            let left = self.buffer.get(self.at..).unwrap_or_default();
            // Takes some of what is left into the body.
            let mut take = |most: usize| {
                let some = left.get(..most.min(left.len())).unwrap_or_default();
                answer.body.extend_from_slice(some);
                self.at += some.len();
                some.len()
            };
            match framing {
                Framing::Rest => {
                    take(usize::MAX);
                    break false;
                }
                Framing::Length(length) | Framing::Chunked(Chunk::Data(length)) if *length > 0 => {
                    *length -= take(*length);
                    if *length > 0 {
                        break false;
                    }
                }
                Framing::Length(_) => break true,
                Framing::Chunked(Chunk::Data(_)) => *framing = Framing::Chunked(Chunk::End),
                Framing::Chunked(place) => {
                    let Some((line, length)) = line(left)? else { break false };
                    self.at += length;
                    match place {
                        Chunk::End if line.is_empty() => *place = Chunk::Size,
                        Chunk::End => return Err(Malformed("a chunk is longer than it says")),
                        Chunk::Trailers if line.is_empty() => break true,
                        Chunk::Trailers => {}
                        _ => {
                            *place = match size(line)? {
                                0 => Chunk::Trailers,
                                size => Chunk::Data(size),
                            }
                        }
                    }
                }
            }
        };
        if answer.body.len() > BODY {
            return Err(Malformed("it is too large"));
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        if !whole {
            return Ok(None);
        }
        let answer = self.head.take().map(|(answer, _)| answer);
        // Bytes after the end of a response: the connection cannot be trusted any more.
        Ok(answer.map(|answer| Response { keep: answer.keep && self.buffer.is_empty(), ..answer }))
    }
}

/// The first line and the bytes it takes with its end.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() > HEAD { Err(Malformed("a line has no end")) } else { Ok(None) };
    };
    let line = bytes.get(..end).unwrap_or_default();
    Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
}

/// The length in a chunk's first line; what stands behind a `;` is for others.
fn size(line: &[u8]) -> Result<usize, Malformed> {
    let wrong = Malformed("a chunk has no length");
    let text = std::str::from_utf8(line).map_err(|_| wrong.clone())?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong);
    }
    match usize::from_str_radix(digits, 16) {
        Ok(size) if size <= BODY => Ok(size),
        _ => Err(Malformed("it is too large")),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
