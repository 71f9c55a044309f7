//! The live capture against a real server: what comes, in which order, and what is resumed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::replication::position::LogPosition;
use flusso_pg::replication::source::PgSource;
use flusso_plugin::{Builder as _, Snapshot as _, Source as _};
use flusso_plugin::{Continuity, Error, Event, Op, Preparation, Value};
use server::{Database, ask, changes, drain, integers, interest, ready};
use std::time::{Duration, Instant};

#[test]
fn changes_come_as_whole_transactions_and_resume_where_they_were_confirmed() {
    let Some(database) = Database::create("resume") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY, x text); INSERT INTO a VALUES (1, 'before')").unwrap();
    let (mut source, prepared) = ready(&database, vec![interest("a", &["id"])], None);
    session.simple("BEGIN; INSERT INTO a VALUES (2, 'x'), (3, 'y'); UPDATE a SET x = 'z' WHERE id = 1; UPDATE a SET id = 30 WHERE id = 3; DELETE FROM a WHERE id = 2; COMMIT").unwrap();
    session.simple("BEGIN; INSERT INTO a VALUES (99, 'never'); ROLLBACK").unwrap();
    session.simple("TRUNCATE a").unwrap();
    let events = drain(&mut source);
    let (mut seen, mut confirmed, mut version) = (Vec::new(), None, prepared.version);
    for event in events {
        match event {
            Event::Change(change) => {
                assert!(change.version >= version);
                version = change.version;
                seen.push((change.op, integers(&change.key)));
            }
            Event::Checkpoint(checkpoint) => {
                assert!(checkpoint.version >= version);
                version = checkpoint.version;
                if seen.len() == 6 && confirmed.is_none() {
                    confirmed = Some(checkpoint.position);
                }
            }
            Event::TableChanged(changed) => panic!("{changed:?}"),
        }
    }
    let expected = [
        (Op::Upsert, vec![2]),
        (Op::Upsert, vec![3]),
        (Op::Upsert, vec![1]),
        (Op::Delete, vec![3]),
        (Op::Upsert, vec![30]),
        (Op::Delete, vec![2]),
        (Op::Truncate, vec![]),
    ];
    assert_eq!(seen, expected);
    let confirmed = confirmed.expect("a checkpoint between the transactions");
    source.close(Some(confirmed.clone())).unwrap();

    let mut again = PgSource::start(database.settings(), vec![interest("a", &["id"])]).unwrap();
    let found = again.inspect(Some(confirmed.clone())).unwrap();
    assert_eq!(found.history, Some(prepared.history.clone()));
    assert!(matches!(found.continuity, Continuity::Continuous));
    drop(again);
    let (mut source, resumed) = ready(&database, vec![interest("a", &["id"])], Some(&confirmed));
    assert_eq!((resumed.history, resumed.position), (prepared.history, confirmed));
    let rest = changes(drain(&mut source));
    assert_eq!(rest.iter().map(|change| change.op).collect::<Vec<_>>(), [Op::Truncate]);
}

