//! One generation of an index: its files and its writer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flusso_plugin::{Error, Mapping, Result, StoredIndex};
use tantivy::directory::error::LockError;
use tantivy::{Index, IndexWriter, TantivyError, Term};

use crate::failed;
use crate::fields::{self, Fields};

/// One generation, open for writing.
pub(crate) struct Generation {
    path: PathBuf,
    index: Index,
    fields: Fields,
    memory: usize,
    /// Made with the first document, so that an index that nobody writes to has no threads.
    writer: Option<IndexWriter>,
    /// Something was written since the last commit.
    dirty: bool,
    written: Instant,
}

impl Generation {
    /// Makes an empty one.
    pub(crate) fn create(path: &Path, mapping: &Mapping) -> Result<()> {
        // What a crash left there before the catalog named it.
        if path.exists() {
            std::fs::remove_dir_all(path).map_err(|error| failed(path, error))?;
        }
        std::fs::create_dir_all(path).map_err(|error| failed(path, error))?;
        Index::create_in_dir(path, fields::schema(mapping)).map(drop).map_err(|error| failed(path, error))
    }

    pub(crate) fn open(path: &Path, memory: usize) -> Result<Self> {
        let index = fields::open(path).map_err(|error| failed(path, error))?;
        let fields = Fields::of(index.schema());
        Ok(Self {
            path: path.to_path_buf(),
            index,
            fields,
            memory,
            writer: None,
            dirty: false,
            written: Instant::now(),
        })
    }

    pub(crate) fn is_empty(&self) -> Result<bool> {
        Ok(self.writer.is_none() && documents(&self.index).map_err(|error| failed(&self.path, error))? == 0)
    }

    fn writer(&mut self) -> Result<&mut IndexWriter> {
        self.dirty = true;
        self.written = Instant::now();
        if self.writer.is_none() {
            let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(4));
            let made = self.index.writer_with_num_threads(threads, self.memory.max(threads * (15 << 20)));
            self.writer = Some(made.map_err(|error| match error {
                TantivyError::LockFailure(LockError::LockBusy, _) => {
                    Error::Busy(format!("another process that writes to {}", self.path.display()))
                }
                error => failed(&self.path, error),
            })?);
        }
        self.writer.as_mut().ok_or_else(|| failed(&self.path, "no writer"))
    }

    /// Puts a document in the place of the one with its id, or removes that.
    pub(crate) fn write(&mut self, id: &str, body: Option<&[u8]>) -> Result<()> {
        let path = self.path.clone();
        let wrong = |error: &dyn std::fmt::Display| failed(&path, error);
        let own = self.fields.id().ok_or_else(|| failed(&self.path, "no field `_id`"))?;
        let document = body.map(|body| self.fields.document(id, body)).transpose().map_err(|error| wrong(&error))?;
        let writer = self.writer()?;
        writer.delete_term(Term::from_field_text(own, id));
        if let Some(document) = document {
            writer.add_document(document).map_err(|error| wrong(&error))?;
        }
        Ok(())
    }

    /// Removes every document that was written before.
    pub(crate) fn clear(&mut self) -> Result<()> {
        let path = self.path.clone();
        self.writer()?.delete_all_documents().map(drop).map_err(|error| failed(&path, error))
    }

    /// What was written is on disk when it returns.
    pub(crate) fn commit(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.as_mut().filter(|_| self.dirty) {
            writer.commit().map_err(|error| failed(&self.path, error))?;
        }
        self.dirty = false;
        Ok(())
    }

    /// How long nothing was written.
    pub(crate) fn idle(&self) -> Duration {
        self.written.elapsed()
    }
}

/// How many documents there are.
fn documents(index: &Index) -> tantivy::Result<u64> {
    let metas = index.load_metas()?;
    Ok(metas.segments.iter().map(|segment| u64::from(segment.num_docs())).sum())
}

/// What is stored of an index, with its size.
pub(crate) fn measured(path: &Path, found: StoredIndex) -> Result<StoredIndex> {
    let index = fields::open(path).map_err(|error| failed(path, error))?;
    let documents = documents(&index).map_err(|error| failed(path, error))?;
    let files = std::fs::read_dir(path).map_err(|error| failed(path, error))?;
    let bytes = files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
    Ok(StoredIndex { documents: Some(documents), bytes: Some(bytes), ..found })
}
