//! Granted paths as a guest sees them: a folder under its own name, and a single file as the only thing in its folder.
//! WASI grants folders only, and the neighbours of a granted file are not to be seen: the guest gets a folder of its own with a
//! copy of the file. The copy is compared with the file before every call of the guest, so that a call sees the file as it is when
//! the call begins: written anew, replaced by another, or gone.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::plugin::capability::{Access, Grants};

/// A file that was changed less than this before it was copied may be changed again without another time stamp.
const TIME_STAMP_RESOLUTION: Duration = Duration::from_millis(100);

/// The folders made for one instance; they are removed with it.
#[derive(Debug, Default)]
pub(super) struct Folders {
    made: Vec<Made>,
    files: Vec<GrantedFile>,
}

/// A folder that stands for the folder of granted files.
#[derive(Debug)]
struct Made {
    seen: PathBuf,
    /// What is removed with the instance; the guest sees `files` in it.
    root: PathBuf,
}

impl Made {
    fn files(&self) -> PathBuf {
        self.root.join("files")
    }
}

/// A granted file and its copy.
#[derive(Debug)]
struct GrantedFile {
    path: PathBuf,
    copy: PathBuf,
    /// A new copy, before it takes the place of the one before.
    next: PathBuf,
    /// The file as it was copied last; none: it has to be copied again.
    copied: Option<Version>,
    /// Why it could not be copied, so that it is logged once.
    fault: Option<String>,
}

