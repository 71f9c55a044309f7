//! Every way to a server.

use flusso_tests::{Host, Postgres, given};

const ONCE: [&str; 5] = ["--plugin", "pg.wasm", "--once", "--timeout", "5s"];

fn database() -> Postgres {
    Postgres::with("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
}

#[test]
fn a_unix_socket() {
    let database = database();
    let place = given("FLUSSO_TEST_SOCKET_DIR").replace('/', "%2F");
    let url = format!("postgres://postgres@{place}:{}/{}", database.port(), database.name());
    assert_eq!(Host::on(&url).documents(&ONCE).len(), 1);
    let url = format!(
        "postgres:///{}?host={}&port={}&user=postgres",
        database.name(),
        given("FLUSSO_TEST_SOCKET_DIR"),
        database.port()
    );
    assert_eq!(Host::on(&url).documents(&ONCE).len(), 1);
}

#[test]
fn a_password_with_every_awkward_character() {
    let mut database = database();
    let role = database.role("LOGIN SUPERUSER PASSWORD 'p@ss:w/rd%?#& ü'");
    let url = database.url_as(&role, "p%40ss%3Aw%2Frd%25%3F%23%26%20%C3%BC", "?sslmode=disable");
    assert_eq!(Host::on(&url).documents(&ONCE).len(), 1);
}

#[test]
fn parts_and_a_secret_in_a_file() {
    let mut database = database();
    let role = database.role("LOGIN SUPERUSER PASSWORD 'from a file'");
    let host = Host::new().with("DB_USER", &role);
    host.file("password", "from a file\n");
    let port = database.port();
    let name = database.name();
    host.file(
        "flusso.toml",
        &format!(
            "[source]\ntype = \"postgres\"\n[source.connection_url]\nhost = \"127.0.0.1\"\nport = {port}\nuser = {{ env = \"DB_USER\" }}\n\
             password = {{ file = \"password\" }}\ndatabase = \"{name}\"\n"
        ),
    );
    assert_eq!(host.documents(&["--once"]).len(), 1);
}

#[test]
fn tls_as_asked_for() {
    let mut database = database();
    let role = database.role("LOGIN SUPERUSER PASSWORD 'x'");
    let url = database.url_as(&role, "x", "?sslmode=require");
    let running = Host::on(&url).start(&["--plugin", "pg.wasm"]);
    running.wait_for_line(|_| true);
    let encrypted = database.sql(&format!(
        "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{role}'"
    ));
    assert_eq!(encrypted.trim(), "t", "every connection of the host is encrypted");
}

#[test]
fn tls_with_a_certificate_that_is_checked() {
    let mut database = database();
    let role = database.role("LOGIN SUPERUSER PASSWORD 'x'");
    let source = |host: &str| {
        format!(
            "[source]\nplugin = \"pg\"\nconnection_url = \"postgres://{role}:x@{host}:{}/{}?sslmode=verify-full\"\n",
            database.port(),
            database.name()
        )
    };
    let run = |text: String| {
        let host = Host::new();
        host.file("flusso.toml", &text);
        host.run(&["--once", "--timeout", "5s"])
    };
    let ca = given("FLUSSO_TEST_CA");
    let trusted = format!("sslrootcert = {{ file = \"{ca}\" }}\n");
    assert_eq!(run(source("localhost") + &trusted).succeeded().lines.len(), 1);
    assert_eq!(run(source("127.0.0.1") + &trusted).succeeded().lines.len(), 1);
    // As libpq reads it: the path in the URL, here relative to the configuration as well.
    let named = |path: &str| {
        let host = Host::new();
        std::fs::copy(&ca, host.folder().join("ca.pem")).unwrap();
        host.file(
            "flusso.toml",
            &source("localhost").replace("verify-full\"", &format!("verify-full&sslrootcert={path}\"")),
        );
        host.run(&["--once", "--timeout", "5s"])
    };
    assert_eq!(named(&ca).succeeded().lines.len(), 1);
    assert_eq!(named("ca.pem").succeeded().lines.len(), 1);
    named("missing.pem").refused(2, &["missing.pem", "sslrootcert"]);
    // An authority that nobody knows, and a name that the certificate is not for.
    let refused = run(source("localhost"));
    assert_ne!(refused.code, Some(0));
    assert!(refused.log.contains("certificate") && refused.log.contains("sslrootcert"), "{}", refused.log);
    let elsewhere = run(source("localhost.localdomain") + &trusted);
    assert_ne!(elsewhere.code, Some(0), "{}", elsewhere.log);
}
