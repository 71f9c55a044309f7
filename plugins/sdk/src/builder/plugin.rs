//! `builders!`: from the builders of indexes to a plugin.

use super::index::IndexBuilder;
use crate::{Error, IndexNumber, Outcome, Row};

/// The manifest of a plugin of builders, made of its package and of the type of its settings.
#[must_use]
pub fn manifest<B: IndexBuilder>(name: &str, version: &str, description: &str) -> String {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let schema = settings.into_generator().into_root_schema_for::<B::Settings>();
    let manifest = serde_json::json!({
        "name": name,
        "version": version,
        "description": description,
        "contract": crate::CONTRACT,
        "roles": ["tracked-builder"],
        "settings": schema,
    });
    manifest.to_string()
}

/// Builds with one of these.
///
/// # Errors
///
/// Those of the build, and [`Error::Fatal`] for an index that there is not.
pub fn one_of<S>(
    builds: &[fn(Vec<Row>, &S) -> crate::Result<Vec<Outcome>>],
    index: IndexNumber,
    roots: Vec<Row>,
    settings: &S,
) -> crate::Result<Vec<Outcome>> {
    let build = usize::try_from(index).ok().and_then(|index| builds.get(index));
    match build {
        Some(build) => build(roots, settings),
        None => Err(Error::fatal(format!("there is no index number {index}"))),
    }
}

/// Holds for builders of one plugin; its name is what the compiler shows where it does not.
pub const fn builders_of_one_plugin_share_the_type_of_their_settings<B: IndexBuilder<Settings = S>, S>() {}

/// Makes a plugin of functions with [`#[builder]`](macro@crate::builder::builder), one an index: `builders!(orders, categories)`. Its name, version and
/// description are those of its package, its settings those of the functions, which share one type.
#[macro_export]
macro_rules! builders {
    ($first:path $(, $more:path)* $(,)?) => {
        #[doc(hidden)]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::allow_attributes_without_reason)]
        pub mod __flusso_builders {
            use super::*;
            type Settings = <$first as $crate::builder::IndexBuilder>::Settings;

            pub struct Builders(Settings);

            impl $crate::TrackedBuilder for Builders {
                fn open(settings: $crate::Settings) -> $crate::Result<Self> {
                    settings.parse().map(Self)
                }

                fn indexes(&mut self) -> $crate::Result<::std::vec::Vec<$crate::OfferedIndex>> {
                    $($crate::builder::builders_of_one_plugin_share_the_type_of_their_settings::<$more, Settings>();)*
                    ::core::result::Result::Ok(::std::vec![
                        $crate::builder::offered::<$first>()? $(, $crate::builder::offered::<$more>()?)*
                    ])
                }

                fn build_many(
                    &mut self,
                    index: $crate::IndexNumber,
                    roots: ::std::vec::Vec<$crate::Row>,
                ) -> $crate::Result<::std::vec::Vec<$crate::Outcome>> {
                    let builds = &[$crate::builder::build_index::<$first> as _ $(, $crate::builder::build_index::<$more> as _)*];
                    $crate::builder::one_of(builds, index, roots, &self.0)
                }
            }

            struct Manifest;
            impl $crate::bindings::manifest::exports::flusso::connector::plugin::Guest for Manifest {
                fn manifest() -> ::std::string::String {
                    $crate::builder::manifest::<$first>(
                        ::core::env!("CARGO_PKG_NAME"),
                        ::core::env!("CARGO_PKG_VERSION"),
                        ::core::env!("CARGO_PKG_DESCRIPTION"),
                    )
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::manifest::export_manifest_bindings!(Manifest);
            $crate::__role!(tracked_builder: Builders);
            // Its manifest is made by the code: `plugin build` writes it into the file.
            $crate::__native!(section: &[], manifest: <Manifest as $crate::bindings::manifest::exports::flusso::connector::plugin::Guest>::manifest(), tracked_builder: Builders);
        }
    };
}
