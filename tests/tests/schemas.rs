//! Random schemas of the schema language, built twice: by the builder of `pg.wasm`, which writes SQL and works out for itself what a
//! change touches, and by `schema-builder.wasm`, a tracked builder that makes plain lookups and is told nothing. After a random
//! history both must hold the same documents, and every document whose body changed was written by both.
//!
//! `FLUSSO_TEST_SCHEMAS` says how many rounds of eight schemas (4), `FLUSSO_TEST_SEED` where they start.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use flusso_tests::{Host, Line, Postgres, plugin};
use serde_json::Value;

/// Tables that may point at each other and at themselves, and junctions between any two.
const TABLES: u64 = 4;
const JUNCTIONS: u64 = 2;
/// Indexes that one run builds.
const SCHEMAS: usize = 8;
/// Rows of a table at the start.
const ROWS: u64 = 60;

/// The columns of a table but its key and its pointers, and the types of those after the third.
const COLUMNS: [&str; 10] = ["n", "s", "gone", "m", "d", "at", "f", "j", "tags", "b"];
const MORE_COLUMNS: &str = "m numeric(8,2), d date, at timestamptz, f float8, j jsonb, tags text[], b bytea";

/// A small generator (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn one_of(&mut self, some: &[&'static str]) -> &'static str {
        let place = self.below(some.len() as u64);
        some[usize::try_from(place).unwrap()]
    }

    /// An id that is mostly one of a row; sometimes null.
    fn id(&mut self) -> String {
        if self.once_in(8) { "NULL".to_owned() } else { (1 + self.below(ROWS + 10)).to_string() }
    }

    fn value(&mut self, column: &str) -> String {
        match column {
            "n" => {
                if self.once_in(6) {
                    "NULL".to_owned()
                } else {
                    self.below(7).to_string()
                }
            }
            "s" => {
                let word = self.one_of(&["NULL", "'red'", "'green'", "' Blue '", "''", "'grün'"]);
                word.to_owned()
            }
            "gone" => self.one_of(&["NULL", "true", "false", "false"]).to_owned(),
            "m" => self.one_of(&["NULL", "0", "12.50", "12.5", "-0.07", "99999.99", "3.00"]).to_owned(),
            "d" => self.one_of(&["NULL", "'2024-02-29'", "'1999-12-31'", "'2026-01-01'"]).to_owned(),
            "at" => self
                .one_of(&["NULL", "'2024-02-29 12:00:00.5+02'", "'1999-12-31 23:59:59+00'", "'2026-01-01'"])
                .to_owned(),
            "f" => self.one_of(&["NULL", "0.5", "-1.25", "1e20", "3"]).to_owned(),
            "j" => self.one_of(&["NULL", "'{\"a\": [1, null]}'", "'\"x\"'", "'{}'"]).to_owned(),
            "tags" => self.one_of(&["NULL", "'{}'", "'{red,\"a b\"}'"]).to_owned(),
            "b" => self.one_of(&["NULL", "'\\x00ff'", "'\\x'"]).to_owned(),
            _ => self.id(),
        }
    }
}

/// The tables with rows in them.
fn tables(random: &mut Random) -> String {
    let mut sql = String::new();
    for number in 0..TABLES {
        let pointers: String = (0..TABLES).map(|other| format!("p{other} bigint, ")).collect();
        let _ = write!(
            sql,
            "CREATE TABLE t{number} (id bigint PRIMARY KEY, {pointers}n integer, s text, gone boolean, {MORE_COLUMNS});"
        );
        for id in 1..=ROWS {
            let pointers: String = (0..TABLES).map(|_| random.id() + ", ").collect();
            let rest = COLUMNS.map(|column| random.value(column)).join(", ");
            let _ = write!(sql, "INSERT INTO t{number} VALUES ({id}, {pointers}{rest});");
        }
    }
    for number in 0..JUNCTIONS {
        let _ = write!(
            sql,
            "CREATE TABLE j{number} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, l bigint, r bigint, n integer, UNIQUE (l, r));"
        );
        for _ in 0..ROWS * 2 {
            let _ = write!(sql, "{}", link(random, number));
        }
    }
    sql
}

