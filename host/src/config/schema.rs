//! The JSON Schema (2020-12) of `flusso.toml`, for editors: from the types that read it, and in each plugin's table from the
//! settings that the plugins at hand say they take.

use std::borrow::Cow;

use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::file::{File, PluginTable};
use super::{Bytes, Time};

/// A plugin whose settings are known.
#[derive(Debug, Clone)]
pub struct KnownPlugin {
    /// Its name, for `plugin = "…"`.
    pub name: String,
    /// Its types, for `type = "…"`.
    pub provides: Vec<String>,
    /// The JSON Schema of its settings.
    pub settings: Value,
}

/// The JSON Schema of the file, where these plugins are at hand.
pub fn json_schema(plugins: &[KnownPlugin]) -> Value {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    NoNull.transform(&mut schema);
    schema.insert("title".to_owned(), json!("flusso.toml"));
    schema.insert("description".to_owned(), json!("A deployment of flusso-host."));
    let mut schema = schema.to_value();
    if let Some(defs) = schema.pointer_mut("/$defs").and_then(Value::as_object_mut) {
        defs.insert("reference".to_owned(), reference());
        for plugin in plugins {
            defs.insert(place(plugin), settings(plugin));
        }
        if let Some(table) = defs.get_mut("PluginTable").and_then(Value::as_object_mut) {
            table.insert("allOf".to_owned(), plugins.iter().map(when).collect());
        }
    }
    schema
}

/// TOML has no null: what may be left out is left out.
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|one| one != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                schema.insert("type".to_owned(), one);
            }
        }
        if let Some(Value::Array(cases)) = schema.get_mut("anyOf") {
            cases.retain(|one| one != &json!({ "type": "null" }));
            if let [Value::Object(one)] = cases.as_slice() {
                let one = one.clone();
                schema.remove("anyOf");
                one.into_iter().for_each(|(key, value)| drop(schema.insert(key, value)));
            }
        }
        schema.remove("default");
        transform_subschemas(self, schema);
    }
}

fn place(plugin: &KnownPlugin) -> String {
    format!("settings_{}", plugin.name)
}

/// A value that stands elsewhere.
fn reference() -> Value {
    let one = |key: &str, about: &str| {
        json!({
            "type": "object",
            "properties": { key: { "type": "string", "description": about } },
            "required": [key],
            "additionalProperties": false,
        })
    };
    json!({ "oneOf": [one("env", "The name of an environment variable."), one("file", "A file with the value as text, relative to this one.")] })
}

/// A plugin's own settings: each may also be a reference, and none has to stand here, since a variable or a flag may give it.
fn settings(plugin: &KnownPlugin) -> Value {
    let mut own = plugin.settings.clone();
    move_references(&mut own, &format!("#/$defs/{}", place(plugin)));
    let Value::Object(own) = own else { return json!(true) };
    let mut schema: Map<String, Value> = own
        .into_iter()
        .filter(|(key, _)| !matches!(key.as_str(), "required" | "additionalProperties" | "$schema" | "$id"))
        .collect();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for value in properties.values_mut() {
            let about = value.get("description").cloned();
            let either = json!({ "anyOf": [value.take(), { "$ref": "#/$defs/reference" }] });
            *value = either;
            if let (Some(about), Some(value)) = (about, value.as_object_mut()) {
                value.insert("description".to_owned(), about);
            }
        }
    }
    Value::Object(schema)
}

/// Pointers into the plugin's own schema, which now stands deeper.
fn move_references(schema: &mut Value, to: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some(inner) = target.strip_prefix('#')
            {
                *target = format!("{to}{inner}");
            }
            members.values_mut().for_each(|value| move_references(value, to));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| move_references(value, to)),
        _ => {}
    }
}

/// Where a table names a plugin, its settings are those.
fn when(plugin: &KnownPlugin) -> Value {
    // A manifest's name has letters, digits, `-` and `_` only, of which none means anything in a pattern.
    let name = &plugin.name;
    json!({
        "if": { "anyOf": [
            { "properties": { "plugin": { "pattern": format!("^(.*/)?{name}(\\.(wasm|so|dylib))?$") } }, "required": ["plugin"] },
            { "properties": { "type": { "enum": plugin.provides } }, "required": ["type"] },
        ] },
        "then": { "$ref": format!("#/$defs/{}", place(plugin)) },
    })
}

impl JsonSchema for PluginTable {
    fn schema_name() -> Cow<'static, str> {
        "PluginTable".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let limits = generator.subschema_for::<super::file::Limits>();
        let allow = generator.subschema_for::<super::Allow>();
        json_schema!({
            "type": "object",
            "description": "A plugin: the host's own keys, and beside them the plugin's settings.",
            "properties": {
                "plugin": { "type": "string", "description": "The name of a plugin in the plugin folders, or the path of its .wasm (or of a native library)." },
                "type": { "type": "string", "description": "A type that some plugin provides, such as postgres; or stdout." },
                "limits": limits,
                "allow": allow,
                "trusted": { "type": "boolean", "description": "Whether the plugin may be a native library, which no sandbox holds; default false." },
            },
            "oneOf": [{ "required": ["plugin"] }, { "required": ["type"] }],
        })
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|kB|KB|MB|GB)?$" },
                { "type": "integer", "minimum": 0 },
            ],
        })
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *(us|ms|s|m|h)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> KnownPlugin {
        KnownPlugin {
            name: "pg".to_owned(),
            provides: vec!["postgres".to_owned()],
            settings: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["connection_url"],
                "$defs": { "name": { "type": "string", "maxLength": 4 } },
                "properties": { "connection_url": { "type": "string" }, "slot": { "$ref": "#/$defs/name" } },
            }),
        }
    }

    /// What an editor would say of a file.
    fn says(text: &str) -> Result<(), String> {
        let schema = json_schema(&[plugin()]);
        let validator = jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{error}"));
        let file: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        validator.validate(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn an_editor_takes_what_the_program_takes() {
        for text in [
            "",
            "on_error = \"skip\"\non_history_loss = \"reseed\"\nprefix = \"a\"",
            "[source]\ntype = \"postgres\"\nconnection_url = { env = \"DATABASE_URL\" }",
            "[source]\nplugin = \"plugins-out/pg.wasm\"\nslot = \"abc\"\n[source.limits]\nmemory = \"1GiB\"\ncall_timeout = \"30s\"",
            "[builder]\nplugin = \"mine.wasm\"\ninstances = 3\n[sinks.a]\nplugin = \"x\"\nanything = 1",
            "[batch]\nmax_changes = 1\nmax_delay = \"5ms\"\n[[index]]\nname = \"users\"\nschema = \"users.schema.yml\"",
            "[sinks.a]\nplugin = \"x\"\n[sinks.a.allow]\nnetwork = [\"a:1\"]\n[sinks.a.allow.filesystem]\nread = [\"in\"]",
        ] {
            assert_eq!(says(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_editor_marks_what_the_program_refuses() {
        for text in [
            "on_eror = \"skip\"",
            "on_history_loss = \"maybe\"",
            "[source]\nslot = \"a\"",
            "[source]\ntype = \"postgres\"\nplugin = \"pg\"",
            "[source]\ntype = \"postgres\"\nconnection_url = 5",
            "[source]\nplugin = \"pg\"\nslot = \"too long\"",
            "[source]\nplugin = \"pg\"\n[source.limits]\nmemory = \"much\"",
            "[batch]\nmax_delay = \"5\"",
            "[[index]]\nschema = \"x\"",
        ] {
            assert!(says(text).is_err(), "{text}");
        }
    }
}
