//! What [`crate::plugin!`] makes beside a component's exports: the table of a native library.

/// The plugin as a native library.
#[doc(hidden)]
#[macro_export]
macro_rules! __native {
    (section: $section:expr, manifest: $manifest:expr, $($role:ident: $type:ty),+) => {
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            use $crate::native::{Answer, NativePlugin, Table};

            struct Native;
            impl NativePlugin for Native {
                fn dispatch(function: &str, arguments: &[u8]) -> Answer {
                    let (interface, function) = function.split_once('.')?;
                    match interface {
                        "plugin" if function == "manifest" => Some(Ok($crate::native::text(&$manifest))),
                        $($crate::__interface!($role) => $crate::native::$role::<$type>(function, arguments),)+
                        _ => None,
                    }
                }
            }

            static TABLE: Table = $crate::native::table::<Native>($section, concat!($($crate::__interface!($role), " "),+));

            /// What flusso-host looks for in the library.
            #[unsafe(no_mangle)]
            extern "C" fn flusso_plugin_v1() -> *const Table {
                &raw const TABLE
            }
        };
    };
}

/// The interface of a role, as `wit/` calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! __interface {
    (source) => {
        "source"
    };
    (snapshot) => {
        "snapshot"
    };
    (reader) => {
        "reader"
    };
    (batch_reader) => {
        "batch-reader"
    };
    (builder) => {
        "builder"
    };
    (range_builder) => {
        "range-builder"
    };
    (tracked_builder) => {
        "tracked-builder"
    };
    (requested_indexes) => {
        "requested-indexes"
    };
    (diagnosis) => {
        "diagnosis"
    };
    (sink_diagnosis) => {
        "sink-diagnosis"
    };
    (inventory) => {
        "inventory"
    };
    (search) => {
        "search"
    };
    (sink) => {
        "sink"
    };
}