/// Tells the contents of a file apart without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    target: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Version {
    fn new(target: &Path, metadata: &Metadata) -> Self {
        Self {
            target: target.to_path_buf(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl GrantedFile {
    /// Brings the copy up to date.
    fn refresh(&mut self, grants: &Grants) -> io::Result<()> {
        let target = grants.follow_file(&self.path)?;
        let metadata = fs::metadata(&target)?;
        let version = Version::new(&target, &metadata);
        if self.copied.as_ref() == Some(&version) {
            return Ok(());
        }
        fs::copy(&target, &self.next)?;
        fs::rename(&self.next, &self.copy)?;
        self.copied = is_settled(&metadata).then_some(version);
        Ok(())
    }
}

/// Whether the file would have another time stamp if it were changed now.
fn is_settled(metadata: &Metadata) -> bool {
    let changed = u64::try_from(metadata.ctime()).unwrap_or_default();
    let nanoseconds = u64::try_from(metadata.ctime_nsec()).unwrap_or_default();
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed) + Duration::from_nanos(nanoseconds);
    changed.elapsed().is_ok_and(|age| age > TIME_STAMP_RESOLUTION)
}

impl Folders {
    /// Opens what was granted, or says which grant cannot be honoured.
    pub(super) fn open(grants: &Grants, wasi: &mut WasiCtxBuilder) -> Result<Self, String> {
        let mut folders = Self::default();
        for (path, access) in grants.folders() {
            match access {
                Access::Read if grants.is_file(path) => folders.add_file(grants, path)?,
                Access::Read => preopen(wasi, path, path, FsPerms::ReadOnly)?,
                Access::Write => {
                    fs::create_dir_all(path)
                        .map_err(|error| format!("the folder {} cannot be made: {error}", path.display()))?;
                    preopen(wasi, path, path, FsPerms::ReadWrite)?;
                }
            }
        }
        for made in &folders.made {
            preopen(wasi, &made.files(), &made.seen, FsPerms::ReadOnly)?;
        }
        Ok(folders)
    }

    /// Puts a copy of a file into the folder that stands for the file's own.
    fn add_file(&mut self, grants: &Grants, file: &Path) -> Result<(), String> {
        let failed = |error| format!("the file {} cannot be read: {error}", file.display());
        let parent = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let place = match self.made.iter().position(|made| made.seen == parent) {
            Some(place) => place,
            None => {
                self.made.push(Made { seen: parent.to_path_buf(), root: temporary_folder().map_err(failed)? });
                let place = self.made.len() - 1;
                let files = self.made.get(place).map(Made::files).unwrap_or_default();
                DirBuilder::new().mode(0o700).create(files).map_err(failed)?;
                place
            }
        };
        let Some(made) = self.made.get(place) else { return Ok(()) };
        let name = file.file_name().unwrap_or_default();
        let (copy, next) = (made.files().join(name), made.root.join("next"));
        let mut granted = GrantedFile { path: file.to_path_buf(), copy, next, copied: None, fault: None };
        match granted.refresh(grants) {
            // It is being replaced; the guest finds it when it is there again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            refreshed => refreshed.map_err(failed)?,
        }
        self.files.push(granted);
        Ok(())
    }

    /// Shows the granted files as they are now. One that is gone or leads elsewhere is not there for the guest either.
    pub(super) fn refresh(&mut self, grants: &Grants, plugin: &str) {
        for file in &mut self.files {
            let fault = file.refresh(grants).err().map(|error| error.to_string());
            if let Some(fault) = &fault {
                file.copied = None;
                // There may be none.
                let _ = fs::remove_file(&file.copy);
                if file.fault.as_ref() != Some(fault) {
                    tracing::warn!(plugin, "the granted file {} cannot be read any more: {fault}", file.path.display());
                }
            }
            file.fault = fault;
        }
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for made in &self.made {
            // What cannot be removed is a copy in the system's own folder for such things.
            let _ = fs::remove_dir_all(&made.root);
        }
    }
}

/// A new folder of this process's own; an existing one is never taken.
fn temporary_folder() -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("flusso-host-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn preopen(wasi: &mut WasiCtxBuilder, path: &Path, seen: &Path, perms: FsPerms) -> Result<(), String> {
    let shown = seen.display();
    let name = seen.to_str().ok_or_else(|| format!("the path {shown} is not UTF-8"))?;
    let opened = wasi.preopened_dir(path, name, perms).map(drop);
    opened.map_err(|error| format!("{shown} cannot be opened: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime_wasi::WasiCtx;

    #[test]
    fn a_granted_file_is_alone_in_its_folder_and_the_copy_goes_with_the_instance() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let file = |name: &str| folder.path().join(name);
        assert!(["root.crt", "second.crt", "key.pem"].iter().all(|name| fs::write(file(name), name).is_ok()));
        let mut grants = Grants::none();
        grants.allow_folder(file("root.crt"), Access::Read);
        grants.allow_folder(file("second.crt"), Access::Read);
        let folders = Folders::open(&grants, &mut WasiCtx::builder()).unwrap_or_else(|error| panic!("{error}"));
        let [made] = folders.made.as_slice() else { panic!("{folders:?}") };
        assert_eq!(made.seen, folder.path());
        let (root, made) = (made.root.clone(), made.files());
        assert!(made.join("root.crt").is_file() && made.join("second.crt").is_file() && !made.join("key.pem").exists());
        drop(folders);
        assert!(!root.exists());
    }

    #[test]
    fn a_granted_file_is_seen_as_it_is_and_leads_nowhere_else() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let other = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let file = |name: &str| folder.path().join(name);
        let put = |name: &str, text: &str| assert!(fs::write(file(name), text).is_ok());
        let link = |to: &Path| {
            assert!(std::os::unix::fs::symlink(to, file("link")).is_ok());
            assert!(fs::rename(file("link"), file("a.conf")).is_ok());
        };
        put("a.conf", "one");
        let mut grants = Grants::none();
        grants.allow_folder(file("a.conf"), Access::Read);
        let mut folders = Folders::open(&grants, &mut WasiCtx::builder()).unwrap_or_else(|error| panic!("{error}"));
        let copy = folders.made.first().map(|made| made.files().join("a.conf")).unwrap_or_default();
        let mut seen = || {
            folders.refresh(&grants, "test");
            fs::read_to_string(&copy).ok()
        };
        assert_eq!(seen().as_deref(), Some("one"));
        put("a.conf", "two");
        assert_eq!(seen().as_deref(), Some("two"));
        std::thread::sleep(2 * TIME_STAMP_RESOLUTION);
        assert_eq!(seen().as_deref(), Some("two"));
        put("next.conf", "six");
        assert!(fs::rename(file("next.conf"), file("a.conf")).is_ok());
        assert_eq!(seen().as_deref(), Some("six"));
        // A link inside the folder, as a mounted ConfigMap has it, and one that leads out of it.
        assert!(fs::create_dir(file("..data")).is_ok());
        put("..data/a.conf", "in");
        link(Path::new("..data/a.conf"));
        assert_eq!(seen().as_deref(), Some("in"));
        assert!(fs::write(other.path().join("secret"), "secret").is_ok());
        link(&other.path().join("secret"));
        assert_eq!(seen(), None);
        assert!(fs::remove_file(file("a.conf")).is_ok());
        assert_eq!(seen(), None);
        put("a.conf", "back");
        assert_eq!(seen().as_deref(), Some("back"));
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let mut grants = Grants::none();
        grants.allow_folder("/nowhere/at/all", Access::Read);
        let wrong = Folders::open(&grants, &mut WasiCtx::builder()).err().unwrap_or_default();
        assert!(wrong.contains("/nowhere/at/all"), "{wrong}");
    }
}
