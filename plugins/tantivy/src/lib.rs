//! `tantivy`: a sink that keeps a search index in a folder, without any server, by the library of that name. It maps its files
//! into memory, which WebAssembly cannot, so it is a native library alone: `flusso-host plugin build --native plugins/tantivy`.
//!
//! | file | what it holds |
//! |---|---|
//! | `catalog` | which indexes and generations are in the folder, and what is seeded |
//! | `fields` | from the mapping of an index to fields, from a document to their values |
//! | `generation` | one generation of an index: its files, its writer |
//! | `query` | searching |
//!
//! A flush commits: what was written is on disk, and searches find it. A mapping that changes is a generation beside the one that
//! serves, which takes its place once it is seeded.

mod catalog;
mod fields;
mod generation;
mod query;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use catalog::Catalog;
use flusso_plugin::{
    ConfigurationError, Document, Ensured, Error, Found, HistoryId, Inventory, Mapping, Report, Result, Search,
    Settings, Sink, StoredIndex, Target, Version,
};
use generation::Generation;

/// Generations whose writers stay open; each has threads and a buffer.
const OPEN_WRITERS: usize = 8;

/// What the operator sets.
#[derive(serde::Deserialize)]
struct Options {
    path: PathBuf,
    #[serde(default = "default_memory")]
    memory_mib: usize,
}

fn default_memory() -> usize {
    128
}

/// The sink, opened.
pub struct Tantivy {
    folder: PathBuf,
    memory: usize,
    catalog: Catalog,
    open: HashMap<Target, Generation>,
}

/// An error of a file of this sink.
fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::fatal(format!("{}: {error}", path.display()))
}

impl Tantivy {
    /// The generation that documents for a target go to.
    fn generation(&mut self, target: Target) -> Result<&mut Generation> {
        if !self.open.contains_key(&target) {
            let (_, kept) = self.catalog.find(target).ok_or_else(|| unknown(target))?;
            let generation = Generation::open(&self.folder.join(&kept.folder), self.memory)?;
            self.open.insert(target, generation);
        }
        self.open.get_mut(&target).ok_or_else(|| unknown(target))
    }

    /// Stores the catalog, and removes the folders that it names no longer.
    fn store(&mut self, removed: Vec<catalog::Kept>) -> Result<()> {
        self.catalog.store(&self.folder)?;
        for kept in removed {
            self.open.remove(&kept.target);
            let path = self.folder.join(&kept.folder);
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&path, error)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn unknown(target: Target) -> Error {
    Error::fatal(format!("target {target} was not ensured on this instance"))
}

impl Sink for Tantivy {
    fn open(settings: Settings) -> Result<Self> {
        let Options { path, memory_mib } = settings.parse()?;
        std::fs::create_dir_all(&path).map_err(|error| wrong_path(&path, &error.to_string()))?;
        let catalog = Catalog::load(&path)?;
        Ok(Self { folder: path, memory: memory_mib << 20, catalog, open: HashMap::new() })
    }

    fn ensure_index(&mut self, mapping: Mapping) -> Result<Ensured> {
        let target = match self.catalog.written(&mapping.index, &mapping.hash) {
            Some(target) => target,
            None => {
                let kept = self.catalog.add(&mapping.index, &mapping.hash, false);
                Generation::create(&self.folder.join(&kept.folder), &mapping)?;
                // Its folder is there before the catalog names it.
                self.catalog.store(&self.folder)?;
                kept.target
            }
        };
        let empty = self.generation(target)?.is_empty()?;
        Ok(Ensured { target, empty, extra: None })
    }

    fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>> {
        Ok(self.catalog.find(target).and_then(|(_, kept)| kept.seeded.clone()))
    }

    fn mark_seeded(&mut self, target: Target, history: HistoryId) -> Result<()> {
        let removed = self.catalog.mark_seeded(target, history).ok_or_else(|| unknown(target))?;
        self.store(removed)
    }

    fn mark_unseeded(&mut self, target: Target) -> Result<()> {
        self.catalog.mark_unseeded(target).ok_or_else(|| unknown(target))?;
        self.store(Vec::new())
    }

    fn write(&mut self, documents: Vec<Document>) -> Result<()> {
        for document in documents {
            self.generation(document.target)?.write(&document.id, document.body.as_deref())?;
        }
        Ok(())
    }

    fn clear(&mut self, target: Target, _: Version) -> Result<()> {
        self.generation(target)?.clear()
    }

    fn flush(&mut self, _: bool, _: u64) -> Result<Report> {
        self.open.values_mut().try_for_each(Generation::commit)?;
        while self.open.len() > OPEN_WRITERS {
            // All of it is committed.
            let Some(longest) = self.open.iter().max_by_key(|(_, open)| open.idle()).map(|(target, _)| *target) else {
                break;
            };
            self.open.remove(&longest);
        }
        Ok(Report { rejected: Vec::new(), visible: true, extra: None })
    }

    fn begin_rebuild(&mut self, mapping: Mapping, resume: bool) -> Result<Target> {
        let (resumed, removed) = self.catalog.begin_rebuild(&mapping.index, &mapping.hash, resume);
        self.store(removed)?;
        if let Some(target) = resumed {
            return Ok(target);
        }
        let kept = self.catalog.add(&mapping.index, &mapping.hash, true);
        Generation::create(&self.folder.join(&kept.folder), &mapping)?;
        self.catalog.store(&self.folder)?;
        Ok(kept.target)
    }

    fn promote(&mut self, target: Target) -> Result<()> {
        let removed = self.catalog.promote(target).ok_or_else(|| unknown(target))?;
        self.store(removed)
    }

    fn abandon(&mut self, target: Target) -> Result<()> {
        let removed = self.catalog.abandon(target);
        self.store(removed)
    }
}

impl Inventory for Tantivy {
    fn list(settings: Settings, prefix: String) -> Result<Vec<StoredIndex>> {
        let Options { path, .. } = settings.parse()?;
        let catalog = Catalog::load(&path)?;
        let stored = catalog.stored(&prefix);
        stored.into_iter().map(|(kept, found)| generation::measured(&path.join(&kept.folder), found)).collect()
    }

    fn remove(settings: Settings, prefix: String, name: String, force: bool) -> Result<()> {
        let mut sink = Self::open(settings)?;
        let removed = sink.catalog.remove(&prefix, &name, force)?;
        sink.store(removed)
    }
}

impl Search for Tantivy {
    fn query(settings: Settings, index: String, query: String, limit: u32, offset: u32) -> Result<Found> {
        let Options { path, .. } = settings.parse()?;
        let catalog = Catalog::load(&path)?;
        let Some(kept) = catalog.live(&index) else {
            let names = catalog.names();
            let others = match names.as_slice() {
                [] => format!("and no other in {}", path.display()),
                names => format!("there are: {}", names.join(", ")),
            };
            return Err(Error::configuration("index", format!("there is no index `{index}`; {others}")));
        };
        query::search(&path.join(&kept.folder), &query, limit, offset)
    }
}

fn wrong_path(folder: &Path, why: &str) -> Error {
    Error::Configuration(ConfigurationError {
        setting: "path".to_owned(),
        message: format!("{} {why}", folder.display()),
        extra: None,
    })
}

flusso_plugin::plugin! {
    manifest: include_str!("../manifest.json"),
    sink: Tantivy,
    inventory: Tantivy,
    search: Tantivy,
}
