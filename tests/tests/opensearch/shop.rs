//! The tables of these tests, how the host is told of them, and what the documents should be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flusso_tests::search::{Proxy, Search};
use flusso_tests::{Host, Postgres, Running, deployment};
use serde_json::Value;

/// The longest a change may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

const TABLES: &str = "
    CREATE TYPE tier AS ENUM ('free', 'paid');
    CREATE TABLE by_int (id int PRIMARY KEY, name text, amount numeric(10, 2), at timestamptz, more jsonb, flag boolean);
    CREATE TABLE by_bigint (id bigint PRIMARY KEY, name text, tier tier, day date);
    CREATE TABLE by_uuid (id uuid PRIMARY KEY, name text);
    CREATE TABLE by_text (id text PRIMARY KEY, name text);
    CREATE TABLE by_two (a int, b text, name text, PRIMARY KEY (a, b));
    CREATE TABLE people (id int PRIMARY KEY, name text, kind text, gone_at timestamptz, hold boolean NOT NULL DEFAULT false);
    CREATE TABLE tickets (id int PRIMARY KEY, person_id int, title text, open boolean);
    CREATE TABLE sentinels (id int PRIMARY KEY);
    INSERT INTO by_int SELECT g, 'row ' || g, g * 1.25, '2026-01-01 00:00:00+00', jsonb_build_object('n', g, 'x', jsonb_build_array(1, 'a')), g % 2 = 0 FROM generate_series(1, 500) g;
    INSERT INTO by_bigint SELECT 9007199254740993 + g, 'row ' || g, 'paid', '2026-01-01' FROM generate_series(0, 99) g;
    INSERT INTO by_uuid SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(g), 12, '0'))::uuid, 'row ' || g FROM generate_series(1, 100) g;
    INSERT INTO by_text SELECT 'k/' || g || ' ü:\"%', 'row ' || g FROM generate_series(1, 100) g;
    INSERT INTO by_two SELECT g % 7, 'x:' || g, 'row ' || g FROM generate_series(1, 100) g;
    INSERT INTO people SELECT g, 'person ' || g, CASE WHEN g % 4 = 0 THEN 'robot' ELSE 'person' END, CASE WHEN g % 3 = 0 THEN timestamptz '2026-01-01' END FROM generate_series(1, 100) g;
    INSERT INTO tickets SELECT g, g % 110, 'ticket ' || g, g % 5 > 0 FROM generate_series(1, 400) g;";

const PEOPLE: &str = "
version: 1
table: people
soft_delete: { column: gone_at, when: [{ column: hold, op: eq, value: false }] }
filters:
  - { column: kind, op: neq, value: robot }
fields:
  - long: id
  - text: name
  - keyword: kind
  - has_many: tickets
    table: tickets
    primary_key: id
    foreign_key: person_id
    filters: [{ column: open, op: eq, value: true }]
    order_by: [{ column: id }]
    fields:
      - integer: id
      - text: title
  - count: ticketCount
    table: tickets
    foreign_key: person_id
";

/// Every index, and its documents from scratch: id and body.
const INDEXES: &[(&str, &str)] = &[
    ("by_int", "SELECT id, json_build_object('id', id, 'name', name, 'amount', amount, 'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"+00:00\"'), 'more', more, 'flag', flag) FROM by_int"),
    ("by_bigint", "SELECT id, row_to_json(t) FROM by_bigint t"),
    ("by_uuid", "SELECT id, row_to_json(t) FROM by_uuid t"),
    ("by_text", "SELECT id, row_to_json(t) FROM by_text t"),
    ("by_two", "SELECT a || ':' || replace(replace(b, '\\', '\\\\'), ':', '\\:'), row_to_json(t) FROM by_two t"),
    (
        "people",
        "SELECT p.id, json_build_object('id', p.id, 'name', p.name, 'kind', p.kind,
             'tickets', (SELECT coalesce(json_agg(json_build_object('id', t.id, 'title', t.title) ORDER BY t.id), '[]') FROM tickets t WHERE t.person_id = p.id AND t.open),
             'ticketCount', (SELECT count(*) FROM tickets t WHERE t.person_id = p.id))
         FROM people p WHERE p.kind <> 'robot' AND NOT (p.gone_at IS NOT NULL AND NOT p.hold)",
    ),
];

