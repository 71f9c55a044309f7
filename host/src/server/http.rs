//! HTTP/1.1, as much as a few questions need: requests without a body, answers in JSON, connections that are kept. The
//! head is parsed by `httparse`.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::limits;

/// A request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// It was sent by a page in a browser.
    pub(super) from_page: bool,
    /// The connection is closed after it: it has a body, which is not read, or asks for that.
    pub(super) last: bool,
}

impl Request {
    /// The value of a parameter, if it is there once.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, PartialEq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// A text stands for itself, as Prometheus reads it; anything else is sent as JSON.
    pub(super) body: serde_json::Value,
}

impl Response {
    /// An answer that says what went wrong.
    pub(super) fn refusal(status: u16, message: impl Into<String>) -> Self {
        Self { status, body: serde_json::json!({ "error": message.into() }) }
    }
}

/// Answers what comes on a connection, one after the other, until it ends.
pub(super) async fn converse<A: Future<Output = Response>>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut answer: impl FnMut(Request) -> A,
) {
    let mut buffer = Vec::new();
    loop {
        let (response, last, bodiless) =
            match timeout(limits::server::REQUEST_TIMEOUT, request(&mut stream, &mut buffer)).await {
                Ok(Ok(Some(request))) => {
                    let (last, bodiless) = (request.last, request.method == "HEAD");
                    let Some(response) = unless_gone(answer(request), &mut stream, &mut buffer).await else { return };
                    (response, last, bodiless)
                }
                Ok(Err(refusal)) => (refusal, true, false),
                Ok(Ok(None)) | Err(_) => return,
            };
        let bytes = rendered(&response, last, bodiless);
        let sending = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        let sent = matches!(timeout(limits::server::RESPONSE_TIMEOUT, sending).await, Ok(Ok(())));
        if last || !sent {
            let _ = timeout(limits::server::RESPONSE_TIMEOUT, stream.shutdown()).await;
            return;
        }
    }
}

/// The answer to a request; `None`: the client has gone away meanwhile. Bytes that arrive before the answer are kept for the
/// next request.
async fn unless_gone(
    answer: impl Future<Output = Response>,
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Option<Response> {
    tokio::pin!(answer);
    loop {
        let mut part = [0; 2_048];
        tokio::select! {
            biased;
            response = &mut answer => return Some(response),
            read = stream.read(&mut part), if buffer.len() <= limits::server::HEAD_BYTES => match read {
                Ok(0) | Err(_) => return None,
                Ok(length) => buffer.extend_from_slice(part.get(..length).unwrap_or_default()),
            },
        }
    }
}

/// The next request; none: the other side has no more.
async fn request(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<Option<Request>, Response> {
    loop {
        if let Some((request, length)) = parse(buffer)? {
            buffer.drain(..length);
            return Ok(Some(request));
        }
        if buffer.len() > limits::server::HEAD_BYTES {
            return Err(Response::refusal(
                431,
                format!("the head of a request has at most {} bytes", limits::server::HEAD_BYTES),
            ));
        }
        let mut part = [0; 2_048];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(length) => buffer.extend_from_slice(part.get(..length).unwrap_or_default()),
        }
    }
}

/// A request and the length of its head, if it is all there.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Response> {
    let mut headers = [httparse::EMPTY_HEADER; limits::server::HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Response::refusal(400, format!("this is no HTTP request: {error}"))),
    };
    let header = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let says = |name: &str, word: &[u8]| header(name).is_some_and(|header| header.value.eq_ignore_ascii_case(word));
    let has_body =
        header("transfer-encoding").is_some() || header("content-length").is_some_and(|header| header.value != b"0");
    let (path, query) = head.path.unwrap_or("/").split_once('?').unwrap_or((head.path.unwrap_or("/"), ""));
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        from_page: header("origin").is_some(),
        last: has_body || says("connection", b"close") || head.version != Some(1) && !says("connection", b"keep-alive"),
    };
    Ok(Some((request, length)))
}

fn rendered(response: &Response, last: bool, bodiless: bool) -> Vec<u8> {
    let reason = match response.status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    };
    let (kind, body) = match &response.body {
        serde_json::Value::String(text) => ("text/plain; version=0.0.4; charset=utf-8", text.clone()),
        body => ("application/json", format!("{body}\n")),
    };
    let connection = if last { "close" } else { "keep-alive" };
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: {connection}\r\n\r\n",
        response.status,
        body.len()
    );
    let mut bytes = head.into_bytes();
    if !bodiless {
        bytes.extend_from_slice(body.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes back for some bytes, in pieces of three.
    async fn told(bytes: &[u8]) -> String {
        let (mut near, far) = tokio::io::duplex(3);
        let serving = tokio::spawn(converse(far, |request| async move {
            Response { status: 200, body: serde_json::json!([request.method, request.path, request.query]) }
        }));
        let (mut reading, mut writing) = tokio::io::split(&mut near);
        let mut answer = Vec::new();
        let sending = async {
            let _ = writing.write_all(bytes).await;
            let _ = writing.shutdown().await;
        };
        let _ = tokio::join!(sending, reading.read_to_end(&mut answer));
        let _ = serving.await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn requests_on_one_connection_are_answered_in_order() {
        let said = told(b"GET /wait?index=a%20b&position=0/1+2 HTTP/1.1\r\nhost: x\r\n\r\nPOST /b HTTP/1.1\r\nConnection: close\r\n\r\nGET /c HTTP/1.1\r\n\r\n").await;
        let bodies: Vec<&str> = said.lines().filter(|line| line.starts_with('[')).collect();
        assert_eq!(bodies, [r#"["GET","/wait",[["index","a b"],["position","0/1 2"]]]"#, r#"["POST","/b",[]]"#]);
        assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2, "nothing after the last");
        assert!(said.contains("connection: keep-alive") && said.contains("connection: close"));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_away_is_not_waited_for() {
        let (mut near, far) = tokio::io::duplex(1_024);
        let serving = tokio::spawn(converse(far, |_| std::future::pending()));
        assert!(near.write_all(b"GET /wait HTTP/1.1\r\n\r\n").await.is_ok());
        drop(near);
        assert!(timeout(std::time::Duration::from_secs(5), serving).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_request_or_too_long_is_refused() {
        assert!(told(b"\x16\x03\x01 hello\r\n\r\n").await.starts_with("HTTP/1.1 400"));
        let long = [b"GET / HTTP/1.1\r\na: ".as_slice(), &vec![b'x'; limits::server::HEAD_BYTES + 10]].concat();
        assert!(told(&long).await.starts_with("HTTP/1.1 431"));
        assert_eq!(told(b"GET / HT").await, "");
    }

    #[test]
    fn a_body_ends_the_connection_because_nobody_reads_it() {
        let parsed = |text: &str| parse(text.as_bytes()).ok().flatten().map(|(request, _)| request).unwrap_or_default();
        assert!(parsed("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n").last);
        assert!(parsed("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").last);
        assert!(parsed("GET / HTTP/1.0\r\n\r\n").last);
        assert!(!parsed("GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n").last);
        assert!(parsed("POST / HTTP/1.1\r\nOrigin: http://evil\r\n\r\n").from_page);
    }
}
