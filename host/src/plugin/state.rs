//! What must survive a restart: one file in the state folder, of ordered bytes by bytes, in scopes that do not see each
//! other (one a plugin and instance name, one for the host itself). One host process holds a folder at a time. A batch is
//! applied wholly or not at all, and is durable when the call returns.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction,
};

use super::damage::guarded;
use super::links::{LinkTable, Table};
use crate::engine::stage;
use crate::limits;

/// Scope and key, to value.
const ENTRIES: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("entries");
/// Scope, to bytes of its keys and values together.
const USED: TableDefinition<'_, &str, u64> = TableDefinition::new("used");
/// The file in a state folder.
const FILE: &str = "state.redb";
/// The socket of the host that holds the folder.
pub const SOCKET: &str = "host.sock";
/// Why the state cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it.
    #[error(
        "the state in {} is in use by another flusso-host; stop that one, or give this one a folder of its own with --state-dir",
        folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be made or opened.
    #[error("the state folder {} cannot be used: {source}; give another with --state-dir", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// More than its share.
    #[error("{scope} would keep {wanted} bytes of state and may keep {limit}; raise `limits.state`")]
    Quota {
        /// Whose.
        scope: String,
        /// What it would come to.
        wanted: u64,
        /// What it may be.
        limit: u64,
    },
    /// More links than may be kept.
    #[error(
        "the link table would have {wanted} bytes and may have {limit}; raise `limits.links` of the builder (or of the source, \
         where it builds), or let the database tell old links (`check` names the tables)"
    )]
    TooManyLinks {
        /// What it would come to.
        wanted: u64,
        /// What it may be.
        limit: u64,
    },
    /// A guest's links are none.
    #[error("links that are none were handed over, or of more than 65 535 relations")]
    Links,
    /// Reading or writing failed.
    #[error("the state cannot be read or written: {0}; is the disk full, or the file damaged?")]
    Storage(Box<redb::Error>),
    /// The file's pages are not what was written.
    #[error(
        "the state file {} is damaged ({reason}); move it away and start with --reseed, which builds every index again, or restore \
         it from a copy that was made while no host was running", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the storage library found.
        reason: String,
    },
    /// The file was written by a version of the storage library that this one does not read.
    #[error(
        "the state file {} is of another version of flusso-host ({reason}); start that version, or move the file away and start \
         with --reseed, which builds every index again", path.display()
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// What the storage library found.
        reason: String,
    },
    /// The host is shutting down.
    #[error("the state was asked while the host was shutting down")]
    Gone,
}

impl<E: Into<redb::Error>> From<E> for StateError {
    fn from(error: E) -> Self {
        Self::Storage(Box::new(error.into()))
    }
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// Sets a key to a value.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key; one that is not there is no error.
    Delete(Vec<u8>),
}

/// An open state folder. Clones share it; it is free again when the last clone and scope is gone.
#[derive(Clone)]
pub struct StateFolder {
    database: Arc<Database>,
    path: Arc<Path>,
}

