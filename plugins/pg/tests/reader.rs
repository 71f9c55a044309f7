//! The reader: rows by key and by relation, of one moment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::documents::reader::PgReader;
use flusso_plugin::{BatchReader as _, Reader as _};
use flusso_plugin::{Comparison, Condition, Filter, Ordering, Relation, TableName, Value};
use server::Database;

fn table(name: &str) -> TableName {
    TableName { schema: "public".into(), name: name.into() }
}

fn int(number: i64) -> Value {
    Value::Integer(number)
}

fn relation(by: &str, values: Vec<Value>) -> Relation {
    Relation {
        table: table("items"),
        columns: vec!["id".into()],
        by: vec![by.into()],
        values: values.into_iter().map(|value| vec![value]).collect(),
        filters: Vec::new(),
        order: Vec::new(),
        limit: None,
        extra: None,
    }
}

fn sorted(rows: Vec<Vec<Value>>) -> Vec<(i64, i64)> {
    let mut pairs: Vec<_> = rows.iter().map(|row| server::integers(row)).map(|row| (row[0], row[1])).collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn rows_by_key_and_by_relation_of_one_moment() {
    let Some(database) = Database::create("reader") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE orders (a int, b text, note text, PRIMARY KEY (b, a)); INSERT INTO orders VALUES (1, 'x\"', 'n1'), (2, '{', NULL), (3, 'z', 'n3');
        CREATE TABLE items (id int PRIMARY KEY, parent int, price numeric(10,2), tag text); CREATE INDEX ON items (parent);
        INSERT INTO items SELECT i, i % 3, i * 1.50, CASE WHEN i % 2 = 0 THEN 'even' END FROM generate_series(1, 12) i").unwrap();
    let mut reader = PgReader::start(&database.settings()).unwrap();
    assert_eq!(reader.primary_key(table("orders")).unwrap(), ["b", "a"]);
    reader.begin().unwrap();
    let keys = vec![
        vec![Value::Text("x\"".into()), int(1)],
        vec![Value::Text("{".into()), int(2)],
        vec![Value::Text("z".into()), int(9)],
    ];
    let mut rows = reader.rows(table("orders"), vec!["note".into()], keys).unwrap();
    rows.sort_by_key(|row| format!("{row:?}"));
    assert_eq!(
        rows,
        [
            vec![Value::Text("x\"".into()), int(1), Value::Text("n1".into())],
            vec![Value::Text("{".into()), int(2), Value::Null]
        ]
    );

    assert_eq!(
        sorted(reader.related(relation("parent", vec![int(1), int(7), Value::Null])).unwrap()),
        [(1, 1), (1, 4), (1, 7), (1, 10)]
    );
    let mut limited = relation("parent", vec![int(0), int(1)]);
    limited.order = vec![Ordering { column: "price".into(), descending: true }];
    limited.limit = Some(2);
    assert_eq!(sorted(reader.related(limited.clone()).unwrap()), [(0, 9), (0, 12), (1, 7), (1, 10)]);
    let condition = |column: &str, comparison, operands| {
        Filter::Condition(Condition { column: column.into(), comparison, operands })
    };
    let decimal = |text: &str| Value::Decimal(text.into());
    let cases = [
        (condition("price", Comparison::Between, vec![decimal("6"), decimal("10.5")]), vec![(1, 4), (1, 7)]),
        (condition("price", Comparison::In, vec![decimal("6"), decimal("15.00")]), vec![(1, 4), (1, 10)]),
        (condition("tag", Comparison::IsNull, vec![]), vec![(1, 1), (1, 7)]),
        (condition("tag", Comparison::Ilike, vec![Value::Text("EV%".into())]), vec![(1, 4), (1, 10)]),
        (condition("id", Comparison::NotIn, vec![int(1), int(4)]), vec![(1, 7), (1, 10)]),
        (Filter::Raw("price > 6 AND tag IS NOT NULL".into()), vec![(1, 10)]),
    ];
    for (filter, expected) in cases {
        let mut asked = relation("parent", vec![int(1)]);
        asked.filters = vec![filter];
        assert_eq!(sorted(reader.related(asked.clone()).unwrap()), expected, "{:?}", asked.filters);
    }

    session.simple("DELETE FROM items").unwrap();
    assert_eq!(reader.related(relation("parent", vec![int(1)])).unwrap().len(), 4, "the same moment");
    reader.begin().unwrap();
    assert_eq!(reader.related(relation("parent", vec![int(1)])).unwrap().len(), 0, "the next one");
}

#[test]
fn a_reader_cannot_change_anything() {
    let Some(database) = Database::create("reader_only") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE items (id int PRIMARY KEY, parent int); INSERT INTO items VALUES (1, 1); CREATE SEQUENCE numbers").unwrap();
    let mut reader = PgReader::start(&database.settings()).unwrap();
    let mut asked = relation("parent", vec![int(1)]);
    asked.filters = vec![Filter::Raw("nextval('numbers') > 0".into())];
    // Without `begin` there is no transaction that says so: the session does.
    let error = format!("{:?}", reader.related(asked).unwrap_err());
    assert!(error.contains("read-only"), "{error}");
    assert_eq!(session.one("SELECT is_called FROM numbers").unwrap().as_deref(), Some("f"));
}

#[test]
fn columns_whose_equal_values_look_different_are_described() {
    let Some(database) = Database::create("reader_equal") else { return };
    let mut session = database.session();
    session.simple("CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE COLLATION lax (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE items (id int PRIMARY KEY, span interval, price jsonb, lax text COLLATE lax, code text COLLATE \"C\", size numeric, address inet, mood mood, parts int[]);
        CREATE TABLE plain (id int PRIMARY KEY, code text, at timestamptz)").unwrap();
    let mut reader = PgReader::start(&database.settings()).unwrap();
    let described = reader.describe(vec![table("items"), table("plain")]).unwrap();
    let extra = described.into_iter().map(|found| found.unwrap().extra).collect::<Vec<_>>();
    assert_eq!(extra, [Some(r#"{"looking-different":["span","price","lax","parts"]}"#.to_owned()), None]);
}
