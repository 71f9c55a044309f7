//! Ways to log in, and what is said when something on the server's side is not as it must be. Needs a server whose
//! `pg_hba.conf` it may write, so it starts one of its own from the binaries on the machine, for as long as it runs.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::protocol::session::{Mode, Session};
use flusso_pg::replication::source::PgSource;
use flusso_pg::settings::Settings;
use flusso_plugin::{Error, Source as _};
use server::interest;
use server::own::{Server, settings};

fn says<T>(result: Result<T, impl Into<Error>>, words: &[&str]) {
    let Err(error) = result.map_err(Into::into) else { panic!("expected an error with {words:?}") };
    let text = match error {
        Error::Transient(transient) => transient.message,
        Error::Configuration(error) => format!("{}: {}", error.setting, error.message),
        Error::Busy(text) | Error::HistoryLost(text) | Error::Denied(text) | Error::Fatal(text) => text,
        error => panic!("{error:?}"),
    };
    assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text}");
}

#[test]
fn every_login_and_every_refusal() {
    let Some(server) = Server::start() else { return };
    let open = |login: &str| Session::open(&server.settings(login).connection, Mode::Sql);
    let mut admin = open("postgres").unwrap();
    admin
        .simple(
            "CREATE ROLE scrammer LOGIN REPLICATION PASSWORD 'p@ss:w/rd% é'; CREATE ROLE clear LOGIN PASSWORD 'clear';
        SET password_encryption = 'md5'; CREATE ROLE md5er LOGIN PASSWORD 'md5';
        CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE keyless (id int); GRANT SELECT ON a TO scrammer, md5er",
        )
        .unwrap();

    // The doors that open.
    for login in ["scrammer:p%40ss%3Aw%2Frd%25%20%C3%A9", "md5er:md5", "clear:clear"] {
        let mut session = open(login).unwrap_or_else(|error| panic!("{login}: {error}"));
        assert_eq!(session.one("SELECT 1").unwrap().as_deref(), Some("1"));
    }
    let socket = server.home.display().to_string().replace('/', "%2F");
    let mut session = Session::open(
        &settings(&format!("postgres://scrammer:p%40ss%3Aw%2Frd%25%20%C3%A9@{socket}:{}/postgres", server.port))
            .connection,
        Mode::Sql,
    )
    .unwrap();
    assert_eq!(session.one("SHOW TimeZone").unwrap().as_deref(), Some("UTC"));

    // And those that do not.
    for login in ["scrammer:wrong", "md5er:wrong", "clear:wrong"] {
        says(open(login), &["connection_url", "refused the password", "correct user and password"]);
    }
    says(open("scrammer"), &["connection_url", "wants a password for the user `scrammer`"]);
    let at = |path: &str| {
        Session::open(&settings(&format!("postgres://postgres@127.0.0.1:{}/{path}", server.port)).connection, Mode::Sql)
    };
    says(at("missing"), &["missing", "does not exist", "correct the database's name"]);
    says(at("postgres?sslmode=require"), &["does not speak TLS", "sslmode=disable"]);
    says(
        Session::open(&settings("postgres://postgres@127.0.0.1:1/postgres").connection, Mode::Sql),
        &["cannot reach the database at 127.0.0.1:1", "is the server running?"],
    );

    // What following asks of the server.
    let source = |settings: Settings, tables: &[&str]| -> Result<(), Error> {
        let mut source = PgSource::start(settings, tables.iter().map(|table| interest(table, &["id"])).collect())?;
        source.inspect(None)?;
        source.prepare(None).map(|_| ())
    };
    let scrammer = || server.settings("scrammer:p%40ss%3Aw%2Frd%25%20%C3%A9");
    says(source(server.settings("md5er:md5"), &["a"]), &["ALTER ROLE \"md5er\" REPLICATION"]);
    says(
        source(scrammer(), &["a"]),
        &[
            "publication `flusso` does not exist",
            "the owner",
            "CREATE PUBLICATION \"flusso\" FOR TABLE \"public\".\"a\" WITH (publish_via_partition_root = true);",
        ],
    );
    let unmanaged = Settings { manage_publication: false, ..scrammer() };
    says(source(unmanaged.clone(), &["a"]), &["not managed here", "CREATE PUBLICATION"]);
    says(source(server.settings("postgres"), &["keyless"]), &["public.keyless", "no primary key", "ADD PRIMARY KEY"]);
    admin.simple("CREATE TABLE b (id int PRIMARY KEY); CREATE PUBLICATION flusso FOR TABLE b").unwrap();
    says(
        source(unmanaged, &["a"]),
        &["does not cover public.a", "ALTER PUBLICATION \"flusso\" ADD TABLE \"public\".\"a\";"],
    );
    says(
        source(scrammer(), &["a"]),
        &["does not cover public.a", "ALTER PUBLICATION \"flusso\" ADD TABLE \"public\".\"a\";"],
    );
    if admin.version >= 150_000 {
        admin.simple("ALTER PUBLICATION flusso ADD TABLE a WHERE (id > 3)").unwrap();
        says(
            source(server.settings("postgres"), &["a"]),
            &["filters rows or columns of public.a", "ALTER PUBLICATION \"flusso\" DROP TABLE"],
        );
        admin.simple("ALTER PUBLICATION flusso DROP TABLE a").unwrap();
    }
    admin
        .simple("SELECT pg_create_logical_replication_slot('flusso_postgres', 'test_decoding')")
        .map(|_| ())
        .or_else(|error| if error.code() == Some("58P01") { Ok(()) } else { Err(error) })
        .unwrap();
    admin.simple("SELECT pg_create_physical_replication_slot('flusso_postgres') WHERE NOT EXISTS (SELECT FROM pg_replication_slots)").unwrap();
    says(source(server.settings("postgres"), &["a"]), &["slot `flusso_postgres` is not ours", "set `slot`"]);
    let named = Settings { slot: Some("mine".into()), ..server.settings("postgres") };
    says(source(named, &["a"]), &["all replication slots are in use", "max_replication_slots"]);
    admin.simple("SELECT pg_drop_replication_slot('flusso_postgres')").unwrap();
    source(server.settings("postgres"), &["a"]).unwrap();
    drop(admin);

    server.control("restart", "logical");
    open("postgres").unwrap().simple("SELECT pg_drop_replication_slot('flusso_postgres')").unwrap();
    server.control("restart", "replica");
    says(
        source(server.settings("postgres"), &["a"]),
        &["wal_level is `replica`", "ALTER SYSTEM SET wal_level = logical", "restart"],
    );
}

