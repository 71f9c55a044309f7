use std::path::Path;

use super::*;

fn load(text: &str, overrides: Overrides) -> Result<Config, ConfigError> {
    load_with(text, overrides, |_| None)
}

fn load_with(
    text: &str,
    overrides: Overrides,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("users.schema.yml"), "version: 1\n").unwrap();
    let path = dir.path().join("flusso.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(Some(&path), overrides, variable)
}

fn flags(words: &[&str]) -> Overrides {
    Overrides { plugins: words.iter().map(|word| word.parse().unwrap()).collect(), ..Overrides::default() }
}

/// Knows `pg` (also as type `postgres`), `json` (a builder) and `ndjson`.
fn look(plugin: &PluginUse) -> Result<PluginRoles, ConfigError> {
    let name = match plugin.plugin.to_string().as_str() {
        "postgres" => "pg".to_owned(),
        other => other.trim_end_matches(".wasm").to_owned(),
    };
    let known = PluginRoles { identity: name.clone(), name: name.clone(), source: false, builder: false, sink: false };
    match name.as_str() {
        "pg" => Ok(PluginRoles { source: true, builder: true, ..known }),
        "json" => Ok(PluginRoles { builder: true, ..known }),
        "ndjson" => Ok(PluginRoles { sink: true, ..known }),
        _ => Err(ConfigError::wrong(Location::Flag("--plugin"), format!("no plugin `{name}`"))),
    }
}

#[test]
fn the_whole_surface_is_read() {
    let config = load(
        r#"
        on_error = "skip"
        prefix = "dev_"
        [source]
        plugin = "pg"
        connection_url = { env = "DATABASE_URL" }
        manage_publication = true
        [source.limits]
        memory = "64MiB"
        [source.allow]
        network = ["db.internal:5432"]
        [builder]
        plugin = "json"
        instances = 3
        [sinks.primary]
        type = "opensearch"
        url = "http://127.0.0.1:9200"
        [sinks.out]
        type = "stdout"
        pretty = true
        [batch]
        max_changes = 10
        max_delay = "5ms"
        backfill_documents = 100
        [[index]]
        name = "users"
        schema = "users.schema.yml"
        [[index]]
        name = "orders"
        on_error = "stop"
        [[index]]
        name = "old"
        enabled = false
        [server]
        public_address = "127.0.0.1:9464"
        "#,
        Overrides::default(),
    )
    .unwrap();
    assert_eq!(config.prefix, "dev_");
    let source = config.source.as_ref().unwrap();
    assert_eq!(source.plugin, PluginRef::Name("pg".to_owned()));
    assert_eq!(source.limits, Limits { memory: Bytes(64 << 20), ..Limits::default() });
    assert_eq!(source.allow.network, ["db.internal:5432"]);
    assert_eq!(source.settings.names().collect::<Vec<_>>(), ["connection_url", "manage_publication"]);
    assert_eq!(config.builder_instances, 3);
    assert!(config.builder.as_ref().unwrap().settings.is_empty());
    assert!(matches!(&config.sinks[0], Sink::Stdout { name, pretty: true } if name == "out"));
    assert!(matches!(&config.sinks[1], Sink::Plugin(one) if one.instance == "primary"));
    assert_eq!(
        config.batch,
        Batch { max_changes: 10, max_delay: Time(std::time::Duration::from_millis(5)), backfill_documents: 100 }
    );
    let names: Vec<_> = config.indexes.iter().map(|one| (one.name.as_str(), one.on_error)).collect();
    assert_eq!(names, [("users", OnError::Skip), ("orders", OnError::Stop)]);
    assert_eq!(config.indexes[0].schema.as_ref().unwrap().text, "version: 1\n");
    assert_eq!(config.server.public.as_deref(), Some("127.0.0.1:9464"));
    assert_eq!(config.notes, [""; 0]);
}

