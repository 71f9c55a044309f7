//! From a role's trait to a component's exports: one opened instance a component instance, kept in a thread-local, because
//! the contract's functions are free functions and a component instance is one opening.

use std::marker::PhantomData;

use crate::bindings as b;
use crate::bindings::diagnosis::exports::flusso::connector::diagnosis::ExaminedIndex;
use crate::{
    Affected, BatchReader, Builder, Change, Cursor, Diagnosis, Division, Document, DocumentId, Ensured, Error, Event,
    Examination, Finding, Found, HistoryId, IndexNumber, IndexRequest, Inspection, Inventory, Key, Mapping,
    OfferedIndex, Outcome, Page, PollRequest, Position, Preparation, Range, RangeBuilder, RangedPage, Reader, Relation,
    Report, RequestedIndexes, Result, Row, Scope, Search, Settings, Sink, SinkDiagnosis, Snapshot, Source, StoredIndex,
    TableDescription, TableInterest, TableName, TableNumber, Target, TrackedBuilder, Version,
};

/// A type whose one opened value lives in this component instance. Implemented by [`crate::plugin!`].
pub trait Instance: Sized + 'static {
    /// Lends the place where the value is kept.
    fn with<R>(use_it: impl FnOnce(&mut Option<Self>) -> R) -> R;
}

/// What a component exports for the role type `T`.
pub struct Exported<T>(PhantomData<T>);

/// Keeps what a role's `open` made. What `open` itself logs is shown too.
fn open<T: Instance>(opened: impl FnOnce() -> Result<T>) -> Result<()> {
    log_to_host();
    let value = opened()?;
    T::with(|place| *place = Some(value));
    Ok(())
}

fn call<T: Instance, R>(function: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
    T::with(|place| match place {
        Some(value) => function(value),
        None => Err(Error::fatal("called before open")),
    })
}

/// Shows what `tracing`'s macros say among the host's log lines, from now on.
fn log_to_host() {
    #[cfg(not(target_family = "wasm"))]
    if !crate::native::has_host() {
        return;
    }
    crate::subscriber::install();
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name($($argument: $type),*) -> Result<$result> { call(|it: &mut T| it.$name($($argument),*)) })*
    };
}

impl<T: Source + Instance> b::source::exports::flusso::connector::source::Guest for Exported<T> {
    fn open(settings: String, interest: Vec<TableInterest>) -> Result<()> {
        open(|| T::open(Settings::from_json(settings), interest))
    }
    forward! {
        identity() -> String;
        inspect(resume: Option<Position>) -> Inspection;
        prepare(resume: Option<Position>) -> Preparation;
        poll(request: PollRequest) -> Vec<Event>;
        head() -> Position;
        compare(a: Position, b: Position) -> i32;
        parse(text: String) -> Position;
        print(position: Position) -> String;
        lag() -> Option<u64>;
        close(confirmed: Option<Position>) -> ();
        discard() -> Vec<String>;
    }
}

impl<T: Snapshot + Instance> b::snapshot::exports::flusso::connector::snapshot::Guest for Exported<T> {
    fn open(settings: String, interest: Vec<TableInterest>) -> Result<()> {
        open(|| T::open(Settings::from_json(settings), interest))
    }
    forward! {
        split(table: TableNumber, parts: u32) -> Division;
        begin(table: TableNumber, range: Range, cursor: Option<Cursor>) -> ();
        next(max: u32) -> Page;
    }
}

impl<T: Reader + Instance> b::reader::exports::flusso::connector::reader::Guest for Exported<T> {
    fn open(settings: String) -> Result<()> {
        open(|| T::open(Settings::from_json(settings)))
    }
    forward! {
        primary_key(table: TableName) -> Vec<String>;
        begin() -> ();
        rows(table: TableName, columns: Vec<String>, keys: Vec<Key>) -> Vec<Row>;
        related(relation: Relation) -> Vec<Row>;
    }
}

impl<T: BatchReader + Instance> b::batch_reader::exports::flusso::connector::batch_reader::Guest for Exported<T> {
    forward! {
        describe(tables: Vec<TableName>) -> Vec<Option<TableDescription>>;
        related_many(relations: Vec<Relation>) -> Vec<Vec<Row>>;
    }
}

impl<T: Builder + Instance> b::builder::exports::flusso::connector::builder::Guest for Exported<T> {
    fn open(settings: String, indexes: Vec<IndexRequest>) -> Result<()> {
        open(|| T::open(Settings::from_json(settings), indexes))
    }
    forward! {
        mappings() -> Vec<Mapping>;
        scopes() -> Vec<Scope>;
        interest() -> Vec<TableInterest>;
        resolve(changes: Vec<Change>) -> Affected;
        resolve_more(cursor: Cursor, max: u32) -> Affected;
        resolve_table_changes(tables: Vec<TableNumber>) -> Affected;
        build_many(ids: Vec<DocumentId>) -> Vec<Outcome>;
    }
}

