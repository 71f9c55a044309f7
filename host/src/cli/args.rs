//! The words of the command line. Every flag has a `FLUSSO_*` variable; the flag wins.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;
use crate::config::{OnHistoryLoss, Overrides, PluginFlag, Server, Time};
use crate::limits;

/// Keeps search indexes in step with a database, through sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "flusso-host", version, after_help = exit::HELP, subcommand_precedence_over_arg = true)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub common: Common,
    /// The flags of `run`, which is what happens without a command.
    #[command(flatten)]
    pub run: Run,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow the source and keep the documents in step (the default)
    Run(Run),
    /// Check everything without starting: file, schemas, plugins, settings, grants
    Check(Check),
    /// Show the host that is running: its indexes and sinks, how far behind it is and what went wrong
    Status(Status),
    /// Show the documents that could not be built or were not taken, and remove them from the quarantine
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Build an index anew, beside the one that serves, in the host that is running
    Reindex(Reindex),
    /// Show what sinks hold for each index, and remove what is left over
    Indexes(Indexes),
    /// Search an index of a sink that can be searched, such as tantivy
    Search(Search),
    /// Remove what the source keeps for this host (slot, publication), and the host's state
    Drop(Drop),
    /// Show it working: a small shop, documents of several tables in a search index, and searches that follow the rows
    Demo(Demo),
    /// Print the JSON Schema of a file, with which editors complete and check it
    #[command(subcommand)]
    Schema(Schema),
    /// List, inspect and build plugins
    #[command(subcommand)]
    Plugin(Plugin),
}

