//! The socket in a state folder. Its name may be longer than a socket's may be (about a hundred bytes); where the system
//! lets a folder be named by a number, that is used then.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::limits;
use crate::plugin::state::SOCKET;

/// Listens in a folder that this process holds, so that whatever socket is there is dead. Only the owner may connect.
pub(super) fn bind(folder: &Path) -> io::Result<(PathBuf, UnixListener)> {
    let path = folder.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = through(folder, |short| UnixListener::bind(short))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok((path, listener))
}

/// Connects to the host whose state folder this is.
pub(super) async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let stream = through(folder, |short| std::os::unix::net::UnixStream::connect(short))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn through<T>(folder: &Path, reach: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() <= limits::server::SOCKET_PATH_BYTES {
        return reach(&path);
    }
    // Held open while the name is used.
    let held = File::open(folder)?;
    let numbered = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    reach(if numbered.exists() { numbered.join(SOCKET) } else { path }.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_with_a_long_name_has_a_socket_too_and_a_dead_one_is_replaced() {
        let outer = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let folder = outer.path().join("long".repeat(50));
        assert!(std::fs::create_dir(&folder).is_ok());
        for _ in 0..2 {
            let bound = bind(&folder);
            assert!(bound.is_ok(), "{bound:?}");
            assert!(connect(&folder).await.is_ok());
        }
        assert!(connect(&folder).await.is_err(), "the socket is closed");
        let mode = std::fs::metadata(folder.join(SOCKET)).map(|it| it.permissions().mode() & 0o777);
        assert_eq!(mode.ok(), Some(0o600));
    }
}
