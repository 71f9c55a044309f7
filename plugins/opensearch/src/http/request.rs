//! A request's bytes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// What every request to one server begins with.
pub(crate) struct Head {
    /// The base URL's path.
    pub(crate) path: String,
    /// The value of `Host`.
    pub(crate) host: String,
    /// The value of `Authorization`.
    pub(crate) authorization: Option<String>,
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    /// Lines of JSON.
    Lines,
}

impl Head {
    /// The bytes before the body. `target` is a path below the base URL, with its query, in valid characters.
    pub(crate) fn bytes(&self, method: &str, target: &str, kind: Kind, length: Option<usize>, zipped: bool) -> Vec<u8> {
        let mut out = String::with_capacity(256);
        out.push_str(&format!("{method} {}{target} HTTP/1.1\r\nHost: {}\r\n", self.path, self.host));
        if let Some(authorization) = &self.authorization {
            out.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        out.push_str("User-Agent: flusso\r\nAccept: application/json\r\n");
        if let Some(length) = length {
            let kind = if kind == Kind::Json { "application/json" } else { "application/x-ndjson" };
            out.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n"));
            if zipped {
                out.push_str("Content-Encoding: gzip\r\n");
            }
        } else if method != "GET" && method != "DELETE" {
            out.push_str("Content-Length: 0\r\n");
        }
        out.push_str("\r\n");
        out.into_bytes()
    }
}

/// A body, compressed as fast as it goes.
pub(crate) fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head { path: "/os".into(), host: "h:9200".into(), authorization: Some("Bearer x".into()) }
    }

    #[test]
    fn a_request_begins_with_what_the_server_needs() {
        let bytes = head().bytes("POST", "/_bulk?x=1", Kind::Lines, Some(12), true);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            text.starts_with("POST /os/_bulk?x=1 HTTP/1.1\r\nHost: h:9200\r\nAuthorization: Bearer x\r\n"),
            "{text}"
        );
        assert!(
            text.contains("Content-Type: application/x-ndjson\r\nContent-Length: 12\r\nContent-Encoding: gzip\r\n")
        );
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_post_without_a_body_says_so() {
        let text = |method| String::from_utf8(head().bytes(method, "/", Kind::Json, None, false)).unwrap_or_default();
        assert!(text("POST").contains("Content-Length: 0\r\n"));
        assert!(!text("GET").contains("Content-Length"));
    }

    #[test]
    fn what_is_compressed_comes_out_as_it_was() {
        use std::io::Read as _;
        let body: Vec<u8> = (0..100_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
        let zipped = gzip(&body).unwrap_or_default();
        let mut back = Vec::new();
        assert!(flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut back).is_ok());
        assert!(back == body && zipped.len() < body.len() / 4);
    }
}
