//! A plugin's settings against its own JSON Schema: checking, what is secret, and what
//! filling a setting in grants. It reads the schema's top-level properties and those of objects inside them; keys with the
//! prefix `x-flusso-` are the contract's own (see `wit/plugin.wit`).

mod problem;

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};

use super::capability::{AddressError, GrantKind, Grants};
use crate::limits;
pub use problem::{Problem, nearest};

/// One setting as the schema describes it, for `plugin inspect`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Described {
    /// Its name, parts joined by `.`.
    pub key: String,
    /// Its type or types, as in the schema.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for.
    pub description: String,
    /// What holds when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether it must be there.
    pub required: bool,
    /// The variable that the plugin asks for; which it gets, `app::variables` decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// What filling it in grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Whether it is never shown.
    pub secret: bool,
    /// Parameters of the URL in it that name files; the plugin gets their contents instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub url_files: Vec<String>,
}

/// A plugin's schema, ready to check settings with.
pub struct Schema {
    schema: Value,
    validator: jsonschema::Validator,
    described: Vec<Described>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("described", &self.described).finish_non_exhaustive()
    }
}

/// The schema in a plugin's manifest is none.
#[derive(Debug, thiserror::Error)]
#[error("the settings schema in the plugin's manifest is no JSON Schema: {0}; its author has to mend it")]
pub struct SchemaError(String);

impl Schema {
    /// Reads the schema of a manifest.
    pub fn new(schema: &Value) -> Result<Self, SchemaError> {
        let validator = jsonschema::draft202012::new(schema).map_err(|error| SchemaError(error.to_string()))?;
        let mut described = Vec::new();
        describe(schema, "", &mut described);
        Ok(Self { schema: schema.clone(), validator, described })
    }

    /// Every setting, in the schema's order.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// Of the variables that the plugin asks for, those alone that it gets.
    pub fn keep_variables(&mut self, gets: impl Fn(&Described) -> bool) {
        for setting in &mut self.described {
            if !gets(setting) {
                setting.env = None;
            }
        }
    }

