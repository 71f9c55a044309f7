//! What a plugin takes that the operator did not give: variables of the environment, conditions in the language of the source,
//! tables that it has not declared. The guest is `tests/guests/mistaken`, whose manifest asks for variables.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use flusso_tests::{Host, Postgres, plugin};
use serde_json::{Value, json};

const TABLES: &str = "CREATE TABLE items (id bigint PRIMARY KEY, v text, w int); INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 1);
    CREATE TABLE secrets (id bigint PRIMARY KEY, word text); INSERT INTO secrets VALUES (1, 'hunter2'); CREATE SEQUENCE numbers";

fn guest() -> String {
    plugin("tests/guests/mistaken")
}

/// What the documents show, and the log.
fn shown(host: &Host, name: &str, plugin: &str) -> (Value, String) {
    let ended = host.run(&["--plugin", "pg", "--plugin", plugin, "--once", "--reseed"]).succeeded();
    let documents = ended.documents();
    let of = documents.iter().find(|line| line.op == "upsert").unwrap_or_else(|| panic!("{}", ended.log));
    (of.document[name].clone(), ended.log.clone())
}

#[test]
fn a_manifest_names_no_variable_that_its_plugin_is_given() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url()).with("AWS_SECRET_ACCESS_KEY", "hunter2");
    let (token, log) = shown(&host, "token", &guest());
    assert_eq!(token, Value::Null, "{log}");
    // It is said once, with what to write.
    let note = "the plugin asks for the variable AWS_SECRET_ACCESS_KEY, which it is not given";
    assert_eq!(log.matches(note).count(), 1, "{log}");
    assert!(
        log.contains("token = { env = \\\"AWS_SECRET_ACCESS_KEY\\\" }")
            || log.contains("token = { env = \"AWS_SECRET_ACCESS_KEY\" }"),
        "{log}"
    );
    // The database's address is the source's, and so is what it grants.
    let (address, log) = shown(&host, "address", &guest());
    assert_eq!(address, Value::Null, "{log}");
    let checked = host.run(&["check", "--plugin", "pg", "--plugin", &guest()]).lines.join(" ");
    let checked = checked.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        checked.contains("mistaken 0.1.0; granted: nothing") && checked.contains("[variable-refused]"),
        "{checked}"
    );
    assert!(checked.contains("variables: connection_url from DATABASE_URL"), "{checked}");
}

#[test]
fn the_operator_gives_a_plugin_variables_by_name() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url()).with("FLUSSO_BUILDER_TOKEN", "given");
    // Read as the setting's type: this one is a boolean.
    let host = host.with("FLUSSO_SOURCE_MANAGE_PUBLICATION", "true");
    assert_eq!(shown(&host, "token", &guest()).0, json!("given"));
    // What stands on the command line is meant as such.
    assert_eq!(shown(&host, "token", &format!("{},token=written", guest())).0, json!("written"));
    let host = Host::on(&database.url()).with("AWS_SECRET_ACCESS_KEY", "hunter2");
    let config = format!(
        "[source]\nplugin = \"pg\"\n[builder]\nplugin = \"{}\"\ntoken = {{ env = \"AWS_SECRET_ACCESS_KEY\" }}\n",
        guest()
    );
    let config = host.file("flusso.toml", &config).display().to_string();
    let ended = host.run(&["--config", &config, "--once"]).succeeded();
    assert_eq!(ended.documents()[0].document["token"], "hunter2");
    assert!(!ended.log.contains("the variable AWS_SECRET_ACCESS_KEY"), "{}", ended.log);
}

#[test]
fn a_condition_in_the_language_of_the_source_is_passed_on_from_no_plugin() {
    let database = Postgres::with(TABLES);
    let ended =
        Host::on(&database.url()).run(&["--plugin", "pg", "--plugin", &format!("{},how=raw", guest()), "--once"]);
    assert!(ended.documents().is_empty());
    ended.refused(3, &["mistaken", "public.items", "condition in the source's own language"]);
    assert_eq!(database.sql("SELECT is_called FROM numbers").trim(), "f");
}

#[test]
fn no_rows_are_read_before_a_builder_has_said_what_it_reads() {
    let database = Postgres::with(TABLES);
    let plugin = format!("{},how=early", guest());
    let ended = Host::on(&database.url()).run(&["--plugin", "pg", "--plugin", &plugin, "--once"]);
    assert!(ended.documents().is_empty() && !ended.log.contains("hunter2"), "{}", ended.log);
    ended.refused(3, &["mistaken", "public.secrets", "while it is opened"]);
}

