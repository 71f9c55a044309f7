//! Compiling in a process of its own. A component of a few megabytes may be made so that compiling it takes minutes and
//! gigabytes, and a compiler that is under way cannot be stopped: a process can, whatever it does, and takes its memory with it.
//!
//! The child is this program, called `compile-component`. It reads a component from standard input and writes native code to standard
//! output; it is given no variable, no file and no address, watches its own memory, and is killed when its time is over or nobody
//! waits for it any more.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use wasmtime::Engine;

use super::engine::engine;
use crate::limits;

/// The command by which the program is its own compiler.
pub const COMMAND: &str = "compile-component";
/// The child's exit code where it would take more memory than it may.
const OUT_OF_MEMORY: u8 = 9;
/// How often the child looks at its memory.
const WATCH: Duration = Duration::from_millis(20);
/// The most bytes of an error that are read.
const ERROR_BYTES: u64 = 64 << 10;

/// The program that is called to compile; none: this process compiles, as in tests.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// The longest.
    pub time: Duration,
    /// The most memory, in bytes.
    pub memory: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { time: limits::guest::COMPILE_TIME, memory: limits::guest::COMPILE_MEMORY }
    }
}

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component is no valid one.
    #[error("{0}")]
    Invalid(String),
    /// The file is too large to be looked at.
    #[error("it has {} MiB, and may have {} (a component without debug information is far smaller: strip it)", .0 >> 20, limits::guest::COMPONENT_BYTES >> 20)]
    Size(u64),
    /// It took too long.
    #[error("compiling was not over within {} s (`limits.compile_time`)", .0.as_secs_f64())]
    Time(Duration),
    /// It took too much memory.
    #[error("compiling took more than {} MiB of memory (`limits.compile_memory`)", .0 >> 20)]
    Memory(u64),
    /// The compiler itself cannot be had.
    #[error("the compiler does not run: {0}")]
    Compiler(std::io::Error),
}

/// From now on this program is called to compile. What it is called as has to understand [`COMMAND`].
pub fn compile_by(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

/// A process that is killed when nobody holds it any more.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Native code for a component, as wasmtime takes it. Dropped halfway, it leaves nothing running.
pub(super) async fn native_code(
    engine: &Engine,
    component: Vec<u8>,
    limits: CompileLimits,
) -> Result<Vec<u8>, CompileError> {
    let size = component.len() as u64;
    if size > limits::guest::COMPONENT_BYTES {
        return Err(CompileError::Size(size));
    }
    let Some(program) = PROGRAM.get() else {
        let engine = engine.clone();
        let compiling = tokio::task::spawn_blocking(move || engine.precompile_component(&component));
        return match compiling.await {
            Ok(compiled) => compiled.map_err(|error| CompileError::Invalid(format!("{error:#}"))),
            Err(error) => Err(CompileError::Compiler(std::io::Error::other(error))),
        };
    };
    let mut child = Command::new(program)
        .args([COMMAND, &limits.memory.to_string()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(CompileError::Compiler)?;
    let (mut stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut child = KilledOnDrop(child);
    // It reads everything before it writes anything, so neither waits for the other.
    let talking = tokio::task::spawn_blocking(move || {
        let (mut code, mut error) = (Vec::new(), String::new());
        if let Some(mut stdin) = stdin.take() {
            // A child that ended early says why.
            let _ = stdin.write_all(&component);
        }
        drop(component);
        if let Some(stdout) = &mut stdout {
            stdout.read_to_end(&mut code)?;
        }
        if let Some(stderr) = &mut stderr {
            stderr.take(ERROR_BYTES).read_to_string(&mut error)?;
        }
        Ok((code, error))
    });
    let (code, error) = match tokio::time::timeout(limits.time, talking).await {
        Ok(said) => said.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(CompileError::Compiler)?,
        Err(_) => return Err(CompileError::Time(limits.time)),
    };
    let ended = child.0.wait().map_err(CompileError::Compiler)?;
    match ended.code() {
        Some(0) => Ok(code),
        Some(1) => Err(CompileError::Invalid(error.trim().to_owned())),
        Some(code) if code == i32::from(OUT_OF_MEMORY) => Err(CompileError::Memory(limits.memory)),
        // By the system, as a rule, which had no memory left.
        None => Err(CompileError::Compiler(std::io::Error::other(format!("it was killed ({ended})")))),
        Some(_) => Err(CompileError::Compiler(std::io::Error::other(format!("{ended}: {}", error.trim())))),
    }
}

/// What the child does: standard input to standard output. `memory`: the most bytes that it may take.
pub fn compile_component(memory: u64) -> ExitCode {
    let watching = std::thread::Builder::new().name("memory".to_owned()).spawn(move || watch(memory));
    match watching.map_err(|error| error.to_string()).and_then(|_| compile()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn compile() -> Result<(), String> {
    let mut component = Vec::new();
    std::io::stdin().lock().read_to_end(&mut component).map_err(|error| error.to_string())?;
    // Its memory goes with it, so it may take as many threads as there are.
    let engine = engine(true).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&component).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().lock().write_all(&code).map_err(|error| error.to_string())
}

/// Ends the process when it has more memory than it may. Where the system does not tell, it does not.
fn watch(memory: u64) {
    while let Some(resident) = resident() {
        if resident > memory {
            std::process::exit(i32::from(OUT_OF_MEMORY));
        }
        std::thread::sleep(WATCH);
    }
}

/// Bytes of memory that this process has.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