    /// Reads the texts of variables as their settings' types: JSON where a setting takes no text.
    pub fn read_texts<'a>(&self, settings: &mut Map<String, Value>, keys: impl Iterator<Item = &'a str>) {
        for key in keys {
            let takes_text =
                |setting: &Described| setting.kind.split('|').any(|kind| kind == "string" || kind == "any");
            if let Some(setting) = self.described.iter().find(|setting| setting.key == key)
                && !takes_text(setting)
                && let Some(value) = settings.get_mut(key)
                && let Some(read) = value.as_str().and_then(|text| serde_json::from_str(text).ok())
            {
                *value = read;
            }
        }
    }

    /// The names of settings that are never shown.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.described.iter().filter(|setting| setting.secret).map(|setting| setting.key.as_str())
    }

    /// Checks a settings object. Every problem at once, in the order of the schema's keywords.
    pub fn check(&self, settings: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        let value = Value::Object(settings.clone());
        let problems: Vec<_> = self.validator.iter_errors(&value).flat_map(|error| self.problems(&error)).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Puts the contents of files where a URL names them by path, as libpq reads `sslrootcert=ca.pem`: the operator wrote the
    /// path, and the plugin cannot read it. Relative paths are those beside the configuration, at `base`.
    pub fn fill_url_files(&self, settings: &mut Map<String, Value>, base: &Path) -> Result<(), Problem> {
        for setting in self.described.iter().filter(|setting| !setting.url_files.is_empty()) {
            let Some(Value::String(url)) = settings.get_mut(&setting.key) else { continue };
            let Some((before, query)) = url.split_once('?') else { continue };
            let mut pairs = Vec::new();
            for pair in query.split('&') {
                match pair.split_once('=').filter(|(name, _)| setting.url_files.iter().any(|known| known == name)) {
                    Some((name, value)) => {
                        let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
                        let text = file_of(&value, base).map_err(|error| Problem {
                            key: setting.key.clone(),
                            message: format!("the file {value} of its parameter `{name}` cannot be read: {error}"),
                        })?;
                        let text = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
                        pairs.push(format!("{name}={text}"));
                    }
                    None => pairs.push(pair.to_owned()),
                }
            }
            *url = format!("{before}?{}", pairs.join("&"));
        }
        Ok(())
    }

    /// Adds what the filled-in settings grant: each setting with `x-flusso-grant`, the address or folder in its value and
    /// nothing else. Call it on checked settings.
    pub fn grant(&self, settings: &Map<String, Value>, grants: &mut Grants) -> Result<(), Problem> {
        for described in &self.described {
            let Some(kind) = described.grant.as_deref() else { continue };
            let wrong = |message: String| Problem { key: described.key.clone(), message };
            let kind = GrantKind::parse(kind).ok_or_else(|| {
                wrong(format!("its schema says x-flusso-grant \"{kind}\", which is none of network, filesystem:read, filesystem:write"))
            })?;
            // Only what the operator wrote grants: a default is the plugin's word.
            let Some(value) = get(settings, &described.key) else { continue };
            // An address in parts: a table with a host and perhaps a port. Without a host it is this machine.
            let (host, this_machine) = (join(&described.key, "host"), Value::from(THIS_MACHINE));
            let (value, beside) = match value.is_object() {
                true => (get(settings, &host).or(Some(&this_machine)), host.as_str()),
                false => (Some(value), described.key.as_str()),
            };
            grants.because(format!("`{}`", described.key));
            for text in texts(value) {
                match kind {
                    // Where a setting takes a text or the file it stands in, a text over several lines is no path.
                    GrantKind::Folder(_) if text.contains('\n') => {}
                    GrantKind::Folder(access) => grants.allow_folder(text, access),
                    GrantKind::Network => {
                        let port = self.port_beside(settings, beside);
                        grants.allow_setting(text, port).map_err(|error: AddressError| wrong(error.to_string()))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The setting `port` in the same object, for addresses given in parts.
    fn port_beside(&self, settings: &Map<String, Value>, key: &str) -> Option<u16> {
        let parent = key.rsplit_once('.').map_or("", |(parent, _)| parent);
        let port = join(parent, "port");
        let value = get(settings, &port)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).and_then(|port| u16::try_from(port).ok())
    }

    /// The texts of every secret that is filled in.
    pub fn secret_texts<'a>(&'a self, settings: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
        self.secrets().flat_map(|key| texts(get(settings, key)))
    }

    /// The settings with every secret replaced, for messages and `--format json`.
    pub fn redacted(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        let mut shown = settings.clone();
        for key in self.secrets() {
            if get(&shown, key).is_some() {
                put(&mut shown, key, Value::String("…".to_owned()));
            }
        }
        shown
    }

    /// The schema itself.
    pub fn json(&self) -> &Value {
        &self.schema
    }
}

/// The properties of a schema and of what it may be instead, depth first.
fn describe(schema: &Value, parent: &str, found: &mut Vec<Described>) {
    for alternative in alternatives(schema) {
        describe(alternative, parent, found);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let required: Vec<_> = texts(schema.get("required")).collect();
    for (name, property) in properties.into_iter().flatten() {
        let text = |key: &str| property.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut kinds: Vec<_> =
            std::iter::once(property).chain(alternatives(property)).flat_map(|one| texts(one.get("type"))).collect();
        kinds.dedup();
        let key = join(parent, name);
        found.push(Described {
            kind: if kinds.is_empty() { "any".to_owned() } else { kinds.join("|") },
            description: text("description").unwrap_or_default(),
            default: property.get("default").cloned(),
            required: required.contains(&name.as_str()),
            env: text("x-flusso-env"),
            grant: text("x-flusso-grant"),
            secret: property.get("x-flusso-secret").and_then(Value::as_bool).unwrap_or(false),
            url_files: property
                .get("x-flusso-url-files")
                .and_then(Value::as_array)
                .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default(),
            key: key.clone(),
        });
        describe(property, &key, found);
    }
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|keyword| schema.get(keyword)?.as_array());
    lists.flatten()
}

/// A text, or the texts of a list.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    value.and_then(Value::as_str).into_iter().chain(list)
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn last(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, name)| name)
}

fn get<'a>(settings: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((first, rest)) => get(settings.get(first)?.as_object()?, rest),
        None => settings.get(key),
    }
}

