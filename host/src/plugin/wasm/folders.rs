//! Granted paths as a guest sees them: a folder under its own name, and a single file as the only thing in its folder.
//! WASI grants folders only, so a granted file is copied into a temporary folder when the instance is made; its
//! neighbours are not to be seen.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::plugin::capability::{Access, Grants};

/// The folders made for one instance; they are removed with it.
#[derive(Debug, Default)]
pub(super) struct Folders {
    made: Vec<(PathBuf, PathBuf)>,
}

impl Folders {
    /// Opens what was granted, or says which grant cannot be honoured.
    pub(super) fn open(grants: &Grants, wasi: &mut WasiCtxBuilder) -> Result<Self, String> {
        let mut folders = Self::default();
        for (path, access) in grants.folders() {
            match access {
                Access::Read if path.is_file() => folders.copy(path)?,
                Access::Read => preopen(wasi, path, path, FsPerms::ReadOnly)?,
                Access::Write => {
                    fs::create_dir_all(path)
                        .map_err(|error| format!("the folder {} cannot be made: {error}", path.display()))?;
                    preopen(wasi, path, path, FsPerms::ReadWrite)?;
                }
            }
        }
        for (seen, made) in &folders.made {
            preopen(wasi, made, seen, FsPerms::ReadOnly)?;
        }
        Ok(folders)
    }

    /// Puts a copy of a file into the folder that stands for the file's own.
    fn copy(&mut self, file: &Path) -> Result<(), String> {
        let failed = |error| format!("the file {} cannot be read: {error}", file.display());
        let parent = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let made = match self.made.iter().find(|(seen, _)| seen == parent) {
            Some((_, made)) => made.clone(),
            None => {
                let made = temporary_folder().map_err(failed)?;
                self.made.push((parent.to_path_buf(), made.clone()));
                made
            }
        };
        let name = file.file_name().unwrap_or_default();
        fs::copy(file, made.join(name)).map(drop).map_err(failed)
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for (_, made) in &self.made {
            // What cannot be removed is a copy in the system's own folder for such things.
            let _ = fs::remove_dir_all(made);
        }
    }
}

/// A new folder of this process's own; an existing one is never taken.
fn temporary_folder() -> std::io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("flusso-host-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
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
        let [(seen, made)] = folders.made.as_slice() else { panic!("{folders:?}") };
        assert_eq!(seen, folder.path());
        assert!(made.join("root.crt").is_file() && made.join("second.crt").is_file() && !made.join("key.pem").exists());
        let made = made.clone();
        drop(folders);
        assert!(!made.exists());
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let mut grants = Grants::none();
        grants.allow_folder("/nowhere/at/all", Access::Read);
        let wrong = Folders::open(&grants, &mut WasiCtx::builder()).err().unwrap_or_default();
        assert!(wrong.contains("/nowhere/at/all"), "{wrong}");
    }
}
