//! Which documents a change touches, from the stream of a real server to the documents: when it is quiet, what is held equals
//! what is built anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod server;

use flusso_pg::documents::builder::DocumentBuilder;
use flusso_pg::protocol::session::Session;
use flusso_pg::replication::source::PgSource;
use flusso_pg::settings::Settings;
use flusso_pg::snapshot::range_scan::KeyRange;
use flusso_plugin::{Affected, DocumentId, Event, IndexRequest, Outcome, Preparation};
use flusso_plugin::{Builder as _, RangeBuilder as _, Source as _};
use flusso_resolve::Tracing;
use server::links::Links;
use server::{Database, changes, drain};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const TABLES: &str = "
CREATE SCHEMA crm;
CREATE TABLE companies (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
CREATE TABLE users (id int PRIMARY KEY, name text, mail varchar(40), company_id uuid, boss_id bigint, gone boolean NOT NULL DEFAULT false);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, status text, total numeric(10,2));
CREATE TABLE crm.orders (id int PRIMARY KEY, user_id int, total int);
CREATE TABLE items (order_id bigint, line text, product_id int, quantity int, PRIMARY KEY (order_id, line));
CREATE TABLE products (id int PRIMARY KEY, name text, note text, shown text GENERATED ALWAYS AS (upper(name)) STORED);
CREATE TABLE tags (id text PRIMARY KEY, name text);
CREATE TABLE user_tags (user_id int, tag_id text, PRIMARY KEY (user_id, tag_id));
CREATE TABLE labels (id serial PRIMARY KEY, user_id int, tag_id text);
INSERT INTO companies (name) SELECT 'c' || i FROM generate_series(1, 4) i;
INSERT INTO users SELECT i, 'u' || i, 'm' || i, (SELECT id FROM companies ORDER BY name OFFSET i % 4 LIMIT 1), i / 3 FROM generate_series(1, 12) i;
INSERT INTO orders SELECT i, i % 13, 'open', i FROM generate_series(1, 30) i;
INSERT INTO crm.orders SELECT i, i % 13, i FROM generate_series(1, 30) i;
INSERT INTO products SELECT i, 'p' || i, 'n' FROM generate_series(1, 6) i;
INSERT INTO items SELECT 1 + i % 30, 'l:' || i, 1 + i % 6, i FROM generate_series(1, 60) i;
INSERT INTO tags SELECT 't' || i, 'tag ' || i FROM generate_series(1, 5) i;
INSERT INTO user_tags SELECT 1 + i % 12, 't' || (1 + i % 5) FROM generate_series(1, 20) i ON CONFLICT DO NOTHING;
INSERT INTO labels (user_id, tag_id) SELECT 1 + i % 12, 't' || (1 + i % 5) FROM generate_series(1, 20) i;";

const USERS: &str = "version: 1
table: users
primary_key: id
soft_delete: { column: gone }
fields:
  - keyword: name
  - belongs_to: company
    column: company_id
    table: companies
    primary_key: id
    fields: [{ keyword: name }]
  - has_many: reports
    table: users
    primary_key: id
    foreign_key: boss_id
    fields: [{ keyword: name }]
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    filters: [{ column: status, op: neq, value: void }]
    fields:
      - keyword: status
      - has_many: items
        table: items
        primary_key: [order_id, line]
        foreign_key: order_id
        fields:
          - integer: quantity
          - belongs_to: product
            column: product_id
            table: products
            primary_key: id
            fields: [{ keyword: shown }]
  - many_to_many: tags
    table: tags
    primary_key: id
    through: { table: user_tags, left_key: user_id, right_key: tag_id }
    fields: [{ keyword: name }]
  - ids: labels
    table: tags
    through: { table: labels, left_key: user_id, right_key: tag_id }
    element_type: keyword
  - sum: crm
    table: crm.orders
    foreign_key: user_id
    column: total
    value_type: long
";

