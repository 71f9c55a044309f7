//! Messages of the PostgreSQL protocol over a transport: framing and buffering. What is sent is written by
//! `postgres_protocol::message::frontend`.
//!
//! A message is handed out as a slice of the read buffer, so rows are rendered from where they arrived.

use crate::error::{Error, Result};
use crate::protocol::transport::{Transport, Verification};
use bytes::BytesMut;
use std::time::{Duration, Instant};

/// Bytes asked for at once.
const READ_BYTES: usize = 256 * 1024;
/// No message of a sane server is longer, in bytes (a row has at most 1 GiB).
const MAX_MESSAGE_BYTES: usize = 1 << 30;

/// A framed message: its tag and where its body is in the buffer.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// The message's type.
    pub tag: u8,
    from: usize,
    to: usize,
}

/// A connection that speaks in messages.
pub struct Wire {
    transport: Box<dyn Transport>,
    input: Vec<u8>,
    at: usize,
    output: BytesMut,
    deadline: Instant,
}

impl Wire {
    /// Over an open connection; reads fail after `deadline`.
    pub fn new(transport: Box<dyn Transport>, deadline: Instant) -> Self {
        Self { transport, input: Vec::new(), at: 0, output: BytesMut::new(), deadline }
    }

    /// From now on waiting ends after `time`.
    pub fn within(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    /// The next message that is here already.
    #[inline]
    pub fn buffered(&mut self) -> Result<Option<Frame>> {
        let Some(&[tag, a, b, c, d]) = self.input.get(self.at..).and_then(|rest| rest.first_chunk::<5>()) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(4..=MAX_MESSAGE_BYTES).contains(&length) {
            return Err(Error::protocol(format_args!("a message of {length} bytes")));
        }
        let (from, to) = (self.at + 5, self.at + 1 + length);
        if to > self.input.len() {
            return Ok(None);
        }
        self.at = to;
        Ok(Some(Frame { tag, from, to }))
    }

    /// The next message; waits for it until the deadline.
    #[inline]
    pub fn receive(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            self.wait()?;
        }
    }

    #[cold]
    fn wait(&mut self) -> Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Transient("the database did not answer in the time this call has".into()));
        }
        self.fill(left.min(Duration::from_secs(1))).map(|_| ())
    }

    /// A message's body. Valid until the next message is asked for.
    #[inline]
    pub fn body(&self, frame: Frame) -> &[u8] {
        self.input.get(frame.from..frame.to).unwrap_or_default()
    }

    /// Reads what has arrived, waiting up to `wait`; whether anything has.
    pub fn fill(&mut self, wait: Duration) -> Result<bool> {
        let bytes = self.transport.read(READ_BYTES, wait)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        if self.at >= self.input.len() {
            self.input = bytes;
        } else {
            self.input.drain(..self.at);
            self.input.extend_from_slice(&bytes);
        }
        self.at = 0;
        Ok(true)
    }

    /// Adds messages to the send buffer. A text in them cannot hold a zero byte, which ends a text in the protocol.
    pub fn put(&mut self, message: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<()> {
        let before = self.output.len();
        message(&mut self.output).map_err(|error| {
            self.output.truncate(before);
            Error::Fatal(format!("a message to the server cannot be written: {error}"))
        })
    }

    /// Sends everything put.
    pub fn send(&mut self) -> Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sent = self.transport.write(&self.output);
        self.output.clear();
        sent
    }

    /// Reads one byte outside of any message: the answer to an `SSLRequest`.
    pub fn receive_byte(&mut self) -> Result<u8> {
        loop {
            // Not one byte more: what came before TLS must not be taken for what came through it.
            if let Some(byte) = self.transport.read(1, Duration::from_secs(1))?.first() {
                return Ok(*byte);
            }
            if Instant::now() >= self.deadline {
                return Err(Error::Transient("the database did not answer in the time this call has".into()));
            }
        }
    }

    /// Upgrades to TLS.
    pub fn start_tls(
        &mut self,
        name: &str,
        verification: Verification,
        roots: Option<&str>,
    ) -> Result<Option<Vec<u8>>> {
        self.transport.start_tls(name, verification, roots)
    }
}

/// Reads big-endian numbers, strings and slices off the front of a message; never past its end.
pub struct Cut<'a>(pub &'a [u8]);

impl<'a> Cut<'a> {
    /// The next `count` bytes.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(|| Error::protocol("a message is cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| Error::protocol("a message is cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Text up to its zero.
    pub fn text(&mut self) -> Result<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(|| Error::protocol("a text has no end"))?;
        let text = self.bytes(end)?;
        self.u8()?;
        std::str::from_utf8(text).map_err(|_| Error::protocol("a name is not UTF-8"))
    }

    /// A column of a row: a length and so many bytes, or null.
    #[inline]
    pub fn column(&mut self) -> Result<Option<&'a [u8]>> {
        match self.u32()? {
            u32::MAX => Ok(None),
            length => self.bytes(length as usize).map(Some),
        }
    }
}
