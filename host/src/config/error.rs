//! What is wrong with the configuration, always with the place and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that the configuration needs cannot be read.
    #[error("cannot read {what} {}: {source}; correct its path, or who may read it", path.display())]
    Unreadable {
        /// What the file is, such as `the configuration file`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Something that was written is wrong; the message says what would be right.
    #[error("{place}: {message}")]
    Wrong {
        /// Where it stands.
        place: Location,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A setting refers to something that is not there.
    #[error("{place}: the setting `{setting}` refers to {what}, which {problem}")]
    Dangling {
        /// Whose setting it is.
        place: Location,
        /// The setting, with dots.
        setting: String,
        /// What it refers to.
        what: String,
        /// `is not set`, or why it cannot be read.
        problem: String,
    },
}

impl ConfigError {
    /// Something wrong at a place.
    pub fn wrong(place: Location, message: impl Into<String>) -> Self {
        Self::Wrong { place, message: message.into() }
    }
}

/// Where a word of the configuration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// On the command line, in this flag.
    Flag(&'static str),
    /// In a file, at a line (from 1) if it is known.
    File {
        /// The file, as the operator named it.
        path: PathBuf,
        /// The line.
        line: Option<usize>,
    },
    /// In a named part, such as `[sinks.primary]` of a file.
    Part {
        /// The file, if there is one.
        path: Option<PathBuf>,
        /// The part, as it is written.
        part: String,
    },
}

impl Location {
    /// A part of a file, or of the command line.
    pub fn part(path: Option<&Path>, part: impl Into<String>) -> Self {
        Self::Part { path: path.map(Path::to_path_buf), part: part.into() }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Part { path: Some(path), part } => write!(f, "{}, {part}", path.display()),
            Self::Part { path: None, part } => write!(f, "{part}"),
        }
    }
}

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("conection_url", ["connection_url", "slot"]), Some("connection_url"));
        assert_eq!(nearest("zebra", ["connection_url", "slot"]), None);
    }
}
