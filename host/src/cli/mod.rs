//! The command line: words in, exit code out. One file a command; what they do is elsewhere.

pub mod args;
mod build;
mod check;
mod demo;
mod discard;
pub mod exit;
mod findings;
mod indexes;
mod plugin;
mod quarantine;
mod reindex;
mod run;
mod schema;
mod search;
mod signal;
mod status;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};

use crate::app::{AppError, Folders, open_files};
use crate::config::Config;
use crate::limits;
use crate::mask;
use crate::plugin::wasm::{COMPILE_COMMAND, compile_by, compile_component};
use crate::telemetry::{self, Screen, Telemetry};
use args::{Cli, Command, Common, LogFormat, NewRole, Plugin};
pub use exit::Exit;

/// The whole program.
pub fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(COMPILE_COMMAND) {
        let memory = words.next().and_then(|memory| memory.parse().ok());
        return compile_component(memory.unwrap_or(limits::guest::COMPILE_MEMORY));
    }
    compile_by(this_program());
    open_files::raise();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap prints each where it belongs.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let screen = if cli.common.log_format == LogFormat::Json { Screen::plain() } else { Screen::stderr() };
    let lines = match cli.common.log_format {
        LogFormat::Text => telemetry::Lines::Text,
        LogFormat::Json => telemetry::Lines::Json,
    };
    let filter =
        cli.common.log_level.clone().or_else(|| std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty()));
    if let Err(error) = telemetry::start(lines, filter.as_deref(), &screen) {
        // Without a filter there is none that could be wrong.
        let _ = telemetry::start(lines, None, &screen);
        return say(Exit::Usage, &format!("--log-level {}: {error}", filter.unwrap_or_default()));
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(execute(cli, screen));
            // A blocked thread (a compilation, say) is not waited for.
            runtime.shutdown_background();
            exit
        }
        Err(error) => say(Exit::Failed, &format!("the program cannot start its threads: {error}")),
    }
}

/// Where this program is: also while its file is replaced.
fn this_program() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { running } else { std::env::current_exe().unwrap_or_else(|_| PathBuf::from("flusso-host")) }
}

/// The flags of `run` may stand before no other command: there they would do nothing.
fn parse() -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    let cli = Cli::from_arg_matches(&matches)?;
    if !matches!(cli.command, None | Some(Command::Run(_))) {
        for flag in ["once", "timeout", "reseed", "skip_backfill", "drain_timeout", "watch"] {
            if matches.value_source(flag) == Some(ValueSource::CommandLine) {
                let message = format!("--{} belongs to `run`, not to this command\n", flag.replace('_', "-"));
                return Err(Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message));
            }
        }
    }
    Ok(cli)
}

async fn execute(cli: Cli, screen: Screen) -> ExitCode {
    let Cli { common, run, command } = cli;
    let telemetry = Arc::new(Telemetry::new(screen));
    match command {
        None => run::run(&common, run, telemetry).await,
        // A flag may also stand before the word `run`.
        Some(Command::Run(after)) => run::run(&common, after.or(run), telemetry).await,
        Some(Command::Check(check)) => check::check(&common, &check).await,
        Some(Command::Status(wanted)) => status::status(&common, &wanted).await,
        Some(Command::Quarantine(wanted)) => quarantine::quarantine(&common, &wanted).await,
        Some(Command::Reindex(wanted)) => reindex::reindex(&common, &wanted).await,
        Some(Command::Indexes(wanted)) => indexes::indexes(&common, &wanted).await,
        Some(Command::Search(wanted)) => search::search(&common, wanted).await,
        Some(Command::Drop(drop)) => discard::discard(&common, &drop, telemetry).await,
        Some(Command::Demo(demo)) => demo::demo(&common, demo).await,
        Some(Command::Schema(which)) => schema::schema(&common, which),
        Some(Command::Plugin(Plugin::List { format })) => plugin::list(&common, format),
        Some(Command::Plugin(Plugin::Lock)) => plugin::lock(&common),
        Some(Command::Plugin(Plugin::Reload { name })) => plugin::reload(&common, &name).await,
        Some(Command::Plugin(Plugin::Inspect { artifact, format })) => plugin::inspect(&common, &artifact, format),
        Some(Command::Plugin(Plugin::New { name, role: NewRole::Builder, sdk })) => build::new_builder(&name, sdk),
        Some(Command::Plugin(Plugin::Build { source, manifest, native, out })) => {
            build::build(&common, &source, manifest.as_deref(), native, &out).await
        }
    }
}

impl Common {
    fn config(&self) -> Result<Config, AppError> {
        let variable = |name: &str| std::env::var(name).ok();
        Ok(Config::load(self.config.as_deref(), self.overrides(), variable)?)
    }

    fn folders(&self) -> Folders {
        Folders {
            plugins: self.plugin_dir.clone(),
            cache: self.cache_dir.clone(),
            state: self.state_dir.clone(),
            locked: self.locked,
            allow_native: self.allow_native,
        }
    }
}

/// Ends with an error, said once.
fn failed(error: &AppError) -> ExitCode {
    say(Exit::of(error), &error.to_string())
}

fn say(exit: Exit, message: &str) -> ExitCode {
    tracing::error!(exit_code = exit as u8, "{message}");
    exit.into()
}

/// Writes to standard output. A reader that went away ends the program quietly.
fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let shown = mask::masked(text.as_bytes());
    match out.write_all(&shown).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Ok(()) => Exit::Done.into(),
        Err(_) => Exit::Failed.into(),
    }
}
