//! Faults: scripted by the name of a call (`source.poll`, `sink.a.flush`, …), or random from a seed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::engine::StageError;

/// What happens to the next call of a name.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It fails before anything is done.
    Fail(StageError),
    /// It is done, and then the answer is lost.
    Lost(StageError),
    /// It takes this long.
    Slow(Duration),
    /// It never answers.
    Hang,
}

impl Fault {
    pub(crate) fn away() -> Self {
        Self::Fail(StageError::transient("away"))
    }

    pub(crate) fn crash() -> Self {
        Self::Fail(StageError::Crashed("a trap".to_owned()))
    }

    pub(crate) fn lost() -> Self {
        Self::Lost(StageError::transient("the answer was lost"))
    }
}

/// A small generator (splitmix64): the same seed, the same run.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True once in `n`.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len() as u64) as usize;
        &from[at]
    }
}

#[derive(Default)]
pub(crate) struct Faults {
    scripted: HashMap<String, VecDeque<Fault>>,
    pub(crate) held: HashSet<String>,
    /// Every call is late by chance; it fails once in so many (0: never).
    pub(crate) random: Option<(Random, u64)>,
    pub(crate) calls: HashMap<String, usize>,
    /// After so many calls of any stage the host stands still; none once it does.
    pub(crate) crash_at: Option<usize>,
}

impl Faults {
    pub(crate) fn script(&mut self, call: &str, faults: impl IntoIterator<Item = Fault>) {
        self.scripted.entry(call.to_owned()).or_default().extend(faults);
    }

    /// What was scripted for a call and has not happened does not happen.
    pub(crate) fn forget(&mut self, call: &str) {
        self.scripted.remove(call);
    }

    /// What befalls a call: a wait, then perhaps a fault.
    pub(crate) fn draw(&mut self, call: &str) -> (Option<Duration>, Option<Fault>) {
        *self.calls.entry(call.to_owned()).or_default() += 1;
        if let Some(fault) = self.scripted.get_mut(call).and_then(VecDeque::pop_front) {
            return match fault {
                Fault::Slow(wait) => (Some(wait), None),
                fault => (None, Some(fault)),
            };
        }
        let Some((random, one_in)) = &mut self.random else { return (None, None) };
        let wait = match random.below(8) {
            0..4 => None,
            4..7 => Some(Duration::from_micros(random.below(2_000))),
            _ => Some(Duration::from_millis(random.below(40))),
        };
        let fault = (*one_in > 0 && random.once_in(*one_in)).then(|| match random.below(5) {
            0 | 1 => Fault::away(),
            2 => Fault::crash(),
            _ => Fault::lost(),
        });
        (wait, fault)
    }
}
