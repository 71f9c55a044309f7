//! Finds a plugin's file: by path, by name in the plugin folders, or by a `type` that its manifest provides. It reads
//! manifests and compiles nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::manifest::{Manifest, Refusal};
use super::native;
use super::settings::nearest;

/// A plugin's file, found and not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
}

/// The folders that are searched, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    folders: Vec<PathBuf>,
}

/// No such plugin.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// A path that leads nowhere.
    #[error("there is no file {}{}", path.display(), near.as_ref().map(|near| format!("; did you mean {}?", near.display())).unwrap_or_default())]
    NoFile {
        /// The path.
        path: PathBuf,
        /// A file of nearly that name beside it.
        near: Option<PathBuf>,
    },
    /// A name that no folder has.
    #[error("no plugin named `{name}`{}; searched {}", did_you_mean(near), list(searched))]
    NoName {
        /// The name.
        name: String,
        /// The nearest name there is.
        near: Option<String>,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// A type that no plugin provides.
    #[error("no plugin provides type \"{wanted}\"{}; searched {}", did_you_mean(near), list(searched))]
    NoType {
        /// The type.
        wanted: String,
        /// The nearest type there is.
        near: Option<String>,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// Several files have one name, and are not the same.
    #[error(
        "several plugins are named `{name}`: {}; remove what is not wanted, or say which by its path or its digest (`{name}@sha256:…`)",
        list(files)
    )]
    Several {
        /// The name.
        name: String,
        /// The files.
        files: Vec<PathBuf>,
    },
    /// Several plugins provide one type.
    #[error("{} and {} both provide type \"{wanted}\"; say which by `plugin = \"…\"`", first.display(), second.display())]
    Ambiguous {
        /// The type.
        wanted: String,
        /// One of them.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
}

