//! The command line: words in, exit code out. One file a command; what they do is elsewhere.

pub mod args;
pub mod exit;
mod signal;

pub use exit::Exit;
pub use signal::listen;