/// What is done while it runs, one step after the other.
pub(crate) const STEPS: &[(&str, &str)] = &[
    (
        "inserted",
        "INSERT INTO by_int (id, name) VALUES (501, 'new'), (-1, ''); INSERT INTO by_bigint VALUES (-9007199254740993, 'new');
         INSERT INTO by_uuid VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'new'); INSERT INTO by_text VALUES ('ключ', 'new'); INSERT INTO by_two VALUES (1, 'new:\\', 'new')",
    ),
    (
        "updated",
        "UPDATE by_int SET name = 'changed', more = '[{\"a.b\": null}, 2, \"x\"]' WHERE id % 3 = 0; UPDATE by_bigint SET name = NULL, tier = 'free' WHERE id % 3 = 0;
         UPDATE by_uuid SET name = upper(name); UPDATE by_text SET name = 'changed' WHERE name LIKE '%5%'; UPDATE by_two SET name = 'changed' WHERE a = 3;
         UPDATE tickets SET title = 'changed' WHERE id % 10 = 1; UPDATE tickets SET person_id = person_id + 1 WHERE id % 10 = 2",
    ),
    (
        "deleted",
        "DELETE FROM by_int WHERE id % 7 = 0; DELETE FROM by_bigint WHERE id % 7 = 0; DELETE FROM by_uuid WHERE name LIKE '%7'; DELETE FROM by_text WHERE name LIKE '%7';
         DELETE FROM by_two WHERE a = 5; DELETE FROM tickets WHERE id % 10 = 3; DELETE FROM people WHERE id = 7",
    ),
    ("keys changed", "UPDATE by_int SET id = id + 10000 WHERE id % 11 = 0; UPDATE by_two SET b = b || '\\' WHERE a = 2"),
    ("soft deletes set and cleared", "UPDATE people SET gone_at = NULL WHERE id IN (3, 6); UPDATE people SET gone_at = now() WHERE id IN (5, 10); UPDATE people SET hold = true WHERE id = 9"),
    ("a filter entered and left", "UPDATE people SET kind = 'person' WHERE id IN (4, 8); UPDATE people SET kind = 'robot' WHERE id IN (1, 2); UPDATE tickets SET open = NOT open WHERE id % 9 = 0"),
    ("deleted and made again in one transaction", "BEGIN; DELETE FROM by_uuid; INSERT INTO by_uuid VALUES ('00000000-0000-4000-8000-000000000001', 'again'); COMMIT"),
    ("a table emptied", "BEGIN; TRUNCATE by_text; INSERT INTO by_text VALUES ('after', 'it'); COMMIT"),
];

/// Transactions of every kind, the same for the same number.
pub(crate) fn workload(number: u64, count: u64) -> String {
    let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = move |end: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 8) % end
    };
    let mut sql = String::new();
    for _ in 0..count {
        let (id, other) = (below(600), below(1_000));
        sql.push_str(&match below(12) {
            0 => format!("DELETE FROM by_int WHERE id = {id};\n"),
            1 => format!("UPDATE people SET gone_at = CASE WHEN gone_at IS NULL THEN now() END WHERE id = {};\n", id % 100),
            2 => format!("UPDATE people SET kind = CASE WHEN kind = 'robot' THEN 'person' ELSE 'robot' END WHERE id = {};\n", id % 100),
            3 => format!("UPDATE tickets SET person_id = {} WHERE id = {};\n", other % 110, id % 400),
            4 => format!("INSERT INTO tickets VALUES ({}, {}, 'by workload {other}', true) ON CONFLICT (id) DO UPDATE SET title = excluded.title;\n", 1_000 + id, other % 110),
            5 => format!("DELETE FROM tickets WHERE id = {};\n", 1_000 + id),
            6 => format!("BEGIN; DELETE FROM by_two WHERE a = {0}; INSERT INTO by_two SELECT {0}, 'w:' || g, 'by workload {other}' FROM generate_series(1, 20) g ON CONFLICT DO NOTHING; COMMIT;\n", id % 9),
            7 => format!("INSERT INTO by_uuid VALUES (('00000000-0000-4000-8000-' || lpad('{id}', 12, '0'))::uuid, 'by workload {other}') ON CONFLICT (id) DO UPDATE SET name = excluded.name;\n"),
            8 => format!("BEGIN; DELETE FROM by_bigint; ROLLBACK; INSERT INTO by_bigint VALUES ({id}, 'by workload {other}') ON CONFLICT (id) DO UPDATE SET name = excluded.name;\n"),
            _ => format!("INSERT INTO by_int (id, name, amount) VALUES ({id}, 'by workload {other}', {other}.5) ON CONFLICT (id) DO UPDATE SET name = excluded.name, amount = excluded.amount;\n"),
        });
    }
    sql
}

