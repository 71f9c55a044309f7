//! The engine's configuration, on which native code depends: the program and the process that compiles for it have the same.

use wasmtime::{Config, Engine};

/// An engine. Native code of one fits every other. `parallel`: it may compile several functions at a time.
pub(super) fn engine(parallel: bool) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    // Guests are called on fibers and have no async parts of their own: calls are three to five times cheaper.
    config.concurrency_support(false).epoch_interruption(true);
    config.parallel_compilation(parallel);
    Engine::new(&config)
}
