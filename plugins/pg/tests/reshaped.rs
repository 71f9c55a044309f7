//! Tables that are not what they were when the host stopped: renamed, re-keyed, made again, and what may never be published.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::catalog::table;
use flusso_pg::documents::builder::DocumentBuilder;
use flusso_pg::replication::source::PgSource;
use flusso_plugin::{Builder as _, Source as _};
use flusso_plugin::{Continuity, Event, Op};
use server::{Database, changes, drain, integers, interest, ready};

/// What a host that was stopped at the start finds when it comes back after `statements`.
fn meanwhile(database: &Database, key: &[&str], statements: &[&str]) -> Vec<Event> {
    let mut session = database.session();
    session.simple("CREATE TABLE t (id int PRIMARY KEY, x text)").unwrap();
    let (mut source, prepared) = ready(database, vec![interest("t", &["id"])], None);
    source.close(Some(prepared.position.clone())).unwrap();
    for statement in statements {
        session.simple(statement).unwrap();
    }
    let (mut source, _) = ready(database, vec![interest("t", key)], Some(&prepared.position));
    drain(&mut source)
}

#[test]
fn changes_under_a_name_of_the_meantime_are_the_tables() {
    let Some(database) = Database::create("renamed") else { return };
    let statements = [
        "ALTER TABLE t RENAME TO u",
        "INSERT INTO u VALUES (6)",
        "ALTER TABLE u RENAME TO t",
        "INSERT INTO t VALUES (7)",
    ];
    let keys: Vec<_> = changes(meanwhile(&database, &["id"], &statements)).iter().map(|it| integers(&it.key)).collect();
    assert_eq!(keys, [[6], [7]]);
}

#[test]
fn changes_older_than_the_key_make_the_table_count_as_changed() {
    let Some(database) = Database::create("rekeyed") else { return };
    let statements = ["INSERT INTO t VALUES (5), (6)", "ALTER TABLE t RENAME id TO number", "INSERT INTO t VALUES (7)"];
    let events = meanwhile(&database, &["number"], &statements);
    assert!(matches!(events.first(), Some(Event::TableChanged(changed)) if changed.table == 0), "{events:?}");
    let seen: Vec<_> = changes(events).iter().map(|it| (it.op, integers(&it.key))).collect();
    assert_eq!(seen, [(Op::Upsert, vec![7])]);
}

#[test]
fn a_key_that_was_null_before_it_was_the_key_does_not_stop_the_stream() {
    let Some(database) = Database::create("null_key") else { return };
    let statements = [
        "ALTER TABLE t ADD code int",
        "INSERT INTO t VALUES (5)",
        "UPDATE t SET code = id; ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (code)",
        "INSERT INTO t VALUES (8, '', 80)",
    ];
    let events = meanwhile(&database, &["code"], &statements);
    assert!(events.iter().any(|event| matches!(event, Event::TableChanged(_))), "{events:?}");
    let last = changes(events).pop().map(|it| integers(&it.key));
    assert_eq!(last, Some(vec![80]));
}

#[test]
fn a_table_made_again_has_another_mapping() {
    let Some(database) = Database::create("made_again") else { return };
    let mut session = database.session();
    let mut hash = || {
        session.simple("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY)").unwrap();
        DocumentBuilder::start(&database.settings(), &[], None).unwrap().mappings().unwrap()[0].hash.clone()
    };
    assert_ne!(hash(), hash());
}

#[test]
fn a_deferrable_key_is_not_published_unless_the_identity_is_full() {
    let Some(database) = Database::create("deferrable") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE)").unwrap();
    let obstacle = table::find(&mut session, "public", "t").unwrap().unwrap().obstacle();
    assert!(obstacle.is_some_and(|it| it.contains("deferrable") && it.contains("REPLICA IDENTITY FULL")));
    session.simple("ALTER TABLE t REPLICA IDENTITY FULL").unwrap();
    assert_eq!(table::find(&mut session, "public", "t").unwrap().unwrap().obstacle(), None);
}

#[test]
fn a_table_that_lost_its_key_leaves_the_publication() {
    let Some(database) = Database::create("keyless") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE t (id int PRIMARY KEY, x text); CREATE TABLE u (id int PRIMARY KEY)").unwrap();
    let both = vec![interest("t", &["id"]), interest("u", &["id"])];
    let (mut source, prepared) = ready(&database, both, None);
    source.close(Some(prepared.position.clone())).unwrap();
    session.simple("ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t VALUES (1)").unwrap();
    assert!(session.simple("UPDATE t SET x = 'y'").is_err(), "published without an identity");
    let (mut source, _) = ready(&database, vec![interest("u", &["id"])], Some(&prepared.position));
    session.simple("UPDATE t SET x = 'y'; DELETE FROM t; INSERT INTO u VALUES (2)").unwrap();
    let keys: Vec<_> = changes(drain(&mut source)).iter().map(|it| integers(&it.key)).collect();
    assert_eq!(keys, [[2]]);
}

#[test]
fn a_table_that_left_the_publication_is_missed_until_it_is_back() {
    let Some(database) = Database::create("missed") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)").unwrap();
    let followed = || vec![interest("a", &["id"]), interest("b", &["id"])];
    let (mut source, prepared) = ready(&database, followed(), None);
    source.close(Some(prepared.position.clone())).unwrap();
    let look =
        || PgSource::start(database.settings(), followed()).unwrap().inspect(Some(prepared.position.clone())).unwrap();
    assert!(look().unrecorded.is_empty());
    session.simple("ALTER PUBLICATION flusso DROP TABLE b").unwrap();
    let found = look();
    assert!(matches!(found.continuity, Continuity::Continuous));
    assert_eq!(found.unrecorded, [1]);
}
