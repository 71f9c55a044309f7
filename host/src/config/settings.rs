//! A plugin's own part of the configuration: values as they were written, with references to secrets unresolved.
//!
//! What is kept here may hold credentials (a connection URL often does), so nothing of it can be printed: `Debug` shows
//! names only. References (`{ env = "X" }`, `{ file = "p" }`) stay references until [`Settings::resolve`], which is called
//! when the plugin is opened.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{ConfigError, Location};

/// The settings of one plugin.
#[derive(Clone, Default, PartialEq)]
pub struct Settings {
    values: Map<String, Value>,
    /// Names whose values came as text from the command line and take the type that the plugin's schema wants.
    textual: BTreeSet<String>,
    /// Relative files are looked for here.
    base: PathBuf,
    /// Whose settings these are, for messages.
    part: String,
}

/// Where a value comes from when it does not stand in the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// An environment variable.
    Env(String),
    /// The text of a file, without its last line end.
    File(PathBuf),
}

impl Settings {
    /// Settings as they were written in `part`; relative file references start at `base`.
    pub fn new(values: Map<String, Value>, base: &Path, part: impl Into<String>) -> Self {
        Self { values, textual: BTreeSet::new(), base: base.to_path_buf(), part: part.into() }
    }

    /// The names that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a name as it was written. It may be a secret, or refer to one: see [`Settings::reference`].
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The folder against which relative paths among the values are meant.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Whose settings these are, for messages: `[source]`, `[sinks.primary]`, `--plugin pg`.
    pub fn part(&self) -> &str {
        &self.part
    }

    /// What a name refers to, if it is a reference.
    pub fn reference(&self, name: &str) -> Option<Reference> {
        self.values.get(name).and_then(|value| reference(value, &self.base))
    }

    /// Whether a variable such as `DATABASE_URL` does not override what was written for a name: it was written as a
    /// reference, or on the command line.
    pub fn outranks_variable(&self, name: &str) -> bool {
        self.textual.contains(name) || self.reference(name).is_some()
    }

