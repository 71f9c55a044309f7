//! What `check` finds in a database that has each problem, and that it finds none in one that has none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::diagnosis::examine;
use flusso_pg::settings::Settings;
use flusso_plugin::Source as _;
use flusso_plugin::{Examination, Finding, IndexRequest, Severity};
use server::{Database, interest, own::Server, ready};

const SHOP: &str = "
    CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, age int, nick_at date);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, total numeric(8,2));
    CREATE INDEX ON orders (user_id); ALTER TABLE orders REPLICA IDENTITY FULL;";

const USERS: &str = "
version: 1
table: users
primary_key: id
fields:
  - keyword: email
    required: true
  - integer: age
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    fields:
      - decimal: total
";

fn index(name: &str, schema: Option<&str>) -> IndexRequest {
    let origin = Some(format!("{name}.schema.yml"));
    IndexRequest { name: name.into(), schema: schema.map(str::to_owned), origin, extra: None }
}

fn look(settings: &Settings, indexes: Vec<IndexRequest>) -> Vec<Finding> {
    examine(settings, &Examination { indexes: Some(indexes), tables: Vec::new(), online: true }).unwrap()
}

/// Code and subject of everything at least as bad as this.
fn worse(findings: &[Finding], least: Severity) -> Vec<(&str, &str)> {
    let bad = |severity| match least {
        Severity::Error => severity == Severity::Error,
        _ => severity != Severity::Ok,
    };
    let mut found: Vec<_> =
        findings.iter().filter(|it| bad(it.severity)).map(|it| (it.code.as_str(), it.subject.as_str())).collect();
    found.sort_unstable();
    found
}

fn the<'f>(findings: &'f [Finding], code: &str) -> &'f Finding {
    findings.iter().find(|it| it.code == code).unwrap_or_else(|| panic!("no {code} in {findings:#?}"))
}

