//! Documents of a schema against JSON that the server builds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;
mod shop;

use flusso_pg::documents::builder::DocumentBuilder;
use flusso_pg::snapshot::range_scan::KeyRange;
use flusso_plugin::{Builder as _, RangeBuilder as _};
use flusso_plugin::{DocumentId, Error, IndexRequest, Key, Outcome, Value};
use serde_json::Value as Json;
use server::Database;

fn request(schema: &str) -> IndexRequest {
    IndexRequest {
        name: "things".into(),
        schema: Some(schema.into()),
        origin: Some("things.schema.yml".into()),
        extra: None,
    }
}

fn open(database: &Database, schema: &str) -> DocumentBuilder {
    DocumentBuilder::start(&database.settings(), &[request(schema)], None).unwrap_or_else(|error| panic!("{error}"))
}

fn by_range(builder: &mut DocumentBuilder, max: u32, max_bytes: u32) -> Vec<(Key, Vec<u8>)> {
    let (mut all, mut cursor, mut rows) = (Vec::new(), None, 0);
    loop {
        let page = builder.build_range(0, KeyRange::default().to_bytes(), cursor.clone(), max, max_bytes).unwrap();
        assert!(page.documents.len() <= max as usize && page.documents.len() as u64 <= page.rows);
        rows += page.rows;
        all.extend(page.documents.into_iter().map(|one| match one.outcome {
            Outcome::Built(body) => (one.key, body),
            other => panic!("{other:?}"),
        }));
        cursor = page.cursor;
        if cursor.is_none() {
            assert!(rows >= all.len() as u64);
            return all;
        }
    }
}

/// Numbers compared as numbers: `1.50` is `1.5`.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

/// Every document, by range in large and small pages and by key, is what the query says; returned as JSON.
fn check(database: &Database, schema: &str, sql: &str) -> Vec<Json> {
    let expected: Vec<Json> = database
        .session()
        .simple(sql)
        .unwrap()
        .into_iter()
        .map(|row| serde_json::from_str(row[0].as_ref().unwrap()).unwrap())
        .collect();
    let mut builder = open(database, schema);
    let built = by_range(&mut builder, 2000, 1 << 30);
    let documents: Vec<Json> = built
        .iter()
        .map(|(_, body)| {
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
        })
        .collect();
    for (ours, theirs) in documents.iter().zip(&expected) {
        assert!(same(ours, theirs), "\n ours {ours}\nthey {theirs}");
    }
    assert_eq!(documents.len(), expected.len());
    assert_eq!(by_range(&mut builder, 3, 1 << 30), built, "in small pages");
    assert_eq!(by_range(&mut builder, 1000, 300), built, "in pages cut by bytes");
    let mut ids: Vec<DocumentId> = built.iter().map(|(key, _)| DocumentId { index: 0, key: key.clone() }).collect();
    ids.extend_from_within(..1);
    let outcomes = builder.build_many(ids.to_vec()).unwrap();
    for ((_, body), outcome) in built.iter().chain(&built[..1]).zip(&outcomes) {
        assert_eq!(&Outcome::Built(body.clone()), outcome, "by key");
    }
    for id in &ids[..ids.len().min(5)] {
        assert_eq!(
            builder.build_many(vec![id.clone()]).unwrap()[0],
            outcomes[ids.iter().position(|other| other == id).unwrap()]
        );
    }
    documents
}

#[test]
fn a_shop() {
    let Some(database) = Database::create("shop") else { return };
    database.session().simple(&shop::tables(1500)).unwrap();
    let sql = shop::SQL.replace("'createdAt', u.created_at", "'createdAt', to_char(u.created_at AT TIME ZONE 'UTC', CASE WHEN extract(milliseconds FROM u.created_at)::int % 1000 = 0 THEN 'YYYY-MM-DD\"T\"HH24:MI:SS\"+00:00\"' ELSE 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"+00:00\"' END)");
    assert_eq!(check(&database, shop::SCHEMA, &sql).len(), 1500);
}

