//! A store in memory with random schemas and transactions, and named cases.

mod cases;
mod converge;
mod random;
mod render;
mod store;
