//! The plugin's part of the configuration.

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The settings a plugin was opened with: a JSON object, secrets filled in. Not printable on purpose.
#[derive(Clone)]
pub struct Settings(String);

impl Settings {
    /// Wraps the JSON text that the host handed over.
    pub fn from_json(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Reads them into the plugin's own type.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] that names the setting where serde can tell.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|error| Error::configuration("", error.to_string()))
    }
}