impl StateFolder {
    /// Opens a folder, creating it if need be, and locks it.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let wrong = |source| StateError::Folder { folder: folder.to_path_buf(), source };
        fs::create_dir_all(folder).map_err(wrong)?;
        let path = folder.join(FILE);
        let damaged = |reason| StateError::Damaged { path: path.clone(), reason };
        let refused = |error| match error {
            DatabaseError::DatabaseAlreadyOpen => StateError::InUse { folder: folder.to_path_buf() },
            DatabaseError::UpgradeRequired(version) => {
                StateError::OtherVersion { path: path.clone(), reason: format!("file format {version}") }
            }
            DatabaseError::Storage(redb::StorageError::Io(source)) if !is_about_the_content(&source) => wrong(source),
            error => damaged(error.to_string()),
        };
        let create = || Database::builder().set_cache_size(limits::state::CACHE_BYTES).create(&path);
        let mut database = guarded(&path, || create().map_err(refused))?;
        // A larger file is found to be damaged when the page in question is read, by the same error.
        if fs::metadata(&path).map_err(wrong)?.len() <= limits::state::CHECKED_AT_START_BYTES {
            guarded(&path, || database.check_integrity().map_err(refused))?;
        }
        Ok(Self { database: Arc::new(database), path: path.into() })
    }

    /// Removes the state in a folder, and the folder if nothing else is in it. Says whether there was any.
    pub fn remove(folder: &Path) -> std::io::Result<bool> {
        match fs::remove_file(folder.join(FILE)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        // Left by a host that was killed: nothing listens there any more.
        let _ = fs::remove_file(folder.join(SOCKET));
        // A folder that holds something else is the operator's.
        let _ = fs::remove_dir(folder);
        Ok(true)
    }

    /// The scope of one plugin under one instance name, of at most `quota` bytes.
    pub fn plugin(&self, plugin: &str, instance: &str, quota: u64) -> Scope {
        self.scope(format!("plugin\0{plugin}\0{instance}"), quota)
    }

    /// The host's own scope, without a quota.
    pub fn host(&self) -> Scope {
        self.scope("host".to_owned(), u64::MAX)
    }

    /// The host's own scope as the engine uses it: what it confirms removes links in the same transaction.
    pub fn engine(&self, links: &Table) -> Scope {
        Scope { links: Some(links.clone()), ..self.host() }
    }

    /// Keeps a link table here, of at most `limit` bytes.
    pub fn links(&self, links: &LinkTable, limit: u64) -> Result<Table, StateError> {
        links.open(self.database.clone(), self.path.clone(), limit)
    }

    fn scope(&self, name: String, quota: u64) -> Scope {
        Scope { database: self.database.clone(), path: self.path.clone(), name: name.into(), quota, links: None }
    }
}

/// A part of the state that sees only itself. Its functions block; [`Scope::run`] calls them from a task.
#[derive(Clone)]
pub struct Scope {
    database: Arc<Database>,
    path: Arc<Path>,
    name: Arc<str>,
    quota: u64,
    links: Option<Table>,
}

/// A scope for a plugin that is opened before the folder is known: the source says what the folder is called.
#[derive(Clone, Default)]
pub struct LateScope(Arc<OnceLock<Scope>>);

impl LateScope {
    /// The scope, unless it has one already.
    pub fn set(&self, scope: Scope) {
        let _ = self.0.set(scope);
    }

    /// The scope; none as long as there is none.
    pub fn get(&self) -> Option<&Scope> {
        self.0.get()
    }
}

impl From<Scope> for LateScope {
    fn from(scope: Scope) -> Self {
        let late = Self::default();
        late.set(scope);
        late
    }
}