/// What every command understands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// The configuration file [default: ./flusso.toml, if it exists]
    #[arg(short, long, global = true, env = "FLUSSO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A plugin and its settings; repeat it for more. What it exports decides whether it is source, builder or sink
    #[arg(long, global = true, env = "FLUSSO_PLUGIN", value_name = "NAME_OR_PATH[,key=value…]", value_delimiter = None)]
    pub plugin: Vec<PluginFlag>,
    /// A folder to look for plugins in, before ./plugins and the user's data folder; may be repeated
    #[arg(long, global = true, env = "FLUSSO_PLUGIN_DIR", value_name = "DIR", value_delimiter = ':')]
    pub plugin_dir: Vec<PathBuf>,
    /// Whether every plugin has to be in flusso.lock, with the bytes that it says
    #[arg(long, global = true, env = "FLUSSO_LOCKED", value_parser = FalseyValueParser::new())]
    pub locked: bool,
    /// Whether plugins may be native libraries, which no sandbox holds; for a single one write `trusted = true` in its table
    #[arg(long, global = true, env = "FLUSSO_ALLOW_NATIVE", value_parser = FalseyValueParser::new())]
    pub allow_native: bool,
    /// Where progress is remembered [default: beside the configuration file, else in the user's data folder]
    #[arg(long, global = true, env = "FLUSSO_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where compiled plugins are kept [default: the user's cache folder]
    #[arg(long, global = true, env = "FLUSSO_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// The source's replication slot
    #[arg(long, global = true, env = "FLUSSO_SLOT", value_name = "NAME")]
    pub slot: Option<String>,
    /// The source's publication
    #[arg(long, global = true, env = "FLUSSO_PUBLICATION", value_name = "NAME")]
    pub publication: Option<String>,
    /// Whether the source may create and extend its publication
    #[arg(long, global = true, env = "FLUSSO_MANAGE_PUBLICATION", value_name = "BOOL")]
    pub manage_publication: Option<bool>,
    /// Prepended to every index name at the sink
    #[arg(long, global = true, env = "FLUSSO_INDEX_PREFIX", value_name = "PREFIX")]
    pub index_prefix: Option<String>,
    /// What happens when the source cannot go on where the host left off: end and say why, or seed everything again
    /// [default: stop]
    #[arg(long, global = true, env = "FLUSSO_ON_HISTORY_LOSS", value_name = "WHAT")]
    pub on_history_loss: Option<OnHistoryLoss>,
    /// Where applications ask whether a change is found (`/wait`) and supervisors whether the host is well; empty: nowhere
    /// [default: 127.0.0.1:9464, if it is free]
    #[arg(long, global = true, env = "FLUSSO_PUBLIC_ADDRESS", value_name = "HOST:PORT")]
    pub public_address: Option<String>,
    /// Where `/indexes` and `/reindex` are answered over TCP as well, without a password and so on this machine alone
    /// [default: nowhere]
    #[arg(long, global = true, env = "FLUSSO_PRIVATE_ADDRESS", value_name = "HOST:PORT")]
    pub private_address: Option<String>,
    /// How log lines are written to standard error
    #[arg(long, global = true, env = "FLUSSO_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// How much is logged: error, warn, info, debug, trace, or a filter such as `info,flusso_host::plugin=debug`
    /// [default: $RUST_LOG, else info]
    #[arg(long, global = true, env = "FLUSSO_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl Common {
    /// What of this concerns the configuration.
    pub fn overrides(&self) -> Overrides {
        let mut source = Vec::new();
        let mut take = |name, value: Option<String>| source.extend(value.map(|value| (name, value)));
        take("slot", self.slot.clone());
        take("publication", self.publication.clone());
        take("manage_publication", self.manage_publication.map(|manage| manage.to_string()));
        Overrides {
            plugins: self.plugin.clone(),
            source,
            prefix: self.index_prefix.clone(),
            on_history_loss: self.on_history_loss,
            server: Server { public: self.public_address.clone(), private: self.private_address.clone() },
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person.
    #[value(alias = "human")]
    Text,
    /// One JSON value.
    Json,
}

/// The flags of `run`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of run")]
pub struct Run {
    /// Seed what is unseeded, follow up to where the source is now, and end
    #[arg(long, env = "FLUSSO_ONCE", value_parser = FalseyValueParser::new())]
    pub once: bool,
    /// Give up on a source or sink that is unreachable for so long [default: 30s with --once, else never]
    #[arg(long, env = "FLUSSO_TIMEOUT", value_name = "TIME")]
    pub timeout: Option<Time>,
    /// Seed these indexes again, or all of them if none is named (as a variable: `*`)
    #[arg(long, env = "FLUSSO_RESEED", value_name = "INDEX", num_args = 0.., value_delimiter = ',')]
    pub reseed: Option<Vec<String>>,
    /// Go straight to live changes: what is unseeded stays so, and is seeded by a start without this
    #[arg(long, env = "FLUSSO_SKIP_BACKFILL", value_parser = FalseyValueParser::new(), conflicts_with = "reseed")]
    pub skip_backfill: bool,
    /// How long a stop may take to write what is in flight
    #[arg(long, env = "FLUSSO_DRAIN_TIMEOUT", value_name = "TIME", default_value_t = Time(limits::engine::DRAIN_TIMEOUT))]
    pub drain_timeout: Time,
    /// Whether plugins whose files change are run as they are then
    #[arg(long, env = "FLUSSO_WATCH", value_parser = FalseyValueParser::new(), conflicts_with = "once")]
    pub watch: bool,
}

/// What `reindex` is told.
#[derive(Debug, Args)]
pub struct Reindex {
    /// The index, without the prefix
    #[arg(value_name = "INDEX")]
    pub index: String,
    /// Return as soon as it has begun
    #[arg(long, env = "FLUSSO_NO_WAIT", value_parser = FalseyValueParser::new())]
    pub no_wait: bool,
}

/// What `indexes` is told.
#[derive(Debug, Args)]
pub struct Indexes {
    /// What to do beside showing them
    #[command(subcommand)]
    pub action: Option<IndexesAction>,
    /// How they are shown
    #[arg(long, env = "FLUSSO_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// What to do with the quarantine.
#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// The documents in quarantine
    List {
        /// Those of one index
        #[arg(long, env = "FLUSSO_INDEX", value_name = "NAME")]
        index: Option<String>,
        /// How many are shown
        #[arg(long, env = "FLUSSO_LIMIT", value_name = "NUMBER", default_value_t = crate::limits::program::QUARANTINE_SHOWN)]
        limit: usize,
        /// How they are shown
        #[arg(long, env = "FLUSSO_FORMAT", value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// One document, with the whole reason
    Show {
        /// Its index
        #[arg(value_name = "INDEX")]
        index: String,
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// How it is shown
        #[arg(long, env = "FLUSSO_FORMAT", value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Build documents again from what is in the database now, in the host that is running
    Retry(Meant),
    /// Forget documents; sinks keep what they have of them
    Discard(Meant),
}

/// Which documents in quarantine are meant.
#[derive(Debug, Args)]
pub struct Meant {
    /// Those of one index
    #[arg(long, env = "FLUSSO_INDEX", value_name = "NAME")]
    pub index: Option<String>,
    /// One document of the index
    #[arg(long, env = "FLUSSO_ID", value_name = "ID", requires = "index")]
    pub id: Option<String>,
    /// All of them
    #[arg(long, env = "FLUSSO_ALL", value_parser = FalseyValueParser::new())]
    pub all: bool,
}

/// How the running host is shown.
#[derive(Debug, Args)]
pub struct Status {
    /// How it is shown
    #[arg(long, env = "FLUSSO_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// What to do with what sinks hold.
#[derive(Debug, Subcommand)]
pub enum IndexesAction {
    /// Remove one that is left over
    Remove {
        /// Its name, as `indexes` shows it
        #[arg(value_name = "NAME")]
        name: String,
        /// The sink that holds it, where several hold one of that name
        #[arg(long, env = "FLUSSO_SINK", value_name = "SINK")]
        sink: Option<String>,
        /// Also if it is needed; not while the host is running
        #[arg(long, env = "FLUSSO_FORCE", value_parser = FalseyValueParser::new())]
        force: bool,
    },
}

/// The flags of `search`.
#[derive(Debug, Args)]
pub struct Search {
    /// The index
    #[arg(value_name = "INDEX")]
    pub index: String,
    /// What is looked for, in the sink's query language: `ada AND country:GB`
    #[arg(value_name = "QUERY")]
    pub query: String,
    /// The most documents that are shown
    #[arg(long, env = "FLUSSO_LIMIT", value_name = "COUNT", default_value_t = limits::program::SEARCH_DOCUMENTS, value_parser = clap::value_parser!(u32).range(0..=i64::from(limits::program::SEARCH_MOST)))]
    pub limit: u32,
    /// How many of the best are left out
    #[arg(long, env = "FLUSSO_OFFSET", value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(limits::program::SEARCH_MOST)))]
    pub offset: u32,
    /// The sink that is searched, where several can be [default: the first]
    #[arg(long, env = "FLUSSO_SINK", value_name = "SINK")]
    pub sink: Option<String>,
    /// How they are shown
    #[arg(long, env = "FLUSSO_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// The flags of `drop`.
#[derive(Debug, Args)]
pub struct Drop {
    /// Give up on a source that is unreachable, or in use by another client, for so long
    #[arg(long, env = "FLUSSO_TIMEOUT", value_name = "TIME", default_value_t = Time(limits::program::ONCE_TIMEOUT))]
    pub timeout: Time,
}

/// The flags of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// How the findings are shown
    #[arg(long, env = "FLUSSO_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Do not look at the database, even if it is in reach
    #[arg(long, env = "FLUSSO_OFFLINE", value_parser = FalseyValueParser::new())]
    pub offline: bool,
}

/// The flags of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// A shop in a database instead of in files: on a throw-away PostgreSQL, or on the server of DATABASE_URL
    #[arg(long, env = "FLUSSO_DEMO_POSTGRES", value_parser = FalseyValueParser::new())]
    pub postgres: bool,
    /// With --postgres: install PostgreSQL with the system's package manager if it is missing
    #[arg(long, env = "FLUSSO_DEMO_INSTALL", value_parser = FalseyValueParser::new(), requires = "postgres")]
    pub install: bool,
    /// The search index in the cluster of OPENSEARCH_URL instead of in a folder
    #[arg(long, env = "FLUSSO_DEMO_OPENSEARCH", value_parser = FalseyValueParser::new())]
    pub opensearch: bool,
}

/// Which file's JSON Schema.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Schema {
    /// Of flusso.toml, with the settings of the plugins that are found
    Config,
    /// Of *.schema.yml, as the builder in use reads it
    Index,
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// The plugins in the plugin folders
    List {
        /// How they are shown
        #[arg(long, env = "FLUSSO_FORMAT", value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// What a plugin is, can be told and wants to reach
    Inspect {
        /// Its name or path
        #[arg(value_name = "NAME_OR_PATH")]
        artifact: String,
        /// How it is shown
        #[arg(long, env = "FLUSSO_FORMAT", value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Write the digests of the deployment's plugins into flusso.lock, beside the configuration file
    Lock,
    /// Run a plugin as its file is now, in the host that is running
    Reload {
        /// Its name, or that of its part of the configuration
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Make a folder with a new plugin that builds and tests as it stands
    New {
        /// Its name, which is the folder's
        #[arg(value_name = "NAME")]
        name: String,
        /// What it is
        #[arg(long, env = "FLUSSO_ROLE", value_name = "ROLE", default_value = "builder")]
        role: NewRole,
        /// The folder of the crate flusso-plugin, `plugins/sdk` of a checkout; left out: that of the checkout this program was built from
        #[arg(long, env = "FLUSSO_SDK", value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Build a plugin from its Rust source, or from a component of another toolchain and its manifest
    Build {
        /// The folder of its package, or a component that ends in .wasm
        #[arg(value_name = "DIR_OR_WASM", default_value = ".")]
        source: PathBuf,
        /// The manifest of a component, a JSON file
        #[arg(long, env = "FLUSSO_MANIFEST", value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// Make a native library instead of a component: faster, and held by no sandbox
        #[arg(long, env = "FLUSSO_NATIVE", value_parser = FalseyValueParser::new())]
        native: bool,
        /// Where the plugin goes: a folder, or a file ending in .wasm (.so, .dylib)
        #[arg(short, long, env = "FLUSSO_OUT", value_name = "PATH", default_value = crate::plugin::build::OUT)]
        out: PathBuf,
    },
}

/// What `plugin new` has a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NewRole {
    /// A document builder: one typed function an index
    Builder,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Cli {
        Cli::try_parse_from(std::iter::once("flusso-host").chain(words.iter().copied())).unwrap()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_what_happens_without_a_command() {
        let cli = parse(&["--plugin", "pg.wasm,slot=a,tables=x,y", "--once"]);
        assert!(cli.command.is_none() && cli.run.once);
        assert_eq!(cli.common.plugin[0].plugin, "pg.wasm");
        assert_eq!(cli.common.plugin[0].pairs["tables"], "x,y");
    }

    #[test]
    fn common_flags_stand_before_or_after_the_command() {
        for words in [["--slot", "a", "check"], ["check", "--slot", "a"]] {
            let cli = parse(&words);
            assert_eq!(cli.common.overrides().source, [("slot", "a".to_owned())]);
        }
    }

    #[test]
    fn reseed_takes_no_some_or_all_indexes() {
        assert_eq!(parse(&["--once"]).run.reseed, None);
        assert_eq!(parse(&["--reseed"]).run.reseed, Some(vec![]));
        assert_eq!(parse(&["--reseed", "a,b", "c"]).run.reseed.unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn every_flag_has_a_variable() {
        fn walk(command: &clap::Command) {
            for argument in command.get_arguments() {
                let flag = argument.get_long().unwrap_or_default();
                if !flag.is_empty() && flag != "help" && flag != "version" {
                    let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
                    assert!(
                        variable.is_some_and(|name| name.starts_with("FLUSSO_")),
                        "--{flag} of {}",
                        command.get_name()
                    );
                }
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_nearest() {
        for (word, near) in [("--onc", "--once"), ("chek", "check")] {
            let message = Cli::try_parse_from(["flusso-host", word]).unwrap_err().to_string();
            assert!(message.contains(near), "{message}");
        }
    }
}