fn did_you_mean(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Places {
    /// The given folders first, then `./plugins`, `./plugins-out` and the user's data folder.
    pub fn new(given: &[PathBuf]) -> Self {
        let usual = [PathBuf::from("plugins"), PathBuf::from("plugins-out")];
        let data = dirs::data_dir().map(|data| data.join("flusso-host").join("plugins"));
        Self::only(given.iter().cloned().chain(usual).chain(data))
    }

    /// Exactly these folders.
    pub fn only(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { folders: folders.into_iter().collect() }
    }

    /// The folders, in order.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// A path (anything with a separator or the ending of a plugin's file), or a name: the name of a file without its ending, or the
    /// name in a manifest.
    pub fn find(&self, wanted: &str) -> Result<Found, LocateError> {
        let path = Path::new(wanted);
        if path.components().count() > 1 || wanted.starts_with('.') || path.extension().is_some_and(is_ending) {
            return self.find_path(path);
        }
        let files = self.named(wanted);
        match files.as_slice() {
            [] => {}
            [path] => return Ok(Found { path: path.clone() }),
            // A file that cannot be read differs from every other.
            several => {
                let bytes: Vec<_> = several.iter().map(|path| std::fs::read(path).ok()).collect();
                return match several
                    .first()
                    .filter(|_| bytes.windows(2).all(|pair| matches!(pair, [Some(one), Some(other)] if one == other)))
                {
                    Some(path) => Ok(Found { path: path.clone() }),
                    None => Err(LocateError::Several { name: wanted.to_owned(), files }),
                };
            }
        }
        let all = self.manifests();
        let near = nearest(wanted, all.iter().map(|(_, manifest)| manifest.name.as_str())).map(str::to_owned);
        Err(LocateError::NoName { name: wanted.to_owned(), near, searched: self.folders.clone() })
    }

    fn find_path(&self, path: &Path) -> Result<Found, LocateError> {
        let bare = path.components().count() == 1;
        let elsewhere = self.folders.iter().filter(|_| bare).map(|folder| folder.join(path));
        if let Some(path) = std::iter::once(path.to_path_buf()).chain(elsewhere).find(|path| path.is_file()) {
            return Ok(Found { path });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut beside = plugin_files(folder);
        beside.extend(self.folders.iter().filter(|_| bare).flat_map(|folder| plugin_files(folder)));
        let names: Vec<_> = beside.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        let near = nearest(&name, names.iter().copied());
        let near =
            near.and_then(|near| beside.iter().find(|path| path.file_name().is_some_and(|name| name == near)).cloned());
        Err(LocateError::NoFile { path: path.to_path_buf(), near })
    }

    /// The plugin whose manifest provides a type. The same plugin found twice counts once, first folder first.
    pub fn find_type(&self, wanted: &str) -> Result<Found, LocateError> {
        let all = self.manifests();
        let provides = |manifest: &Manifest| manifest.provides.iter().any(|name| name == wanted);
        let (libraries, components): (Vec<_>, Vec<_>) =
            all.iter().filter(|(_, manifest)| provides(manifest)).partition(|(path, _)| is_library(path));
        let mut providers = components.into_iter().chain(libraries);
        let Some((path, manifest)) = providers.next() else {
            let types = all.iter().flat_map(|(_, manifest)| manifest.provides.iter().map(String::as_str));
            let near = nearest(wanted, types).map(str::to_owned);
            return Err(LocateError::NoType { wanted: wanted.to_owned(), near, searched: self.folders.clone() });
        };
        match providers.find(|(_, other)| other.name != manifest.name) {
            Some((second, _)) => {
                let (first, second) = (path.clone(), second.clone());
                Err(LocateError::Ambiguous { wanted: wanted.to_owned(), first, second })
            }
            None => Ok(Found { path: path.clone() }),
        }
    }

    /// The files that a name may mean, each once: those that are called so first, in the order of the folders, then those whose
    /// manifest says so. A native library is meant by a name only where no component has it.
    pub fn named(&self, name: &str) -> Vec<PathBuf> {
        let names = ["wasm", native::ENDING].map(|ending| format!("{name}.{ending}"));
        let called = self.folders.iter().flat_map(|folder| names.each_ref().map(|file| folder.join(file)));
        let called = called.filter(|path| path.is_file());
        let saying = self.manifests().into_iter().filter(|(_, manifest)| manifest.name == name).map(|(path, _)| path);
        let (mut seen, mut files) = (Vec::new(), Vec::new());
        for path in called.chain(saying) {
            let same = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !seen.contains(&same) {
                seen.push(same);
                files.push(path);
            }
        }
        if files.iter().any(|path| !is_library(path)) {
            files.retain(|path| !is_library(path));
        }
        files
    }

    /// The names that several files have, each with its files.
    pub fn ambiguous(&self) -> Vec<(String, Vec<PathBuf>)> {
        let mut names: Vec<_> = self.manifests().into_iter().map(|(_, manifest)| manifest.name).collect();
        names.sort();
        names.dedup();
        let files = names.into_iter().map(|name| (self.named(&name), name));
        files.filter(|(files, _)| files.len() > 1).map(|(files, name)| (name, files)).collect()
    }

    /// Every file that ends in `.wasm` or as a native library does, with its manifest or the reason why it is refused.
    pub fn list(&self) -> Vec<(PathBuf, Result<Manifest, Refusal>)> {
        let files = self.folders.iter().flat_map(|folder| plugin_files(folder));
        files.map(|path| (path.clone(), Manifest::read(&path))).collect()
    }

    fn manifests(&self) -> Vec<(PathBuf, Manifest)> {
        self.list().into_iter().filter_map(|(path, manifest)| Some((path, manifest.ok()?))).collect()
    }
}

/// Whether files of plugins end so on this system.
fn is_ending(ending: &OsStr) -> bool {
    ending == "wasm" || ending == native::ENDING
}

/// Whether a plugin's file is a native library, by its name.
pub fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == native::ENDING)
}