/// What a remedy says can be done, is done, and the finding is gone.
fn heal(database: &Database, findings: &[Finding], code: &str) {
    let remedy = the(findings, code).remedy.clone().unwrap_or_else(|| panic!("no remedy for {code}"));
    for statement in remedy.lines() {
        database.session().simple(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

#[test]
fn a_database_that_is_as_it_should_be_has_no_finding_that_is_not_ok() {
    let Some(database) = Database::create("good") else { return };
    let mut session = database.session();
    session.simple(SHOP).unwrap();
    let findings = look(&database.settings(), vec![index("users", Some(USERS))]);
    assert_eq!(worse(&findings, Severity::Warning), []);
    assert!(the(&findings, "old-links").message.contains("whole old row"), "{findings:#?}");
    for code in ["server", "slot", "publication", "index"] {
        the(&findings, code);
    }
    assert_eq!(session.one("SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())").unwrap().as_deref(), Some("0"));
    assert_eq!(worse(&look(&database.settings(), Vec::new()), Severity::Warning), [], "every table as an index");
}

#[test]
fn tables_columns_and_types_are_compared_with_the_schema() {
    let Some(database) = Database::create("misfits") else { return };
    database.session().simple(SHOP).unwrap();
    let wrong = USERS
        .replace("integer: age", "boolean: nick_at\n  - keyword: emial\n  - raw_is_no_type: x")
        .replace("decimal: total", "decimal: totl");
    let findings = look(&database.settings(), vec![index("users", Some(&wrong))]);
    assert_eq!(worse(&findings, Severity::Error), [("schema-invalid", "index users")]);
    assert!(the(&findings, "schema-invalid").message.starts_with("users.schema.yml:10:"), "{findings:#?}");
    let wrong = wrong.replace("\n  - raw_is_no_type: x", "");
    let findings = look(&database.settings(), vec![index("users", Some(&wrong))]);
    let users = "index users";
    let wanted = [("column-missing", users), ("column-missing", users), ("type-mismatch", users)];
    assert_eq!(worse(&findings, Severity::Error), wanted, "all of them at once");
    let said = |word: &str| findings.iter().any(|it| it.message.contains(word));
    assert!(said("did you mean `email`?") && said("orders.totl") && said("did you mean `total`?"), "{findings:#?}");
    let wrong = USERS.replace("table: orders", "table: odrers");
    let findings = look(&database.settings(), vec![index("users", Some(&wrong)), index("order", None)]);
    assert_eq!(worse(&findings, Severity::Error), [("table-missing", "index order"), ("table-missing", users)]);
    assert!(findings.iter().all(|it| it.severity != Severity::Error || it.message.contains("`public.orders`")));
}

#[test]
fn what_would_only_show_later_is_warned_of() {
    let Some(database) = Database::create("later") else { return };
    let mut session = database.session();
    session.simple(SHOP).unwrap();
    session.simple("ALTER TABLE users ALTER email DROP NOT NULL; DROP INDEX orders_user_id_idx; ALTER TABLE orders REPLICA IDENTITY DEFAULT;
        ALTER TABLE orders ADD gross numeric GENERATED ALWAYS AS (total * 2) STORED;
        CREATE TABLE old_users () INHERITS (users)").unwrap();
    let raw = USERS.replace("decimal: total", "decimal: gross").replace(
        "primary_key: id\nfields",
        "primary_key: id\nfilters:\n  - raw: \"id IN (SELECT user_id FROM orders) AND email <> 'now'\"\n  - raw: \"age > 3\"\nfields",
    );
    let look = || look(&database.settings(), vec![index("users", Some(&raw))]);
    let findings = look();
    let wanted = [
        ("generated-column", "table public.orders"),
        ("index-missing", "table public.orders"),
        ("inheritance", "table public.users"),
        ("nullable", "index users"),
        ("raw-filter", "index users"),
    ];
    assert_eq!(worse(&findings, Severity::Warning), wanted);
    assert!(the(&findings, "raw-filter").message.contains("`select`"));
    assert!(the(&findings, "old-links").message.contains("link table"), "{findings:#?}");
    for code in ["index-missing", "nullable"] {
        heal(&database, &findings, code);
    }
    let left = [wanted[0], wanted[2], wanted[4]];
    assert_eq!(worse(&look(), Severity::Warning), left, "each remedy helps");
    let managed = Settings { manage_replica_identity: true, ..database.settings() };
    session.simple("ALTER TABLE orders REPLICA IDENTITY DEFAULT").unwrap();
    let findings = examine(
        &managed,
        &Examination { indexes: Some(vec![index("users", Some(&raw))]), tables: Vec::new(), online: true },
    )
    .unwrap();
    assert_eq!(worse(&findings, Severity::Warning), left);
    assert!(the(&findings, "old-links").message.contains("the next start sets"), "{findings:#?}");
}

#[test]
fn tables_that_cannot_be_followed_are_named_with_the_statement() {
    let Some(database) = Database::create("unfollowed") else { return };
    let mut session = database.session();
    session.simple(SHOP).unwrap();
    session.simple("CREATE UNLOGGED TABLE fast (id int PRIMARY KEY); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
        CREATE TABLE late (id int PRIMARY KEY DEFERRABLE); CREATE TABLE keyless (x int)").unwrap();
    let all = ["fast", "nothing", "late", "keyless"].map(|name| index(name, None));
    let findings = look(&database.settings(), all.to_vec());
    let wanted = [
        ("primary-key", "table public.keyless"),
        ("replica-identity", "table public.late"),
        ("replica-identity", "table public.nothing"),
        ("unlogged", "table public.fast"),
    ];
    assert_eq!(worse(&findings, Severity::Error), wanted);
    let findings = look(&database.settings(), Vec::new());
    assert_eq!(worse(&findings, Severity::Error), [], "they are left out where no index was asked for");
    assert_eq!(worse(&findings, Severity::Warning), wanted);
    heal(&database, &findings, "unlogged");
    let remedies: Vec<String> =
        findings.iter().filter(|it| it.code == "replica-identity").filter_map(|it| it.remedy.clone()).collect();
    remedies.iter().for_each(|remedy| drop(session.simple(remedy).unwrap()));
    assert_eq!(worse(&look(&database.settings(), Vec::new()), Severity::Warning), wanted[..1]);
}

#[test]
fn what_a_role_may_not_is_said_with_the_grant() {
    let Some(database) = Database::create("privileges") else { return };
    let mut session = database.session();
    let role = format!("{}_reader", database.name);
    session.simple(SHOP).unwrap();
    session.simple(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON users TO {role}; ALTER TABLE users ENABLE ROW LEVEL SECURITY")).unwrap();
    let mut settings = database.settings();
    (settings.connection.user, settings.connection.password) = (role.clone(), Some("x".into()));
    let look = || look(&settings, vec![index("users", Some(USERS))]);
    let findings = look();
    let publication = "publication flusso";
    let wanted = [
        ("publication-owner", publication),
        ("replication-privilege", "server"),
        ("row-security", "table public.users"),
        ("select-privilege", "table public.orders"),
    ];
    assert_eq!(worse(&findings, Severity::Error), wanted);
    for (code, _) in wanted {
        heal(&database, &findings, code);
    }
    assert_eq!(worse(&look(), Severity::Warning), [], "each remedy helps");
    session.simple(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
}

#[test]
fn the_publication_is_looked_at() {
    let Some(database) = Database::create("publication") else { return };
    let mut session = database.session();
    session.simple(SHOP).unwrap();
    session.simple("CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)").unwrap();
    let unmanaged = Settings { manage_publication: false, ..database.settings() };
    let all = || vec![index("users", Some(USERS)), index("parts", None)];
    let both = |severity, wanted: &[&str]| {
        let errors = worse(&look(&unmanaged, all()), Severity::Error)
            .iter()
            .map(|(code, _)| code.to_string())
            .collect::<Vec<_>>();
        assert_eq!(errors, wanted);
        let findings = look(&database.settings(), all());
        let managed: Vec<_> =
            findings.iter().filter(|it| it.severity == severity && wanted.contains(&it.code.as_str())).collect();
        assert_eq!(managed.len(), if severity == Severity::Ok { 0 } else { wanted.len() }, "{findings:#?}");
        look(&unmanaged, all())
    };
    heal(&database, &both(Severity::Ok, &["publication-missing"]), "publication-missing");
    assert_eq!(worse(&look(&unmanaged, all()), Severity::Warning), []);
    session.simple("ALTER PUBLICATION flusso DROP TABLE orders; ALTER PUBLICATION flusso SET (publish = 'insert', publish_via_partition_root = false)").unwrap();
    let findings = both(Severity::Warning, &["publication-coverage", "publication-kinds", "publication-root"]);
    for code in ["publication-coverage", "publication-kinds", "publication-root"] {
        heal(&database, &findings, code);
    }
    assert_eq!(worse(&look(&unmanaged, all()), Severity::Warning), []);
    session
        .simple("ALTER PUBLICATION flusso DROP TABLE users; ALTER PUBLICATION flusso ADD TABLE users (id, email)")
        .unwrap();
    heal(&database, &both(Severity::Error, &["publication-filter"]), "publication-filter");
    assert_eq!(worse(&look(&unmanaged, all()), Severity::Warning), []);
}

#[test]
fn the_slot_is_looked_at() {
    let Some(database) = Database::create("slot") else { return };
    let mut session = database.session();
    session.simple(SHOP).unwrap();
    let look = |settings: &Settings| look(settings, Vec::new());
    assert!(the(&look(&database.settings()), "slot").message.contains("is not there"));
    let (mut source, prepared) = ready(&database, vec![interest("users", &["id"]), interest("orders", &["id"])], None);
    let findings = look(&database.settings());
    assert!(the(&findings, "slot").message.contains("behind"), "{findings:#?}");
    let active = the(&findings, "slot-active");
    assert_eq!(active.severity, Severity::Ok, "it is one of ours");
    assert!(active.message.contains("process ") && active.message.contains("application flusso"), "{active:?}");
    let mut other = database.settings();
    other.connection.application = "somebody else".into();
    assert_eq!(the(&look(&other), "slot-active").severity, Severity::Warning);
    source.close(Some(prepared.position.clone())).unwrap();
    session.simple("DROP PUBLICATION flusso").unwrap();
    assert_eq!(worse(&look(&database.settings()), Severity::Error), [("publication-missing", "publication flusso")]);
    let physical = format!("{}_physical", database.name);
    session.simple(&format!("SELECT pg_create_physical_replication_slot('{physical}')")).unwrap();
    let foreign = Settings { slot: Some(physical.clone()), ..database.settings() };
    assert!(worse(&look(&foreign), Severity::Error).contains(&("slot-foreign", &format!("slot {physical}"))));
    session.simple(&format!("SELECT pg_drop_replication_slot('{physical}')")).unwrap();
}

#[test]
fn a_server_that_cannot_be_followed_says_why() {
    let Some(server) = Server::start() else { return };
    let settings = server.settings("postgres");
    let of = |settings: &Settings| look(settings, Vec::new());
    let mut session =
        flusso_pg::protocol::session::Session::open(&settings.connection, flusso_pg::protocol::session::Mode::Sql)
            .unwrap();
    session.simple("CREATE TABLE t (id int PRIMARY KEY); SELECT pg_create_physical_replication_slot('taken')").unwrap();
    assert_eq!(worse(&of(&settings), Severity::Error), [("slots-exhausted", "server")]);
    session.simple("SELECT pg_drop_replication_slot('taken')").unwrap();
    drop(session);
    server.control("restart", "replica");
    assert_eq!(worse(&of(&settings), Severity::Error), [("wal-level", "server")]);
    assert!(the(&of(&settings), "wal-level").remedy.as_deref().is_some_and(|it| it.contains("ALTER SYSTEM")));
    server.control("stop", "replica");
    let request =
        Examination { indexes: Some(vec![index("users", Some("version: 1"))]), tables: Vec::new(), online: true };
    let found = examine(&settings, &request).unwrap();
    assert!(worse(&found, Severity::Error).contains(&("unreachable", "server")), "{found:#?}");
    assert!(worse(&found, Severity::Error).contains(&("schema-invalid", "index users")), "the rest is still said");
    let offline = examine(&settings, &Examination { online: false, ..request }).unwrap();
    assert!(offline.iter().all(|it| it.code == "schema-invalid") && !offline.is_empty(), "{offline:#?}");
}