    /// Sets a name to a value.
    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        let name = name.into();
        self.textual.remove(&name);
        self.values.insert(name, value);
    }

    /// Sets a name to a text that stands for whatever type the plugin's schema gives the name.
    pub fn set_text(&mut self, name: impl Into<String>, text: impl Into<String>) {
        let name = name.into();
        self.values.insert(name.clone(), Value::String(text.into()));
        self.textual.insert(name);
    }

    /// Makes a name refer to an environment variable.
    pub fn set_env(&mut self, name: impl Into<String>, variable: &str) {
        self.set(name, serde_json::json!({ "env": variable }));
    }

    /// The variables that the values are taken from, with the names of the values; those inside tables too.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (name, value) in &self.values {
            variables(name, value, &mut found);
        }
        found
    }

    /// Lays the other settings over these.
    pub fn overlay(&mut self, other: Settings) {
        for (name, value) in other.values {
            if other.textual.contains(&name) {
                self.textual.insert(name.clone());
            } else {
                self.textual.remove(&name);
            }
            self.values.insert(name, value);
        }
    }

    /// Gives values that came as text the type that `schema` (the plugin's JSON Schema) wants. What does not fit stays
    /// text, and the check against the schema says so.
    pub fn take_types_from(&mut self, schema: &Value) {
        for name in &self.textual {
            let wanted = schema.pointer("/properties").and_then(|all| all.get(name)).and_then(|one| one.get("type"));
            let wants = |kind: &str| match wanted {
                Some(Value::String(one)) => one == kind,
                Some(Value::Array(some)) => some.iter().any(|one| one == kind),
                _ => false,
            };
            if let Some(value) = self.values.get_mut(name)
                && let Some(text) = value.as_str()
                && !wants("string")
            {
                let typed = if wants("array") && !text.starts_with('[') {
                    Some(text.split(',').map(|part| Value::from(part.trim())).collect())
                } else {
                    serde_json::from_str(text).ok()
                };
                if let Some(typed) = typed {
                    *value = typed;
                }
            }
        }
    }

    /// The values with every reference followed: what the plugin is opened with. Keep it no longer than that takes.
    /// `variable` looks up an environment variable.
    pub fn resolve(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Resolved, ConfigError> {
        let mut values = Map::new();
        for (name, value) in &self.values {
            values.insert(name.clone(), self.follow(name, value, &variable)?);
        }
        Ok(Resolved(Value::Object(values)))
    }

    fn follow(
        &self,
        name: &str,
        value: &Value,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Value, ConfigError> {
        let dangling = |what: String, problem: String| ConfigError::Dangling {
            place: Location::part(None, self.part.clone()),
            setting: name.to_owned(),
            what,
            problem,
        };
        match reference(value, &self.base) {
            Some(Reference::Env(name)) => variable(&name)
                .map(Value::String)
                .ok_or_else(|| dangling(format!("the environment variable {name}"), "is not set".to_owned())),
            Some(Reference::File(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Value::String(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => Err(dangling(format!("the file {}", path.display()), format!("cannot be read: {error}"))),
            },
            None => match value {
                Value::Object(map) => {
                    let mut followed = Map::new();
                    for (inner, value) in map {
                        followed.insert(inner.clone(), self.follow(&format!("{name}.{inner}"), value, variable)?);
                    }
                    Ok(Value::Object(followed))
                }
                Value::Array(list) => list
                    .iter()
                    .map(|value| self.follow(name, value, variable))
                    .collect::<Result<_, _>>()
                    .map(Value::Array),
                plain => Ok(plain.clone()),
            },
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.names().map(|name| (name, "…"))).finish()
    }
}

/// Settings with their secrets in them. Cannot be printed by accident.
#[derive(Clone, PartialEq)]
pub struct Resolved(Value);

impl Resolved {
    /// The values, to hand to the plugin or to check against its schema.
    pub fn expose(&self) -> &Value {
        &self.0
    }

    /// The values, to add to before the plugin gets them.
    pub fn into_exposed(self) -> Value {
        self.0
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolved(…)")
    }
}

fn variables(name: &str, value: &Value, found: &mut Vec<(String, String)>) {
    if let Some(Reference::Env(variable)) = reference(value, Path::new("")) {
        found.push((name.to_owned(), variable));
        return;
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        variables(&format!("{name}.{key}"), value, found);
    }
}

fn reference(value: &Value, base: &Path) -> Option<Reference> {
    let map = value.as_object()?;
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((key, Value::String(text))), None) => match key.as_str() {
            "env" => Some(Reference::Env(text.clone())),
            "file" => Some(Reference::File(base.join(text))),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(value: Value) -> Settings {
        let Value::Object(map) = value else { panic!("an object") };
        Settings::new(map, Path::new("/etc/flusso"), "[source]")
    }

    #[test]
    fn references_are_followed_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pw"), "s3cret\n").unwrap();
        let mut all = settings(json!({ "user": "u", "auth": { "password": { "file": "pw" } }, "url": { "env": "U" } }));
        all.base = dir.path().to_path_buf();
        assert_eq!(all.reference("url"), Some(Reference::Env("U".to_owned())));
        let resolved = all.resolve(|name| (name == "U").then(|| "postgres://x".to_owned())).unwrap();
        assert_eq!(resolved.expose(), &json!({ "user": "u", "auth": { "password": "s3cret" }, "url": "postgres://x" }));
    }

    #[test]
    fn a_missing_variable_is_named_with_its_setting() {
        let error = settings(json!({ "url": { "env": "NOPE" } })).resolve(|_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "[source]: the setting `url` refers to the environment variable NOPE, which is not set"
        );
    }

    #[test]
    fn nothing_of_the_values_is_printed() {
        let all = settings(json!({ "connection_url": "postgres://u:hunter2@h/d" }));
        let resolved = all.resolve(|_| None).unwrap();
        for text in [format!("{all:?}"), format!("{resolved:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn text_from_the_command_line_takes_the_type_the_schema_wants() {
        let mut all = Settings::default();
        for (name, text) in [("pretty", "true"), ("port", "5432"), ("password", "123"), ("tables", "a,b")] {
            all.set_text(name, text);
        }
        all.take_types_from(&json!({ "properties": {
            "pretty": { "type": "boolean" }, "port": { "type": "integer" },
            "password": { "type": "string" }, "tables": { "type": "array" },
        }}));
        assert_eq!(
            all.resolve(|_| None).unwrap().expose(),
            &json!({ "pretty": true, "port": 5432, "password": "123", "tables": ["a", "b"] })
        );
    }
}