impl<T: RangeBuilder + Instance> b::range_builder::exports::flusso::connector::range_builder::Guest for Exported<T> {
    forward! {
        build_range(index: IndexNumber, range: Range, cursor: Option<Cursor>, max: u32, max_bytes: u32) -> RangedPage;
    }
}

impl<T: TrackedBuilder + Instance> b::tracked_builder::exports::flusso::connector::tracked_builder::Guest
    for Exported<T>
{
    fn open(settings: String) -> Result<()> {
        open(|| T::open(Settings::from_json(settings)))
    }
    forward! {
        indexes() -> Vec<OfferedIndex>;
        build_many(index: IndexNumber, roots: Vec<Row>) -> Vec<Outcome>;
    }
}

impl<T: Diagnosis> b::diagnosis::exports::flusso::connector::diagnosis::Guest for Exported<T> {
    fn examine(
        settings: String,
        indexes: Option<Vec<ExaminedIndex>>,
        tables: Vec<TableInterest>,
        online: bool,
        _extra: Option<String>,
    ) -> Result<Vec<Finding>> {
        let request = |index: ExaminedIndex| {
            let ExaminedIndex { name, schema, origin, extra } = index;
            IndexRequest { name, schema, origin, extra }
        };
        let indexes = indexes.map(|indexes| indexes.into_iter().map(request).collect());
        log_to_host();
        T::examine(Settings::from_json(settings), Examination { indexes, tables, online })
    }
}

impl<T: SinkDiagnosis> b::sink_diagnosis::exports::flusso::connector::sink_diagnosis::Guest for Exported<T> {
    fn examine(settings: String, mappings: Vec<Mapping>, _extra: Option<String>) -> Result<Vec<Finding>> {
        log_to_host();
        T::examine(Settings::from_json(settings), mappings)
    }
}

impl<T: Inventory> b::inventory::exports::flusso::connector::inventory::Guest for Exported<T> {
    fn list(settings: String, prefix: String, _extra: Option<String>) -> Result<Vec<StoredIndex>> {
        log_to_host();
        T::list(Settings::from_json(settings), prefix)
    }

    fn remove(settings: String, prefix: String, name: String, force: bool, _extra: Option<String>) -> Result<()> {
        log_to_host();
        T::remove(Settings::from_json(settings), prefix, name, force)
    }
}

impl<T: RequestedIndexes + Instance> b::requested_indexes::exports::flusso::connector::requested_indexes::Guest
    for Exported<T>
{
    forward! {
        request(indexes: Vec<IndexRequest>) -> Vec<TableName>;
        describe(tables: Vec<Option<TableDescription>>) -> ();
    }
}

impl<T: Search> b::search::exports::flusso::connector::search::Guest for Exported<T> {
    fn query(
        settings: String,
        index: String,
        query: String,
        limit: u32,
        offset: u32,
        _extra: Option<String>,
    ) -> Result<Found> {
        log_to_host();
        T::query(Settings::from_json(settings), index, query, limit, offset)
    }
}

impl<T: Sink + Instance> b::sink::exports::flusso::connector::sink::Guest for Exported<T> {
    fn open(settings: String) -> Result<()> {
        open(|| T::open(Settings::from_json(settings)))
    }
    forward! {
        ensure_index(mapping: Mapping) -> Ensured;
        seeded(target: Target) -> Option<HistoryId>;
        mark_seeded(target: Target, history: HistoryId) -> ();
        mark_unseeded(target: Target) -> ();
        write(documents: Vec<Document>) -> ();
        clear(target: Target, version: Version) -> ();
        flush(caught_up: bool, deadline_ms: u64) -> Report;
        begin_rebuild(mapping: Mapping, resume: bool) -> Target;
        promote(target: Target) -> ();
        abandon(target: Target) -> ();
    }
}

/// The manifest's bytes as an array, for the custom section. `N` is its length.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses a place that is not there")]
pub const fn manifest_bytes<const N: usize>(manifest: &str) -> [u8; N] {
    let (bytes, mut array, mut at) = (manifest.as_bytes(), [0; N], 0);
    while at < N {
        array[at] = bytes[at];
        at += 1;
    }
    array
}

