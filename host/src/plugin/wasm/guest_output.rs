//! What a guest writes: lines among the host's log, with the plugin's name, of a bounded length and rate, without control
//! characters. Standard output and error come in here; the import `log` uses the same.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::bindings::flusso::connector::log::Level;
use super::fault::Origin;
use crate::plugin::plain::plain;

use crate::limits;

/// How many lines a guest may still write. A long line counts as several.
#[derive(Debug)]
pub(super) struct LogRate {
    left: f64,
    refilled: Instant,
    dropped: u64,
    reported: Instant,
}

impl Default for LogRate {
    fn default() -> Self {
        let now = Instant::now();
        Self { left: limits::guest::LOG_BURST, refilled: now, dropped: 0, reported: now }
    }
}

impl LogRate {
    /// Whether one more of so many bytes may be written now, and how many were dropped if it is time to say so.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> (bool, Option<u64>) {
        let refill = now.duration_since(self.refilled).as_secs_f64() * limits::guest::LOG_LINES_PER_SECOND;
        self.left = (self.left + refill).min(limits::guest::LOG_BURST);
        self.refilled = now;
        let granted = self.left >= 1.0;
        match granted {
            true => self.left -= bytes.div_ceil(limits::guest::LOG_LINE_BYTES).max(1) as f64,
            false => self.dropped += 1,
        }
        let tell = self.dropped > 0 && now.duration_since(self.reported) >= Duration::from_secs(1);
        let told = tell.then(|| std::mem::take(&mut self.dropped));
        if told.is_some() {
            self.reported = now;
        }
        (granted, told)
    }
}

pub(super) fn write(origin: &Origin, level: Level, message: &str, fields: &str) {
    let Origin { plugin, instance, .. } = origin;
    macro_rules! line {
        ($level:ident) => {
            match fields {
                "" => tracing::$level!(target: "flusso::plugin", plugin, instance, "{message}"),
                fields => tracing::$level!(target: "flusso::plugin", plugin, instance, "{message} {fields}"),
            }
        };
    }
    match level {
        Level::Trace => line!(trace),
        Level::Debug => line!(debug),
        Level::Info => line!(info),
        Level::Warn => line!(warn),
        Level::Error => line!(error),
    }
}

/// The end of what a guest wrote to standard error, for the error that names its trap.
#[derive(Debug, Clone, Default)]
pub(super) struct StderrTail(Arc<Mutex<Vec<u8>>>);

impl StderrTail {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let over = kept.len().saturating_sub(limits::guest::STDERR_TAIL_BYTES);
        kept.drain(..over);
    }

    /// The text, in one line.
    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plain(String::from_utf8_lossy(&kept).trim(), limits::guest::STDERR_TAIL_BYTES)
    }
}

/// A guest's standard output or error.
#[derive(Clone)]
pub(super) struct Stdio {
    origin: Arc<Origin>,
    tail: Option<StderrTail>,
    line: Arc<Mutex<(Vec<u8>, LogRate)>>,
}

impl Stdio {
    pub(super) fn new(origin: Arc<Origin>, tail: Option<StderrTail>) -> Self {
        Self { origin, tail, line: Arc::default() }
    }

    fn push(&self, bytes: &[u8]) {
        if let Some(tail) = &self.tail {
            tail.push(bytes);
        }
        let mut held = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (line, lines) = &mut *held;
        for byte in bytes {
            if *byte != b'\n' {
                if line.len() < limits::guest::TEXT_BYTES {
                    line.push(*byte);
                }
                continue;
            }
            let text = plain(&String::from_utf8_lossy(line), limits::guest::TEXT_BYTES);
            line.clear();
            if !text.trim().is_empty() && lines.take(text.len(), Instant::now()).0 {
                let level = if self.tail.is_some() { Level::Warn } else { Level::Info };
                write(&self.origin, level, &text, "");
            }
        }
    }
}

impl IsTerminal for Stdio {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Stdio {
    fn poll_write(self: Pin<&mut Self>, _: &mut task::Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_said_once_a_second() {
        let start = Instant::now();
        let mut lines = LogRate { left: limits::guest::LOG_BURST, refilled: start, dropped: 0, reported: start };
        let written = (0..5_000).filter(|_| lines.take(100, start).0).count();
        assert_eq!(written, 1_000);
        let (granted, told) = lines.take(100, start + Duration::from_secs(1));
        assert_eq!((granted, told), (true, Some(4_000)));
    }

    #[test]
    fn long_lines_count_as_several() {
        let start = Instant::now();
        let mut lines = LogRate { left: limits::guest::LOG_BURST, refilled: start, dropped: 0, reported: start };
        assert_eq!((0..5_000).filter(|_| lines.take(20 * limits::guest::LOG_LINE_BYTES, start).0).count(), 50);
    }

    #[test]
    fn the_tail_of_standard_error_is_kept_in_one_line() {
        let tail = StderrTail::default();
        tail.push(&[b'x'; 10_000]);
        tail.push(b"\npanicked at src/lib.rs\n");
        assert!(
            tail.text().ends_with("x panicked at src/lib.rs") && tail.text().len() <= limits::guest::STDERR_TAIL_BYTES
        );
    }
}
