//! Every limit of the host in one table: time limits, sizes and counts, each with its unit, its default and the setting that
//! changes it. `host/LIMITS.md` is this table for readers; a test compares the two.

use std::time::Duration;

/// One row of the table, as documentation shows it.
#[derive(Debug)]
pub struct Limit {
    /// The part of the host that it belongs to, and its name there: `engine::MAX_CHANGES`.
    pub name: &'static str,
    /// Its default, with the unit that its type has.
    pub value: String,
    /// The configuration key or the flag that changes it; empty: fixed.
    pub setting: &'static str,
    /// What it limits.
    pub meaning: &'static str,
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

macro_rules! limits {
    ($($(#[doc = $about:literal])+ $part:ident {
        $(#[doc = $meaning:literal] $name:ident: $type:ty = $value:expr $(, $setting:literal)?;)+
    })+) => {
        $($(#[doc = $about])+ pub mod $part {
            #[allow(unused_imports, reason = "a part may hold sizes alone")]
            use super::{Duration, ms, s};
            $(#[doc = $meaning] pub const $name: $type = $value;)+
        })+

        /// All of them, in order.
        pub fn table() -> Vec<Limit> {
            vec![$($(Limit {
                name: concat!(stringify!($part), "::", stringify!($name)),
                value: format!("{:?}", $part::$name),
                setting: concat!($($setting)?),
                meaning: $meaning.trim_ascii(),
            },)+)+]
        }
    };
}

limits! {
    /// The sync pipeline. The setting names are keys of `flusso.toml` or flags of the command line.
    engine {
        /// Changes in one live batch.
        MAX_CHANGES: u32 = 256, "batch.max_changes";
        /// How long a live batch may fill, from its first change.
        MAX_DELAY: Duration = ms(50), "batch.max_delay";
        /// Documents in one batch of a backfill, and of a change that touches very many documents.
        BACKFILL_DOCUMENTS: u32 = 2_000, "batch.backfill_documents";
        /// Bytes of document bodies in one batch of a backfill, about.
        BACKFILL_BYTES: u32 = 4 << 20;
        /// Ranges of one table that are read side by side.
        BACKFILL_PARTS: u32 = 2;
        /// Changes that wait between capture and batching.
        QUEUE_CHANGES: usize = 8_192;
        /// Bytes of changes that wait between capture and batching.
        QUEUE_BYTES: usize = 16 << 20;
        /// Bytes of built batches that the fastest sink has not flushed yet.
        MAX_IN_FLIGHT: usize = 16 << 20;
        /// Bytes of built batches by which the fastest sink may lead the slowest.
        MAX_LEAD: usize = 64 << 20;
        /// Bytes that a sink gathers before it flushes while more is waiting.
        FLUSH_BYTES: usize = 8 << 20;
        /// Bytes of bodies that one call builds, or hands to a sink, about.
        CALL_BYTES: usize = 16 << 20;
        /// How long one flush may take.
        FLUSH_DEADLINE: Duration = s(30);
        /// How often a sink that nothing is written to is flushed, so that it notices what others did to it.
        IDLE_FLUSH_INTERVAL: Duration = s(30);
        /// The first wait after a transient failure; it doubles with every failure.
        RETRY_FIRST: Duration = ms(100);
        /// The longest wait after a transient failure.
        RETRY_LONGEST: Duration = s(10);
        /// The longest wait that a stage may ask for.
        RETRY_AFTER_LONGEST: Duration = s(300);
        /// How often in a row the instances of a stage may die before the run stops.
        CRASH_BUDGET: u32 = 5;
        /// Documents in a row that each end the builder's instance, none between them built, before the run stops.
        POISON_IN_A_ROW: usize = 16;
        /// Documents of one stage in quarantine; a run that would put more aside ends.
        QUARANTINE_DOCUMENTS: usize = 100_000;
        /// How long another client may hold what the source needs (a replication slot) before the run stops.
        BUSY_TIMEOUT: Duration = s(75);
        /// The shortest time between two positions that are stored and confirmed.
        CONFIRM_INTERVAL: Duration = ms(50);
        /// How long a run that was asked to stop may take to write what is in flight.
        DRAIN_TIMEOUT: Duration = s(20), "--drain-timeout";
        /// The time between two calls of `prepare` while the source says that it is pending.
        PENDING_RECHECK_INTERVAL: Duration = ms(100);
        /// Bytes that an entry of a lane counts for beside its documents, so that entries without documents are bounded too.
        ENTRY_OVERHEAD_BYTES: usize = 256;
        /// Sinks of one run; more are refused at start.
        MAX_SINKS: usize = 64;
        /// How long sinks may take, in a run that failed, to write what is built already.
        LAST_FLUSH_TIMEOUT: Duration = s(10);
        /// How long the tasks of a run that has ended are waited for.
        TASK_SHUTDOWN_TIMEOUT: Duration = s(1);
        /// Commands, and requests for the head, that may wait to be answered.
        COMMAND_QUEUE: usize = 64;
        /// Positions that are durable and not visible yet. More are thinned out, which makes an answer of `/wait` later, never earlier.
        MAX_PENDING_POSITIONS: usize = 1_024;
        /// How long a position is waited for before the source is asked for its head, in case nothing is written that moves it.
        HEAD_REQUEST_DELAY: Duration = ms(25);
        /// The time between two checks of a waiting request while nothing moves.
        WAIT_RECHECK_INTERVAL: Duration = ms(250);
        /// How long the source may take to print a position.
        PRINT_TIMEOUT: Duration = s(1);
        /// The shortest back-off, used when `--timeout` is nearly over.
        MIN_BACKOFF: Duration = ms(10);
        /// Documents of one build call below which a second builder instance is not worth its call.
        MIN_DOCUMENTS_PER_CALL: usize = 64;
        /// The size of a document body that is assumed until some were built.
        INITIAL_BODY_BYTES: usize = 8 << 10;
        /// How long a poll of the source waits for a first event. A change of the capture mode is noticed as late as this.
        POLL_WAIT: Duration = ms(250);
        /// The same while a `--once` run has not taken its head yet, and for a while after the head was requested.
        SHORT_POLL_WAIT: Duration = ms(10);
        /// How long polls stay short after a request for the head.
        SHORT_POLLS_AFTER_HEAD_REQUEST: Duration = s(10);
        /// How often the source connection is kept alive while the queue is full.
        KEEP_ALIVE_INTERVAL: Duration = ms(500);
        /// How often the source is asked for its lag.
        LAG_INTERVAL: Duration = s(5);
        /// Live batches in a row after which a waiting backfill page gets its turn, so that a backfill ends although live changes never stop.
        MAX_LIVE_BATCHES_IN_A_ROW: u32 = 8;
    }
    /// One guest: what it may take, hold and return. A guest that exceeds a limit loses its instance; the host goes on.
    guest {
        /// Bytes of linear memory, all memories of a guest together.
        MEMORY: u64 = 256 << 20, "limits.memory";
        /// How long one call may take, the wait of a poll included.
        CALL_TIMEOUT: Duration = s(30), "limits.call_timeout";
        /// Bytes that a guest may hand over in one call: returned, or passed to an import.
        HANDOVER: u64 = 256 << 20;
        /// Bytes that a plugin may keep in the host's state.
        STATE: u64 = 64 << 20, "limits.state";
        /// Bytes of links that the host keeps for a builder.
        LINKS: u64 = 4 << 30, "limits.links";
        /// Files, folders, streams and connections that one guest holds open; a quarter of what the system lets the host open, if that is less.
        HANDLES: usize = 4096, "limits.handles";
        /// Bytes of a component; a larger file is not compiled.
        COMPONENT_BYTES: u64 = 128 << 20;
        /// How long a component may take to compile.
        COMPILE_TIME: Duration = s(300), "limits.compile_time";
        /// Bytes of memory that compiling a component may take.
        COMPILE_MEMORY: u64 = 2 << 30, "limits.compile_memory";
        /// Elements of one table of a guest.
        TABLE_ELEMENTS: usize = 1 << 20;
        /// What an element of a table counts as, together with the memories of its guest.
        TABLE_ELEMENT_BYTES: usize = 16;
        /// Items of one list that a guest returns; `HANDOVER` is usually reached earlier.
        ITEMS: usize = 4_000_000;
        /// Bytes of a guest's text that go into one message or log line; the rest is cut off.
        TEXT_BYTES: usize = 8 << 10;
        /// Open connections of one guest.
        CONNECTIONS: usize = 64;
        /// Bytes of one read of a connection.
        READ_BYTES: usize = 1 << 20;
        /// Bytes that the first read of a connection can return; the buffer grows with what arrives.
        FIRST_READ_BYTES: usize = 16 << 10;
        /// Calls that may wait for a guest before the caller waits.
        CALL_QUEUE: usize = 4;
        /// How long a guest may run before it yields to the other tasks of its thread.
        EPOCH_TICK: Duration = ms(10);
        /// Compiled plugins in the cache; the least recently used is removed first.
        CACHE_ENTRIES: usize = 64;
        /// Bytes of one position.
        POSITION_BYTES: usize = 64 << 10;
        /// Bytes of one cursor or key range.
        CURSOR_BYTES: usize = 1 << 20;
        /// How many times as many events as it was asked for a poll may answer, because a transaction may come whole.
        EVENTS_TIMES_ASKED: usize = 16;
        /// Events that a poll may always answer.
        EVENTS_AT_LEAST: usize = 65_536;
        /// Characters of the name that a source gives itself, which is that of a folder.
        FILE_NAME_BYTES: usize = 200;
        /// Characters of an index name, a history name or a mapping hash.
        NAME_CHARACTERS: usize = 1_000;
        /// Findings of one `check`.
        FINDINGS: usize = 100_000;
        /// Highlights of one document that a search found.
        HIGHLIGHTS: usize = 32;
        /// Indexes that one sink may list.
        INVENTORY_ENTRIES: usize = 100_000;
        /// The last bytes of a guest's standard error, which are quoted when it panics.
        STDERR_TAIL_BYTES: usize = 2 << 10;
        /// How long a log line of one guest suppresses the same line of another instance.
        LOG_DEDUP_TIME: Duration = s(60);
        /// Log lines that are kept for that comparison.
        LOG_DEDUP_LINES: usize = 256;
        /// Log lines of a guest in a second, on average.
        LOG_LINES_PER_SECOND: f64 = 200.0;
        /// Log lines of a guest at once.
        LOG_BURST: f64 = 1_000.0;
        /// Bytes that count as one line: a longer one counts as several.
        LOG_LINE_BYTES: usize = 512;
        /// Fields of one log line.
        LOG_FIELDS: usize = 32;
        /// Bytes of the name of a log field.
        LOG_FIELD_NAME_BYTES: usize = 64;
        /// Bytes of the value of a log field.
        LOG_FIELD_BYTES: usize = 1 << 10;
        /// Bytes of one answer to a scan of a plugin's state; the guest continues after the last key.
        STATE_SCAN_BYTES: usize = 4 << 20;
        /// Metric series of one plugin instance.
        METRIC_SERIES: usize = 500;
        /// Bytes of a metric name, of a label name and of a label value.
        METRIC_NAME_BYTES: usize = 128;
        /// Labels of one metric series.
        METRIC_LABELS: usize = 8;
    }
    /// A plugin that is a native library.
    native {
        /// Bytes of the stack of the thread that an instance has.
        STACK_BYTES: usize = 8 << 20;
    }
    /// A plugin file, before any of its code is compiled.
    artifact {
        /// Nesting depth of components in a file.
        NESTING: usize = 32;
        /// Bytes of one text of a plugin that a listing shows.
        SHOWN_BYTES: usize = 1 << 10;
        /// Bytes of one export section.
        EXPORT_SECTION_BYTES: u64 = 1 << 20;
        /// Bytes that are read of a file that a URL in a setting names.
        URL_FILE_BYTES: u64 = 1 << 20;
        /// Bytes of a manifest.
        MANIFEST_BYTES: u64 = 1 << 20;
    }
    /// The host's state file and the link table in it.
    state {
        /// Bytes of the storage library's page cache.
        CACHE_BYTES: usize = 16 << 20;
        /// Bytes of a state file up to which it is checked for damage at every start.
        CHECKED_AT_START_BYTES: u64 = 256 << 20;
        /// Links in the memtable; then they are written in a transaction of their own.
        MEMTABLE_LINKS: usize = 65_536;
        /// Buffers of the memtable that are searched one by one; then they are merged.
        MEMTABLE_BUFFERS: usize = 16;
        /// Links that wait for their removal, of all batches together. More are kept, which costs needless builds and loses nothing.
        PENDING_REMOVALS: usize = 262_144;
        /// Lookups of one document of a tracked builder; a build that makes more is refused.
        LOOKUPS_OF_DOCUMENT: usize = 10_000;
        /// Documents of tracked builders that one answer names; the next ones come with the next.
        DOCUMENTS_OF_LOOKUP: usize = 10_000;
        /// Rows whose last lookup is known. A build that began before the oldest of them counts as overtaken.
        RECENT_LOOKUPS: usize = 65_536;
    }
    /// The local HTTP server, and the commands that ask it.
    server {
        /// How long `/wait` waits when the request names no time.
        WAIT_DEFAULT: Duration = s(10);
        /// The longest time that `/wait` accepts.
        WAIT_LONGEST: Duration = s(600);
        /// Bytes of the head of a request.
        HEAD_BYTES: usize = 16 << 10;
        /// Header lines of a request.
        HEADERS: usize = 64;
        /// How long a request may take to arrive, and a connection may be idle.
        REQUEST_TIMEOUT: Duration = s(60);
        /// How long a client may take to read a response.
        RESPONSE_TIMEOUT: Duration = s(10);
        /// Connections on each address; further ones wait.
        CONNECTIONS: usize = 512;
        /// The wait after a connection could not be accepted, for example because no file descriptor is left.
        ACCEPT_RETRY_DELAY: Duration = ms(100);
        /// Bytes of the path of a Unix socket, which every system accepts.
        SOCKET_PATH_BYTES: usize = 100;
        /// How long a running host may take to answer another command.
        COMMAND_TIMEOUT: Duration = s(30);
        /// Bytes of an answer to another command.
        COMMAND_RESPONSE_BYTES: u64 = 64 << 20;
    }
    /// The program around the pipeline: commands, logs, restarts.
    program {
        /// Instances of a builder. Two share the work of two cores; each costs a connection to the source.
        BUILDER_INSTANCES: usize = 2, "builder.instances";
        /// How long `--once` and `drop` wait for a source or sink that is away. Without `--once` a run waits for ever.
        ONCE_TIMEOUT: Duration = s(30), "--timeout";
        /// How long `check` waits for a server that does not answer.
        CHECK_TIMEOUT: Duration = s(5);
        /// Documents that `search` shows.
        SEARCH_DOCUMENTS: u32 = 10, "--limit";
        /// The most documents that a search may ask for.
        SEARCH_MOST: u32 = 10_000;
        /// Documents that `quarantine list` shows.
        QUARANTINE_SHOWN: usize = 100, "--limit";
        /// The most documents in quarantine that a running host shows at once.
        QUARANTINE_MOST: usize = 10_000;
        /// How long `quarantine retry` waits until documents are taken or refused.
        RETRY_WAIT: Duration = s(30);
        /// How often it asks.
        RETRY_POLL: Duration = ms(100);
        /// How often `reindex` asks how far a rebuild is.
        REINDEX_POLL_INTERVAL: Duration = ms(500);
        /// How long a host may take to start until another command gives up on it.
        STARTUP_TIMEOUT: Duration = s(15);
        /// How long a plugin that took the place of another may take until it runs; then the one before goes on.
        RELOAD_TIMEOUT: Duration = s(60);
        /// How long `plugin reload` waits for an answer: compiling, draining and starting are in it.
        RELOAD_COMMAND_TIMEOUT: Duration = s(600);
        /// How often the files of plugins are looked at with `--watch`.
        WATCH_INTERVAL: Duration = ms(500);
        /// How long a command waits for a source that only has to tell its identity.
        IDENTIFY_TIMEOUT: Duration = s(5);
        /// A run that lasted this long does not count against `RESTARTS`, and the wait before the next run begins small again.
        HEALTHY_RUN: Duration = s(60);
        /// Short runs in a row that lost their history, after which the program does not begin another one.
        RESTARTS: u32 = 5;
        /// Bytes that the stdout sink gathers before it writes.
        STDOUT_BUFFER_BYTES: usize = 256 << 10;
        /// A lag of the source below this is not logged: a busy pipeline always has some.
        NOTABLE_LAG_BYTES: u64 = 16 << 20;
        /// The shortest time between two log lines about the lag.
        LAG_LOG_INTERVAL: Duration = s(60);
        /// More indexes than these are seeded without lines of their own: one line every while tells how many are done.
        SEEDS_NAMED: usize = 20;
        /// The shortest time between two log lines about the seeding of one index, or of many.
        PROGRESS_LOG_INTERVAL: Duration = s(5);
        /// How long the demo waits for documents; its first start compiles the plugin.
        DEMO_TIMEOUT: Duration = s(60);
    }
}
