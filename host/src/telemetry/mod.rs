//! What a person or a log collector sees of a run: log lines on standard error and, on a terminal, progress lines below
//! them. Nothing here is read back by the program. Row contents and credentials are never among it.

mod observer;
mod progress;
mod screen;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

pub use observer::Telemetry;
pub use screen::Screen;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a filter is none.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A filter that names a module which logs nothing, such as a misspelt level: nothing at all would be shown.
    #[error(
        "{0:?} is no level; there are error, warn, info, debug, trace, off, and filters such as info,flusso_host::engine=debug"
    )]
    Word(String),
    /// Not in the language of filters.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Starts logging. `filter` is in the language of `RUST_LOG`; what it does not mention of the libraries stays quiet.
///
/// # Errors
///
/// When the filter is none, or would show nothing because a level is misspelt.
pub fn start(lines: Lines, filter: Option<&str>, screen: &Screen) -> Result<(), FilterError> {
    let asked = filter.unwrap_or("info");
    let plain = |word: &&str| !word.is_empty() && word.chars().all(char::is_alphanumeric);
    if let Some(word) = asked.split(',').map(str::trim).filter(plain).find(|word| word.parse::<LevelFilter>().is_err())
    {
        return Err(FilterError::Word(word.to_owned()));
    }
    let filter = EnvFilter::builder().parse(format!("wasmtime=warn,cranelift=warn,hyper=warn,rustls=warn,{asked}"))?;
    // A log whose reader is gone, or whose disk is full, is no reason to stop: what cannot be written is lost.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(screen.clone())
        .with_target(false)
        .log_internal_errors(false);
    // A second start in one process (a test) keeps the first.
    let _ = match lines {
        Lines::Text => builder.with_ansi(screen.is_colourful()).try_init(),
        Lines::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    Ok(())
}
