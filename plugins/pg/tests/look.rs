//! The look at the catalogue: what no change of the stream tells is told, what means nothing to the documents is not, and what
//! was told is told again until it is confirmed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::replication::source::PgSource;
use flusso_pg::settings::Settings;
use flusso_plugin::Source as _;
use flusso_plugin::{Error, Event, Position, Preparation, Result, TableInterest};
use server::{Database, Kept, ask, changes, integers, interest};
use std::time::{Duration, Instant};

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('low', 'high');
    CREATE TABLE t (id int PRIMARY KEY, price numeric, mood mood, other text, parent int);
    INSERT INTO t SELECT n, n, 'low', 'x', n FROM generate_series(1, 3) n;
    CREATE TABLE parts (id int PRIMARY KEY, x text) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
    INSERT INTO parts VALUES (1, 'a'), (11, 'b');
    CREATE TABLE loose (id int PRIMARY KEY, x text); INSERT INTO loose VALUES (21, 'c');
    ALTER TABLE t REPLICA IDENTITY FULL;";

/// What no event tells, where it matters, and a word of how it is told.
const SILENT: [(&str, &str, &str); 14] = [
    ("t", "ALTER TABLE t ALTER price TYPE numeric USING price * 100", "computed anew"),
    ("t", "ALTER TABLE t ALTER price TYPE text USING price::text", "price is text"),
    ("t", "ALTER TABLE t DROP price; ALTER TABLE t ADD price numeric", "dropped and added again"),
    ("t", "ALTER TABLE t DROP price", "-price numeric"),
    ("t", "ALTER TYPE mood RENAME VALUE 'low' TO 'down'", "labels were renamed"),
    ("t", "ALTER PUBLICATION flusso DROP TABLE t", "not in the publication"),
    (
        "t",
        "ALTER PUBLICATION flusso DROP TABLE t; UPDATE t SET price = 0; ALTER PUBLICATION flusso ADD TABLE t",
        "not in the publication",
    ),
    ("t", "ALTER PUBLICATION flusso SET (publish = 'insert')", "not in the publication"),
    ("t", "ALTER TABLE t REPLICA IDENTITY DEFAULT", "no longer covers parent"),
    (
        "t",
        "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, price numeric, mood mood, other text, parent int)",
        "made again",
    ),
    ("parts", "ALTER TABLE parts ATTACH PARTITION loose FOR VALUES FROM (20) TO (30)", "public.loose was attached"),
    (
        "parts",
        "ALTER TABLE parts DETACH PARTITION parts_1; DELETE FROM parts_1; ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES FROM (0) TO (10)",
        "public.parts_1 was attached",
    ),
    ("parts", "DROP TABLE parts_1", "public.parts_1 is no partition"),
    ("parts", "TRUNCATE parts_2", "public.parts_2 was truncated"),
];

/// What changes no document, or comes as a change.
const HARMLESS: [&str; 9] = [
    "VACUUM FULL t",
    "CLUSTER t USING t_pkey",
    "ANALYZE t",
    "ALTER TABLE t ALTER price SET STATISTICS 100; ALTER TABLE t ALTER price SET NOT NULL",
    "ALTER TABLE t ADD unread text DEFAULT 'x'; ALTER TABLE t DROP other",
    "ALTER TYPE mood ADD VALUE 'middle' BEFORE 'high'",
    "CREATE INDEX ON t (parent); GRANT SELECT ON t TO PUBLIC; ALTER TABLE t SET (fillfactor = 50)",
    "TRUNCATE t",
    "CREATE TABLE aside (id int PRIMARY KEY); ALTER PUBLICATION flusso ADD TABLE aside",
];

fn wanted() -> Vec<TableInterest> {
    let of = |columns: &[&str]| columns.iter().map(ToString::to_string).collect();
    let t = TableInterest { links: of(&["parent"]), reads: Some(of(&["price", "mood"])), ..interest("t", &["id"]) };
    vec![t, interest("parts", &["id"])]
}

/// A source that looks at every poll.
fn open(settings: Settings, kept: &Kept, resume: Option<&[u8]>) -> Result<(PgSource, Position)> {
    let settings = Settings { look_every: Duration::ZERO, ..settings };
    let mut source = PgSource::start(settings, wanted())?.with_shape_store(kept.clone());
    let until = Instant::now() + Duration::from_secs(20);
    source.inspect(resume.map(<[u8]>::to_vec))?;
    loop {
        match source.prepare(resume.map(<[u8]>::to_vec))? {
            Preparation::Ready(prepared) => return Ok((source, prepared.position)),
            Preparation::Pending(reason) => assert!(Instant::now() < until, "{reason}"),
        }
    }
}