#[test]
fn products_with_tags_through_a_junction() {
    let Some(database) = Database::create("tags") else { return };
    database.session().simple(&shop::tables(300)).unwrap();
    let schema = "
version: 1
table: products
filters: [{ column: id, op: lte, value: 300 }]
fields:
  - keyword: sku
  - many_to_many: tags
    table: tags
    primary_key: id
    through: { table: product_tags, left_key: product_id, right_key: tag_id }
    order_by: [{ column: label, direction: desc }]
    limit: 2
    filters: [{ column: id, op: not_in, value: [3, 4] }]
    fields: [{ keyword: label }, { integer: id }]
  - count: tagCount
    table: tags
    through: { table: product_tags, left_key: product_id, right_key: tag_id }
  - ids: tagIds
    table: tags
    element_type: integer
    through: { table: product_tags, left_key: product_id, right_key: tag_id }
    filters: [{ raw: \"label like 'Tag 1%' -- and so on\" }]
  - ids: itemIds
    table: order_items
    element_type: long
    foreign_key: product_id
  - avg: meanQuantity
    table: order_items
    column: quantity
    foreign_key: product_id
  - min: cheapest
    table: order_items
    column: price
    value_type: decimal
    foreign_key: product_id
";
    let sql = "SELECT json_build_object('sku', p.sku,
  'tags', (SELECT coalesce(json_agg(json_build_object('label', label, 'id', id) ORDER BY label DESC), '[]') FROM (SELECT t.* FROM tags t JOIN product_tags j ON j.tag_id = t.id WHERE j.product_id = p.id AND t.id NOT IN (3, 4) ORDER BY label DESC LIMIT 2) x),
  'tagCount', (SELECT count(*) FROM product_tags j WHERE j.product_id = p.id),
  'tagIds', (SELECT coalesce(json_agg(t.id ORDER BY t.id), '[]') FROM tags t JOIN product_tags j ON j.tag_id = t.id WHERE j.product_id = p.id AND label LIKE 'Tag 1%'),
  'itemIds', (SELECT coalesce(json_agg(i.id ORDER BY i.id), '[]') FROM order_items i WHERE i.product_id = p.id),
  'meanQuantity', (SELECT avg(quantity) FROM order_items i WHERE i.product_id = p.id),
  'cheapest', (SELECT min(price) FROM order_items i WHERE i.product_id = p.id)) FROM products p WHERE id <= 300 ORDER BY id";
    check(&database, schema, sql);
}

const KINDS: &str = r#"
CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE mood AS ENUM ('sad', 'fine'); CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TYPE pair AS (a int, b text);
CREATE TABLE kinds (id uuid PRIMARY KEY, te text, vc varchar(20), ch char(5), ci citext, mo mood, uu uuid, bo boolean, sm smallint, i positive, bi bigint, r real, d double precision,
  nu numeric, da date, ts timestamp, tz timestamptz, by bytea, js json, jb jsonb, ar text[], na int[], pa pair, hs hstore, ip inet, lat numeric, lon double precision, pt jsonb);
INSERT INTO kinds VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', E' Mixed "Case"\\ \n\té🎈 ', 'Vc', 'ab', 'CiText', 'fine', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12', true, -3, 7, 9007199254740993, 1.5, 0.1,
  12345.678900, '2020-02-29', '2020-01-02 03:04:05.6', '2020-01-02 03:04:05.678912+05', '\x00ff10', E'{"a":\n [1, null]}', '{"en": "x", "de": "y"}', '{a,"b c",NULL}', '{1,2}', ROW(1,'x'), 'k=>v', '10.0.0.1', 1.250, -7.5, '{"lat":1,"lon":2}'),
 ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL),
 ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', '', '', '', '', 'sad', NULL, false, 0, 1, 0, 'NaN', 'Infinity', 'NaN', 'infinity', '-infinity', 'infinity', '', 'null', '[]', '{}', '{}', ROW(NULL,NULL), '', '::1/64', 0, 0, NULL);"#;

