//! The program. What it does stands in the library; this is only where it starts.

use std::process::ExitCode;

/// Fresh buffers as large as a batch cost several times as much under the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flusso_host::cli::main()
}
