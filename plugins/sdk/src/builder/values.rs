//! Values of columns that have no type of their own in Rust. Each is serialised as the schema language writes it.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Failed;

macro_rules! texts {
    ($($name:ident, $doc:literal);+ $(;)?) => { $(
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub(super) String);

        impl $name {
            /// As the source writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    )+ };
}

texts! {
    Uuid, "A UUID: 36 characters, lower case, with hyphens.";
    Date, "A calendar date, `YYYY-MM-DD`.";
    Time, "A time of day, `HH:MM:SS[.ffffff][±HH:MM]`.";
    Timestamp, "A moment, `YYYY-MM-DDTHH:MM:SS[.ffffff][+00:00]`; without an offset where the column has no time zone.";
}

/// Bytes, serialised as base64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

/// A JSON value, passed on as it is; columns with arrays or composites are JSON too.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Json(pub(super) Box<RawValue>);

impl Json {
    /// Reads it into a type.
    ///
    /// # Errors
    ///
    /// The class `build`: what does not fit, and where.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failed> {
        Ok(serde_json::from_str(self.0.get())?)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl FromStr for Json {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        RawValue::from_string(text.to_owned()).map(Self)
    }
}