fn link(random: &mut Random, junction: u64) -> String {
    let (left, right, rank) = (random.id(), random.id(), random.value("n"));
    format!("INSERT INTO j{junction} (l, r, n) VALUES ({left}, {right}, {rank}) ON CONFLICT DO NOTHING;")
}

/// A schema, written as one line a top field.
struct Writer<'r> {
    random: &'r mut Random,
    keys: usize,
}

impl Writer<'_> {
    fn schema(random: &mut Random) -> String {
        let root = random.below(TABLES);
        let mut text = format!("version: 1\ntable: t{root}\nprimary_key: id\n");
        if random.once_in(3) {
            let when = if random.once_in(2) { ", when: [{ column: n, op: gt, value: 1 }]" } else { "" };
            let _ = writeln!(text, "soft_delete: {{ column: gone{when} }}");
        }
        if random.once_in(3) {
            let _ = writeln!(text, "filters: [{}]", filter(random));
        }
        text.push_str("fields:\n");
        let mut writer = Writer { random, keys: 0 };
        for field in writer.fields(root, 3) {
            let _ = writeln!(text, "  - {field}");
        }
        text
    }

    /// Fields of a row of a table, with relations so many levels deep.
    fn fields(&mut self, of: u64, depth: u32) -> Vec<String> {
        let count = 1 + self.random.below(4);
        (0..count).map(|_| self.field(of, depth)).collect()
    }

    fn list(&mut self, of: u64, depth: u32) -> String {
        format!("fields: [{}]", self.fields(of, depth).join(", "))
    }

    fn field(&mut self, of: u64, depth: u32) -> String {
        self.keys += 1;
        let key = format!("f{}", self.keys);
        let kinds = if depth == 0 { 12 } else { 20 };
        let (other, junction) = (self.random.below(TABLES), self.random.below(JUNCTIONS));
        let filters =
            if self.random.once_in(3) { format!("filters: [{}], ", filter(self.random)) } else { String::new() };
        let order = match self.random.below(4) {
            0 => "order_by: [{ column: n, direction: desc }], ",
            1 => "order_by: [{ column: n }, { column: id, direction: desc }], ",
            _ => "",
        };
        let limit =
            if self.random.once_in(3) { format!("limit: {}, ", 1 + self.random.below(4)) } else { String::new() };
        match self.random.below(kinds) {
            0 | 1 => format!("{{ long: {key}, column: {} }}", self.random.one_of(&["id", "n", "p0", "p1"])),
            2 => format!("{{ keyword: {key}, column: s, default: none }}"),
            3 => format!("{{ text: {key}, column: s, transforms: [trim, lowercase] }}"),
            4 => format!("{{ boolean: {key}, column: gone }}"),
            5 => format!("{{ object: {key}, fields: [{{ long: a, column: n }}, {{ constant: b, value: fixed }}] }}"),
            6 => format!("{{ decimal: {key}, column: m }}"),
            7 => {
                let default = self.random.one_of(&["", ", default: '2020-02-02'"]);
                format!("{{ date: {key}, column: d{default} }}")
            }
            8 => format!("{{ timestamp: {key}, column: at }}"),
            9 => format!("{{ double: {key}, column: f, default: 0 }}"),
            10 => format!("{{ json: {key}, column: {} }}", self.random.one_of(&["j", "tags"])),
            11 => format!("{{ {}: {key}, column: b }}", self.random.one_of(&["binary", "keyword"])),
            12 | 13 => {
                let fields = self.list(other, depth - 1);
                format!(
                    "{{ belongs_to: {key}, column: p{other}, table: t{other}, primary_key: id, {filters}{fields} }}"
                )
            }
            14 => {
                let fields = self.list(other, depth - 1);
                format!(
                    "{{ has_one: {key}, table: t{other}, primary_key: id, foreign_key: p{of}, {filters}{order}{fields} }}"
                )
            }
            15 | 16 => {
                let fields = self.list(other, depth - 1);
                format!(
                    "{{ has_many: {key}, table: t{other}, primary_key: id, foreign_key: p{of}, {filters}{order}{limit}{fields} }}"
                )
            }
            17 => {
                let between = match self.random.below(3) {
                    0 => format!(
                        ", order_by: [{{ column: n, direction: desc }}], fields: [{{ long: rank{}, column: n }}]",
                        self.keys
                    ),
                    1 => ", filters: [{ column: n, op: gte, value: 3 }]".to_owned(),
                    _ => String::new(),
                };
                let fields = self.list(other, depth - 1);
                format!(
                    "{{ many_to_many: {key}, table: t{other}, primary_key: id, through: {{ table: j{junction}, left_key: l, right_key: r{between} }}, {filters}{order}{limit}{fields} }}"
                )
            }
            _ => {
                let op = self.random.one_of(&["count", "ids", "avg", "sum", "min", "max"]);
                let value = match op {
                    "count" => "",
                    "ids" => "element_type: long, ",
                    "avg" => self.random.one_of(&["column: n, ", "column: m, ", "column: f, "]),
                    "sum" => self.random.one_of(&[
                        "column: n, value_type: long, ",
                        "column: m, value_type: decimal, ",
                        "column: id, value_type: decimal, ",
                    ]),
                    _ => self.random.one_of(&[
                        "column: n, value_type: long, ",
                        "column: m, value_type: decimal, ",
                        "column: s, value_type: keyword, ",
                        "column: at, value_type: timestamp, ",
                        "column: d, value_type: date, ",
                    ]),
                };
                let link = if self.random.once_in(3) {
                    format!("through: {{ table: j{junction}, left_key: l, right_key: r }}")
                } else {
                    format!("foreign_key: p{of}")
                };
                format!("{{ {op}: {key}, table: t{other}, {value}{filters}{link} }}")
            }
        }
    }
}

