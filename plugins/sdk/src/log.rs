//! Log lines. They appear among the host's, marked with the plugin's name. Never row contents, never credentials. The macros of
//! [`crate::tracing`] do the same: `tracing::info!(table, "read")`.

pub use crate::bindings::host::flusso::connector::log::Level;

pub(crate) fn line(level: Level, message: &str, fields: &[(&str, &str)]) {
    #[cfg(target_family = "wasm")]
    {
        let fields: Vec<(String, String)> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        crate::bindings::host::flusso::connector::log::log(level, message, &fields);
    }
    #[cfg(not(target_family = "wasm"))]
    {
        // In unit tests of a plugin there is no host to tell.
        if crate::native::has_host() {
            crate::native::ask::<()>("log.log", &(level, message, fields));
        }
    }
}

macro_rules! level {
    ($name:ident, $level:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(message: &str, fields: &[(&str, &str)]) {
            line(Level::$level, message, fields);
        }
    };
}

level!(trace, Trace, "Every step.");
level!(debug, Debug, "Details for finding a fault.");
level!(info, Info, "What an operator wants to have seen.");
level!(warn, Warn, "Something the operator should do something about.");
level!(error, Error, "Something failed.");
