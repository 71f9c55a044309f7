//! The file `catalog.json` of the folder: every index with its generations. It is exchanged whole, so that a crash leaves the one
//! before or the one after; a folder that it does not name is of nobody.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use flusso_plugin::{Error, IndexState, Result, StoredIndex, Target};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::failed;

const FILE: &str = "catalog.json";

/// The whole catalog.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Catalog {
    /// The next target; none is given twice.
    next: Target,
    indexes: BTreeMap<String, Index>,
}

/// One index.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    /// What searches find.
    live: Target,
    generations: Vec<Kept>,
}

/// One generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) target: Target,
    /// The name of its folder.
    pub(crate) folder: String,
    pub(crate) hash: String,
    pub(crate) seeded: Option<String>,
    /// It is built beside the one that serves, until it is promoted.
    rebuild: bool,
}

impl Catalog {
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                failed(&path, format!("it is damaged ({error}); remove the folder, and its indexes are seeded anew"))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(&path, error)),
        }
    }

    /// Durable when it returns.
    pub(crate) fn store(&self, folder: &Path) -> Result<()> {
        let (path, new) = (folder.join(FILE), folder.join("catalog.json.new"));
        let storing = || {
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(folder)?.sync_all()
        };
        storing().map_err(|error: std::io::Error| failed(&path, error))
    }

    /// A generation and the name of its index.
    pub(crate) fn find(&self, target: Target) -> Option<(&str, &Kept)> {
        let mut all =
            self.indexes.iter().flat_map(|(name, index)| index.generations.iter().map(move |kept| (name, kept)));
        all.find(|(_, kept)| kept.target == target).map(|(name, kept)| (name.as_str(), kept))
    }

    /// What searches of an index find.
    pub(crate) fn live(&self, name: &str) -> Option<&Kept> {
        let index = self.indexes.get(name)?;
        index.generations.iter().find(|kept| kept.target == index.live)
    }

    /// The names of all indexes.
    pub(crate) fn names(&self) -> Vec<String> {
        self.indexes.keys().cloned().collect()
    }

    /// The generation that documents with this mapping are written to.
    pub(crate) fn written(&self, name: &str, hash: &str) -> Option<Target> {
        let index = self.indexes.get(name)?;
        let fits = index.generations.iter().filter(|kept| kept.hash == hash && !kept.rebuild);
        // The one that serves, if it is among them.
        fits.max_by_key(|kept| kept.target == index.live).map(|kept| kept.target)
    }

    /// Adds a generation; the first of an index is found by searches at once.
    pub(crate) fn add(&mut self, name: &str, hash: &str, rebuild: bool) -> Kept {
        let target = self.next;
        self.next += 1;
        let folder = format!("{}-{target}", utf8_percent_encode(name, NON_ALPHANUMERIC));
        let kept = Kept { target, folder, hash: hash.to_owned(), seeded: None, rebuild };
        let index =
            self.indexes.entry(name.to_owned()).or_insert_with(|| Index { live: target, generations: Vec::new() });
        index.generations.push(kept.clone());
        kept
    }

    fn index_of(&mut self, target: Target) -> Option<&mut Index> {
        self.indexes.values_mut().find(|index| index.generations.iter().any(|kept| kept.target == target))
    }

    /// Marks a generation. One that was written to beside the one that serves takes its place. Returns what is not needed any more.
    pub(crate) fn mark_seeded(&mut self, target: Target, history: String) -> Option<Vec<Kept>> {
        let index = self.index_of(target)?;
        let kept = index.generations.iter_mut().find(|kept| kept.target == target)?;
        kept.seeded = Some(history);
        Some(if kept.rebuild || index.live == target { Vec::new() } else { index.serve(target) })
    }

    pub(crate) fn mark_unseeded(&mut self, target: Target) -> Option<()> {
        let index = self.index_of(target)?;
        index.generations.iter_mut().filter(|kept| kept.target == target).for_each(|kept| kept.seeded = None);
        Some(())
    }

    /// The rebuild of an index that goes on, if one may and is there; and those that do not.
    pub(crate) fn begin_rebuild(&mut self, name: &str, hash: &str, resume: bool) -> (Option<Target>, Vec<Kept>) {
        let Some(index) = self.indexes.get_mut(name) else { return (None, Vec::new()) };
        let goes_on = index.generations.iter().find(|kept| resume && kept.rebuild && kept.hash == hash);
        let goes_on = goes_on.map(|kept| kept.target);
        (goes_on, index.take(|kept| kept.rebuild && Some(kept.target) != goes_on))
    }

    /// Puts a generation in the place of the one that serves. Returns what is not needed any more.
    pub(crate) fn promote(&mut self, target: Target) -> Option<Vec<Kept>> {
        let index = self.index_of(target)?;
        index.generations.iter_mut().filter(|kept| kept.target == target).for_each(|kept| kept.rebuild = false);
        Some(index.serve(target))
    }

    /// Takes a generation out that is not finished.
    pub(crate) fn abandon(&mut self, target: Target) -> Vec<Kept> {
        self.index_of(target).map(|index| index.take(|kept| kept.target == target && kept.rebuild)).unwrap_or_default()
    }

    /// Everything under a prefix.
    pub(crate) fn stored(&self, prefix: &str) -> Vec<(&Kept, StoredIndex)> {
        let of = self.indexes.iter().filter(|(name, _)| name.starts_with(prefix));
        let all = of.flat_map(|(name, index)| index.generations.iter().map(move |kept| (name, index, kept)));
        all.map(|(name, index, kept)| {
            let stored = StoredIndex {
                name: kept.folder.clone(),
                index: name.clone(),
                hash: kept.hash.clone(),
                state: index.state(kept),
                documents: None,
                bytes: None,
                seeded: kept.seeded.clone(),
                extra: None,
            };
            (kept, stored)
        })
        .collect()
    }

    /// Takes a generation out by the name of its folder.
    pub(crate) fn remove(&mut self, prefix: &str, folder: &str, force: bool) -> Result<Vec<Kept>> {
        let of = self.indexes.iter().filter(|(name, _)| name.starts_with(prefix));
        let found =
            of.flat_map(|(name, index)| index.generations.iter().map(move |kept| (name, index.state(kept), kept)));
        let Some((name, state, target)) = found
            .filter(|(_, _, kept)| kept.folder == folder)
            .map(|(name, state, kept)| (name.clone(), state, kept.target))
            .next()
        else {
            return Ok(Vec::new());
        };
        if !force {
            return Err(Error::configuration(
                "name",
                format!("{folder} is needed ({state:?}); it goes with force alone"),
            ));
        }
        let Some(index) = self.indexes.get_mut(&name) else { return Ok(Vec::new()) };
        let removed = index.take(|kept| kept.target == target);
        if index.generations.is_empty() {
            self.indexes.remove(&name);
        }
        Ok(removed)
    }
}