/// The plugins of a folder, in order of their names; none if it cannot be read.
fn plugin_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(is_ending) && path.is_file())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::sections::tests::component;

    fn folder(files: &[(&str, &str, &str)]) -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        for (file, name, provides) in files {
            let manifest = format!(
                r#"{{"name":"{name}","version":"1.0.0","contract":"0.2.0","roles":["sink"],"provides":["{provides}"]}}"#
            );
            let bytes = component(Some(&manifest), &["flusso:connector/sink@0.2.0"]);
            assert!(std::fs::write(folder.path().join(file), bytes).is_ok());
        }
        let places = Places::only([folder.path().to_path_buf()]);
        (folder, places)
    }

    #[test]
    fn finds_by_path_by_name_and_by_type() {
        let (dir, places) = folder(&[("pg.wasm", "pg", "postgres"), ("files-1.wasm", "files", "ndjson")]);
        let at = |file: &str| dir.path().join(file);
        let found = |answer: Result<Found, LocateError>| answer.map(|found| found.path).ok();
        assert_eq!(found(places.find(&at("pg.wasm").display().to_string())), Some(at("pg.wasm")));
        assert_eq!(found(places.find("pg.wasm")), Some(at("pg.wasm")));
        assert_eq!(found(places.find("pg")), Some(at("pg.wasm")));
        assert_eq!(found(places.find("files")), Some(at("files-1.wasm")));
        assert_eq!(found(places.find_type("ndjson")), Some(at("files-1.wasm")));
    }

    #[test]
    fn says_what_is_near_and_where_it_looked() {
        let (dir, places) = folder(&[("postgres.wasm", "postgres", "postgres")]);
        let text = places.find("postgers").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            text.contains("did you mean `postgres`?") && text.contains(&dir.path().display().to_string()),
            "{text}"
        );
        let text = places.find("./postgers.wasm").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("there is no file ./postgers.wasm"), "{text}");
        let text = places.find("postgers.wasm").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("did you mean") && text.contains("postgres.wasm"), "{text}");
        let text = places.find_type("postgre").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("did you mean `postgres`?"), "{text}");
    }

    #[test]
    fn a_name_that_several_plugins_have_is_said_with_their_files() {
        let (first, _) = folder(&[("pg.wasm", "pg", "postgres"), ("other.wasm", "other", "x")]);
        let (second, _) = folder(&[("a.wasm", "pg", "postgres"), ("pg.wasm", "pg", "postgres")]);
        let at = |folder: &tempfile::TempDir, file: &str| folder.path().join(file);
        let three = [at(&first, "pg.wasm"), at(&second, "pg.wasm"), at(&second, "a.wasm")];
        // A folder that is searched twice has nothing twice.
        let places = Places::only([first.path(), second.path(), first.path()].map(Path::to_path_buf));
        assert_eq!(places.named("pg"), three);
        assert_eq!(places.ambiguous(), [("pg".to_owned(), three.to_vec())]);
        assert_eq!(
            places.find("pg").map(|found| found.path).ok(),
            Some(at(&first, "pg.wasm")),
            "all of them are the same"
        );
        assert!(Places::only([first.path().to_path_buf()]).ambiguous().is_empty());
        // A file that only claims the name.
        let (third, _) = folder(&[("harmless.wasm", "pg", "something")]);
        let places = Places::only([first.path(), third.path()].map(Path::to_path_buf));
        let said = places.find("pg").err().map(|error| error.to_string()).unwrap_or_default();
        for file in [at(&first, "pg.wasm"), at(&third, "harmless.wasm")] {
            assert!(said.contains(&file.display().to_string()) && said.contains("pg@sha256:"), "{said}");
        }
    }

    #[test]
    fn two_plugins_of_one_type_have_to_be_named() {
        let (_dir, places) = folder(&[("a.wasm", "a", "files"), ("b.wasm", "b", "files")]);
        assert!(matches!(places.find_type("files"), Err(LocateError::Ambiguous { .. })));
    }
}
