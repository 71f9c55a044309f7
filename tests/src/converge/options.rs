//! What a run is told.

use std::fmt;

use super::{Builder, Fault, Identity};

/// What writers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Random transactions of every kind and size.
    Mixed,
    /// One change a transaction, each of another document: what a read that came too early leaves behind stays.
    Lone,
}

/// Where the documents go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// Lines on standard output, which are read as they come.
    Lines,
    /// A real cluster behind a proxy that makes it refuse, close and be away; every document is read back.
    OpenSearch,
}

impl Sink {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 2] = [("lines", Self::Lines), ("opensearch", Self::OpenSearch)];
}

/// A run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long it is written.
    pub seconds: u64,
    /// What decides everything but moments.
    pub seed: u64,
    /// How the old links of rows become known.
    pub identity: Identity,
    /// What builds the documents.
    pub builder: Builder,
    /// Where they go.
    pub sink: Sink,
    /// What is written.
    pub workload: Workload,
    /// How many write at once.
    pub writers: u64,
    /// Transactions a second, at most.
    pub rate: u64,
    /// A run of fewer transactions a second does not count.
    pub floor: u64,
    /// Whether commits wait for a standby that is slow, so that they are in the stream long before anybody sees them.
    pub standby: bool,
    /// What goes wrong, drawn from evenly.
    pub faults: Vec<Fault>,
    /// Seconds between two faults, on average.
    pub every: f64,
    /// Seconds between two comparisons.
    pub round: f64,
}

impl Options {
    /// All faults but the loss of the history.
    pub fn mixed(seconds: u64, seed: u64, identity: Identity) -> Self {
        let faults = Fault::ALL.iter().map(|(_, fault)| *fault).filter(|fault| *fault != Fault::Slot).collect();
        Self {
            seconds,
            seed,
            identity,
            builder: Builder::Schemas,
            sink: Sink::Lines,
            workload: Workload::Mixed,
            writers: 3,
            rate: 300,
            floor: 30,
            standby: false,
            faults,
            every: 3.0,
            round: 20.0,
        }
    }

    /// Four writers, one change a transaction, a host that has nothing else to do, and commits that are seen late.
    pub fn race(seconds: u64, seed: u64, identity: Identity) -> Self {
        let mixed = Self::mixed(seconds, seed, identity);
        let (faults, workload) = (Vec::new(), Workload::Lone);
        Self { workload, writers: 4, rate: 2_000, floor: 20, standby: true, faults, round: 2.0, ..mixed }
    }
}

impl fmt::Display for Options {
    /// The words that ask for it again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |identity| Identity::ALL.iter().find(|(_, one)| *one == identity).map_or("", |(name, _)| name);
        let faults: Vec<&str> = self.faults.iter().map(|fault| fault.name()).collect();
        let profile = if self.workload == Workload::Lone { "race" } else { "mixed" };
        if self.builder != Builder::Schemas {
            write!(f, "--builder {} ", self.builder.name())?;
        }
        if self.sink == Sink::OpenSearch {
            f.write_str("--sink opensearch ")?;
        }
        write!(
            f,
            "--profile {profile} --seconds {} --seed {} --identity {} --writers {} --rate {} --faults {} --every {} --round {}",
            self.seconds,
            self.seed,
            name(self.identity),
            self.writers,
            self.rate,
            if faults.is_empty() { "none".to_owned() } else { faults.join(",") },
            self.every,
            self.round
        )
    }
}
