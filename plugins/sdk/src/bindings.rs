//! Generated from `wit/`, and nothing else. One module a role, because a component must export exactly the roles it has;
//! they share the types and the host's interfaces.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

/// Types and what the host offers.
pub mod host {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "every-import",
        additional_derives: [PartialEq, flusso_abi::Encode, flusso_abi::Decode],
        generate_all,
    });
}

macro_rules! role {
    ($world:literal, $export:literal, $module:literal, {$($more:tt)*}) => {
        wit_bindgen::generate!({
            path: "../../wit",
            world: $world,
            pub_export_macro: true,
            export_macro_name: $export,
            default_bindings_module: $module,
            additional_derives: [flusso_abi::Encode, flusso_abi::Decode],
            with: {
                "flusso:connector/types@0.2.0": super::host::flusso::connector::types,
                "flusso:connector/log@0.2.0": super::host::flusso::connector::log,
                "flusso:connector/metrics@0.2.0": super::host::flusso::connector::metrics,
                "flusso:connector/secrets@0.2.0": super::host::flusso::connector::secrets,
                "flusso:connector/state@0.2.0": super::host::flusso::connector::state,
                "flusso:connector/net@0.2.0": super::host::flusso::connector::net,
                $($more)*
            },
        });
    };
}

/// The manifest.
pub mod manifest {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "any-plugin",
        pub_export_macro: true,
        export_macro_name: "export_manifest_bindings",
        default_bindings_module: "flusso_plugin::bindings::manifest",
    });
}

/// The role `source`.
pub mod source {
    role!("source-role", "export_source_bindings", "flusso_plugin::bindings::source", {});
}

/// The role `snapshot`.
pub mod snapshot {
    role!("snapshot-role", "export_snapshot_bindings", "flusso_plugin::bindings::snapshot", {});
}

/// The role `reader`.
pub mod reader {
    role!("reader-role", "export_reader_bindings", "flusso_plugin::bindings::reader", {});
}

/// The ability `batch-reader`.
pub mod batch_reader {
    role!("batch-reader-role", "export_batch_reader_bindings", "flusso_plugin::bindings::batch_reader", {});
}

/// The role `builder`.
pub mod builder {
    role!("builder-role", "export_builder_bindings", "flusso_plugin::bindings::builder", {
        "flusso:connector/reader@0.2.0": super::host::flusso::connector::reader,
        "flusso:connector/links@0.2.0": super::host::flusso::connector::links,
    });
}

/// The role `range-builder`.
pub mod range_builder {
    role!("range-builder-role", "export_range_builder_bindings", "flusso_plugin::bindings::range_builder", {
        "flusso:connector/reader@0.2.0": super::host::flusso::connector::reader,
        "flusso:connector/links@0.2.0": super::host::flusso::connector::links,
    });
}

/// The role `tracked-builder`.
pub mod tracked_builder {
    role!("tracked-builder-role", "export_tracked_builder_bindings", "flusso_plugin::bindings::tracked_builder", {
        "flusso:connector/tracked-reader@0.2.0": super::host::flusso::connector::tracked_reader,
    });
}

/// The ability `diagnosis`.
pub mod diagnosis {
    role!("diagnosis-role", "export_diagnosis_bindings", "flusso_plugin::bindings::diagnosis", {});
}

/// The ability `sink-diagnosis`.
pub mod sink_diagnosis {
    role!("sink-diagnosis-role", "export_sink_diagnosis_bindings", "flusso_plugin::bindings::sink_diagnosis", {});
}

/// The ability `inventory`.
pub mod inventory {
    role!("inventory-role", "export_inventory_bindings", "flusso_plugin::bindings::inventory", {});
}

/// The ability `requested-indexes`.
pub mod requested_indexes {
    role!(
        "requested-indexes-role",
        "export_requested_indexes_bindings",
        "flusso_plugin::bindings::requested_indexes",
        {}
    );
}

/// The role `sink`.
pub mod sink {
    role!("sink-role", "export_sink_bindings", "flusso_plugin::bindings::sink", {});
}

/// The ability `search`.
pub mod search {
    role!("search-role", "export_search_bindings", "flusso_plugin::bindings::search", {});
}
