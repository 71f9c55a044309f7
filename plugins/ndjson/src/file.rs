//! The file of one index: opened at the end of its last whole line, written in large pieces.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use flusso_plugin::{Error, Mapping, Result, Target};

use crate::line::Lines;

/// How much of a file's end is read at a time in search of its last line end.
const READ_BLOCK_BYTES: u64 = 64 << 10;
/// What a buffer may keep for the next lines once it was written out.
const KEPT: usize = 2 << 20;

/// An index's file, open for appending.
pub(crate) struct IndexFile {
    index: String,
    hash: String,
    target: Target,
    lines: Lines,
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    created: bool,
    empty: bool,
    dirty: bool,
}

impl IndexFile {
    /// Opens the file of an index, creating it if it is absent; a torn last line is cut.
    pub(crate) fn open(folder: &Path, mapping: Mapping, target: Target) -> Result<Self> {
        let Mapping { index, hash, .. } = mapping;
        let path = folder.join(file_name(&index));
        let failed = |error: io::Error| away(&path, &error);
        let created = !path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let whole = end_of_last_line(&mut file, length).map_err(failed)?;
        if whole < length {
            // A handle of its own: one that appends may not be allowed to cut.
            let cutting = OpenOptions::new().write(true).open(&path).map_err(failed)?;
            cutting.set_len(whole).and_then(|()| cutting.sync_all()).map_err(failed)?;
        }
        if length == 0 {
            // The name itself must outlive a power failure; a system that cannot sync a folder does it by itself.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        let lines = Lines::of(&index);
        Ok(Self {
            index,
            hash,
            target,
            lines,
            path,
            file,
            buffer: Vec::new(),
            created,
            empty: whole == 0,
            dirty: false,
        })
    }

    pub(crate) fn index(&self) -> &str {
        &self.index
    }

    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// Whether it was not there before.
    pub(crate) fn is_created(&self) -> bool {
        self.created
    }

    /// Whether nothing was ever written to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty
    }

    /// Adds a document's line to the buffer; returns its length.
    pub(crate) fn append(&mut self, id: &str, body: Option<&[u8]>) -> usize {
        let before = self.buffer.len();
        self.lines.document(&mut self.buffer, id, body);
        self.buffer.len() - before
    }

    /// Adds the line that voids what came before; returns its length.
    pub(crate) fn append_clear(&mut self) -> usize {
        let before = self.buffer.len();
        self.lines.clear(&mut self.buffer);
        self.buffer.len() - before
    }

    /// Hands the buffer to the system.
    pub(crate) fn write_out(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.buffer).map_err(|error| away(&self.path, &error))?;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        (self.empty, self.dirty) = (false, true);
        Ok(())
    }

    /// Waits until the disk has everything written out.
    pub(crate) fn sync(&mut self) -> Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.file.sync_data().map_err(|error| away(&self.path, &error))?;
        }
        Ok(())
    }
}

/// A full disk or a lost mount may come back, so the host tries again.
fn away(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory | io::ErrorKind::ReadOnlyFilesystem => {
            Error::configuration("path", format!("{} cannot be written: {error}", path.display()))
        }
        _ => Error::transient(format!("{}: {error}", path.display())),
    }
}

/// Where the last whole line ends: after the last line end, read from the back, or at the start.
fn end_of_last_line(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(READ_BLOCK_BYTES);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        (&mut *file).take(end - start).read_to_end(&mut block)?;
        if let Some(place) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + u64::try_from(place).unwrap_or(0) + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The name of an index's file. What is not safe in a name, or could climb out of the folder, is percent-encoded.
pub(crate) fn file_name(index: &str) -> String {
    const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    const INNER: AsciiSet = KEPT.remove(b'.');
    let (first, rest) = index.split_at(index.chars().next().map_or(0, char::len_utf8));
    format!("{}{}.ndjson", utf8_percent_encode(first, &KEPT), utf8_percent_encode(rest, &INNER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(index: &str) -> Mapping {
        Mapping {
            index: index.to_owned(),
            hash: "h".to_owned(),
            fields: Vec::new(),
            prefix: String::new(),
            extra: None,
        }
    }

    #[test]
    fn unsafe_names_are_encoded_and_never_climb() {
        assert_eq!(file_name("users"), "users.ndjson");
        assert_eq!(file_name("shop.users"), "shop.users.ndjson");
        assert_eq!(file_name("../a/b%"), "%2E.%2Fa%2Fb%25.ndjson");
        assert_eq!(file_name("ü"), "%C3%BC.ndjson");
    }

    #[test]
    fn a_torn_last_line_is_cut_wherever_it_was_torn() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = folder.path().join("users.ndjson");
        let long = "x".repeat(200_000);
        for (before, after) in [("", ""), ("a", ""), ("a\n", "a\n"), ("a\nb", "a\n"), ("a\nb\n{\"to", "a\nb\n")] {
            assert!(std::fs::write(&path, before).is_ok());
            assert!(
                IndexFile::open(folder.path(), mapping("users"), 0)
                    .is_ok_and(|file| file.is_empty() == after.is_empty())
            );
            assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), Some(after));
        }
        assert!(std::fs::write(&path, format!("{long}\n{long}")).is_ok());
        assert!(IndexFile::open(folder.path(), mapping("users"), 0).is_ok());
        assert_eq!(std::fs::read_to_string(&path).ok(), Some(format!("{long}\n")));
    }

    #[test]
    fn what_is_synced_is_in_the_file_behind_what_was_there() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = folder.path().join("users.ndjson");
        assert!(std::fs::write(&path, "old\ntorn").is_ok());
        let file = IndexFile::open(folder.path(), mapping("users"), 0);
        let written = file.and_then(|mut file| {
            file.append("1", None);
            file.append_clear();
            file.write_out()?;
            file.sync()
        });
        assert!(written.is_ok());
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            text,
            "old\n{\"op\":\"delete\",\"index\":\"users\",\"id\":\"1\"}\n{\"op\":\"clear\",\"index\":\"users\"}\n"
        );
    }
}
