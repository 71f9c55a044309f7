//! Documents against the server's own `row_to_json`, by key and by range.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::documents::builder::DocumentBuilder;
use flusso_pg::snapshot::range_scan::KeyRange;
use flusso_plugin::{Builder as _, RangeBuilder as _, Snapshot as _};
use flusso_plugin::{DocumentId, Key, Outcome, Value};
use server::Database;

const TYPES: &str = r#"
CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN more AS positive; CREATE SCHEMA "Odd ""schema""";
CREATE TABLE types (id bigint PRIMARY KEY, "quo""ted \ name" text, b boolean, s smallint, i positive, m more, o oid, r real, d double precision,
  n numeric, n2 numeric(10,2), t text, v varchar(9), c char(5), nm name, ci citext, u uuid, da date, ti time, tz timetz, ts timestamp,
  tst timestamptz, iv interval, j json, jb jsonb, by bytea, e mood, arr int[], tarr text[], ndarr numeric[], tsarr timestamptz[], p pair, h hstore, ip inet, mac macaddr, mo money,
  bi bit(3), rng int4range, xm xml, pt point, ch "char", g int GENERATED ALWAYS AS (s * 2) STORED);
INSERT INTO types VALUES (1, E'a"b\\c\n\t\u0001é🎈', true, -3, 7, 8, 4000000000, 1.1, 0.1, 1.50, 2.5, '', 'x', 'ab', 'nm', 'CiText', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
  '2020-02-29', '10:11:12.5', '10:11:12+02', '2020-01-02 03:04:05.678', '2020-01-02 03:04:05.678+05', '1 day 02:03:04', E'{"a":\n [1,2,\r\n "x\\n"]}', '{"z":1,"a":[null]}', '\x00ff',
  'it''s "fine"', '{1,NULL,3}', '{"a b",NULL,"q\"q"}', '{NaN,1.50}', '{2020-01-02 03:04:05+05}', ROW(1,'x"y'), 'k=>v, n=>NULL', '10.0.0.1/8', '08:00:2b:01:02:03', '12.34', '101', '[1,5)', '<a>&amp;</a>', '(1,2)', 'x');
INSERT INTO types (id, d, r, n, da, ts, tst) VALUES (2, 'NaN', 'Infinity', 'NaN', 'infinity', '-infinity', 'infinity'), (3, '-Infinity', 1e30, 123456789012345678901234567890.123, '0044-03-15 BC', '0044-03-15 01:02:03 BC', '0044-03-15 01:02:03+00 BC'),
  (4, 1e300, 1e-30, -0.000, '10000-01-01', '12345-01-01 00:00:00', '12345-01-01 00:00:00+00'), (5, -0.0, 0, 0.00, '0001-01-01', '0001-01-01', '0001-01-01');
