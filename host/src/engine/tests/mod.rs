//! One file an invariant.

mod convergence;
mod i1;
mod kit;