#[test]
fn the_name_of_an_index_is_folded_where_a_schema_says_its_table() {
    let text = "[[index]]\nname = \"Users\"\nschema = \"users.schema.yml\"\n[[index]]\nname = \"Orders\"\n";
    let config = load(text, Overrides::default()).unwrap();
    assert_eq!(config.indexes.iter().map(|index| index.name.as_str()).collect::<Vec<_>>(), ["users", "Orders"]);
    assert_eq!(config.notes, ["the index `Users` is read as `users`: names are lower case; write it so"]);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (text, wanted) in [
        ("prefix = \"Dev\"", "lower case"),
        ("[batch]\nmax_changes = 0", "[batch]: `max_changes` is at least 1"),
        ("[[index]]\nname = \"a\"\n[[index]]\nname = \"a\"", "given to two indexes"),
        ("[[index]]\nname = \"a\"\nenabled = false", "every index is disabled"),
        ("[[index]]\nname = \"a\"\nschema = \"nope.yml\"", "cannot read the schema file"),
        ("[builder]\nplugin = \"a\"\ninstances = 0", "`instances` is a number from 1 to 64"),
        ("[sinks.a]\ntype = \"stdout\"\nprety = true", "did you mean `pretty`?"),
    ] {
        let message = load(text, Overrides::default()).unwrap_err().to_string();
        assert!(message.contains(wanted), "{message}");
    }
    let message =
        Config::load(Some(Path::new("/nowhere/flusso.toml")), Overrides::default(), |_| None).unwrap_err().to_string();
    assert!(message.starts_with("cannot read the configuration file /nowhere/flusso.toml"), "{message}");
}

#[test]
fn a_reserved_variable_wins_over_a_literal_and_not_over_a_reference() {
    let config = load_with(
        "[sinks.main-one]\ntype = \"opensearch\"\nurl = \"http://a\"\npassword = { env = \"MINE\" }",
        Overrides::default(),
        |name| name.starts_with("MAIN_ONE_OPENSEARCH_").then(String::new),
    )
    .unwrap();
    let Sink::Plugin(sink) = &config.sinks[0] else { panic!("a plugin") };
    assert_eq!(sink.settings.reference("url"), Some(Reference::Env("MAIN_ONE_OPENSEARCH_URL".to_owned())));
    assert_eq!(sink.settings.reference("password"), Some(Reference::Env("MINE".to_owned())));
}

#[test]
fn a_flag_over_the_same_plugin_changes_its_settings() {
    let mut overrides = flags(&["pg,slot=mine,limits.memory=32MiB"]);
    overrides.source.push(("publication", "pub".to_owned()));
    let placed = load("[source]\ntype = \"postgres\"\nslot = \"a\"\nhost = \"h\"", overrides)
        .unwrap()
        .assign_roles(look)
        .unwrap();
    let settings = placed.source.settings.resolve(|_| None).unwrap();
    assert_eq!(settings.expose(), &serde_json::json!({ "host": "h", "slot": "mine", "publication": "pub" }));
    assert_eq!(placed.source.limits.memory, Bytes(32 << 20));
    assert_eq!(placed.source.instance, "source");
}

#[test]
fn flags_alone_find_their_roles_and_standard_output_is_the_default_sink() {
    let placed = load("", flags(&["pg.wasm"])).unwrap().assign_roles(look).unwrap();
    assert!(placed.builder.is_none());
    assert!(matches!(placed.sinks.as_slice(), [Sink::Stdout { pretty: false, .. }]));

    let placed =
        load("", flags(&["ndjson,path=a", "pg", "json", "ndjson,path=b"])).unwrap().assign_roles(look).unwrap();
    assert_eq!(placed.builder.unwrap().instance, "builder");
    assert_eq!(placed.sinks.iter().map(Sink::name).collect::<Vec<_>>(), ["ndjson", "ndjson-2"]);
}

#[test]
fn no_source_and_two_sources_are_refused() {
    let message = load("", flags(&["ndjson"])).unwrap().assign_roles(look).unwrap_err().to_string();
    assert!(message.contains("there is no source; name one with --plugin"), "{message}");
}

#[test]
fn an_unknown_grant_on_the_command_line_is_refused_with_the_nearest() {
    let message = load("", flags(&["pg,allow.netwrk=a:1"])).unwrap_err().to_string();
    assert!(message.contains("did you mean `network`?"), "{message}");
}