fn filter(random: &mut Random) -> String {
    let text = match random.below(8) {
        0 => "{ column: s, op: eq, value: red }",
        1 => "{ column: s, op: not_in, value: [red, green] }",
        2 => "{ column: s, op: is_not_null }",
        3 => "{ column: gone, op: eq, value: false }",
        4 => "{ column: n, op: between, value: [2, 5] }",
        5 => "{ column: n, op: in, value: [0, 1, 6] }",
        6 => "{ column: n, op: neq, value: 3 }",
        _ => "{ column: n, op: is_null }",
    };
    text.to_owned()
}

/// A statement that changes rows anywhere.
fn change(random: &mut Random, number: u64) -> String {
    let table = random.below(TABLES);
    let id = 1 + random.below(ROWS + 10);
    let junction = random.below(JUNCTIONS);
    match random.below(20) {
        0..=8 => {
            let column =
                random.one_of(&["p0", "p1", "p2", "p3", "n", "n", "s", "gone", "m", "d", "at", "f", "j", "tags", "b"]);
            format!("UPDATE t{table} SET {column} = {} WHERE id = {id};", random.value(column))
        }
        9 | 10 => format!("DELETE FROM t{table} WHERE id = {id};"),
        11 | 12 => {
            let pointers: String = (0..TABLES).map(|_| random.id() + ", ").collect();
            let rest = COLUMNS.map(|column| random.value(column)).join(", ");
            format!("INSERT INTO t{table} VALUES ({id}, {pointers}{rest}) ON CONFLICT DO NOTHING;")
        }
        13 => format!("UPDATE t{table} SET id = {} WHERE id = {id};", 1_000 + number),
        14 | 15 => link(random, junction),
        16 | 17 => format!("DELETE FROM j{junction} WHERE l = {id};"),
        18 => format!("UPDATE j{junction} SET n = {} WHERE r = {id};", random.value("n")),
        _ => {
            let new = 1 + random.below(ROWS);
            format!(
                "UPDATE j{junction} SET l = {new} WHERE id = (SELECT min(id) FROM j{junction} WHERE r = {id} AND NOT EXISTS (SELECT FROM j{junction} WHERE l = {new} AND r = {id}));"
            )
        }
    }
}

type Documents = BTreeMap<(String, String), Value>;

/// Numbers as they compare: a decimal may come with zeros behind it.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => members.into_iter().map(|(name, member)| (name, plain(member))).collect(),
        other => other,
    }
}

/// What a reader of the lines has after them, and which documents they name.
fn take(lines: Vec<Line>, held: &mut Documents) -> BTreeSet<(String, String)> {
    let mut named = BTreeSet::new();
    for line in lines {
        let key = (line.index, line.id);
        named.insert(key.clone());
        match line.op.as_str() {
            "clear" => {
                named.extend(held.keys().filter(|(index, _)| *index == key.0).cloned());
                held.retain(|(index, _), _| *index != key.0);
            }
            "delete" => drop(held.remove(&key)),
            _ => drop(held.insert(key, plain(line.document))),
        }
    }
    named
}

