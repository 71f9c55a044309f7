//! Who runs the server: PostgreSQL refuses to run as root.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// An unprivileged user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    uid: u32,
    gid: u32,
}

/// Whether this process may do everything.
pub(super) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

impl User {
    /// For root: `postgres` if that user exists, else `nobody`. For other users `None`: they run the server as themselves.
    pub(super) fn for_server() -> Option<Self> {
        if !is_root() {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].iter().find_map(|name| Self::read(&users, name))
    }

    fn read(users: &str, name: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2);
        Some(Self { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? })
    }

    /// Gives a file or folder to this user.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    /// Makes a program run as this user.
    pub(super) fn runs(self, command: &mut Command) {
        command.gid(self.gid).uid(self.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_the_list_of_users() {
        let users =
            "root:x:0:0::/root:/bin/sh\npostgresql:x:5:5:::\npostgres:x:101:104:x:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(User::read(users, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(User::read(users, "nobody"), None);
    }
}