fn put(settings: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(settings.insert(key.to_owned(), value)),
        Some((first, rest)) => {
            let inner = settings.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

/// The host of an address in parts that names none.
const THIS_MACHINE: &str = "127.0.0.1";

/// The contents of a file; what holds PEM itself, or a word that is no file (`system`), stays.
fn file_of(value: &str, base: &Path) -> std::io::Result<String> {
    if value.contains('\n') || value == "system" || value.is_empty() {
        return Ok(value.to_owned());
    }
    let file = std::fs::File::open(base.join(value))?;
    std::io::read_to_string(std::io::Read::take(file, limits::artifact::URL_FILE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::capability::{Access, Address};
    use serde_json::json;

    fn schema() -> Schema {
        let schema = json!({
            "type": "object",
            "properties": {
                "connection_url": {
                    "type": "string", "description": "where the database is",
                    "x-flusso-grant": "network", "x-flusso-secret": true, "x-flusso-env": "DATABASE_URL"
                },
                "host": { "type": "string", "x-flusso-grant": "network" },
                "port": { "type": "integer", "default": 5432, "minimum": 1 },
                "path": { "type": "string", "x-flusso-grant": "filesystem:write" },
                "mode": { "enum": ["fast", "safe"] },
                "roots": { "type": "string", "x-flusso-grant": "filesystem:read" },
                "server": {
                    "x-flusso-grant": "network",
                    "oneOf": [{ "type": "string" }, { "type": "object", "additionalProperties": false, "properties": {
                        "host": { "type": "string", "default": "127.0.0.1" },
                        "port": { "type": "integer", "default": 5432 },
                        "password": { "type": "string", "x-flusso-secret": true }
                    } }]
                },
                "tls": { "type": "object", "properties": { "roots": { "type": "string" } }, "additionalProperties": false }
            },
            "required": ["connection_url"],
            "additionalProperties": false
        });
        Schema::new(&schema).unwrap_or_else(|error| panic!("{error}"))
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    fn problems(settings: Value) -> Vec<String> {
        schema().check(&object(settings)).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_the_key_and_the_remedy() {
        let url = "postgres://db/x";
        assert!(problems(json!({ "connection_url": url })).is_empty());
        assert_eq!(
            problems(json!({})),
            ["`connection_url`: is missing (where the database is); set it or the variable DATABASE_URL"]
        );
        assert_eq!(
            problems(json!({ "conection_url": url, "connection_url": url })),
            ["`conection_url`: is not a setting of this plugin; did you mean `connection_url`?"]
        );
        assert_eq!(
            problems(json!({ "connection_url": url, "port": "5432" })),
            ["`port`: is a string and should be integer"]
        );
        assert_eq!(
            problems(json!({ "connection_url": url, "mode": "fats" })),
            ["`mode`: should be one of \"fast\", \"safe\"; did you mean \"fast\"?"]
        );
        assert_eq!(
            problems(json!({ "connection_url": url, "tls": { "root": "x" } })),
            ["`tls.root`: is not a setting of this plugin; did you mean `roots`?"]
        );
        let low = problems(json!({ "connection_url": url, "port": 0 }));
        assert!(low.iter().all(|text| text.starts_with("`port`: the value")), "{low:?}");
    }

    #[test]
    fn a_setting_of_several_shapes_is_judged_by_the_one_that_was_meant() {
        let url = "postgres://db/x";
        let of = |server: Value| problems(json!({ "connection_url": url, "server": server }));
        assert!(of(json!("db:1")).is_empty() && of(json!({ "host": "db" })).is_empty());
        assert_eq!(
            of(json!({ "hots": "db" })),
            ["`server.hots`: is not a setting of this plugin; did you mean `host`?"]
        );
        assert_eq!(of(json!({ "port": "1" })), ["`server.port`: is a string and should be integer"]);
        assert_eq!(of(json!(5)), ["`server`: is a number and should be string or object"]);
        assert!(schema().secrets().any(|key| key == "server.password"));
    }

    #[test]
    fn a_default_of_the_plugin_grants_nothing() {
        let schema = Schema::new(&json!({ "type": "object", "properties": {
            "folder": { "type": "string", "default": "/", "x-flusso-grant": "filesystem:write" },
            "server": { "oneOf": [{ "properties": { "where": { "default": "db:22", "x-flusso-grant": "network" } } }] },
            "other": { "type": "object", "x-flusso-grant": "network", "properties": {
                "host": { "type": "string", "default": "db" }, "port": { "type": "integer", "default": 22 } } },
        } }));
        let schema = schema.unwrap_or_else(|error| panic!("{error}"));
        let granted = |settings: Value| {
            let mut grants = Grants::none();
            assert_eq!(schema.grant(&object(settings), &mut grants), Ok(()));
            (grants.folders().count(), grants.network().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(granted(json!({})), (0, vec![]));
        assert_eq!(granted(json!({ "server": {} })), (0, vec![]));
        assert_eq!(granted(json!({ "other": { "host": "written" } })), (0, vec!["written:5432".to_owned()]));
        assert_eq!(granted(json!({ "other": {} })), (0, vec!["127.0.0.1:5432".to_owned()]));
        assert_eq!(granted(json!({ "folder": "/out" })).0, 1);
    }

    #[test]
    fn an_address_in_parts_grants_its_host_and_port() {
        let granted = |server: Value| {
            let mut grants = Grants::none();
            let settings = object(json!({ "server": server, "roots": "-----BEGIN\nx" }));
            assert_eq!(schema().grant(&settings, &mut grants), Ok(()));
            assert_eq!(grants.folders().count(), 0, "PEM text is no path");
            grants.network().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(granted(json!({ "host": "db", "port": 6000 })), ["db:6000"]);
        assert_eq!(granted(json!({ "host": "/run/pg" })), ["unix:/run/pg/.s.PGSQL.5432"]);
        assert_eq!(granted(json!({})), ["127.0.0.1:5432"]);
    }

    #[test]
    fn a_secret_is_in_no_message_and_in_no_listing() {
        let secret = problems(json!({ "connection_url": { "secret": "hunter2" } }));
        assert!(!secret.is_empty() && secret.iter().all(|text| !text.contains("hunter2")), "{secret:?}");
        let shown = schema().redacted(&object(json!({ "connection_url": "postgres://me:hunter2@db", "port": 1 })));
        assert_eq!(Value::Object(shown), json!({ "connection_url": "…", "port": 1 }));
    }

    #[test]
    fn the_text_of_a_variable_is_read_as_its_settings_type() {
        let mut settings = object(json!({ "connection_url": "5", "port": "6000", "path": "true" }));
        schema().read_texts(&mut settings, ["connection_url", "port", "path", "unknown"].into_iter());
        assert_eq!(Value::Object(settings), json!({ "connection_url": "5", "port": 6000, "path": "true" }));
        let mut wrong = object(json!({ "port": "many" }));
        schema().read_texts(&mut wrong, ["port"].into_iter());
        assert_eq!(Value::Object(wrong), json!({ "port": "many" }));
    }

    #[test]
    fn filling_in_a_setting_grants_exactly_that() {
        let mut grants = Grants::none();
        let settings = json!({ "connection_url": "postgres://me:x@db/x", "host": "other", "port": 7, "path": "out" });
        assert_eq!(schema().grant(&object(settings), &mut grants), Ok(()));
        // The port beside belongs to the parts; a URL in the same object takes it only without one of its own.
        assert!(grants.may_connect(&Address::tcp("other", 7)).is_ok());
        assert!(grants.folders().eq([(std::path::Path::new("out"), Access::Write)]));
        assert!(schema().grant(&object(json!({ "connection_url": "http:///x" })), &mut grants).is_err());
    }
}