#[test]
fn every_kind_of_field_of_one_row() {
    let Some(database) = Database::create("kinds") else { return };
    database.session().simple(KINDS).unwrap();
    let schema = r#"
version: 1
table: kinds
fields:
  - uuid: id
  - text: te
  - text: trimmed
    column: te
    transforms: [trim, lowercase]
    default: Nobody
  - identifier: vc
  - keyword: ch
  - keyword: ci
    transforms: [lowercase]
  - enum: mo
    variants: [sad, fine]
    default: sad
  - enum: moLower
    column: mo
    transforms: [lowercase]
  - uuid: uu
  - boolean: bo
    default: true
  - short: sm
  - integer: i
    default: 5
  - long: bi
  - float: r
  - double: d
  - decimal: nu
    default: 0.5
  - keyword: asKeyword
    column: nu
  - date: da
    default: 2024-01-31
  - timestamp: ts
  - timestamp: tz
    default: 2024-01-31T12:00:00+02:00
  - keyword: tzAsIs
    column: tz
  - binary: by
  - json: js
  - json: jb
  - map: names
    column: jb
    values: text
  - keyword: ar
  - integer: na
  - custom: ip
    postgres: [inet]
    opensearch: ip
  - json: pa
  - json: hs
  - object: nested
    fields:
      - keyword: vc
      - object: deeper
        fields: [{ long: bi }, { constant: kind, value: { a: ["y", "x"] } }]
  - geo: point
    lat: lat
    lon: lon
  - geo: pt
  - constant: nothing
  - constant: word
    value: it's "quoted"
"#;
    let moment = |column: &str| {
        format!(
            "CASE WHEN isfinite({column}) THEN to_json(to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') || CASE WHEN extract(microseconds FROM {column})::int8 % 1000000 = 0 THEN '' ELSE to_char({column}, '.US') END || '+00:00') ELSE to_json({column}) END"
        )
    };
    let sql = format!(
        r#"SELECT jsonb_build_object('id', id, 'te', te, 'trimmed', coalesce(lower(trim(te)), 'Nobody'), 'vc', vc, 'ch', ch, 'ci', lower(ci::text), 'mo', coalesce(mo, 'sad'), 'moLower', mo, 'uu', uu, 'bo', coalesce(bo, true),
 'sm', sm, 'i', coalesce(i, 5), 'bi', bi, 'r', r, 'd', d, 'nu', coalesce(nu, 0.5), 'asKeyword', nu, 'da', coalesce(da, '2024-01-31'),
 'ts', CASE WHEN ts = '2020-01-02 03:04:05.6' THEN '"2020-01-02T03:04:05.600"' ELSE to_json(ts) END, 'tz', {}, 'tzAsIs', tz, 'by', encode(by, 'base64'), 'js', js)
 || jsonb_build_object('jb', jb, 'names', jb, 'ar', ar, 'na', na, 'ip', ip, 'pa', pa, 'hs', hs::json, 'nested', json_build_object('vc', vc, 'deeper', json_build_object('bi', bi, 'kind', '{{"a":["y","x"]}}'::json)),
 'point', CASE WHEN lat IS NULL OR lon IS NULL THEN NULL ELSE json_build_object('lat', lat, 'lon', lon) END, 'pt', pt, 'nothing', NULL, 'word', 'it''s "quoted"') FROM kinds ORDER BY id"#,
        moment("coalesce(tz, '2024-01-31T12:00:00+02:00')")
    );
    let documents = check(&database, schema, &sql);
    assert_eq!(documents[0]["tz"], "2020-01-01T22:04:05.678912+00:00");
    assert_eq!(documents[0]["bi"].to_string(), "9007199254740993", "digit for digit");
    let keys: Vec<&String> = documents[0].as_object().unwrap().keys().take(4).collect();
    assert_eq!(keys, ["id", "te", "trimmed", "vc"], "in the order of the file");
}