CREATE TABLE "Odd ""schema"""."Ta ble" (a text, b timestamptz, c numeric, x text, PRIMARY KEY (a, b, c));
INSERT INTO "Odd ""schema"""."Ta ble" SELECT x, '2020-01-01 00:00:00.5+00'::timestamptz + i * interval '1 day', i * 0.50, x FROM generate_series(1, 10) i, unnest(ARRAY['{,}', 'a"b', E'a\\b', '', 'NULL', E'\n', '''', 'é:x']) x;
CREATE TABLE parted (id uuid, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
INSERT INTO parted SELECT gen_random_uuid(), date '2020-01-01' + i FROM generate_series(0, 700) i;
CREATE TABLE keyed_by_array (k int[] PRIMARY KEY, x int); INSERT INTO keyed_by_array VALUES ('{1,2}', 1), ('{}', 2);
CREATE TABLE many (id int PRIMARY KEY, x text); INSERT INTO many SELECT i, 'row ' || i FROM generate_series(1, 25000) i;
CREATE TABLE keyless (x int); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE other (id int PRIMARY KEY, u int NOT NULL UNIQUE); ALTER TABLE other REPLICA IDENTITY USING INDEX other_u_key;
CREATE VIEW v AS SELECT 1; CREATE TABLE citexts (k citext PRIMARY KEY); INSERT INTO citexts VALUES ('Abc');
ANALYZE;"#;

fn range(builder: &mut DocumentBuilder, index: u32, range: &KeyRange, max: u32, max_bytes: u32) -> Vec<(Key, Vec<u8>)> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = builder.build_range(index, range.to_bytes(), cursor.clone(), max, max_bytes).unwrap();
        assert!(page.documents.len() <= max as usize);
        all.extend(page.documents.into_iter().map(|ranged| match ranged.outcome {
            Outcome::Built(body) => (ranged.key, body),
            other => panic!("{other:?}"),
        }));
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

#[test]
fn documents_equal_row_to_json_by_key_and_by_range() {
    let Some(database) = Database::create("documents") else { return };
    let mut session = database.session();
    session.simple(TYPES).unwrap();
    let mut builder = DocumentBuilder::start(&database.settings(), &[], None).unwrap();
    let mappings = builder.mappings().unwrap();
    let names: Vec<&str> = mappings.iter().map(|mapping| mapping.index.as_str()).collect();
    assert_eq!(names, ["Odd \"schema\".Ta ble", "citexts", "keyed_by_array", "many", "parted", "types"]);
    for (number, interest) in (0..).zip(builder.interest().unwrap()) {
        let table = flusso_pg::protocol::sql::table(&interest.table.schema, &interest.table.name);
        let order = interest.key.iter().map(|key| flusso_pg::protocol::sql::name(key)).collect::<Vec<_>>().join(", ");
        let expected: Vec<String> = session
            .simple(&format!("SELECT row_to_json(whole) FROM {table} whole ORDER BY {order}"))
            .unwrap()
            .into_iter()
            .map(|row| row[0].clone().unwrap())
            .collect();
        let built = range(&mut builder, number, &KeyRange::default(), 7000, 1 << 30);
        assert_eq!(built.len(), expected.len(), "{table}");
        let ids: Vec<DocumentId> =
            built.iter().map(|(key, _)| DocumentId { index: number, key: key.clone() }).collect();
        let by_key = builder.build_many(ids.to_vec()).unwrap();
        for (((_, body), outcome), expected) in built.iter().zip(&by_key).zip(&expected) {
            let text = std::str::from_utf8(body).unwrap();
            assert!(!text.contains('\n'), "one line: {text}");
            let (ours, theirs): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(text).unwrap(), serde_json::from_str(expected).unwrap());
            assert_eq!(ours, theirs);
            let order = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(order(&ours), order(&theirs));
            if table.contains("types") && !expected.contains('\n') {
                assert_eq!(text, expected, "digit for digit");
            }
            assert_eq!(outcome, &Outcome::Built(body.clone()), "by key");
        }
        // Small pages, and pages cut by bytes, hold the same.
        if built.len() < 1000 {
            assert_eq!(range(&mut builder, number, &KeyRange::default(), 3, 1 << 30), built);
            assert_eq!(range(&mut builder, number, &KeyRange::default(), 1000, 200), built);
        }
    }
}

#[test]
fn absent_and_look_alike_keys_are_absent() {
    let Some(database) = Database::create("absent") else { return };
    database.session().simple("CREATE EXTENSION citext; CREATE TABLE a (k citext PRIMARY KEY); INSERT INTO a VALUES ('Abc'); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)").unwrap();
    let mut builder = DocumentBuilder::start(&database.settings(), &[], None).unwrap();
    let id = |index, value: Value| DocumentId { index, key: vec![value] };
    let ids = [
        id(1, Value::Integer(2)),
        id(0, Value::Text("ABC".into())),
        id(0, Value::Text("Abc".into())),
        id(1, Value::Integer(1)),
        id(1, Value::Integer(1)),
        // What a link of a larger type may name.
        id(1, Value::Integer(5_000_000_000)),
    ];
    let built: Vec<bool> =
        builder.build_many(ids.to_vec()).unwrap().iter().map(|outcome| matches!(outcome, Outcome::Built(_))).collect();
    assert_eq!(built, [false, false, true, true, true, false]);
}

#[test]
fn a_reshaped_table_is_noticed_by_every_instance() {
    let Some(database) = Database::create("reshaped") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY, x int); INSERT INTO a VALUES (1, 2)").unwrap();
    let mut builder = DocumentBuilder::start(&database.settings(), &[], None).unwrap();
    let ids = [DocumentId { index: 0, key: vec![Value::Integer(1)] }];
    assert_eq!(builder.build_many(ids.to_vec()).unwrap(), [Outcome::Built(b"{\"id\":1,\"x\":2}".to_vec())]);
    session.simple("ALTER TABLE a ADD y text DEFAULT 'new', DROP x").unwrap();
    assert_eq!(builder.build_many(ids.to_vec()).unwrap(), [Outcome::Built(b"{\"id\":1,\"y\":\"new\"}".to_vec())]);
    session.simple("ALTER TABLE a ALTER y DROP DEFAULT, ALTER y TYPE int USING 5").unwrap();
    assert_eq!(builder.build_many(ids.to_vec()).unwrap(), [Outcome::Built(b"{\"id\":1,\"y\":5}".to_vec())]);
    session.simple("ALTER TABLE a ALTER y TYPE text").unwrap();
    assert_eq!(range(&mut builder, 0, &KeyRange::default(), 10, 1000)[0].1, b"{\"id\":1,\"y\":\"5\"}");
    session.simple("ALTER TABLE a RENAME y TO z").unwrap();
    assert_eq!(range(&mut builder, 0, &KeyRange::default(), 10, 1000)[0].1, b"{\"id\":1,\"z\":\"5\"}");
}

#[test]
fn ranges_together_hold_every_row_once() {
    let Some(database) = Database::create("ranges") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY, x int); INSERT INTO a SELECT i::bigint * i % 1000003, i FROM generate_series(1, 60000) i ON CONFLICT DO NOTHING").unwrap();
    for analysed in [false, true] {
        if analysed {
            session.simple("ANALYZE a").unwrap();
        }
        let mut builder = DocumentBuilder::start(&database.settings(), &[], None).unwrap();
        let mut snapshot =
            flusso_pg::snapshot::key_pages::PgSnapshot::start(&database.settings(), builder.interest().unwrap())
                .unwrap();
        let division = snapshot.split(0, 4).unwrap();
        assert_eq!(
            division.ranges.len(),
            4,
            "{:?}",
            division.ranges.iter().map(|range| String::from_utf8_lossy(range).into_owned()).collect::<Vec<_>>()
        );
        let total: usize = session.one("SELECT count(*) FROM a").unwrap().unwrap().parse().unwrap();
        let (mut ids, mut keys) = (Vec::new(), Vec::new());
        for bytes in &division.ranges {
            let part = range(&mut builder, 0, &KeyRange::from_bytes(bytes).unwrap(), 2000, 1 << 30);
            assert!(part.len() > total / 10, "about equal: {} of {total}", part.len());
            ids.extend(part.into_iter().map(|(key, _)| server::integers(&key)[0]));
            snapshot.begin(0, bytes.clone(), None).unwrap();
            loop {
                let page = snapshot.next(1500).unwrap();
                keys.extend(page.keys.iter().map(|key| server::integers(key)[0]));
                if page.cursor.is_none() {
                    break;
                }
            }
        }
        assert_eq!(ids, keys);
        assert_eq!(ids.len(), total);
        assert!(ids.is_sorted());
    }
}