#[test]
fn keys_of_every_type_are_what_the_snapshot_reads() {
    let Some(database) = Database::create("keys") else { return };
    let mut session = database.session();
    session.simple("CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN code AS numeric(10,3); CREATE DOMAIN codes AS code;
        SET timezone = 'Asia/Kolkata'; SET datestyle = 'German'; SET bytea_output = 'escape'").unwrap();
    let columns = [
        "uuid",
        "date",
        "timestamptz",
        "timestamp",
        "timetz",
        "mood",
        "codes",
        "citext",
        "bytea",
        "numeric",
        "float8",
        "float4",
        "char(5)",
        "boolean",
        "oid",
        "bigint",
        "interval",
        "inet",
        "text[]",
        "jsonb",
        "name",
        "\"char\"",
    ];
    let values = [
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "2020-02-29",
        "2020-01-02 03:04:05.600+05",
        "2020-01-02 03:04:05",
        "10:00:00+02",
        "b",
        "1.500",
        "CiText",
        "\\x00ff5c",
        "100.0",
        "0.1",
        "1.1",
        "ab",
        "t",
        "4000000000",
        "-9",
        "1 day",
        "10.0.0.1/8",
        "{a,\"b c\"}",
        "{\"a\": 1.50}",
        "nm",
        "x",
    ];
    let tables: Vec<String> = (0..columns.len()).map(|at| format!("t{at}")).collect();
    for (table, column) in tables.iter().zip(columns) {
        session.simple(&format!("CREATE TABLE {table} (k {column} PRIMARY KEY, x int)")).unwrap();
    }
    let wanted: Vec<_> = tables.iter().map(|table| interest(table, &["k"])).collect();
    let (mut source, _) = ready(&database, wanted.clone(), None);
    for (table, value) in tables.iter().zip(values) {
        session
            .simple(&format!(
                "INSERT INTO {table} VALUES ({}, 1); UPDATE {table} SET x = 2",
                flusso_pg::protocol::sql::text(value)
            ))
            .unwrap();
    }
    let streamed = changes(drain(&mut source));
    let mut snapshot = flusso_pg::snapshot::key_pages::PgSnapshot::start(&database.settings(), wanted).unwrap();
    let mut builder = flusso_pg::documents::builder::DocumentBuilder::start(&database.settings(), &[], None).unwrap();
    let names: Vec<String> = builder.mappings().unwrap().into_iter().map(|mapping| mapping.index).collect();
    for (number, table) in (0..).zip(&tables) {
        let of_table: Vec<_> = streamed.iter().filter(|change| change.table == number).collect();
        assert_eq!(of_table.len(), 2, "{table}");
        snapshot.begin(number, b"{}".to_vec(), None).unwrap();
        let keys = snapshot.next(10).unwrap().keys;
        assert_eq!(keys, [of_table[0].key.clone()], "{}", columns[usize::try_from(number).unwrap()]);
        assert_eq!(of_table[0].key, of_table[1].key);
        let index = u32::try_from(names.iter().position(|name| name == table).unwrap()).unwrap();
        let built =
            builder.build_many(vec![flusso_plugin::DocumentId { index, key: of_table[0].key.clone() }]).unwrap();
        assert!(
            matches!(built[0], flusso_plugin::Outcome::Built(_)),
            "{}: {:?}",
            columns[usize::try_from(number).unwrap()],
            of_table[0].key
        );
    }
}

#[test]
fn full_identity_composite_keys_links_and_unread_columns() {
    let Some(database) = Database::create("full") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (x int, id int, parent int, big text, unread int, PRIMARY KEY (id, x)); ALTER TABLE a REPLICA IDENTITY FULL;
        ALTER TABLE a ALTER big SET STORAGE EXTERNAL; CREATE TABLE b (id int PRIMARY KEY, parent int, big text); ALTER TABLE b ALTER parent SET STORAGE PLAIN").unwrap();
    let mut full = interest("a", &["id", "x"]);
    (full.links, full.reads) = (vec!["parent".into()], Some(vec!["big".into()]));
    let mut plain = interest("b", &["id"]);
    plain.links = vec!["parent".into()];
    let (mut source, _) = ready(&database, vec![full, plain], None);
    session.simple("INSERT INTO a VALUES (1, 2, 10, repeat('x', 10000), 0); UPDATE a SET unread = 1; UPDATE a SET parent = 11; UPDATE a SET parent = NULL; UPDATE a SET x = 5; DELETE FROM a;
        INSERT INTO b VALUES (1, 7, 'x'); UPDATE b SET parent = 8; DELETE FROM b").unwrap();
    let seen: Vec<_> = changes(drain(&mut source))
        .into_iter()
        .map(|change| (change.op, integers(&change.key), change.before, change.after))
        .collect();
    let link = |number| Some(vec![Value::Integer(number)]);
    let null = Some(vec![Value::Null]);
    let expected = [
        (Op::Upsert, vec![2, 1], null.clone(), link(10)),
        (Op::Upsert, vec![2, 1], link(10), link(11)),
        (Op::Upsert, vec![2, 1], link(11), null.clone()),
        (Op::Delete, vec![2, 1], null.clone(), None),
        (Op::Upsert, vec![2, 5], null.clone(), null.clone()),
        (Op::Delete, vec![2, 5], null, None),
        (Op::Upsert, vec![1], None, link(7)),
        (Op::Upsert, vec![1], None, link(8)),
        (Op::Delete, vec![1], None, None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn an_idle_stream_moves_on_and_the_head_is_reached_in_milliseconds() {
    let Some(database) = Database::create("idle") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE unwatched (id int)").unwrap();
    let (mut source, _) = ready(&database, vec![interest("a", &["id"])], None);
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            drain(&mut source);
            start.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[10] < Duration::from_millis(60), "{times:?}");
    let confirmed = || {
        database
            .session()
            .one(&format!(
                "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{}'",
                database.slot()
            ))
            .unwrap()
    };
    let before = confirmed();
    session.simple("INSERT INTO unwatched SELECT generate_series(1, 10000)").unwrap();
    let (mut position, until) = (None, Instant::now() + Duration::from_secs(5));
    while confirmed() == before {
        assert!(Instant::now() < until, "the slot did not move");
        for event in source.poll(ask(100, 100, position.clone())).unwrap() {
            match event {
                Event::Checkpoint(checkpoint) => position = Some(checkpoint.position),
                other => panic!("{other:?}"),
            }
        }
        source.poll(ask(0, 0, position.clone())).unwrap();
    }
}

#[test]
fn a_large_transaction_is_spread_and_a_reshaped_table_told() {
    let Some(database) = Database::create("large") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY)").unwrap();
    let (mut source, _) = ready(&database, vec![interest("a", &["id"])], None);
    session
        .simple("INSERT INTO a SELECT generate_series(1, 50000); ALTER TABLE a ADD x int; INSERT INTO a VALUES (0)")
        .unwrap();
    let first = source.poll(ask(256, 1000, None)).unwrap();
    assert_eq!(first.len(), 256);
    assert!(first.iter().all(|event| matches!(event, Event::Change(_))), "no checkpoint inside");
    let rest = drain(&mut source);
    assert_eq!(rest.iter().filter(|event| matches!(event, Event::Change(_))).count(), 50_000 - 256 + 1);
    let told: Vec<_> = rest
        .iter()
        .filter_map(|event| if let Event::TableChanged(changed) = event { Some(changed.detail.as_str()) } else { None })
        .collect();
    assert_eq!(told, ["+x integer"]);
}

#[test]
fn a_lost_history_says_why_and_begins_anew() {
    let Some(database) = Database::create("lost") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY)").unwrap();
    let interest = || vec![interest("a", &["id"])];
    let (source, first) = ready(&database, interest(), None);
    let mut busy = PgSource::start(database.settings(), interest()).unwrap();
    match busy.prepare(Some(first.position.clone())) {
        Err(Error::Busy(text)) => assert!(text.contains("process") && text.contains("application flusso"), "{text}"),
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert!(matches!(busy.discard(), Err(Error::Busy(_))));
    let mut source = source;
    source.close(None).unwrap();
    let place = LogPosition::from_bytes(&first.position).unwrap();
    let ahead = LogPosition { lsn: flusso_pg::replication::position::Lsn(u64::MAX), ..place }.to_bytes();
    assert!(
        matches!(busy.inspect(Some(ahead.clone())).unwrap().continuity, Continuity::Lost(reason) if reason.contains("backup"))
    );
    let stranger =
        LogPosition { origin: flusso_pg::replication::position::Origin { system: 1, ..place.origin }, ..place }
            .to_bytes();
    assert!(
        matches!(busy.inspect(Some(stranger.clone())).unwrap().continuity, Continuity::Lost(reason) if reason.contains("server 1,"))
    );
    assert!(matches!(busy.inspect(Some(b"nonsense".to_vec())).unwrap().continuity, Continuity::Lost(_)));
    let removed = busy.discard().unwrap();
    assert_eq!(removed.len(), 2, "{removed:?}");
    assert_eq!(busy.discard().unwrap(), Vec::<String>::new());
    session.simple("INSERT INTO a VALUES (1)").unwrap();
    assert!(
        matches!(busy.inspect(Some(first.position.clone())).unwrap().continuity, Continuity::Lost(reason) if reason.contains("is gone"))
    );
    assert!(matches!(busy.inspect(None).unwrap().continuity, Continuity::Fresh));
    let (_source, second) = ready(&database, interest(), Some(&first.position));
    assert_ne!(first.history, second.history);
}

#[test]
fn partitions_come_as_their_root_and_schemas_are_told_apart() {
    let Some(database) = Database::create("parts") else { return };
    let mut session = database.session();
    session
        .simple(
            "CREATE TABLE p (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
             CREATE SCHEMA other; CREATE TABLE other.a (id int PRIMARY KEY); CREATE TABLE a (id int PRIMARY KEY);
             CREATE SCHEMA third; CREATE TABLE third.a (id int PRIMARY KEY)",
        )
        .unwrap();
    let mut foreign = interest("a", &["id"]);
    foreign.table.schema = "other".into();
    let (mut source, _) = ready(&database, vec![interest("p", &["id", "at"]), interest("a", &["id"]), foreign], None);
    session
        .simple(
            "INSERT INTO p VALUES (1, 5); UPDATE p SET at = 15; DELETE FROM p; TRUNCATE p;
             INSERT INTO a VALUES (1); INSERT INTO other.a VALUES (2); INSERT INTO third.a VALUES (3)",
        )
        .unwrap();
    let seen: Vec<_> =
        changes(drain(&mut source)).iter().map(|change| (change.table, change.op, integers(&change.key))).collect();
    let expected = [
        (0, Op::Upsert, vec![1, 5]),
        (0, Op::Delete, vec![1, 5]),
        (0, Op::Upsert, vec![1, 15]),
        (0, Op::Delete, vec![1, 15]),
        (0, Op::Truncate, vec![]),
        (1, Op::Upsert, vec![1]),
        (2, Op::Upsert, vec![2]),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_killed_walsender_is_transient_and_nothing_is_missed() {
    let Some(database) = Database::create("killed") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY)").unwrap();
    let (mut source, first) = ready(&database, vec![interest("a", &["id"])], None);
    session
        .simple(&format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
            database.slot()
        ))
        .unwrap();
    session.simple("INSERT INTO a VALUES (1)").unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    let error = loop {
        assert!(Instant::now() < until, "nobody noticed");
        if let Err(error) = source.poll(ask(10, 100, None)) {
            break error;
        }
    };
    assert!(matches!(error, Error::Transient(_)), "{error:?}");
    drop(source);
    let (mut source, _) = ready(&database, vec![interest("a", &["id"])], Some(&first.position));
    assert_eq!(changes(drain(&mut source)).len(), 1);
}

#[test]
fn a_publication_that_was_dropped_is_a_lost_history() {
    let Some(database) = Database::create("unpublished") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY)").unwrap();
    let interest = || vec![interest("a", &["id"])];
    let (mut source, first) = ready(&database, interest(), None);
    source.close(None).unwrap();
    session.simple("DROP PUBLICATION flusso; INSERT INTO a VALUES (1)").unwrap();
    let mut again = PgSource::start(database.settings(), interest()).unwrap();
    assert!(
        matches!(again.inspect(Some(first.position.clone())).unwrap().continuity, Continuity::Lost(reason) if reason.contains("publication `flusso` is gone"))
    );
    drop(again);
    // Whether or not the host remembers: the slot is made again behind the publication, or nothing could be decoded.
    let (mut source, second) = ready(&database, interest(), None);
    assert_ne!(first.history, second.history);
    session.simple("INSERT INTO a VALUES (2)").unwrap();
    assert_eq!(changes(drain(&mut source)).iter().map(|change| integers(&change.key)).collect::<Vec<_>>(), [[2]]);
}

#[test]
fn a_slot_in_the_making_names_whom_it_waits_for() {
    let Some(database) = Database::create("pending") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY)").unwrap();
    let mut open = database.session();
    open.simple("BEGIN; INSERT INTO a VALUES (1)").unwrap();
    let mut source = PgSource::start(database.settings(), vec![interest("a", &["id"])]).unwrap();
    match source.prepare(None).unwrap() {
        Preparation::Pending(reason) => {
            assert!(reason.contains(&format!("waiting for transaction of pid {}", open.pid)), "{reason}")
        }
        Preparation::Ready(_) => panic!("the slot was made beside an open transaction"),
    }
    open.simple("COMMIT").unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while let Preparation::Pending(reason) = source.prepare(None).unwrap() {
        assert!(Instant::now() < until, "{reason}");
    }
}

#[test]
fn a_position_is_read_as_the_server_prints_it_once_a_history_was_looked_at() {
    let Some(database) = Database::create("places") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY)").unwrap();
    let (_source, prepared) = ready(&database, vec![interest("a", &["id"])], None);
    let mut other = PgSource::start(database.settings(), vec![interest("a", &["id"])]).unwrap();
    let lsn = session.one("SELECT pg_current_wal_lsn()").unwrap().unwrap();
    assert!(matches!(other.parse(lsn.clone()), Err(Error::Configuration(_))), "of which history?");
    other.inspect(Some(prepared.position.clone())).unwrap();
    let place = LogPosition::from_bytes(&other.parse(format!(" {lsn}\n")).unwrap()).unwrap();
    let prepared = LogPosition::from_bytes(&prepared.position).unwrap();
    assert_eq!((place.origin, place.lsn.to_string()), (prepared.origin, lsn));
    assert_eq!(other.parse(place.to_string()).unwrap(), place.to_bytes());
    assert!(matches!(other.parse("soon".to_owned()), Err(Error::Configuration(_))));
}
