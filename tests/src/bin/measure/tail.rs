//! A file that a program writes to, watched for what comes.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest anything may take to come.
const PATIENCE: Duration = Duration::from_secs(180);

/// A file from some place on.
pub(crate) struct Tail {
    file: File,
    /// What was read since the last mark.
    pub(crate) read: Vec<u8>,
}

impl Tail {
    /// From its beginning.
    pub(crate) fn of(path: &Path) -> Self {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            match File::open(path) {
                Ok(file) => return Self { file, read: Vec::new() },
                Err(error) => assert!(Instant::now() < end, "{}: {error}", path.display()),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until so many lines hold the words; forgets what came before the call.
    pub(crate) fn wait_for(&mut self, words: &str, count: usize) {
        let end = Instant::now() + PATIENCE;
        let (mut seen, mut found) = (0, 0);
        loop {
            if self.file.read_to_end(&mut self.read).is_ok_and(|bytes| bytes > 0) {
                // Whole lines only: the last may be half written.
                let whole = self.read.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let new = self.read.get(seen..whole).unwrap_or_default();
                found += new.split(|byte| *byte == b'\n').filter(|line| holds(line, words.as_bytes())).count();
                seen = whole;
                if found >= count {
                    return;
                }
            } else {
                std::thread::sleep(Duration::from_micros(200));
            }
            assert!(Instant::now() < end, "{words} did not come within {PATIENCE:?}");
        }
    }

    /// Forgets what was read.
    pub(crate) fn forget(&mut self) {
        let _ = self.file.read_to_end(&mut self.read);
        self.read.clear();
    }
}

fn holds(line: &[u8], words: &[u8]) -> bool {
    line.len() >= words.len() && line.windows(words.len()).any(|window| window == words)
}
