//! Where PostgreSQL's programs are on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with `initdb`, `postgres` and `psql`.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    folder: PathBuf,
    version: String,
}

impl Programs {
    /// The newest there is.
    pub(super) fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
        usual_folders().into_iter().chain(on_path).find_map(Self::at)
    }

    fn at(folder: PathBuf) -> Option<Self> {
        ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file()).then_some(())?;
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // `postgres (PostgreSQL) 15.4 (Debian …)`
        let number = text.split_whitespace().nth(2)?.to_owned();
        let major: u32 = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        (major >= 14).then(|| Self { folder, version: format!("PostgreSQL {number}") })
    }

    /// One of the programs.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// `PostgreSQL 15.4`
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

/// Where systems put them, the newest version first.
fn usual_folders() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, below) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr/lib64/postgresql", "bin"),
        ("/usr", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let plain = parent.ends_with("postgresql") || parent.ends_with("Versions");
            if plain || name.starts_with("pgsql-") || name.starts_with("postgresql") {
                found.push((version(&name), Path::new(parent).join(&name).join(below)));
            }
        }
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn version(name: &str) -> u32 {
    name.chars().filter(char::is_ascii_digit).take(2).collect::<String>().parse().unwrap_or(0)
}
