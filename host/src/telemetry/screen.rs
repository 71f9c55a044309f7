//! Standard error, shared by log lines and progress lines so that neither tears the other.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing_subscriber::fmt::MakeWriter;

use crate::mask::masked;

/// Standard error.
#[derive(Debug, Clone)]
pub struct Screen {
    bars: Option<MultiProgress>,
    colour: bool,
}

impl Screen {
    /// Standard error as it is: progress lines are drawn if it is a terminal and documents do not go to one as well.
    pub fn stderr() -> Self {
        let terminal = io::stderr().is_terminal();
        let drawn = terminal && !io::stdout().is_terminal();
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            bars: drawn.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10))),
            colour: terminal && !quiet,
        }
    }

    /// No progress lines, whatever standard error is: for machines.
    pub fn plain() -> Self {
        Self { bars: None, colour: false }
    }

    /// Where progress lines are drawn, if they are.
    pub(super) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    pub(super) fn is_colourful(&self) -> bool {
        self.colour
    }
}

/// Writes whole lines between two drawings of the progress lines.
#[derive(Debug)]
pub struct ScreenWriter<'a>(&'a Screen);

impl Write for ScreenWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A line comes whole.
        let shown = masked(bytes);
        match &self.0.bars {
            Some(bars) => bars.suspend(|| io::stderr().write_all(&shown)),
            None => io::stderr().write_all(&shown),
        }?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = ScreenWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        ScreenWriter(self)
    }
}