/// Keys with their values, in order.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Scope {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let reading = self.database.begin_read()?;
        match reading.open_table(ENTRIES) {
            Ok(table) => Ok(table.get((&*self.name, key))?.map(|value| value.value().to_vec())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keys that start with `prefix` and come after `after`, with their values, in order: at most `limit`, and about
    /// `max_bytes`.
    pub fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Entries, StateError> {
        let reading = self.database.begin_read()?;
        let table = match reading.open_table(ENTRIES) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Entries::new()),
            Err(error) => return Err(error.into()),
        };
        let start = after.map_or(prefix, |after| after.max(prefix));
        let (mut found, mut bytes) = (Entries::new(), 0);
        for entry in table.range((&*self.name, start)..)? {
            let (key, value) = entry?;
            let (scope, key) = key.value();
            if scope != &*self.name || !key.starts_with(prefix) || found.len() >= limit || bytes >= max_bytes {
                break;
            }
            if after == Some(key) {
                continue;
            }
            bytes += key.len() + value.value().len();
            found.push((key.to_vec(), value.value().to_vec()));
        }
        Ok(found)
    }

    /// Applies all of it or nothing; durable when it returns.
    pub fn apply(&self, mutations: &[Mutation]) -> Result<(), StateError> {
        let writing = self.database.begin_write()?;
        self.write(&writing, mutations)?;
        writing.commit()?;
        Ok(())
    }

    /// The same, and with it adds the links that builds have remembered, and removes those that some batches ended, or those
    /// of all relations but some.
    fn confirm(&self, mutations: &[Mutation], ended: &[u64], retained: Option<&[String]>) -> Result<(), StateError> {
        let Some(links) = &self.links else { return self.apply(mutations) };
        // Held until it is done: a link that a build remembers meanwhile comes before or after.
        let mut memory = links.lock();
        if mutations.is_empty() && ended.is_empty() && retained.is_none() && !memory.is_unwritten() {
            return Ok(());
        }
        let writing = self.database.begin_write()?;
        self.write(&writing, mutations)?;
        links.flush(&writing, &mut memory)?;
        if let Some(names) = retained {
            links.retain(&writing, &mut memory, names)?;
        }
        links.confirm(&writing, &mut memory, ended)?;
        writing.commit()?;
        Ok(())
    }

    fn write(&self, writing: &WriteTransaction, mutations: &[Mutation]) -> Result<(), StateError> {
        let size = |key: &[u8], value: &[u8]| u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX);
        let mut entries = writing.open_table(ENTRIES)?;
        let mut used = writing.open_table(USED)?;
        let mut total = used.get(&*self.name)?.map_or(0, |bytes| bytes.value());
        for mutation in mutations {
            let (key, old) = match mutation {
                Mutation::Put(key, value) => {
                    total = total.saturating_add(size(key, value));
                    (key, entries.insert((&*self.name, key.as_slice()), value.as_slice())?)
                }
                Mutation::Delete(key) => (key, entries.remove((&*self.name, key.as_slice()))?),
            };
            total = total.saturating_sub(old.map_or(0, |old| size(key, old.value())));
        }
        if total > self.quota {
            let scope = self.name.replace('\0', " ");
            return Err(StateError::Quota { scope, wanted: total, limit: self.quota });
        }
        used.insert(&*self.name, total)?;
        Ok(())
    }

    /// Calls one of the other functions on a thread that may block.
    pub async fn run<R: Send + 'static>(
        &self,
        function: impl FnOnce(&Self) -> Result<R, StateError> + Send + 'static,
    ) -> Result<R, StateError> {
        let scope = self.clone();
        let call = move || guarded(&scope.path, || function(&scope));
        tokio::task::spawn_blocking(call).await.unwrap_or(Err(StateError::Gone))
    }
}

/// Whether an error is about what is in the file, and not about reaching it: a file that is too short, or none of the library's.
fn is_about_the_content(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData)
}

fn shared(error: StateError) -> stage::StateError {
    Arc::new(error)
}

