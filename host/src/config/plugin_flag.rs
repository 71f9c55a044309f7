//! `--plugin NAME_OR_PATH[,key=value…]`.
//!
//! A comma starts a new pair only where `name=` follows it, so that values may hold commas.

use std::collections::BTreeMap;
use std::str::FromStr;

/// One `--plugin`, as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct PluginFlag {
    /// The plugin's name or path.
    pub plugin: String,
    /// Its settings and, under `limits.` and `allow.`, the host's keys. The last of one name counts.
    pub pairs: BTreeMap<String, String>,
}

impl FromStr for PluginFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces: Vec<String> = Vec::new();
        for piece in text.split(',') {
            match pieces.last_mut() {
                Some(last) if name_of(piece).is_none() && name_of(last).is_some() => {
                    last.push(',');
                    last.push_str(piece);
                }
                _ => pieces.push(piece.to_owned()),
            }
        }
        let mut pieces = pieces.into_iter();
        let plugin = pieces.next().unwrap_or_default();
        if plugin.is_empty() || name_of(&plugin).is_some() {
            return Err("write the plugin's name or path first, then its settings: --plugin pg,slot=mine".to_owned());
        }
        let mut pairs = BTreeMap::new();
        for piece in pieces {
            let Some(name) = name_of(&piece) else {
                return Err(format!(
                    "`{piece}` is no setting; write name=value after the plugin: --plugin {plugin},name=value"
                ));
            };
            let value = piece.get(name.len() + 1..).unwrap_or_default();
            pairs.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self { plugin, pairs })
    }
}

/// Names only: a value may be a credential.
impl std::fmt::Debug for PluginFlag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginFlag").field("plugin", &self.plugin).field("pairs", &self.pairs.keys()).finish()
    }
}

fn name_of(piece: &str) -> Option<&str> {
    let (name, _) = piece.split_once('=')?;
    let fits = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(text: &str) -> PluginFlag {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_alone_and_a_name_with_settings_are_read() {
        assert_eq!(flag("./a b/pg.wasm").plugin, "./a b/pg.wasm");
        let pg = flag("pg,slot=mine,connection_url=postgres://u:p@h/d?a=b");
        assert_eq!(pg.plugin, "pg");
        assert_eq!(pg.pairs.get("slot").map(String::as_str), Some("mine"));
        assert_eq!(pg.pairs.get("connection_url").map(String::as_str), Some("postgres://u:p@h/d?a=b"));
    }

    #[test]
    fn a_value_may_hold_commas() {
        let pg = flag("pg,tables=a,b,slot=x");
        assert_eq!(pg.pairs.get("tables").map(String::as_str), Some("a,b"));
        assert_eq!(pg.pairs.get("slot").map(String::as_str), Some("x"));
    }

    #[test]
    fn what_is_no_plugin_or_no_pair_is_refused_with_an_example() {
        for wrong in ["", "slot=a", ",slot=a", "pg,slot"] {
            let message = wrong.parse::<PluginFlag>().unwrap_err();
            assert!(message.contains("--plugin"), "{message}");
        }
    }

    #[test]
    fn values_are_not_printed() {
        assert!(!format!("{:?}", flag("pg,password=hunter2")).contains("hunter2"));
    }
}