#[test]
fn filters_soft_delete_and_null() {
    let Some(database) = Database::create("filters") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE things (id int PRIMARY KEY, kind text, n numeric, at timestamptz, gone boolean, why text, flag boolean);
      INSERT INTO things SELECT i, (ARRAY['a','B','c%','d_',NULL])[1 + i % 5], NULLIF(i % 7, 3) + 0.50, '2024-01-01'::timestamptz + i * interval '1 day',
        (ARRAY[true,false,NULL])[1 + i % 3], (ARRAY['spam',NULL,'other'])[1 + i % 4], i % 2 = 0 FROM generate_series(1, 400) i").unwrap();
    let document = "SELECT json_build_object('id', id) FROM things";
    let mut counts = Vec::new();
    for (filter, sql) in [
        ("{ column: kind, op: eq, value: a }", "kind = 'a'"),
        ("{ column: kind, op: neq, value: a }", "kind <> 'a'"),
        ("{ column: n, op: lt, value: 2.5 }", "n < 2.5"),
        ("{ column: n, op: lte, value: 2.50 }", "n <= 2.5"),
        ("{ column: n, op: gt, value: 2.5 }", "n > 2.5"),
        ("{ column: n, op: gte, value: '2.5' }", "n >= 2.5"),
        ("{ column: n, op: eq, value: 2.500 }", "n = 2.5"),
        ("{ column: kind, op: like, value: 'c\\%' }", "kind LIKE 'c\\%'"),
        ("{ column: kind, op: ilike, value: b }", "kind ILIKE 'b'"),
        ("{ column: id, op: like, value: '1%' }", "id::text LIKE '1%'"),
        ("{ column: kind, op: in, value: [a, B] }", "kind IN ('a', 'B')"),
        ("{ column: kind, op: not_in, value: [a, B] }", "kind NOT IN ('a', 'B')"),
        (
            "{ column: at, op: between, value: ['2024-01-05', '2024-03-01T00:00:00Z'] }",
            "at BETWEEN '2024-01-05' AND '2024-03-01'",
        ),
        ("{ column: kind, op: is_null }", "kind IS NULL"),
        ("{ column: kind, op: is_not_null }", "kind IS NOT NULL"),
        ("{ column: flag, op: eq, value: true }", "flag"),
        ("{ raw: \"kind = 'a' OR root.n > 3 -- why not\" }", "kind = 'a' OR n > 3"),
    ] {
        let schema = format!("version: 1\ntable: things\nfilters:\n  - {filter}\nfields: [{{ integer: id }}]\n");
        counts.push(check(&database, &schema, &format!("{document} WHERE {sql} ORDER BY id")).len());
    }
    assert!(counts.iter().all(|count| (1..400).contains(count)), "{counts:?}");
    // A mark or a condition that is null does not hold: the row stays.
    for (soft_delete, sql) in [
        ("{ column: gone }", "gone IS NOT TRUE"),
        ("{ column: why }", "why IS NULL"),
        ("{ field: id, when: [{ column: why, op: eq, value: spam }] }", "why IS NULL OR why <> 'spam'"),
        (
            "{ column: gone, when: [{ column: why, op: eq, value: spam }, { column: n, op: gt, value: 1 }] }",
            "(gone AND why = 'spam' AND n > 1) IS NOT TRUE",
        ),
    ] {
        let schema = format!("version: 1\ntable: things\nsoft_delete: {soft_delete}\nfields: [{{ integer: id }}]\n");
        check(&database, &schema, &format!("{document} WHERE {sql} ORDER BY id"));
    }
    // A row that leaves the set is absent by key.
    let mut builder = open(
        &database,
        "version: 1\ntable: things\nfilters: [{ column: kind, op: eq, value: a }]\nfields: [{ integer: id }]\n",
    );
    let ids = [DocumentId { index: 0, key: vec![Value::Integer(5)] }];
    assert!(matches!(builder.build_many(ids.to_vec()).unwrap()[0], Outcome::Built(_)));
    session.simple("UPDATE things SET kind = 'B' WHERE id = 5").unwrap();
    assert_eq!(builder.build_many(ids.to_vec()).unwrap()[0], Outcome::Absent);
}

