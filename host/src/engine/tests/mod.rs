//! One file an invariant.
