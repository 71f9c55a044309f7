//! Which bytes a plugin is: a digest that the operator wrote behind its name (`pg@sha256:…`), and the lock file, which
//! remembers the digest of every plugin of a deployment. A name says which plugin is meant, and anybody who can put a file into a plugin
//! folder can claim it; a digest says which code runs.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::wasm::{Checked, Digest};

/// The lock file's name, beside the configuration file.
pub const LOCK: &str = "flusso.lock";
/// What the lock file begins with.
const HEAD: &str = "# Written by `flusso-host plugin lock`: the plugins of this deployment. A plugin of one of these names with other bytes is refused;\n# with --locked, so is a plugin that is not here. Keep this file with the configuration.\n\n";

/// Why a plugin is not the one that is meant.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    /// A native library, of which nobody said that it may run.
    #[error(
        "{part}: {} is a native library, which no sandbox holds; if it may do all that flusso-host may, write `trusted = true` in its \
         table, or start with --allow-native", path.display()
    )]
    Native {
        /// The file.
        path: PathBuf,
        /// Where the configuration names it.
        part: String,
    },
    /// The bytes are others than the operator wrote.
    #[error("{} is sha256:{found}, and `{wanted}` was asked for", path.display())]
    Pinned {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: Digest,
        /// The plugin as it was asked for.
        wanted: String,
    },
    /// The bytes are others than when the lock file was written.
    #[error(
        "{} is another plugin than {} remembers for `{name}`: it is sha256:{found} (version {version}), and sha256:{locked} is locked; if it \
         is meant to be, run `flusso-host plugin lock`", path.display(), lock.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// The plugin's name.
        name: String,
        /// Its version now.
        version: String,
        /// Its digest now.
        found: Digest,
        /// The digest in the lock file.
        locked: Digest,
    },
    /// A lock file has one plugin of a name.
    #[error("{} and {} are different plugins, and both are named `{name}`; a lock file has one of each name", first.display(), second.display())]
    Twice {
        /// The name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// `--locked`, and the plugin is not in the lock file.
    #[error("plugin `{name}` ({}) is not in {}, and --locked was given; run `flusso-host plugin lock`", path.display(), lock.display())]
    Unknown {
        /// The plugin's name.
        name: String,
        /// The file.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// `--locked`, and there is no lock file.
    #[error("there is no {}, and --locked was given; run `flusso-host plugin lock`", .0.display())]
    NoLock(PathBuf),
    /// The lock file cannot be read or written.
    #[error("the lock file {}: {source}", path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The lock file is none.
    #[error("the lock file {} is none: {}; run `flusso-host plugin lock`", path.display(), why.trim())]
    Invalid {
        /// The lock file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// A plugin in the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its name, of its manifest.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// The digest of its bytes.
    pub sha256: Digest,
    /// Where it was, for people.
    pub path: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    plugin: Vec<Locked>,
}

/// The lock file of a deployment, and whether everything has to be in it.
#[derive(Debug, Clone, Default)]
pub struct Lock {
    path: PathBuf,
    plugins: Option<Vec<Locked>>,
    required: bool,
}

impl Lock {
    /// Reads it, if it is there. `config`: the configuration file that it stands beside.
    ///
    /// # Errors
    ///
    /// When it is there and is none, and when it is not there and `required`.
    pub fn read(config: Option<&Path>, required: bool) -> Result<Self, SupplyError> {
        let path = config.and_then(Path::parent).unwrap_or(Path::new("")).join(LOCK);
        let plugins = match std::fs::read_to_string(&path) {
            Ok(text) => Some(parse(&path, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && required => {
                return Err(SupplyError::NoLock(path));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(SupplyError::File { path, source }),
        };
        Ok(Self { path, plugins, required })
    }

    /// An empty one in its place, which the next writing replaces.
    pub fn anew(config: Option<&Path>) -> Self {
        Self { path: config.and_then(Path::parent).unwrap_or(Path::new("")).join(LOCK), ..Self::default() }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The digest that a name has here.
    pub fn digest(&self, name: &str) -> Option<&Digest> {
        self.plugins.iter().flatten().find(|locked| locked.name == name).map(|locked| &locked.sha256)
    }

    /// Whether a plugin is the one that is locked. `wanted`: the name that it was asked for by, if it was one: a file that is called so
    /// may give itself another name.
    ///
    /// # Errors
    ///
    /// When it is another, and when it has to be here and is not.
    pub fn check(&self, checked: &Checked, wanted: Option<&str>) -> Result<(), SupplyError> {
        let (manifest, path) = (checked.manifest(), checked.path());
        let is_meant =
            |locked: &&Locked| locked.name == manifest.name || wanted == Some(&locked.name) || locked.path == path;
        let mut meant = self.plugins.iter().flatten().filter(is_meant).peekable();
        if meant.peek().is_none() && self.required {
            let (name, path) = (manifest.name.clone(), path.to_path_buf());
            return Err(SupplyError::Unknown { name, path, lock: self.path.clone() });
        }
        let Some(other) = meant.find(|locked| locked.sha256 != *checked.digest()) else { return Ok(()) };
        Err(SupplyError::Changed {
            path: path.to_path_buf(),
            lock: self.path.clone(),
            name: other.name.clone(),
            version: manifest.version.clone(),
            found: checked.digest().clone(),
            locked: other.sha256.clone(),
        })
    }

    /// Writes these, each once, and nothing else into the file: to a temporary one that is renamed. Returns what is in it.
    ///
    /// # Errors
    ///
    /// When two of one name are not the same, and when it cannot be written.
    pub fn write(&self, mut plugins: Vec<Locked>) -> Result<Vec<Locked>, SupplyError> {
        plugins.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        plugins.dedup_by(|a, b| a.name == b.name && a.sha256 == b.sha256);
        if let Some([one, other]) = plugins.array_windows().find(|[one, other]| one.name == other.name) {
            let (name, first, second) = (one.name.clone(), one.path.clone(), other.path.clone());
            return Err(SupplyError::Twice { name, first, second });
        }
        let failed = |source| SupplyError::File { path: self.path.clone(), source };
        let file = File { plugin: plugins };
        let text = toml::to_string(&file).map_err(|error| failed(std::io::Error::other(error)))?;
        let temporary = self.path.with_extension("lock.tmp");
        std::fs::write(&temporary, format!("{HEAD}{text}")).map_err(failed)?;
        std::fs::rename(&temporary, &self.path).map_err(failed)?;
        Ok(file.plugin)
    }
}

impl Locked {
    /// What the lock file says of a plugin.
    pub fn of(checked: &Checked) -> Self {
        let manifest = checked.manifest();
        Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            sha256: checked.digest().clone(),
            path: checked.path().to_path_buf(),
        }
    }
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} sha256:{} {}", self.name, self.version, self.sha256, self.path.display())
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Locked>, SupplyError> {
    let wrong = |why: String| SupplyError::Invalid { path: path.to_path_buf(), why };
    let file: File = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let twice = file.plugin.iter().enumerate().find(|(at, one)| {
        file.plugin.iter().take(*at).any(|other| other.name == one.name && other.sha256 != one.sha256)
    });
    match twice {
        Some((_, one)) => Err(wrong(format!("`{}` is in it twice", one.name))),
        None => Ok(file.plugin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn a_lock_file_is_read_as_it_was_written_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let config = folder.path().join("flusso.toml");
        let read = |required| Lock::read(Some(&config), required);
        assert!(read(false).is_ok_and(|lock| lock.digest("pg").is_none()));
        assert!(read(true).is_err_and(|error| error.to_string().contains("plugin lock")));
        let digest = Digest::parse(DIGEST).unwrap_or_else(|| panic!("a digest"));
        let one = |name: &str| Locked {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            sha256: digest.clone(),
            path: PathBuf::from("plugins/pg.wasm"),
        };
        assert!(Lock::anew(Some(&config)).write(vec![one("pg"), one("a"), one("pg")]).is_ok_and(|all| all.len() == 2));
        let another = Locked { sha256: Digest::of(b"another"), path: PathBuf::from("x/pg.wasm"), ..one("pg") };
        let said = Lock::anew(Some(&config)).write(vec![one("pg"), another]).err().map(|error| error.to_string());
        assert!(said.is_some_and(|said| said.contains("plugins/pg.wasm and x/pg.wasm are different plugins")));
        let lock = read(true).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((lock.digest("pg"), lock.digest("a"), lock.digest("b")), (Some(&digest), Some(&digest), None));
        let entry =
            |digest: &str| format!("[[plugin]]\nname = \"pg\"\nversion = \"1\"\nsha256 = \"{digest}\"\npath = \"x\"\n");
        let other = DIGEST.replace('9', "8");
        for wrong in [
            "plugin = 1",
            "x",
            &entry("12"),
            &format!("{}{}", entry(DIGEST), entry(&other)),
            "[[plugin]]\nname = \"a\"",
        ] {
            assert!(std::fs::write(lock.path(), wrong).is_ok());
            let said = read(false).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains("flusso.lock") && said.contains("plugin lock"), "{wrong}: {said}");
        }
    }
}
