//! What `check` finds: of the host itself, and of the plugins that look at what they would work with.

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It will work, but not as one might think.
    Warning,
    /// It will not work.
    Error,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What it is about.
    pub subject: String,
    /// A stable word to branch on.
    pub code: String,
    /// What was found.
    pub message: String,
    /// What helps, to be copied; none where the message says it.
    pub remedy: Option<String>,
}

/// The code of a finding about a server that did not answer, so that nothing there was examined.
pub const UNREACHABLE: &str = "unreachable";

impl Finding {
    /// Without a remedy.
    pub fn new(level: Level, code: &str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level, code: code.to_owned(), subject: subject.into(), message: message.into(), remedy: None }
    }
}
