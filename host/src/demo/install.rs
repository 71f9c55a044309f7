//! Installs PostgreSQL with the system's package manager.

use std::path::Path;
use std::process::Command;

use super::{DemoError, Result, user};

/// What would install PostgreSQL here.
#[derive(Debug)]
pub(super) struct Install {
    /// As a person would type it.
    pub(super) text: String,
}

/// By package manager, the first that is there.
const MANAGERS: [(&str, &str); 5] = [
    ("apt-get", "apt-get update -q && apt-get install -qy --no-install-recommends postgresql"),
    ("dnf", "dnf install -qy postgresql-server"),
    ("apk", "apk add postgresql"),
    ("pacman", "pacman -Sy --noconfirm --needed postgresql"),
    ("brew", "brew install postgresql@17"),
];

/// What would install PostgreSQL on this machine; none if no known package manager is there.
pub(super) fn command() -> Option<Install> {
    let (manager, line) = MANAGERS.iter().find(|(manager, _)| on_path(manager))?;
    // Homebrew refuses to run as root; the others need it.
    let text = match *manager == "brew" || user::is_root() {
        true => (*line).to_owned(),
        false => format!("sudo sh -c '{line}'"),
    };
    Some(Install { text })
}

/// Runs it. What the package manager says goes to standard error.
pub(super) fn run(install: &Install) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", &format!("exec >&2; {}", install.text)])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(DemoError::Program { what: install.text.clone(), why: status.to_string() }),
        Err(error) => Err(DemoError::Program { what: install.text.clone(), why: error.to_string() }),
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
