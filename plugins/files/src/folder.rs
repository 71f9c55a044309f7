//! All tables of a folder, and what became of them since the last look.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use flusso_plugin::{Error, Result, TableName};

use crate::content::Packing;
use crate::format::Format;
use crate::options::Options;
use crate::table::{Found, Look, Table, Wanted};

/// The folder.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) options: Options,
    pub(crate) tables: BTreeMap<String, Table>,
}

impl Folder {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, tables: BTreeMap::new() }
    }

    /// Reads what is new. Returns what happened to each table.
    pub(crate) fn look(&mut self, wanted: Wanted) -> Result<Vec<(String, Look)>> {
        let found = self.found()?;
        let mut looks = Vec::new();
        for (name, table) in &mut self.tables {
            if !found.contains_key(name) {
                looks.push((name.clone(), table.empty()));
            }
        }
        for (name, files) in found {
            let own = || self.options.tables.get(&name).cloned().unwrap_or_default();
            let on_bad_row = self.options.on_bad_row;
            let table = self.tables.entry(name.clone()).or_insert_with(|| Table::new(&name, own(), on_bad_row));
            looks.push((name, table.look(&files, wanted)?));
        }
        Ok(looks)
    }

    /// The table of this name in the schema that the tables are said to be in.
    pub(crate) fn table(&self, wanted: &TableName) -> Option<&Table> {
        self.tables.get(&wanted.name).filter(|_| wanted.schema == self.options.schema)
    }

    /// The files of each table.
    fn found(&self) -> Result<BTreeMap<String, Vec<Found>>> {
        let mut tables: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for path in entries(&self.options.path)? {
            let files = if path.is_dir() {
                entries(&path)?.iter().filter_map(|path| data_file(path)).collect()
            } else {
                Vec::from_iter(data_file(&path))
            };
            let name = if path.is_dir() {
                path.file_name().and_then(OsStr::to_str).map(str::to_owned)
            } else {
                table_name(&path)
            };
            let Some(name) = name.filter(|_| !files.is_empty()) else { continue };
            if let Some(other) = tables.get(&name).and_then(|files| files.first()) {
                return Err(Error::fatal(format!(
                    "{} and {} are both table `{name}`; rename one of them, or put both into a folder of that name",
                    other.path.display(),
                    path.display()
                )));
            }
            tables.insert(name, files);
        }
        Ok(tables)
    }
}

/// What is in a folder, in order; nothing that begins with a dot.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |error: std::io::Error| Error::configuration("path", format!("{}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.file_name().and_then(OsStr::to_str).is_some_and(|name| !name.starts_with('.')) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// How a file is packed, and its name without that.
fn unpacked(path: &Path) -> Option<(Packing, &str)> {
    let name = path.file_name()?.to_str()?;
    Some(match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
        (Some(name), _) => (Packing::Gzip, name),
        (_, Some(name)) => (Packing::Zstd, name),
        _ => (Packing::Plain, name),
    })
}

fn format_of(name: &str) -> Option<(Format, &str)> {
    let endings = [(".csv", Format::Csv), (".ndjson", Format::Ndjson), (".jsonl", Format::Ndjson)];
    endings.into_iter().find_map(|(ending, format)| Some((format, name.strip_suffix(ending)?)))
}

fn data_file(path: &Path) -> Option<Found> {
    let (packing, name) = unpacked(path)?;
    let (format, _) = format_of(name)?;
    Some(Found { path: path.to_path_buf(), packing, format })
}

fn table_name(path: &Path) -> Option<String> {
    let (_, name) = unpacked(path)?;
    format_of(name).map(|(_, name)| name.to_owned())
}