const ITEMS: &str = "version: 1
table: items
primary_key: [line, order_id]
fields:
  - integer: quantity
  - belongs_to: order
    column: order_id
    table: orders
    primary_key: id
    fields:
      - decimal: total
      - belongs_to: user
        column: user_id
        table: users
        primary_key: id
        fields: [{ keyword: mail }]
";

fn requests() -> Vec<IndexRequest> {
    let of = |name: &str, schema: Option<&str>| IndexRequest {
        name: name.into(),
        schema: schema.map(Into::into),
        origin: Some(format!("{name}.schema.yml")),
        extra: None,
    };
    vec![of("users", Some(USERS)), of("items", Some(ITEMS)), of("crm.orders", None)]
}

fn managed(database: &Database) -> Settings {
    Settings { manage_replica_identity: true, ..database.settings() }
}

fn follow(database: &Database, builder: &mut DocumentBuilder) -> PgSource {
    follow_as(managed(database), builder)
}

fn follow_as(settings: Settings, builder: &mut DocumentBuilder) -> PgSource {
    let mut source = PgSource::start(settings, builder.interest().unwrap()).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match source.prepare(None).unwrap() {
            Preparation::Ready(_) => return source,
            Preparation::Pending(reason) => assert!(Instant::now() < until, "{reason}"),
        }
    }
}

type Held = BTreeMap<(u32, String), String>;

fn id(of: &DocumentId) -> (u32, String) {
    (of.index, format!("{:?}", of.key))
}

/// All documents, from scratch.
fn everything(database: &Database) -> Held {
    read(&mut DocumentBuilder::start(&database.settings(), &requests(), None).unwrap(), 3)
}

