//! The kit: stages in memory over one simulated store, with scripted and random faults, that survive a crash of the
//! engine as the real ones do (store, slot, what sinks have flushed, the host's state), and that look themselves whether
//! the engine keeps its promises: the source checks at every poll that what it is told is confirmed really is durable.

mod builder;
mod faults;
mod links;
mod run;
mod sink;
mod source;
mod state;
mod store;

pub(super) use faults::{Fault, Random};
pub(super) use run::{Inner, Running, World};
pub(super) use sink::SinkSetup;
pub(super) use store::{Edit, GROUPS, ITEMS, group, item, remove, truncate};

use crate::model::Position;

/// A sink that joins later.
pub(super) fn sink(setup: SinkSetup) -> sink::SinkState {
    sink::SinkState::new(setup)
}

/// A position is the number of transactions before it.
fn position(transactions: u64) -> Position {
    Position::new(transactions.to_be_bytes().as_slice())
}

/// The number of transactions before a position.
fn number(position: &Position) -> u64 {
    position.as_bytes().try_into().map(u64::from_be_bytes).unwrap_or(u64::MAX)
}