/// A database, a cluster, and a host between them.
pub(crate) struct Shop {
    pub(crate) database: Postgres,
    pub(crate) host: Host,
    pub(crate) search: Search,
    prefix: String,
    sentinels: std::sync::atomic::AtomicU32,
}

impl Shop {
    /// All of it, nothing seeded. The host reaches the cluster through the proxy, if there is one.
    pub(crate) fn open(test: &str, search: &Search, proxy: Option<&Proxy>) -> Self {
        let database = Postgres::with(TABLES);
        let host = Host::on(&database.url()).with("SECRET", "s3ss:t-pass");
        let prefix = format!("{test}_{}_", std::process::id());
        let shop = Self { database, host, search: search.clone(), prefix, sentinels: 0.into() };
        shop.host.file("people.schema.yml", PEOPLE);
        shop.configure(&proxy.map_or_else(|| search.url(), Proxy::url), "");
        shop
    }

    /// Writes the configuration, with these settings for the sink.
    pub(crate) fn configure(&self, url: &str, settings: &str) {
        let prefix = &self.prefix;
        let mut text = format!(
            "prefix = \"{prefix}\"\n[source]\nplugin = \"pg\"\nconnection_url = {{ env = \"DATABASE_URL\" }}\n[batch]\nbackfill_documents = 300\n[sinks.search]\nplugin = \"opensearch\"\nurl = \"{url}\"\nnumber_of_replicas = 0\nkeep_replaced_secs = 0\nbatch_size = 100\ntimeout_secs = 15\nmeta_index = \"{prefix}flusso_meta\"\n{settings}\n"
        );
        for (name, _) in INDEXES.iter().chain([&("sentinels", "")]) {
            let schema = if *name == "people" { "schema = \"people.schema.yml\"\n" } else { "" };
            text.push_str(&format!("[[index]]\nname = \"{name}\"\n{schema}"));
        }
        self.host.file("flusso.toml", &text);
    }

    /// An index's name in the cluster.
    pub(crate) fn name(&self, index: &str) -> String {
        format!("{}{index}", self.prefix)
    }

    /// Whether an index has a document.
    pub(crate) fn has(&self, index: &str, id: &str) -> bool {
        self.search.document(&self.name(index), id).is_some()
    }

    /// Waits until what was committed before this is in the cluster: until a row that was committed after another had arrived
    /// has arrived as well. The first alone may be in the cluster before the rest of its own flush.
    pub(crate) fn barrier(&self, running: &mut Running) {
        self.sentinel(running);
        self.sentinel(running);
    }

    fn sentinel(&self, running: &mut Running) {
        let id = self.sentinels.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        self.database.sql(&format!("INSERT INTO sentinels VALUES ({id})"));
        let end = Instant::now() + PATIENCE;
        while !self.has("sentinels", &id) {
            assert!(running.is_running(), "it ended by itself.\n{:#?}", running.log());
            assert!(Instant::now() < end, "sentinel {id} did not arrive.\n{:#?}", running.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every document of every index beside what it should be. Nothing may write meanwhile.
    pub(crate) fn compare(&self, when: &str) {
        for (index, oracle) in INDEXES {
            let found = self.search.documents(&self.name(index)).unwrap_or_else(|| panic!("{when}: no index {index}"));
            let mut wanted = BTreeMap::new();
            let rows =
                self.database.sql(&format!("SELECT json_build_array(id::text, body) FROM ({oracle}) t (id, body)"));
            for row in rows.lines() {
                let (id, body): (String, Value) =
                    serde_json::from_str(row).unwrap_or_else(|error| panic!("{error}: {row}"));
                wanted.insert(id, body);
            }
            let ids = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<std::collections::BTreeSet<_>>();
            let (missing, more) = (ids(&wanted), ids(&found));
            let missing: Vec<_> = missing.difference(&more).take(5).cloned().collect();
            let more: Vec<_> = more.difference(&ids(&wanted)).take(5).cloned().collect();
            assert!(
                missing.is_empty() && more.is_empty(),
                "{when}: of {index} are missing {missing:?}, too many {more:?}"
            );
            let mut differences = Vec::new();
            for (id, wanted) in &wanted {
                deployment::differences(&format!("{index}/{id}"), wanted, &found[id], &mut differences);
            }
            assert!(
                differences.is_empty(),
                "{when} (theirs: SQL): {:#?}",
                differences.iter().take(10).collect::<Vec<_>>()
            );
            assert_eq!(self.search.count(&self.name(index)), wanted.len() as u64, "{when}: {index}, counted");
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.search.clean(&self.prefix);
        }
    }
}
