//! The demo's temporary folder.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::user::User;
use super::{DemoError, Result};

/// A temporary folder that only its owner can look into. Removed when dropped.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// Makes one, for a user of its own if there is one.
    pub(super) fn make(user: Option<User>) -> Result<Self> {
        let path = (0..100)
            .map(|number| std::env::temp_dir().join(format!("flusso-demo-{}-{number}", std::process::id())))
            .find(|path| std::fs::create_dir(path).is_ok())
            .ok_or_else(|| DemoError::Program {
                what: "making a temporary folder".to_owned(),
                why: "none could be made".to_owned(),
            })?;
        let folder = Self(path);
        std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o700))?;
        if let Some(user) = user {
            user.own(&folder.0)?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("the demo could not remove {}: {error}", self.0.display());
        }
    }
}
