use std::time::Duration;

use super::{Decoder, Malformed, Response};

/// The same answer, in every two pieces it can come in, and byte by byte.
fn decode(text: &str) -> Result<Option<Response>, Malformed> {
    let bytes = text.as_bytes();
    let mut whole = Decoder::default();
    let expected = whole.feed(bytes);
    for cut in 0..bytes.len() {
        let mut decoder = Decoder::default();
        let (first, second) = bytes.split_at(cut);
        let answer = match decoder.feed(first) {
            Ok(None) => decoder.feed(second),
            other => other,
        };
        // What comes behind a whole answer is seen only if it came together with it.
        let same = |one: &Result<Option<Response>, Malformed>| {
            one.clone().map(|one| one.map(|one| (one.status, one.body, one.retry_after)))
        };
        assert_eq!(same(&answer), same(&expected), "cut at {cut}");
    }
    let mut slow = Decoder::default();
    let mut last = Ok(None);
    for byte in bytes {
        last = slow.feed(&[*byte]);
        if !matches!(last, Ok(None)) {
            break;
        }
    }
    assert_eq!(
        last.as_ref().map(|one| one.as_ref().map(|one| &one.body)),
        expected.as_ref().map(|one| one.as_ref().map(|one| &one.body))
    );
    expected
}

fn body(text: &str) -> String {
    let answer = decode(text).ok().flatten().unwrap_or_default();
    format!("{} {} {}", answer.status, String::from_utf8_lossy(&answer.body), answer.keep)
}

#[test]
fn a_body_with_a_length_is_read_to_it() {
    assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"), "200 hello true");
    assert_eq!(body("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "404  true");
    assert_eq!(decode("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello"), Ok(None));
}

#[test]
fn a_body_in_chunks_is_put_together() {
    let chunks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n";
    assert_eq!(body(chunks), "200 hello0123456789 true");
    assert_eq!(body("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), "200  true");
}

#[test]
fn a_body_without_a_length_lasts_until_the_connection_ends() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.feed(b"HTTP/1.1 200 OK\r\n\r\nab"), Ok(None));
    assert_eq!(decoder.feed(b"cd"), Ok(None));
    let answer = decoder.ended().unwrap_or_default();
    assert_eq!((answer.status, answer.body.as_slice(), answer.keep), (200, &b"abcd"[..], false));
    let mut short = Decoder::default();
    assert_eq!(short.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"), Ok(None));
    assert_eq!(short.ended(), None);
}

#[test]
fn an_announcement_is_passed_over() {
    assert_eq!(body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), "200 ok true");
}

#[test]
fn whether_the_connection_stays_is_the_servers_word() {
    assert_eq!(body("HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 1\r\n\r\na"), "200 a false");
    assert_eq!(body("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na"), "200 a false");
    assert_eq!(body("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 1\r\n\r\na"), "200 a true");
    let mut decoder = Decoder::default();
    let more = decoder.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na extra").ok().flatten().unwrap_or_default();
    assert!(!more.keep, "what was not asked for came behind it");
}

#[test]
fn how_long_to_wait_is_read_in_seconds() {
    let after = |value: &str| {
        let text = format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {value}\r\ncontent-length: 0\r\n\r\n");
        decode(&text).ok().flatten().and_then(|answer| answer.retry_after)
    };
    assert_eq!(after("7"), Some(Duration::from_secs(7)));
    assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT"), None);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for text in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7fffffff\r\n",
    ] {
        assert!(decode(text).is_err(), "{text}");
    }
    let mut endless = Decoder::default();
    let line = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000));
    assert!(endless.feed(line.as_bytes()).is_err());
}

#[test]
fn what_the_cluster_did_not_write_is_told_from_what_it_did() {
    let said = |status: u16, body: &str, location: Option<&str>| {
        let location = location.map(str::to_owned);
        Response { status, body: body.as_bytes().to_vec(), location, ..Response::default() }.foreign()
    };
    for (status, body) in [
        (200, "{}"),
        (404, " {\"error\":{}}"),
        (400, ""),
        (413, "<html>"),
        (429, "busy"),
        (503, "<html>"),
        (401, "Unauthorized"),
        (200, "[]"),
    ] {
        assert_eq!(said(status, body, None), None, "{status} {body}");
    }
    for status in [200, 400, 403, 404] {
        let text = said(status, "\n<html>\u{7} <h1>Not here</h1>\nmore", None).unwrap_or_default();
        assert_eq!(text, "\"<html>  <h1>Not here</h1>\", which is not the cluster's JSON");
    }
    for status in [301, 302, 307, 308] {
        let text = said(status, "", Some("https://other:9200/")).unwrap_or_default();
        assert!(text.contains("https://other:9200/") && text.contains("`url`"), "{text}");
    }
}
