//! One file an invariant.

mod backfill;
mod batching;
mod convergence;
mod drain;
mod i1;
mod i11;
mod i12;
mod i2;
mod i3;
mod i4;
mod i5;
mod i6;
mod i7;
mod i8;
mod kit;
mod once;
mod retry;