/// Processes of this machine that compile with so much memory.
fn compilers(memory: &str) -> usize {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let words = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let is_one = |words: &Vec<u8>| {
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        words.windows(2).any(|pair| pair == [b"compile-component", memory.as_bytes()])
    };
    words.filter(is_one).count()
}

#[test]
fn compiling_has_a_time_and_a_memory_and_ends_with_them() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    let cache = host.folder().join("cache");
    let run = |limits: &str| {
        host.file("flusso.toml", &format!("[source]\nplugin = \"pg\"\n[source.limits]\n{limits}\n"));
        host.run(&["--cache-dir", &cache.display().to_string(), "--once"])
    };
    run("compile_time = \"1ms\"\ncompile_memory = \"987654321B\"")
        .refused(3, &["pg", "compiling was not over within 0.001 s", "limits.compile_time"]);
    run("compile_memory = \"30MiB\"").refused(3, &["pg", "more than 30 MiB of memory", "limits.compile_memory"]);
    assert_eq!(compilers("987654321"), 0, "a compiler that nobody waits for is ended");
    run("").succeeded();
}

#[test]
fn a_file_that_is_too_large_is_not_compiled() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    let mut component = std::fs::read(guest()).unwrap();
    // One more section, which means nothing: its name is empty.
    let length: u32 = 140 << 20;
    component.push(0);
    let mut rest = length;
    while rest >= 0x80 {
        component.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    component.push(u8::try_from(rest).unwrap());
    component.resize(component.len() + usize::try_from(length).unwrap(), 0);
    let path = host.folder().join("large.wasm");
    std::fs::write(&path, component).unwrap();
    let ended = host.run(&["--plugin", "pg", "--plugin", &path.display().to_string(), "--once"]);
    ended.refused(3, &["large.wasm", "it has 14", "MiB, and may have 128"]);
}

/// A component with one more section that means nothing: another plugin of the same name.
fn altered(plugin: &str) -> Vec<u8> {
    let mut component = std::fs::read(plugin).unwrap();
    component.extend([0, 2, 1, b'x']);
    component
}

fn digest(host: &Host, plugin: &str) -> String {
    let shown = host.run(&["plugin", "inspect", plugin, "--format", "json"]).succeeded();
    let shown: Value = serde_json::from_str(&shown.lines.join("\n")).unwrap();
    shown["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn a_name_that_two_files_have_is_no_ones_until_the_operator_says_which() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    let pg = plugin("plugins/pg");
    let (good, bad) = (host.folder().join("good"), host.folder().join("bad"));
    for folder in [&good, &bad] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::copy(&pg, good.join("pg.wasm")).unwrap();
    // Called something else, and says in its manifest that it is pg.
    std::fs::write(bad.join("harmless.wasm"), altered(&pg)).unwrap();
    let folders = [good.display().to_string(), bad.display().to_string()];
    let run = |words: &[&str]| {
        let words: Vec<&str> =
            ["--plugin-dir", &folders[0], "--plugin-dir", &folders[1], "--once"].iter().chain(words).copied().collect();
        host.run(&words)
    };
    run(&["--plugin", "pg"])
        .refused(3, &["several plugins are named `pg`", "good/pg.wasm", "bad/harmless.wasm", "pg@sha256:"]);
    let of_good = digest(&host, &good.join("pg.wasm").display().to_string());
    run(&["--plugin", &format!("pg@sha256:{of_good}")]).succeeded();
    let none = of_good.replace(['0', '1', '2'], "f");
    run(&["--plugin", &format!("pg@sha256:{none}")]).refused(3, &["good/pg.wasm", &of_good, &none]);
    run(&["--plugin", "pg@sha256:12"]).refused(2, &["64 hexadecimal digits"]);
    // The same bytes twice are one plugin.
    std::fs::copy(good.join("pg.wasm"), bad.join("harmless.wasm")).unwrap();
    run(&["--plugin", "pg"]).succeeded();
}

#[test]
fn a_plugin_that_is_not_the_locked_one_is_refused() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    let pg = plugin("plugins/pg");
    let folder = host.folder().join("mine");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("pg.wasm");
    std::fs::copy(&pg, &file).unwrap();
    host.file("flusso.toml", "[source]\nplugin = \"pg\"\n");
    let dir = folder.display().to_string();
    let run = |words: &[&str]| host.run(&[["--plugin-dir", &dir].as_slice(), words].concat());
    run(&["--locked", "--once"]).refused(3, &["there is no", "flusso.lock", "plugin lock"]);
    let said = run(&["plugin", "lock"]).succeeded().lines.join("\n");
    let of_pg = digest(&host, &file.display().to_string());
    assert!(said.contains(&format!("sha256:{of_pg}")) && said.contains("flusso.lock"), "{said}");
    let lock = std::fs::read_to_string(host.folder().join("flusso.lock")).unwrap();
    assert!(lock.contains("name = \"pg\"") && lock.contains(&of_pg), "{lock}");
    run(&["--locked", "--once"]).succeeded();
    // Another plugin under the locked name: also without --locked, and `check` finds it as well.
    std::fs::write(&file, altered(&pg)).unwrap();
    let of_other = digest(&host, &file.display().to_string());
    for (words, code) in [(["--once"].as_slice(), 3), (&["--locked", "--once"], 3), (&["check"], 2)] {
        let ended = run(words);
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        // `check` breaks its lines.
        let text = format!("{} {}", ended.log, ended.lines.join(" "));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&of_pg) && text.contains(&of_other) && text.contains("plugin lock"), "{text}");
    }
    run(&["plugin", "lock"]).succeeded();
    run(&["--locked", "--once"]).succeeded();
    // Also where the file that has the locked name calls itself something else.
    let locked = std::fs::read(&file).unwrap();
    std::fs::copy(guest(), &file).unwrap();
    run(&["--once"]).refused(3, &["mine/pg.wasm", "is another plugin than", "remembers for `pg`"]);
    std::fs::write(&file, locked).unwrap();
    // One that is not in it.
    run(&["--locked", "--once", "--plugin", &guest()]).refused(3, &["mistaken", "is not in", "flusso.lock"]);
}