impl Index {
    /// Lets searches find a generation. Returns the others, which go.
    fn serve(&mut self, target: Target) -> Vec<Kept> {
        self.live = target;
        self.take(|kept| kept.target != target && !kept.rebuild)
    }

    fn take(&mut self, is_taken: impl Fn(&Kept) -> bool) -> Vec<Kept> {
        let (taken, kept) = std::mem::take(&mut self.generations).into_iter().partition(is_taken);
        self.generations = kept;
        taken
    }

    fn state(&self, kept: &Kept) -> IndexState {
        let is_alone = self.generations.iter().all(|other| other.rebuild || other.target == self.live);
        match (kept.target == self.live, is_alone) {
            (true, true) => IndexState::Serving,
            (true, false) => IndexState::Frozen,
            (false, _) => IndexState::Building,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_mapping_serves_once_it_is_seeded_and_not_before() {
        let mut catalog = Catalog::default();
        let first = catalog.add("users", "a", false);
        assert_eq!(catalog.written("users", "b"), None);
        let second = catalog.add("users", "b", false);
        assert_eq!((catalog.written("users", "b"), catalog.live("users")), (Some(second.target), Some(&first)));
        assert_eq!(catalog.mark_seeded(second.target, "h".to_owned()), Some(vec![first]));
        assert_eq!(
            catalog.live("users").map(|kept| (kept.target, kept.seeded.clone())),
            Some((second.target, Some("h".to_owned())))
        );
    }

    #[test]
    fn a_rebuild_serves_once_it_is_promoted_and_goes_on_after_a_crash() {
        let mut catalog = Catalog::default();
        let live = catalog.add("users", "a", false);
        assert_eq!(catalog.begin_rebuild("users", "a", true), (None, Vec::new()));
        let rebuild = catalog.add("users", "a", true);
        assert_eq!(catalog.written("users", "a"), Some(live.target), "documents go to the one that serves");
        assert_eq!(catalog.begin_rebuild("users", "a", true), (Some(rebuild.target), Vec::new()));
        assert_eq!(catalog.begin_rebuild("users", "a", false), (None, vec![rebuild.clone()]), "begun anew");
        let rebuild = catalog.add("users", "a", true);
        assert!(rebuild.target > live.target + 1, "no target twice");
        assert_eq!(catalog.promote(rebuild.target), Some(vec![live]));
        assert_eq!(catalog.promote(rebuild.target), Some(Vec::new()), "again");
        assert_eq!(catalog.written("users", "a"), Some(rebuild.target));
        assert!(catalog.abandon(rebuild.target).is_empty(), "what serves is not abandoned");
    }

    #[test]
    fn the_catalog_comes_back_and_a_damaged_one_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let mut catalog = Catalog::default();
        let kept = catalog.add("a/b", "x", false);
        assert!(catalog.store(folder.path()).is_ok());
        let again = Catalog::load(folder.path()).unwrap_or_default();
        assert_eq!(again.live("a/b"), Some(&kept));
        assert!(!kept.folder.contains('/'), "{}", kept.folder);
        assert!(std::fs::write(folder.path().join(FILE), "{").is_ok());
        assert!(matches!(Catalog::load(folder.path()), Err(Error::Fatal(text)) if text.contains("remove the folder")));
    }
}
