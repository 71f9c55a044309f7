//! What a run came to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Fault, Options};

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// What it was told.
    pub options: Options,
    /// Committed transactions.
    pub transactions: u64,
    /// Transactions that failed, by deadlock or constraint.
    pub failed: u64,
    /// How long it was written.
    pub written: Duration,
    /// Faults by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// What the cluster did to requests and documents, by kind.
    pub trouble: BTreeMap<&'static str, u64>,
    /// How much log the host had not confirmed at each of its kills, in bytes.
    pub unconfirmed: Vec<u64>,
    /// How often the host was started.
    pub starts: u32,
    /// Lines that it printed.
    pub lines: u64,
    /// How often everything was compared.
    pub comparisons: u64,
    /// Documents compared, of all comparisons.
    pub compared: u64,
    /// Documents of the last comparison.
    pub documents: u64,
    /// What went wrong: differences, or a host that did what it should not.
    pub wrong: Option<String>,
    /// Where logs, state and what was written are, if something went wrong.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Transactions a second, while it was written.
    pub fn rate(&self) -> f64 {
        self.transactions as f64 / self.written.as_secs_f64().max(0.001)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "converge {}", self.options)?;
        writeln!(
            f,
            "  transactions   {} ({:.0} a second, at least {} wanted; {} failed)",
            self.transactions,
            self.rate(),
            self.options.floor,
            self.failed
        )?;
        let faults: Vec<String> =
            self.faults.iter().map(|(fault, count)| format!("{count} {}", fault.name())).collect();
        writeln!(
            f,
            "  faults         {}; {} starts",
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") },
            self.starts
        )?;
        if !self.trouble.is_empty() {
            let trouble: Vec<String> = self.trouble.iter().map(|(what, count)| format!("{count} {what}")).collect();
            writeln!(f, "  the cluster    {}", trouble.join(", "))?;
        }
        if !self.unconfirmed.is_empty() {
            let under_way = self.unconfirmed.iter().filter(|bytes| **bytes > 0).count();
            let mean = self.unconfirmed.iter().sum::<u64>() / self.unconfirmed.len() as u64;
            writeln!(
                f,
                "  at the kills   {under_way} of {} with changes not yet confirmed, {} KiB of log on average",
                self.unconfirmed.len(),
                mean >> 10
            )?;
        }
        writeln!(
            f,
            "  documents      {} lines; {} compared in {} comparisons, {} in the last",
            self.lines, self.compared, self.comparisons, self.documents
        )?;
        match &self.wrong {
            None => writeln!(f, "  every index equals its rebuild"),
            Some(wrong) => {
                writeln!(f, "WRONG: {wrong}")?;
                writeln!(f, "again: tests/run converge {}", self.options)?;
                match &self.kept {
                    Some(kept) => writeln!(f, "kept:  {}", kept.display()),
                    None => Ok(()),
                }
            }
        }
    }
}