#[test]
fn check_tells_what_grants_and_what_a_plugin_does_not_ask_for_is_not_given() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    let allow =
        "[source.allow]\nnetwork = [\"10.0.0.0/8:443\", \"*.shop.internal:443\"]\nfilesystem.read = [\"/etc\"]\n";
    host.file("flusso.toml", &format!("[source]\nplugin = \"pg\"\n{allow}"));
    let checked = host.run(&["check"]).succeeded().lines.join(" ");
    let checked = checked.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "*.shop.internal:443 (by `allow.network`)",
        "10.0.0.0/8:443 (by `allow.network`)",
        "(by `connection_url`)",
        "asks for: network, state",
        "`allow.filesystem.read` grants what plugin \"pg\" does not ask for, so it is not given",
    ] {
        assert!(checked.contains(told), "{told}: {checked}");
    }
    assert!(!checked.contains("/etc (by"), "{checked}");
    host.file("flusso.toml", "[source]\nplugin = \"pg\"\n[source.allow]\nnetwork = [\"*.com:443\"]\n");
    host.run(&["--once"]).refused(2, &["*.com:443", "a domain of two labels"]);
}

#[test]
fn secrets_stand_in_nothing_that_the_host_prints() {
    let secret = "s3cr3t \"t0ken\"";
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url()).with("FLUSSO_BUILDER_TOKEN", secret);
    for format in ["text", "json"] {
        let told = host.run(&[
            "--plugin",
            "pg",
            "--plugin",
            &format!("{},how=tells", guest()),
            "--once",
            "--log-format",
            format,
        ]);
        assert!(
            told.log.contains("the token is [secret]") && told.log.contains("refused: [secret] is no good"),
            "{}",
            told.log
        );
        assert!(!told.log.contains("s3cr3t"), "{}", told.log);
    }
    // A server that is away, and one that does not take the password, are named by their address.
    let password = "hunter2-hunter2";
    let url = format!("postgres://nobody:{password}@127.0.0.1:9/shop");
    for words in [["check"].as_slice(), &["--once", "--timeout", "1s"]] {
        let ended = Host::on(&url).run(&[&["--plugin", "pg"], words].concat());
        let text = format!("{}{}", ended.log, ended.lines.join("\n"));
        assert!(text.contains("127.0.0.1:9") && !text.contains(password), "{text}");
    }
}
