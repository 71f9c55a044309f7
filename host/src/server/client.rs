//! Asking the host that holds a state folder.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::socket;

use crate::limits;

/// Asks; none: no host is listening there.
///
/// # Errors
///
/// When one is, and does not answer as it should.
pub async fn ask(folder: &Path, method: &str, path: &str) -> io::Result<Option<(u16, Value)>> {
    ask_within(limits::server::COMMAND_TIMEOUT, folder, method, path).await
}

/// The same, of something that may take so long.
///
/// # Errors
///
/// As [`ask`].
pub async fn ask_within(
    patience: Duration,
    folder: &Path,
    method: &str,
    path: &str,
) -> io::Result<Option<(u16, Value)>> {
    let mut stream = match socket::connect(folder).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let asking = async {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: flusso-host\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        (&mut stream).take(limits::server::COMMAND_RESPONSE_BYTES).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(patience, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut headers);
    if answer.is_empty() {
        return Err(io::Error::other("it ended before it answered"));
    }
    let strange = || io::Error::other("the running host gave an answer that is none");
    let Ok(httparse::Status::Complete(length)) = head.parse(&answer) else { return Err(strange()) };
    let body = serde_json::from_slice(answer.get(length..).unwrap_or_default()).map_err(|_| strange())?;
    Ok(Some((head.code.unwrap_or_default(), body)))
}

/// A value as it stands in a query.
pub fn encoded(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}