/// Which of two differ, with the schema and both documents of the first.
fn same(seed: u64, at: &str, schemas: &[String], theirs: &Documents, ours: &Documents) {
    let keys: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    let different: Vec<_> = keys.into_iter().filter(|key| theirs.get(*key) != ours.get(*key)).collect();
    if let Some(key) = different.first() {
        let number = key.0.trim_start_matches("x").parse::<usize>();
        let schema = number.map_or(key.0.as_str(), |number| schemas[number].as_str());
        let show = |documents: &Documents| documents.get(*key).map_or("no document".to_owned(), Value::to_string);
        panic!(
            "seed {seed}, {at}: {} documents differ, the first is {key:?} of\n{schema}\nby pg: {}\nby the tracked builder: {}",
            different.len(),
            show(theirs),
            show(ours)
        );
    }
}

fn round(seed: u64) {
    let mut random = Random(seed);
    let database = Postgres::with(&tables(&mut random));
    let identity = if seed % 2 == 0 { "FULL" } else { "DEFAULT" };
    for table in (0..TABLES).map(|it| format!("t{it}")).chain((0..JUNCTIONS).map(|it| format!("j{it}"))) {
        database.sql(&format!("ALTER TABLE {table} REPLICA IDENTITY {identity}"));
    }
    let schemas: Vec<String> = (0..SCHEMAS).map(|_| Writer::schema(&mut random)).collect();
    let (by_pg, by_lookups) = (Host::on(&database.url()), Host::on(&database.url()));
    let mut indexes = String::new();
    for (number, schema) in schemas.iter().enumerate() {
        let _ = writeln!(indexes, "[[index]]\nname = \"x{number}\"\nschema = \"x{number}.schema.yml\"");
        for host in [&by_pg, &by_lookups] {
            host.file(&format!("x{number}.schema.yml"), schema);
        }
    }
    let own = by_pg.file("flusso.toml", &format!("[source]\nplugin = \"pg\"\nslot = \"own\"\n{indexes}"));
    let builder = plugin("plugins/schema-builder");
    let config = format!("[source]\nplugin = \"pg\"\nslot = \"lookups\"\n[builder]\nplugin = \"{builder}\"\n{indexes}");
    let (own, config) = (own.display().to_string(), by_lookups.file("flusso.toml", &config).display().to_string());
    let pg = || by_pg.documents(&["--config", &own, "--once"]);
    let tracked = || by_lookups.documents(&["--config", &config, "--once"]);

    let (mut theirs, mut ours) = Default::default();
    take(pg(), &mut theirs);
    take(tracked(), &mut ours);
    same(seed, "seeded", &schemas, &theirs, &ours);
    for part in 0..3 {
        let changes: String = (0..60).map(|number| change(&mut random, part * 100 + number)).collect();
        let truncated = if part == 2 { "TRUNCATE t1; TRUNCATE j0;" } else { "" };
        database.sql(&format!("{changes}{truncated}"));
        let before = theirs.clone();
        let touched = take(pg(), &mut theirs);
        let named = take(tracked(), &mut ours);
        same(seed, &format!("after {} changes", (part + 1) * 60), &schemas, &theirs, &ours);
        let keys = before.keys().chain(theirs.keys()).filter(|key| before.get(*key) != theirs.get(*key));
        let changed: BTreeSet<_> = keys.cloned().collect();
        let missed: Vec<_> = changed.difference(&named).collect();
        assert!(missed.is_empty(), "seed {seed}: {missed:?} changed and were not built by the tracked builder");
        println!(
            "seed {seed}, replica identity {identity}: {} documents, {} changed; built by pg {}, by the tracked builder {}",
            theirs.len(),
            changed.len(),
            touched.len(),
            named.len()
        );
    }
}

#[test]
fn random_schemas_give_the_same_documents_over_any_source() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let first = number("FLUSSO_TEST_SEED", 1);
    for seed in first..first + number("FLUSSO_TEST_SCHEMAS", 4) {
        round(seed);
    }
}
