//! Documents from flat rows, without I/O: a [`Plan`] says what has to be fetched for a schema and how it is rendered, an
//! executor ([`Fetch`]) fetches it, and [`build`] puts bodies together. A builder for any source can use it; what SQL (or
//! anything else) a [`Node`] becomes is the executor's business.
//!
//! ```text
//! Schema ─▶ Plan (catalogue: columns, keys) ─▶ build ─▶ bodies
//!                                                │ ▲
//!                            keys of one level   ▼ │   rows of one level, flat
//!                                               Fetch
//! ```
//!
//! A plan is a tree of nodes: the root, one node a join, one for all aggregates over the same rows. Each is fetched by one
//! query a chunk of documents, all queries of a level together; several chunks are in flight at once, so that the store
//! works on one while another is rendered. Values go from the bytes that arrived straight into the body
//! ([`Render`], chosen when the plan is made); nothing passes through a generic tree.
//!
//! Invariants: the same rows give the same bytes, whatever chunks they came in; a document is rendered only when every row
//! under it has arrived.

mod assembly;
mod body;
mod build;
mod catalogue;
mod fetch;
mod links;
mod plan;
mod render;
mod rows;

pub use assembly::Assembly;
pub use build::{CHUNK, Chunk, build};
pub use catalogue::{Catalogue, Column, Form};
pub use fetch::{Fetch, Links};
pub use plan::{
    Cell, Content, Deleted, Grouping, Link, LinkCells, Misfit, Node, Plan, Problem, RecordedRelation, Reduction,
    Source, Table, Through, rows_of_table,
};
pub use render::{Render, quoted};
pub use rows::{Malformed, Rows};
