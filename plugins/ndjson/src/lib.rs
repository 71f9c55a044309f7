//! `ndjson`: a sink that writes each index to a file of its own under the setting `path`, a line a document:
//!
//! ```text
//! {"op":"upsert","index":"users","id":"42","document":{…}}
//! {"op":"delete","index":"users","id":"42"}
//! {"op":"clear","index":"users"}
//! ```
//!
//! The file is a log: the last line of an id is what holds, and a clear voids the lines before it. Lines are buffered and
//! written in large pieces; a flush writes the rest and waits until the disk has it. What is seeded is remembered in the
//! host's state, by folder, index and mapping hash. There are no generations.

mod file;
mod line;
mod marks;

use std::path::{Path, PathBuf};

use file::IndexFile;
use flusso_plugin::{
    ConfigurationError, Document, Ensured, Error, HistoryId, Mapping, Report, Result, Settings, Sink, Target, Version,
};

/// Bytes of all buffers together at which they are written out: one large write, little memory.
const BUFFERED: usize = 1 << 20;

/// What the operator sets.
#[derive(serde::Deserialize)]
struct Options {
    path: PathBuf,
}

/// The sink, opened.
pub struct Ndjson {
    folder: PathBuf,
    files: Vec<IndexFile>,
    buffered: usize,
}

impl Ndjson {
    fn at(&mut self, target: Target) -> Result<&mut IndexFile> {
        self.files.iter_mut().find(|file| file.target() == target).ok_or_else(|| unknown(target))
    }

    fn write_out(&mut self) -> Result<()> {
        self.buffered = 0;
        self.files.iter_mut().try_for_each(IndexFile::write_out)
    }

    fn after(&mut self, bytes: usize) -> Result<()> {
        self.buffered += bytes;
        if self.buffered >= BUFFERED { self.write_out() } else { Ok(()) }
    }
}

fn unknown(target: Target) -> Error {
    Error::fatal(format!("target {target} was not ensured on this instance"))
}

impl Sink for Ndjson {
    fn open(settings: Settings) -> Result<Self> {
        let Options { path: folder } = settings.parse()?;
        match std::fs::metadata(&folder) {
            Ok(found) if found.is_dir() => Ok(Self { folder, files: Vec::new(), buffered: 0 }),
            Ok(_) => Err(wrong_path(&folder, "is not a folder")),
            Err(error) => Err(wrong_path(&folder, &error.to_string())),
        }
    }

    fn ensure_index(&mut self, mapping: Mapping) -> Result<Ensured> {
        let target = marks::target(&mapping.index)?;
        self.files.retain(|file| file.target() != target);
        let file = IndexFile::open(&self.folder, mapping, target)?;
        if file.is_created() {
            // The file is new, or was removed: what is remembered of it is void.
            marks::unmark(&self.folder, file.index())?;
        }
        let empty = file.is_empty();
        self.files.push(file);
        Ok(Ensured { target, empty, extra: None })
    }

    fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>> {
        let folder = self.folder.clone();
        let file = self.at(target)?;
        marks::seeded(&folder, file.index(), file.hash())
    }

    fn mark_seeded(&mut self, target: Target, history: HistoryId) -> Result<()> {
        let folder = self.folder.clone();
        let file = self.at(target)?;
        marks::mark(&folder, file.index(), file.hash(), &history)
    }

    fn mark_unseeded(&mut self, target: Target) -> Result<()> {
        let folder = self.folder.clone();
        let file = self.at(target)?;
        marks::unmark(&folder, file.index())
    }

    fn write(&mut self, documents: Vec<Document>) -> Result<()> {
        let mut place = 0;
        for document in &documents {
            // Documents come in runs of one index: look where the last one went first.
            if self.files.get(place).is_none_or(|file| file.target() != document.target) {
                let found = self.files.iter().position(|file| file.target() == document.target);
                place = found.ok_or_else(|| unknown(document.target))?;
            }
            let file = self.files.get_mut(place).ok_or_else(|| unknown(document.target))?;
            let bytes = file.append(&document.id, document.body.as_deref());
            self.after(bytes)?;
        }
        Ok(())
    }

    fn clear(&mut self, target: Target, _version: Version) -> Result<()> {
        let bytes = self.at(target)?.append_clear();
        self.after(bytes)
    }

    fn flush(&mut self, _caught_up: bool, _deadline_ms: u64) -> Result<Report> {
        self.write_out()?;
        self.files.iter_mut().try_for_each(IndexFile::sync)?;
        Ok(Report { rejected: Vec::new(), visible: true, extra: None })
    }
}

fn wrong_path(path: &Path, reason: &str) -> Error {
    let message = format!("{} {reason}; give a folder that can be written to", path.display());
    Error::Configuration(ConfigurationError { setting: "path".to_owned(), message, extra: None })
}

flusso_plugin::plugin! { manifest: include_str!("../manifest.json"), sink: Ndjson }