#[async_trait::async_trait]
impl stage::State for Scope {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, stage::StateError> {
        let key = key.to_owned();
        self.run(move |scope| scope.get(key.as_bytes())).await.map_err(shared)
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, stage::StateError> {
        let prefix = prefix.to_owned();
        let found =
            self.run(move |scope| scope.scan(prefix.as_bytes(), None, usize::MAX, usize::MAX)).await.map_err(shared)?;
        // Every key of this scope was written as text.
        Ok(found.into_iter().map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), value)).collect())
    }

    async fn apply(&self, mutations: Vec<stage::Mutation>) -> Result<(), stage::StateError> {
        let (mut own, mut ended, mut retained) = (Vec::with_capacity(mutations.len()), Vec::new(), None);
        for mutation in mutations {
            match mutation {
                stage::Mutation::Put(key, value) => own.push(Mutation::Put(key.into_bytes(), value)),
                stage::Mutation::Delete(key) => own.push(Mutation::Delete(key.into_bytes())),
                stage::Mutation::RemoveLinks(batch) => ended.push(batch),
                stage::Mutation::RetainRelations(names) => retained = Some(names),
            }
        }
        self.run(move |scope| scope.confirm(&own, &ended, retained.as_deref())).await.map_err(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, StateFolder) {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let state = StateFolder::open(folder.path()).unwrap_or_else(|error| panic!("{error}"));
        (folder, state)
    }

    fn put(key: &str, value: &str) -> Mutation {
        Mutation::Put(key.into(), value.into())
    }

    #[test]
    fn scopes_do_not_see_each_other() {
        let (_folder, state) = folder();
        let (a, b) = (state.plugin("p", "a", 1_000), state.plugin("p", "b", 1_000));
        assert!(a.apply(&[put("k", "1")]).is_ok() && state.host().apply(&[put("k", "host")]).is_ok());
        assert_eq!(a.get(b"k").ok().flatten(), Some(b"1".to_vec()));
        assert_eq!(b.get(b"k").ok().flatten(), None);
        assert_eq!(b.scan(b"", None, 10, 1_000).ok(), Some(vec![]));
        assert_eq!(state.host().get(b"k").ok().flatten(), Some(b"host".to_vec()));
    }

    #[test]
    fn a_scan_is_ordered_and_goes_on_where_it_left_off() {
        let (_folder, state) = folder();
        let scope = state.host();
        assert!(scope.apply(&[put("a/3", "3"), put("a/1", "1"), put("b", "x"), put("a/2", "2")]).is_ok());
        let keys = |found: Result<Entries, StateError>| -> Vec<String> {
            found.unwrap_or_default().into_iter().map(|(key, _)| String::from_utf8_lossy(&key).into_owned()).collect()
        };
        assert_eq!(keys(scope.scan(b"a/", None, 2, 1_000)), ["a/1", "a/2"]);
        assert_eq!(keys(scope.scan(b"a/", Some(b"a/2"), 2, 1_000)), ["a/3"]);
        assert_eq!(keys(scope.scan(b"a/", None, 9, 1)), ["a/1"]);
    }

    #[test]
    fn a_batch_over_the_quota_changes_nothing() {
        let (_folder, state) = folder();
        let scope = state.plugin("p", "i", 10);
        assert!(scope.apply(&[put("a", "12345"), put("b", "1")]).is_ok());
        let refused = scope.apply(&[Mutation::Delete(b"b".to_vec()), put("c", "12345")]);
        assert!(matches!(refused, Err(StateError::Quota { wanted: 12, limit: 10, .. })), "{refused:?}");
        assert_eq!(scope.get(b"b").ok().flatten(), Some(b"1".to_vec()));
        // Replacing and deleting give back what they free.
        assert!(scope.apply(&[put("a", "1"), put("c", "12345")]).is_ok());
    }

    /// Opens a state folder whose file was altered, and uses what opens: an error that names the file, never a panic.
    fn refuses(alter: impl Fn(&mut Vec<u8>)) -> usize {
        let (folder, state) = folder();
        let many: Vec<Mutation> =
            (0..3_000).map(|number| put(&format!("key {number}"), "a value of some length")).collect();
        assert!(state.host().apply(&many).is_ok());
        drop(state);
        let path = folder.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap_or_default();
        alter(&mut bytes);
        assert!(fs::write(&path, bytes).is_ok());
        let opened = StateFolder::open(folder.path());
        let used = opened.and_then(|state| {
            guarded(&path, || {
                let found = state.host().scan(b"", None, usize::MAX, usize::MAX)?;
                state.host().apply(&[put("one", "more")])?;
                Ok(found.len())
            })
        });
        match used {
            Ok(found) => usize::from(found == 3_000),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(FILE) && text.contains("--reseed"), "{text}");
                1
            }
        }
    }

    #[test]
    fn a_damaged_file_is_refused_by_name_and_never_panics() {
        let mut good = 0;
        for at in (0..120).map(|step| step * 4_099 + 13) {
            good += refuses(|bytes| {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 0x55;
                }
            });
        }
        // A flipped bit of a page that is in use is found; nothing else may change what is read.
        assert_eq!(good, 120);
        assert_eq!(refuses(|bytes| bytes.truncate(bytes.len() / 2)), 1);
        assert_eq!(refuses(|bytes| bytes.fill(0)), 1);
        assert_eq!(refuses(|bytes| *bytes = b"no state at all".repeat(1_000)), 1);
    }

    #[test]
    fn a_folder_belongs_to_one_and_is_free_afterwards() {
        let (folder, state) = folder();
        let second = StateFolder::open(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(second.contains("in use by another flusso-host") && second.contains("--state-dir"), "{second}");
        assert!(state.host().apply(&[put("k", "v")]).is_ok());
        drop(state);
        let again = StateFolder::open(folder.path()).map(|state| state.host().get(b"k").ok().flatten());
        assert_eq!(again.ok().flatten(), Some(b"v".to_vec()));
    }
}
