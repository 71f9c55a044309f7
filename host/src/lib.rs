//! flusso-host keeps search indexes in step with a database. The engine is native; everything that touches a foreign
//! system, or holds a user's own logic, is a plugin.
//!
//! `model ◀ engine ◀ plugin ◀ app ◀ main`: each module imports only what stands before it.

pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod engine;
pub mod limits;
pub mod mask;
pub mod metrics;
pub mod model;
pub mod plugin;
pub mod server;
pub mod stdout;
pub mod telemetry;