/// Makes a component of the types that implement its roles.
///
/// `manifest` is a string constant (`include_str!("../manifest.json")`). Then any of `source` and `snapshot` (together),
/// `reader`, `batch_reader` (the reader's own type), `builder`, `range_builder` (the builder's own type), `tracked_builder`,
/// `requested_indexes` (the tracked builder's own type), `sink`, `diagnosis`, `sink_diagnosis`, `inventory`, `search`, each with its type;
/// apart from those of another's type and the last four, no type serves two roles. A builder that reads schema files may give their JSON Schema after the manifest, as
/// `index_schema`, for editors. Outside a WebAssembly target the macro makes the functions of a native library.
#[macro_export]
macro_rules! plugin {
    (manifest: $manifest:expr, index_schema: $schema:expr $(, $role:ident: $type:ty)+ $(,)?) => {
        #[doc(hidden)]
        #[allow(unsafe_code, reason = "a section of a component, generated")]
        mod __flusso_index_schema {
            const SCHEMA: &str = $schema;

            #[used]
            #[cfg_attr(target_family = "wasm", unsafe(link_section = "flusso:index-schema"))]
            static SECTION: [u8; SCHEMA.len()] = $crate::manifest_bytes(SCHEMA);
        }
        $crate::plugin!(manifest: $manifest $(, $role: $type)+);
    };
    (manifest: $manifest:expr $(, $role:ident: $type:ty)+ $(,)?) => {
        #[doc(hidden)]
        #[allow(unsafe_code, missing_docs, unreachable_pub, reason = "exports of a component, generated")]
        mod __flusso_plugin {
            use super::*;
            const MANIFEST: &str = $manifest;

            // In the component itself, so that listing plugins compiles nothing.
            #[used]
            #[cfg_attr(target_family = "wasm", unsafe(link_section = "flusso:manifest"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,flusso_manifest"))]
            #[cfg_attr(not(any(target_family = "wasm", target_vendor = "apple")), unsafe(link_section = "flusso_manifest"))]
            static SECTION: [u8; MANIFEST.len()] = $crate::manifest_bytes(MANIFEST);

            struct Manifest;
            impl $crate::bindings::manifest::exports::flusso::connector::plugin::Guest for Manifest {
                fn manifest() -> String {
                    MANIFEST.to_owned()
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::manifest::export_manifest_bindings!(Manifest);
            $($crate::__role!($role: $type);)+
            $crate::__native!(section: &SECTION, manifest: MANIFEST, $($role: $type),+);
        }
    };
}

/// One role of [`plugin!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __role {
    (source: $type:ty) => {
        $crate::__instance!($type);
        type ExportedSource = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::source::export_source_bindings!(ExportedSource);
    };
    (snapshot: $type:ty) => {
        $crate::__instance!($type);
        type ExportedSnapshot = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::snapshot::export_snapshot_bindings!(ExportedSnapshot);
    };
    (reader: $type:ty) => {
        $crate::__instance!($type);
        type ExportedReader = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::reader::export_reader_bindings!(ExportedReader);
    };
    (builder: $type:ty) => {
        $crate::__instance!($type);
        type ExportedBuilder = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::builder::export_builder_bindings!(ExportedBuilder);
    };
    (batch_reader: $type:ty) => {
        type ExportedBatchReader = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::batch_reader::export_batch_reader_bindings!(ExportedBatchReader);
    };
    (range_builder: $type:ty) => {
        type ExportedRangeBuilder = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::range_builder::export_range_builder_bindings!(ExportedRangeBuilder);
    };
    (tracked_builder: $type:ty) => {
        $crate::__instance!($type);
        type ExportedTrackedBuilder = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::tracked_builder::export_tracked_builder_bindings!(ExportedTrackedBuilder);
    };
    (diagnosis: $type:ty) => {
        type ExportedDiagnosis = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::diagnosis::export_diagnosis_bindings!(ExportedDiagnosis);
    };
    (sink_diagnosis: $type:ty) => {
        type ExportedSinkDiagnosis = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::sink_diagnosis::export_sink_diagnosis_bindings!(ExportedSinkDiagnosis);
    };
    (inventory: $type:ty) => {
        type ExportedInventory = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::inventory::export_inventory_bindings!(ExportedInventory);
    };
    (requested_indexes: $type:ty) => {
        type ExportedRequestedIndexes = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::requested_indexes::export_requested_indexes_bindings!(ExportedRequestedIndexes);
    };
    (search: $type:ty) => {
        type ExportedSearch = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::search::export_search_bindings!(ExportedSearch);
    };
    (sink: $type:ty) => {
        $crate::__instance!($type);
        type ExportedSink = $crate::Exported<$type>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::sink::export_sink_bindings!(ExportedSink);
    };
}

/// Where the one opened value of a role's type lives.
#[doc(hidden)]
#[macro_export]
macro_rules! __instance {
    ($type:ty) => {
        const _: () = {
            ::std::thread_local! {
                static PLACE: ::std::cell::RefCell<::std::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            impl $crate::Instance for $type {
                fn with<R>(use_it: impl FnOnce(&mut ::std::option::Option<Self>) -> R) -> R {
                    PLACE.with_borrow_mut(use_it)
                }
            }
        };
    };
}