#[test]
fn self_joins_composite_keys_and_tables_of_one_name() {
    let Some(database) = Database::create("relations") else { return };
    database.session().simple(r#"
CREATE SCHEMA other;
CREATE TABLE people (id int PRIMARY KEY, boss int REFERENCES people, name text, n numeric(10,2) UNIQUE);
INSERT INTO people SELECT i, NULLIF(i / 3, 0), 'Person ' || i, i FROM generate_series(1, 60) i;
CREATE TABLE other.people (id int PRIMARY KEY, n numeric, name text); INSERT INTO other.people SELECT i, 1 + i % 20, 'Other ' || i FROM generate_series(1, 50) i;
CREATE TABLE parts (a text, b numeric, label text, PRIMARY KEY (a, b)); INSERT INTO parts SELECT 'x,{"' || i % 4, i * 0.50, 'Part ' || i FROM generate_series(1, 40) i;
CREATE TABLE pieces (id int PRIMARY KEY, a text, b numeric, q int); INSERT INTO pieces SELECT i, 'x,{"' || i % 4, CASE WHEN i % 9 > 0 THEN i % 45 * 0.5 END, i FROM generate_series(1, 200) i;
CREATE TABLE links (a text, b numeric, right_a text, right_b numeric); INSERT INTO links SELECT p.a, p.b, q.a, q.b FROM parts p, parts q WHERE (p.b * 2)::int % 7 = (q.b * 2)::int % 5 AND p.b < 8;
INSERT INTO links SELECT * FROM links LIMIT 3;"#).unwrap();
    check(&database, "
version: 1
table: people
fields:
  - text: name
  - belongs_to: boss
    table: people
    primary_key: id
    column: boss
    fields: [{ text: name }, { belongs_to: above, table: people, primary_key: id, column: boss, filters: [{ column: name, op: neq, value: Person 1 }], fields: [{ text: name }] }]
  - has_many: reports
    table: people
    primary_key: id
    foreign_key: boss
    limit: 2
    order_by: [{ column: name, direction: desc }]
    fields: [{ integer: id }, { count: below, table: people, foreign_key: boss }]
  - has_one: latest
    table: people
    primary_key: id
    foreign_key: boss
    order_by: [{ column: id, direction: desc }]
    fields: [{ integer: id }]
", "SELECT json_build_object('name', name,
 'boss', (SELECT json_build_object('name', b.name, 'above', (SELECT json_build_object('name', c.name) FROM people c WHERE c.id = b.boss AND c.name <> 'Person 1')) FROM people b WHERE b.id = p.boss),
 'reports', (SELECT coalesce(json_agg(json_build_object('id', id, 'below', (SELECT count(*) FROM people z WHERE z.boss = x.id)) ORDER BY name DESC), '[]') FROM (SELECT * FROM people r WHERE r.boss = p.id ORDER BY name DESC LIMIT 2) x),
 'latest', (SELECT json_build_object('id', id) FROM people r WHERE r.boss = p.id ORDER BY id DESC LIMIT 1)) FROM people p ORDER BY id");
    // Keys of several columns, links to null, a junction that holds rows twice.
    check(&database, "
version: 1
table: parts
fields:
  - text: label
  - has_many: pieces
    table: pieces
    primary_key: id
    foreign_key: [a, b]
    filters: [{ column: q, op: gt, value: 3 }]
    fields:
      - integer: q
      - belongs_to: part
        table: parts
        primary_key: [a, b]
        column: [a, b]
        fields: [{ text: label }]
  - many_to_many: linked
    table: parts
    primary_key: [a, b]
    through: { table: links, left_key: [a, b], right_key: [right_a, right_b] }
    fields: [{ text: label }]
  - sum: q
    table: pieces
    column: q
    value_type: long
    foreign_key: [a, b]
  - count: links
    table: parts
    through: { table: links, left_key: [a, b], right_key: [right_a, right_b] }
", "SELECT json_build_object('label', label,
 'pieces', (SELECT coalesce(json_agg(json_build_object('q', q, 'part', (SELECT json_build_object('label', z.label) FROM parts z WHERE z.a = c.a AND z.b = c.b)) ORDER BY id), '[]') FROM pieces c WHERE c.a = p.a AND c.b = p.b AND q > 3),
 'linked', (SELECT coalesce(json_agg(json_build_object('label', r.label) ORDER BY r.a, r.b), '[]') FROM links l JOIN parts r ON r.a = l.right_a AND r.b = l.right_b WHERE l.a = p.a AND l.b = p.b),
 'q', (SELECT sum(q) FROM pieces c WHERE c.a = p.a AND c.b = p.b),
 'links', (SELECT count(*) FROM links l WHERE l.a = p.a AND l.b = p.b)) FROM parts p ORDER BY a, b");
    // A key that the file declares may be null: such a row has no name and is no document.
    database.session().simple("INSERT INTO people VALUES (61, 1, 'Nobody', NULL), (62, 1, 'No one', NULL)").unwrap();
    // A table of the same name in another schema, linked by numbers that are equal but print differently.
    check(
        &database,
        "
version: 1
table: people
primary_key: n
fields:
  - has_many: others
    table: other.people
    primary_key: id
    foreign_key: n
    fields: [{ text: name }]
",
        "SELECT json_build_object('others', (SELECT coalesce(json_agg(json_build_object('name', name) ORDER BY id), '[]') FROM other.people o WHERE o.n = p.n)) FROM people p WHERE n IS NOT NULL ORDER BY n",
    );
}

#[test]
fn the_first_rows_of_a_link_are_the_same_with_an_index_and_without() {
    let Some(database) = Database::create("first") else { return };
    let mut session = database.session();
    session
        .simple(
            "CREATE TABLE a (id int PRIMARY KEY, code varchar(9)); CREATE TABLE b (id int PRIMARY KEY, a bigint, code text, n int, x numeric(6, 2)); CREATE TABLE j (a int, b int, x int);
      INSERT INTO a SELECT i, 'c' || i % 7 FROM generate_series(1, 40) i;
      INSERT INTO b SELECT i, CASE WHEN i % 13 > 0 THEN i % 37 END, 'c' || i % 9, NULLIF(i % 5, 2), i % 3 + 0.50 FROM generate_series(1, 400) i;
      INSERT INTO j SELECT 1 + i % 33, 1 + (i * 7) % 390, i FROM generate_series(1, 500) i",
        )
        .unwrap();
    let schema = "version: 1
table: a
fields:
  - has_many: highest
    table: b
    primary_key: id
    foreign_key: a
    limit: 3
    order_by: [{ column: n, direction: desc }, { column: x }]
    filters: [{ raw: \"t.id <> 77 -- not this one\" }, { column: x, op: gt, value: 0.5 }]
    fields: [{ integer: id }, { integer: n }]
  - has_one: first
    table: b
    primary_key: id
    foreign_key: a
    order_by: [{ column: n }]
    fields: [{ integer: id }]
  - many_to_many: some
    table: b
    primary_key: id
    through: { table: j, left_key: a, right_key: b }
    limit: 2
    order_by: [{ column: x, direction: desc }]
    fields: [{ decimal: x }, { integer: id }]
";
    let sql = "SELECT json_build_object(
 'highest', (SELECT coalesce(json_agg(json_build_object('id', id, 'n', n) ORDER BY n DESC, x, id), '[]') FROM (SELECT * FROM b WHERE b.a = a.id AND id <> 77 AND x > 0.5 ORDER BY n DESC, x, id LIMIT 3) y),
 'first', (SELECT json_build_object('id', b.id) FROM b WHERE b.a = a.id ORDER BY n, b.id LIMIT 1),
 'some', (SELECT coalesce(json_agg(json_build_object('x', x, 'id', id) ORDER BY x DESC, id), '[]') FROM (SELECT b.* FROM j JOIN b ON b.id = j.b WHERE j.a = a.id ORDER BY b.x DESC, b.id LIMIT 2) y)) FROM a ORDER BY id";
    let without = check(&database, schema, sql);
    session.simple("CREATE INDEX ON b (a, n); CREATE INDEX ON j (a)").unwrap();
    assert_eq!(check(&database, schema, sql), without);
    assert!(without.iter().any(|document| document["highest"].as_array().unwrap().len() == 3));
}

#[test]
fn what_does_not_fit_the_database_is_refused_with_its_place() {
    let Some(database) = Database::create("refused") else { return };
    database.session().simple("CREATE TABLE things (id int PRIMARY KEY, name text, at date); CREATE TABLE keyless (x int); CREATE TABLE other (id uuid PRIMARY KEY, thing_id uuid)").unwrap();
    for (schema, wanted) in [
        ("version: 1\ntable: things\nfields:\n  - txt: name\n", "things.schema.yml:4:5"),
        (
            "version: 1\ntable: nothing\nfields: [{ long: id }]\n",
            "things.schema.yml: table: there is no table public.nothing",
        ),
        (
            "version: 1\ntable: things\nfields: [{ text: nam }]\n",
            "things.schema.yml: nam: the table public.things has no column `nam`; did you mean `name`?",
        ),
        (
            "version: 1\ntable: things\nfields: [{ long: name }, { boolean: at }]\n",
            "at: the column `at` is of type date, which is no `boolean`",
        ),
        (
            "version: 1\ntable: keyless\nfields: [{ long: x }]\n",
            "primary_key: the table public.keyless has no primary key",
        ),
        (
            "version: 1\ntable: things\nfilters: [{ column: at, op: eq, value: soon }]\nfields: [{ long: id }]\n",
            "filters: the database refuses it: invalid input syntax for type date",
        ),
        (
            "version: 1\ntable: things\nfilters: [{ raw: 'nam = 1' }]\nfields: [{ long: id }]\n",
            "filters: the database refuses it: column \"nam\" does not exist",
        ),
        (
            "version: 1\ntable: things\nfields: [{ has_many: others, table: other, primary_key: id, foreign_key: thing_id, fields: [{ uuid: id }] }]\n",
            "others: the database refuses it: operator does not exist: uuid = integer",
        ),
        (
            "version: 1\ntable: things\nfields: [{ has_many: others, table: other, primary_key: id, foreign_key: thing, fields: [{ uuid: id }] }]\n",
            "others.foreign_key: the table public.other has no column `thing`",
        ),
        (
            "version: 1\ntable: things\nfields: [{ custom: name, postgres: [inet], opensearch: ip }]\n",
            "which is not in `postgres`",
        ),
    ] {
        let refused = DocumentBuilder::start(&database.settings(), &[request(schema)], None).err().map(Error::from);
        match refused {
            Some(Error::Configuration(error)) => {
                assert_eq!(error.setting, "index.things");
                assert!(error.message.contains(wanted), "{wanted}\n{}", error.message);
            }
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

#[test]
fn a_document_is_of_one_moment_and_altered_tables_are_noticed() {
    let Some(database) = Database::create("moment") else { return };
    let mut session = database.session();
    session.simple("CREATE TABLE a (id int PRIMARY KEY, x int); CREATE TABLE b (id int PRIMARY KEY, a int, x int); INSERT INTO a VALUES (1, 0); INSERT INTO b VALUES (1, 1, 0), (2, 1, 0)").unwrap();
    let mut builder = open(
        &database,
        "version: 1\ntable: a\nfields: [{ integer: x }, { has_many: b, table: b, primary_key: id, foreign_key: a, fields: [{ keyword: x }] }]\n",
    );
    let ids = [DocumentId { index: 0, key: vec![Value::Integer(1)] }];
    let writer = std::thread::spawn({
        let connection = database.connection();
        move || {
            let mut session =
                flusso_pg::protocol::session::Session::open(&connection, flusso_pg::protocol::session::Mode::Sql)
                    .unwrap();
            for x in 1..2000 {
                session.simple(&format!("BEGIN; UPDATE a SET x = {x}; UPDATE b SET x = {x}; COMMIT")).unwrap();
            }
        }
    });
    let (mut before, mut distinct) = (-1, 0);
    while !writer.is_finished() {
        let Outcome::Built(body) = builder.build_many(ids.to_vec()).unwrap().remove(0) else { panic!("absent") };
        let document: Json = serde_json::from_slice(&body).unwrap();
        let x = document["x"].as_i64().unwrap();
        assert!(document["b"].as_array().unwrap().iter().all(|b| b["x"] == document["x"]), "torn: {document}");
        distinct += i32::from(x > before);
        assert!(x >= before);
        before = x;
    }
    writer.join().unwrap();
    assert!(distinct > 3, "{distinct}");
    session.simple("ALTER TABLE b ALTER x TYPE text USING 'was ' || x").unwrap();
    let Outcome::Built(body) = builder.build_many(ids.to_vec()).unwrap().remove(0) else { panic!("absent") };
    assert_eq!(String::from_utf8(body).unwrap(), r#"{"x":1999,"b":[{"x":"was 1999"},{"x":"was 1999"}]}"#);
    session.simple("ALTER TABLE b DROP x").unwrap();
    let error = builder.build_many(ids.to_vec()).unwrap_err().to_string();
    assert!(error.contains("b.x: the table public.b has no column `x`"), "{error}");
}

#[test]
fn values_of_every_shape_find_their_rows() {
    let Some(database) = Database::create("quoting") else { return };
    let mut session = database.session();
    session
        .simple("CREATE TABLE a (k text PRIMARY KEY); CREATE TABLE b (id serial PRIMARY KEY, k text, v text)")
        .unwrap();
    // Texts from the characters that mean something to literals, arrays, patterns, comments and JSON.
    let alphabet = [
        '\'', '"', '\\', '{', '}', ',', '$', '-', '/', '*', ';', '%', '_', '\n', '\r', '\t', ' ', 'N', 'U', 'L', '1',
        'é', '🎈', '\u{1}', '\u{7f}', '(',
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut texts: Vec<String> =
        ["", "NULL", "null", "{}", "'", "\\", "$1", "--", "/*", "\"\"", "1", "-", "\\x00"].map(str::to_owned).into();
    while texts.len() < 900 {
        let length = 1 + random(9);
        texts.push((0..length).map(|_| alphabet[random(alphabet.len())]).collect());
    }
    texts.sort();
    texts.dedup();
    let insert = session.prepare("INSERT INTO a VALUES ($1)").unwrap();
    let insert_below = session.prepare("INSERT INTO b (k, v) VALUES ($1, $1)").unwrap();
    session.simple("BEGIN").unwrap();
    for text in &texts {
        session.rows(&insert, &[Some(text)]).unwrap();
        session.rows(&insert_below, &[Some(text)]).unwrap();
    }
    session.simple("COMMIT").unwrap();
    let schema = "version: 1\ntable: a\nfields: [{ keyword: k }, { has_many: b, table: b, primary_key: id, foreign_key: k, fields: [{ keyword: v }] }]\n";
    let documents = check(
        &database,
        schema,
        "SELECT json_build_object('k', k, 'b', (SELECT json_agg(json_build_object('v', v)) FROM b WHERE b.k = a.k)) FROM a ORDER BY k",
    );
    assert_eq!(documents.len(), texts.len());
    // The same as operands of filters: written into the statement as literals.
    for text in texts.iter().step_by(23) {
        let quoted = serde_json::to_string(text).unwrap();
        for op in ["eq", "gte"] {
            let schema = format!(
                "version: 1\ntable: a\nfilters: [{{ column: k, op: {op}, value: {quoted} }}]\nfields: [{{ keyword: k }}]\n"
            );
            let built = by_range(&mut open(&database, &schema), 2000, 1 << 30);
            let expected =
                texts.iter().filter(|other| if op == "eq" { *other == text } else { *other >= text }).count();
            assert_eq!(built.len(), expected, "{op} {text:?}");
        }
    }
}

#[test]
fn keys_and_rows_larger_than_every_buffer_do_not_block() {
    let Some(database) = Database::create("buffers") else { return };
    // Questions of megabytes and answers of megabytes at once: neither side may wait for the other to read first.
    database.session().simple("CREATE TABLE a (k text PRIMARY KEY, x text); CREATE TABLE b (id int PRIMARY KEY, k text, x text); CREATE TABLE c (id int PRIMARY KEY, k text, x text);
      INSERT INTO a SELECT repeat('k', 1000) || i, repeat('x', 3000) FROM generate_series(1, 2200) i;
      INSERT INTO b SELECT i, repeat('k', 1000) || i, repeat('y', 3000) FROM generate_series(1, 2200) i;
      INSERT INTO c SELECT i, repeat('k', 1000) || i, repeat('z', 3000) FROM generate_series(1, 2200) i").unwrap();
    let below = |table: &str, more: &str| {
        format!(
            "{{ has_many: {table}, table: {table}, primary_key: id, foreign_key: k, fields: [{{ text: x }}{more}] }}"
        )
    };
    let above = "{ belongs_to: back, table: a, primary_key: k, column: k, fields: [{ text: x }] }";
    let schema = format!(
        "version: 1\ntable: a\nfields: [{{ text: x }}, {}, {}, {{ count: n, table: b, foreign_key: k }}]\n",
        below("b", &format!(", {above}")),
        below("c", "")
    );
    let mut builder = open(&database, &schema);
    let built = by_range(&mut builder, 2000, 1 << 30);
    assert_eq!(built.len(), 2200);
    let ids: Vec<DocumentId> = built.iter().map(|(key, _)| DocumentId { index: 0, key: key.clone() }).collect();
    let outcomes = builder.build_many(ids.to_vec()).unwrap();
    assert!(built.iter().zip(&outcomes).all(|((_, body), outcome)| *outcome == Outcome::Built(body.clone())));
    let document: Json = serde_json::from_slice(&built[7].1).unwrap();
    assert_eq!(document["b"][0]["back"]["x"], document["x"]);
    assert_eq!(document["n"], 1);
}
