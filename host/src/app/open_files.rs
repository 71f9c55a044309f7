//! How many files the system lets this process have open at a time, and how much of that one guest may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A guest never gets less.
const LEAST: usize = 16;

/// Takes all that the system gives when it is asked. Many systems set a soft limit of 1 024 and a hard one that is far higher.
pub fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some() && current != maximum {
        // Then it stays as it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// What one guest may have of it: a quarter.
pub fn share() -> usize {
    let all = getrlimit(Resource::Nofile).current.and_then(|all| usize::try_from(all).ok());
    all.map_or(usize::MAX, |all| (all / 4).max(LEAST))
}