#[test]
fn a_server_that_would_wait_for_this_host_at_each_commit_is_not_followed() {
    let Some(server) = Server::start() else { return };
    let settings = server.settings("postgres");
    let mut session = Session::open(&settings.connection, Mode::Sql).unwrap();
    session.simple("CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    for (names, refused) in [("*", true), ("ANY 1 (other, Flusso)", true), ("FIRST 2 (a, b)", false), ("other", false)]
    {
        // Not waited for by this session itself, or each of its statements would be.
        session.simple("SET synchronous_commit = local").unwrap();
        session.simple(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'")).unwrap();
        session.simple("SELECT pg_reload_conf()").unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while session.one("SHOW synchronous_standby_names").unwrap().as_deref() != Some(names) {
            assert!(std::time::Instant::now() < until, "the server did not read its configuration");
        }
        let found = flusso_pg::diagnosis::examine(
            &settings,
            &flusso_plugin::Examination { indexes: Some(Vec::new()), tables: Vec::new(), online: true },
        );
        let codes: Vec<String> = found.unwrap().into_iter().map(|finding| finding.code).collect();
        assert_eq!(codes.iter().any(|code| code == "synchronous-standby"), refused, "{names}: {codes:?}");
        let mut source = flusso_pg::replication::source::PgSource::start(settings.clone(), Vec::new()).unwrap();
        let inspected = flusso_plugin::Source::inspect(&mut source, None);
        match inspected {
            Err(error) => assert!(refused && format!("{error:?}").contains("synchronous_standby_names"), "{error:?}"),
            Ok(_) => assert!(!refused, "{names}"),
        }
    }
}