/// Every event up to now, and the last position.
fn drain(source: &mut PgSource, confirmed: Option<&Position>) -> Result<(Vec<Event>, Position)> {
    let head = flusso_pg::replication::position::LogPosition::from_bytes(&source.head()?)?;
    let mut all = Vec::new();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < until, "the head was not reached");
        all.extend(source.poll(ask(1000, 50, confirmed.cloned()))?);
        if let Some(Event::Checkpoint(checkpoint)) = all.last()
            && flusso_pg::replication::position::LogPosition::from_bytes(&checkpoint.position)?.lsn >= head.lsn
        {
            let position = checkpoint.position.clone();
            return Ok((all, position));
        }
    }
}

fn told(events: &[Event]) -> Vec<(u32, String)> {
    let one = |event: &Event| match event {
        Event::TableChanged(changed) => Some((changed.table, changed.detail.clone())),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

fn number(table: &str) -> u32 {
    u32::from(table == "parts")
}

/// One server-side database for many cases: each works on a copy.
fn each_on_a_copy(name: &str, work: impl Fn(&Database, usize), cases: usize) {
    for case in 0..cases {
        let Some(database) = Database::create(&format!("{name}{case}")) else { return };
        database.session().simple(TABLES).unwrap();
        work(&database, case);
    }
}

fn all_of(database: &Database, statements: &str) {
    let mut session = database.session();
    for statement in statements.split(';') {
        session.simple(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

#[test]
fn what_no_change_tells_is_told_while_running() {
    each_on_a_copy(
        "silent",
        |database, case| {
            let (table, statements, word) = SILENT[case];
            let kept = Kept::default();
            let (mut source, position) = open(database.settings(), &kept, None).unwrap();
            assert_eq!(told(&drain(&mut source, None).unwrap().0), [], "{statements}");
            all_of(database, statements);
            let events = match drain(&mut source, None) {
                Ok((events, _)) => events,
                // Something has to be mended first: the host opens the source again.
                Err(Error::Transient(why)) => {
                    assert!(why.message.contains(word), "{}", why.message);
                    source.close(None).unwrap();
                    source = open(database.settings(), &kept, Some(&position)).unwrap().0;
                    drain(&mut source, None).unwrap().0
                }
                Err(error) => panic!("{statements}: {error:?}"),
            };
            let said = told(&events);
            assert!(
                said.iter().any(|(of, detail)| *of == number(table) && detail.contains(word)),
                "{statements}: {said:?}"
            );
            // What was mended is followed on.
            all_of(database, &format!("INSERT INTO {table} (id) VALUES (12)"));
            let keys = changes(drain(&mut source, None).unwrap().0);
            assert!(
                keys.iter().any(|it| it.table == number(table) && integers(&it.key) == [12]),
                "{statements}: {keys:?}"
            );
        },
        SILENT.len(),
    );
}

#[test]
fn what_happened_while_nobody_looked_is_told_first() {
    each_on_a_copy(
        "meanwhile",
        |database, case| {
            let (table, statements, word) = SILENT[case];
            let kept = Kept::default();
            let (mut source, position) = open(database.settings(), &kept, None).unwrap();
            source.close(Some(position.clone())).unwrap();
            all_of(database, statements);
            let (mut source, _) = open(database.settings(), &kept, Some(&position)).unwrap();
            let (events, _) = drain(&mut source, None).unwrap();
            let said = told(&events[..1]);
            assert!(
                said.iter().any(|(of, detail)| *of == number(table) && detail.contains(word)),
                "{statements}: {events:?}"
            );
            assert_eq!(
                told(&events).len(),
                if statements.contains("publish =") { 2 } else { 1 },
                "{statements}: {events:?}"
            );
        },
        SILENT.len(),
    );
}

#[test]
fn what_changes_no_document_is_not_told() {
    each_on_a_copy(
        "harmless",
        |database, case| {
            let kept = Kept::default();
            let (mut source, position) = open(database.settings(), &kept, None).unwrap();
            all_of(database, HARMLESS[case]);
            let (events, _) = drain(&mut source, None).unwrap();
            assert_eq!(told(&events), [], "{}", HARMLESS[case]);
            source.close(None).unwrap();
            let (mut source, _) = open(database.settings(), &kept, Some(&position)).unwrap();
            let (events, _) = drain(&mut source, None).unwrap();
            assert_eq!(told(&events), [], "{} and a restart", HARMLESS[case]);
        },
        HARMLESS.len(),
    );
}

#[test]
fn what_was_told_is_told_again_until_it_is_confirmed() {
    let Some(database) = Database::create("told_again") else { return };
    database.session().simple(TABLES).unwrap();
    let kept = Kept::default();
    let (mut source, position) = open(database.settings(), &kept, None).unwrap();
    let (_, before) = drain(&mut source, None).unwrap();
    all_of(&database, "TRUNCATE parts_2");
    let again = |source: PgSource, confirmed: Option<&Position>| {
        let mut source = source;
        source.close(None).unwrap();
        let (mut source, _) = open(database.settings(), &kept, Some(confirmed.unwrap_or(&position))).unwrap();
        let (events, last) = drain(&mut source, None).unwrap();
        (source, told(&events).len(), last)
    };
    assert_eq!(told(&drain(&mut source, None).unwrap().0).len(), 1);
    // A checkpoint from before it says nothing.
    source.poll(ask(0, 0, Some(before.clone()))).unwrap();
    let (mut source, count, last) = again(source, Some(&before));
    assert_eq!(count, 1);
    source.poll(ask(0, 0, Some(last.clone()))).unwrap();
    let (_, count, _) = again(source, Some(&last));
    assert_eq!(count, 0);
}

#[test]
fn where_the_publication_is_not_managed_the_statement_is_named() {
    let Some(database) = Database::create("unmanaged") else { return };
    database.session().simple(TABLES).unwrap();
    all_of(&database, "CREATE PUBLICATION flusso FOR TABLE t, parts WITH (publish_via_partition_root = true)");
    let settings = || Settings { manage_publication: false, ..database.settings() };
    let kept = Kept::default();
    let (mut source, position) = open(settings(), &kept, None).unwrap();
    all_of(&database, "ALTER PUBLICATION flusso DROP TABLE t; UPDATE t SET price = 0");
    assert!(matches!(drain(&mut source, None), Err(Error::Transient(_))));
    source.close(None).unwrap();
    let refused = open(settings(), &kept, Some(&position)).err().unwrap();
    assert!(
        matches!(&refused, Error::Configuration(error) if error.message.contains(r#"ALTER PUBLICATION "flusso" ADD TABLE "public"."t""#)),
        "{refused:?}"
    );
    all_of(&database, "ALTER PUBLICATION flusso ADD TABLE t");
    let (mut source, _) = open(settings(), &kept, Some(&position)).unwrap();
    assert_eq!(told(&drain(&mut source, None).unwrap().0).first().map(|(table, _)| *table), Some(0));
}

#[test]
fn a_managed_replica_identity_is_set_again() {
    let Some(database) = Database::create("identity_back") else { return };
    database.session().simple(TABLES).unwrap();
    let settings = || Settings { manage_replica_identity: true, ..database.settings() };
    let kept = Kept::default();
    let (mut source, position) = open(settings(), &kept, None).unwrap();
    all_of(&database, "ALTER TABLE t REPLICA IDENTITY DEFAULT; DELETE FROM t WHERE id = 1");
    assert!(matches!(drain(&mut source, None), Err(Error::Transient(_))));
    source.close(None).unwrap();
    let (mut source, _) = open(settings(), &kept, Some(&position)).unwrap();
    assert_eq!(told(&drain(&mut source, None).unwrap().0).first().map(|(table, _)| *table), Some(0));
    let identity = database.session().one("SELECT relreplident FROM pg_class WHERE oid = 't'::regclass").unwrap();
    assert_eq!(identity.as_deref(), Some("f"));
}

#[test]
fn a_table_that_may_not_be_published_any_more_is_said_so() {
    let Some(database) = Database::create("nothing") else { return };
    database.session().simple(TABLES).unwrap();
    let (mut source, position) = open(database.settings(), &Kept::default(), None).unwrap();
    all_of(&database, "ALTER TABLE t REPLICA IDENTITY NOTHING");
    let failed = drain(&mut source, None).err().unwrap();
    assert!(matches!(&failed, Error::Fatal(text) if text.contains("REPLICA IDENTITY DEFAULT")), "{failed:?}");
    // The application's own updates fail as long as it is published.
    let update = "UPDATE t SET price = 5";
    assert!(database.session().simple(update).is_err());
    source.close(None).unwrap();
    assert!(open(database.settings(), &Kept::default(), Some(&position)).is_err());
    all_of(&database, update);
}