fn read(builder: &mut DocumentBuilder, indexes: u32) -> Held {
    let mut all = Held::new();
    for index in 0..indexes {
        let mut cursor = None;
        loop {
            let page =
                builder.build_range(index, KeyRange::default().to_bytes(), cursor.clone(), 1000, 1 << 20).unwrap();
            for one in page.documents {
                if let Outcome::Built(body) = one.outcome {
                    all.insert(id(&DocumentId { index, key: one.key }), String::from_utf8(body).unwrap());
                }
            }
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    all
}

fn apply(builder: &mut DocumentBuilder, affected: &Affected, held: &mut Held) {
    held.retain(|(index, _), _| !affected.clear.contains(index));
    if !affected.rebuild.is_empty() {
        held.retain(|(index, _), _| !affected.rebuild.contains(index));
        held.extend(read(builder, 3).into_iter().filter(|((index, _), _)| affected.rebuild.contains(index)));
    }
    for (of, outcome) in affected.ids.iter().zip(builder.build_many(affected.ids.clone()).unwrap()) {
        match outcome {
            Outcome::Built(body) => held.insert(id(of), String::from_utf8(body).unwrap()),
            Outcome::Absent => held.remove(&id(of)),
            Outcome::Failed(failure) => panic!("{failure:?}"),
        };
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// One statement of the workload.
fn statement(random: &mut Random) -> String {
    let (a, b, c) = (random.below(13), random.below(31), random.below(7));
    match random.below(29) {
        0 => format!(
            "UPDATE companies SET name = 'c{b}' WHERE id = (SELECT id FROM companies ORDER BY id OFFSET {c} % 4 LIMIT 1)"
        ),
        1 => format!("UPDATE users SET name = 'n{b}' WHERE id = {a}"),
        2 => format!("UPDATE users SET boss_id = {c} WHERE id = {a}"),
        3 => format!("UPDATE users SET gone = NOT gone WHERE id = {a}"),
        4 => format!(
            "UPDATE users SET id = id + 100 WHERE id = {a} AND NOT EXISTS (SELECT FROM users WHERE id = {a} + 100)"
        ),
        5 => format!("DELETE FROM users WHERE id = {a}"),
        6 => format!(
            "INSERT INTO users (id, name, boss_id) VALUES ({a}, 'again', {c}) ON CONFLICT (id) DO UPDATE SET mail = 'm{b}'"
        ),
        7 => format!("UPDATE orders SET user_id = {a} WHERE id = {b}"),
        8 => format!("UPDATE orders SET status = CASE status WHEN 'void' THEN 'open' ELSE 'void' END WHERE id = {b}"),
        9 => format!("DELETE FROM orders WHERE id = {b}"),
        10 => format!(
            "INSERT INTO orders VALUES ({b}, {a}, 'new', {c}) ON CONFLICT (id) DO UPDATE SET total = excluded.total"
        ),
        11 => format!("UPDATE orders SET user_id = NULL WHERE id = {b}"),
        12 => format!("UPDATE items SET order_id = {b} + 40 WHERE order_id = {a}"),
        13 => format!(
            "UPDATE items SET order_id = {b} WHERE order_id = {b} + 40 AND NOT EXISTS (SELECT FROM items WHERE order_id = {b})"
        ),
        14 => format!("UPDATE items SET product_id = {c} WHERE order_id = {b}"),
        15 => format!("DELETE FROM items WHERE order_id = {b} AND quantity % 2 = 0"),
        16 => format!("UPDATE products SET name = 'p{b}' WHERE id = {c}"),
        17 => format!("UPDATE tags SET name = 't{b}' WHERE id = 't{c}'"),
        18 => format!("DELETE FROM user_tags WHERE user_id = {a}"),
        19 => format!("INSERT INTO user_tags VALUES ({a}, 't{c}') ON CONFLICT DO NOTHING"),
        20 => format!("UPDATE labels SET user_id = {a} WHERE id = {b}"),
        21 => format!("DELETE FROM labels WHERE id = {b}"),
        22 => format!("UPDATE crm.orders SET user_id = {a}, total = {c} WHERE id = {b}"),
        _ => match random.below(40) {
            0 => "TRUNCATE user_tags".into(),
            1 => "TRUNCATE items, crm.orders".into(),
            2..=8 => format!("DELETE FROM tags WHERE id = 't{c}'; INSERT INTO tags VALUES ('t{c}', 'back')"),
            9..=20 => format!("INSERT INTO items VALUES ({b}, 'l:{a}', {c}, {a}) ON CONFLICT DO NOTHING"),
            21..=29 => format!("INSERT INTO labels (user_id, tag_id) VALUES ({a}, 't{c}')"),
            _ => format!("INSERT INTO crm.orders VALUES ({b}, {a}, {c}) ON CONFLICT DO NOTHING"),
        },
    }
}

#[test]
fn when_the_stream_is_quiet_what_is_held_equals_what_is_built_anew() {
    let Some(database) = Database::create("resolve") else { return };
    database.session().simple(TABLES).unwrap();
    let mut builder = DocumentBuilder::start(&managed(&database), &requests(), None).unwrap();
    let source = follow(&database, &mut builder);
    story(&database, builder, source, everything(&database), None);
}

#[test]
fn the_same_where_the_server_tells_keys_alone_and_links_are_remembered() {
    let Some(database) = Database::create("remembered") else { return };
    database.session().simple(TABLES).unwrap();
    let links = Links::default();
    let mut builder = DocumentBuilder::start(&database.settings(), &requests(), links.boxed()).unwrap();
    let remembers: Vec<_> = builder.scopes().unwrap().into_iter().map(|scope| scope.recorded_relations).collect();
    let users = [
        "users (id integer → boss_id integer)",
        "orders (id integer → user_id integer)",
        "labels (id integer → user_id integer)",
    ];
    let users: Vec<_> = users
        .iter()
        .map(|name| format!("public.{name}"))
        .chain(["crm.orders (id integer → user_id integer)".into()])
        .collect();
    assert_eq!(remembers[0].iter().collect::<BTreeSet<_>>(), users.iter().collect::<BTreeSet<_>>());
    assert!(remembers[1].is_empty() && remembers[2].is_empty(), "{remembers:?}");
    let source = follow_as(database.settings(), &mut builder);
    let held = read(&mut builder, 3);
    assert!(links.len() > 50, "{}", links.len());
    story(&database, builder, source, held, Some(&links));
    assert_eq!(identity(&mut database.session(), "orders"), "d");
}

fn story(
    database: &Database,
    mut builder: DocumentBuilder,
    mut source: PgSource,
    mut held: Held,
    links: Option<&Links>,
) {
    let mut session = database.session();
    let seed = std::env::var("FLUSSO_RESOLVE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut random = Random(seed);
    let (mut named, mut transactions) = (0, 0);
    for round in 0..50 {
        for _ in 0..=random.below(6) {
            let statements: Vec<String> = (0..=random.below(4)).map(|_| statement(&mut random)).collect();
            let end = if random.below(8) == 0 { "ROLLBACK" } else { "COMMIT" };
            session.simple(&format!("BEGIN; {}; {end}", statements.join("; "))).unwrap();
            transactions += 1;
        }
        let events = drain(&mut source);
        assert!(!events.iter().any(|event| matches!(event, Event::TableChanged(_))));
        for batch in changes(events).chunks(1 + usize::try_from(random.below(20)).unwrap()) {
            let mut affected = builder.resolve(batch.to_vec()).unwrap();
            loop {
                named += affected.ids.len();
                apply(&mut builder, &affected, &mut held);
                links.iter().for_each(|links| links.confirm(&affected));
                let Some(cursor) = affected.more else { break };
                affected = builder.resolve_more(cursor, 3).unwrap();
            }
        }
        let truth = everything(database);
        assert!(held == truth, "seed {seed}, round {round}: {:?}", difference(&held, &truth));
    }
    eprintln!("{transactions} transactions, {named} documents named, {} held", held.len());
}

fn difference(held: &Held, truth: &Held) -> Vec<(u32, String)> {
    let keys = held.keys().chain(truth.keys());
    keys.filter(|key| held.get(*key) != truth.get(*key)).cloned().collect()
}

fn identity(session: &mut Session, table: &str) -> String {
    session.one(&format!("SELECT relreplident FROM pg_class WHERE oid = '{table}'::regclass")).unwrap().unwrap()
}

#[test]
fn replica_identity_is_set_where_it_is_needed_and_asked_for() {
    let Some(database) = Database::create("identity") else { return };
    let mut session = database.session();
    session.simple(TABLES).unwrap();
    let mut builder = DocumentBuilder::start(&database.settings(), &requests(), None).unwrap();
    let untold: Vec<String> = builder
        .relations()
        .into_iter()
        .filter_map(|relation| match relation.tracing {
            Tracing::Untold { remedy } => remedy,
            _ => None,
        })
        .collect();
    let statement = |table: &str| format!("ALTER TABLE {table} REPLICA IDENTITY FULL");
    let tables = ["\"public\".\"users\"", "\"public\".\"orders\"", "\"public\".\"labels\"", "\"crm\".\"orders\""];
    assert_eq!(untold, tables.map(statement));
    drop(server::ready(&database, builder.interest().unwrap(), None));
    assert_eq!(identity(&mut session, "orders"), "d", "not without being asked");
    drop(follow(&database, &mut builder));
    for table in ["users", "orders", "labels", "crm.orders"] {
        assert_eq!(identity(&mut session, table), "f", "{table}");
    }
    for table in ["companies", "items", "products", "tags", "user_tags"] {
        assert_eq!(identity(&mut session, table), "d", "{table}");
    }
    let builder = DocumentBuilder::start(&database.settings(), &requests(), None).unwrap();
    assert!(builder.relations().iter().all(|relation| relation.tracing.is_exact()));
}

#[test]
fn an_index_that_covers_the_links_tells_them() {
    let Some(database) = Database::create("covering") else { return };
    let mut session = database.session();
    session
        .simple("CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL, x int); CREATE UNIQUE INDEX covering ON orders (id, user_id);
                 ALTER TABLE orders REPLICA IDENTITY USING INDEX covering; INSERT INTO orders VALUES (1, 10, 0)")
        .unwrap();
    let mut wanted = server::interest("orders", &["id"]);
    wanted.links = vec!["user_id".into()];
    let (mut source, _) = server::ready(&database, vec![wanted], None);
    session.simple("UPDATE orders SET x = 1; UPDATE orders SET user_id = 11; DELETE FROM orders").unwrap();
    let links: Vec<_> = changes(drain(&mut source)).into_iter().map(|change| (change.before, change.after)).collect();
    let row = |number: i64| Some(vec![flusso_plugin::Value::Integer(number)]);
    assert_eq!(links, [(row(10), row(10)), (row(10), row(11)), (row(11), None)]);
}

#[test]
fn a_link_that_its_target_could_not_hold_leads_nowhere() {
    let Some(database) = Database::create("range") else { return };
    let mut session = database.session();
    session.simple(TABLES).unwrap();
    // Told apart by the server alone, so that the number is looked up.
    session.simple("ALTER TABLE orders ALTER user_id TYPE numeric").unwrap();
    let mut builder = DocumentBuilder::start(&database.settings(), &requests(), None).unwrap();
    let mut source = follow(&database, &mut builder);
    session.simple("UPDATE orders SET user_id = 5000000000 WHERE id = 1; UPDATE orders SET user_id = 3.50 WHERE id = 2; UPDATE orders SET user_id = 7.0 WHERE id = 3").unwrap();
    let affected = builder.resolve(changes(drain(&mut source))).unwrap();
    let users: Vec<_> = affected.ids.iter().filter(|of| of.index == 0).map(|of| server::integers(&of.key)).collect();
    assert_eq!(users, [[1], [2], [3], [7]], "where the three were, and where one went");
}

#[test]
fn one_change_of_very_many_documents_comes_in_parts() {
    let Some(database) = Database::create("many") else { return };
    let mut session = database.session();
    session.simple(TABLES).unwrap();
    session.simple("INSERT INTO users (id, company_id) SELECT i, (SELECT id FROM companies WHERE name = 'c1') FROM generate_series(1000, 40999) i; ANALYZE users").unwrap();
    let open = || DocumentBuilder::start(&database.settings(), &requests(), None).unwrap();
    let mut builder = open();
    let mut source = follow(&database, &mut builder);
    session.simple("UPDATE companies SET name = 'all' WHERE name = 'c1'").unwrap();
    let batch = changes(drain(&mut source));
    let mut affected = builder.resolve(batch.clone()).unwrap();
    let (mut all, mut answers) = (std::collections::BTreeSet::new(), 0);
    loop {
        assert!(affected.ids.len() <= 8192);
        all.extend(affected.ids.iter().map(id));
        answers += 1;
        let Some(cursor) = affected.more else { break };
        assert!(cursor.len() < 1 << 20, "{} bytes", cursor.len());
        affected = open().resolve_more(cursor, 5000).unwrap();
    }
    assert!(all.len() >= 40_000 && answers >= 7, "{} documents in {answers} answers", all.len());
}

#[test]
fn a_document_whose_rows_were_asked_for_while_it_was_read_is_read_again() {
    let Some(database) = Database::create("overtaken") else { return };
    let mut session = database.session();
    session.simple(TABLES).unwrap();
    for by_range in [true, false] {
        let links = Links::default();
        let open = || DocumentBuilder::start(&database.settings(), &requests(), links.boxed()).unwrap();
        let (mut builder, mut resolver) = (open(), open());
        let mut source = follow_as(database.settings(), &mut builder);
        drain(&mut source);
        // Between the read and its links' being remembered, the order goes, and its going is resolved: nobody knows yet
        // that a document held it.
        let user = session.one("SELECT user_id FROM orders WHERE user_id > 0 LIMIT 1").unwrap().unwrap();
        let order = session.one(&format!("SELECT min(id) FROM orders WHERE user_id = {user}")).unwrap().unwrap();
        let (mut other, order_gone) = (database.session(), order.clone());
        links.0.borrow_mut().before = Some(Box::new(move || {
            other
                .simple(&format!(
                    "DELETE FROM items WHERE order_id = {order_gone}; DELETE FROM orders WHERE id = {order_gone}"
                ))
                .unwrap();
            let affected = resolver.resolve(changes(drain(&mut source))).unwrap();
            assert!(!affected.ids.iter().any(|id| id.index == 0), "{:?}", affected.ids);
        }));
        let key = vec![flusso_plugin::Value::Integer(user.parse().unwrap())];
        let held = if by_range {
            read(&mut builder, 1)[&(0, format!("{key:?}"))].clone()
        } else {
            let Outcome::Built(body) =
                builder.build_many(vec![DocumentId { index: 0, key: key.clone() }]).unwrap().remove(0)
            else {
                panic!("it is there")
            };
            String::from_utf8(body).unwrap()
        };
        assert!(links.0.borrow().before.is_none());
        assert_eq!(held, everything(&database)[&(0, format!("{key:?}"))]);
        drop(builder);
        session.simple("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND database = current_database()").unwrap();
    }
}

#[test]
fn a_table_that_tells_less_than_it_did_has_its_documents_built_again() {
    let Some(database) = Database::create("weakened") else { return };
    let mut session = database.session();
    session.simple(TABLES).unwrap();
    let links = Links::default();
    let open = |settings| DocumentBuilder::start(&settings, &requests(), links.boxed()).unwrap();
    let remembers_nothing = |builder: &mut DocumentBuilder| {
        builder.scopes().unwrap().iter().all(|scope| scope.recorded_relations.is_empty())
    };
    let mut builder = open(managed(&database));
    assert!(remembers_nothing(&mut builder), "what will be set is not remembered");
    let mut source = follow(&database, &mut builder);
    session.simple("UPDATE orders SET total = 1 WHERE id = 1").unwrap();
    assert!(!drain(&mut source).iter().any(|event| matches!(event, Event::TableChanged(_))));
    session.simple("ALTER TABLE orders REPLICA IDENTITY DEFAULT").unwrap();
    session.simple("UPDATE orders SET user_id = 7 WHERE id = 1").unwrap();
    // It is set here, so the source asks to be opened again; what was written meanwhile tells less all the same.
    let until = Instant::now() + Duration::from_secs(20);
    while let Ok(events) = source.poll(server::ask(1000, 100, None)) {
        assert!(Instant::now() < until && !events.iter().any(|event| matches!(event, Event::Change(_))), "{events:?}");
    }
    drop(source);
    let mut source = follow(&database, &mut builder);
    let events = drain(&mut source);
    let changed: Vec<u32> = events
        .iter()
        .filter_map(|event| if let Event::TableChanged(changed) = event { Some(changed.table) } else { None })
        .collect();
    assert_eq!(changed.len(), 1, "{events:?}");
    let affected = builder.resolve_table_changes(changed.clone()).unwrap();
    assert!(affected.rebuild.contains(&0), "{affected:?}");
    assert!(remembers_nothing(&mut builder), "it was set again");
    // Unless it is set here, it is remembered from now on; what was remembered once, also when it is told again.
    let mut builder = open(database.settings());
    assert!(remembers_nothing(&mut builder));
    session.simple("ALTER TABLE orders REPLICA IDENTITY DEFAULT").unwrap();
    builder.resolve_table_changes(changed.clone()).unwrap();
    let remembers = |builder: &mut DocumentBuilder| builder.scopes().unwrap()[0].recorded_relations.clone();
    let orders = "public.orders (id integer → user_id integer)".to_owned();
    assert_eq!(remembers(&mut builder), std::slice::from_ref(&orders));
    session.simple("ALTER TABLE orders REPLICA IDENTITY FULL").unwrap();
    builder.resolve_table_changes(changed.clone()).unwrap();
    assert_eq!(remembers(&mut builder), std::slice::from_ref(&orders));
    assert!(remembers_nothing(&mut open(database.settings())));
}
