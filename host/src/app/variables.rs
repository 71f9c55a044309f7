//! Which variables of the environment give a plugin a setting. The host and the operator decide that; what a manifest says
//! (`x-flusso-env`) is a request. A plugin that could name any variable would be given the secrets of every other program here.

use crate::config::PluginUse;
use crate::plugin::settings::Described;

/// What the source's database is called in the environment, by a convention older than this program.
const DATABASE_URL: &str = "DATABASE_URL";

/// The variables that give a setting its value, the first that is set: `FLUSSO_SOURCE_CONNECTION_URL`, and for the setting of the
/// source that asks for it `DATABASE_URL`.
pub(super) fn of_setting<'a>(plugin: &PluginUse, setting: &'a Described) -> impl Iterator<Item = String> + use<'a> {
    // The parts of a table are not set one by one.
    let whole = (!setting.key.contains('.')).then(|| own(&plugin.instance, &setting.key));
    let reserved = plugin.is_source && setting.env.as_deref() == Some(DATABASE_URL);
    whole.into_iter().chain(reserved.then(|| DATABASE_URL.to_owned()))
}

/// The variable that a manifest asks for and does not get.
pub(super) fn refused<'a>(plugin: &PluginUse, setting: &'a Described) -> Option<&'a str> {
    setting.env.as_deref().filter(|name| of_setting(plugin, setting).all(|known| known != *name))
}

/// `FLUSSO_<INSTANCE>_<SETTING>`.
fn own(instance: &str, key: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    format!("FLUSSO_{instance}_{key}").chars().map(letter).collect()
}
