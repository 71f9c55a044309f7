//! Named cases: what is asked, how often, and what is found.

use super::store::Never;
use crate::graph::{Documents, Resolver};
use crate::lookup::{Hop, Lookup, Pair};
use crate::problem::Problem;
use crate::table_info::{ColumnInfo, Identity, TableInfo};
use crate::{NoLinks, Tracing, code};
use flusso_plugin::{Affected, Change, Key, Op, TableName, Value};
use flusso_schema::Schema;
use std::collections::BTreeMap;

fn table(schema: &str, name: &str, key: &[&str], columns: &[&str], identity: Identity) -> TableInfo {
    let columns = key.iter().chain(columns).map(|column| ColumnInfo {
        name: (*column).into(),
        alike: (!column.starts_with("ci_")).then(|| "text".into()),
        generated: false,
    });
    TableInfo {
        name: TableName { schema: schema.into(), name: name.into() },
        key: key.iter().map(ToString::to_string).collect(),
        columns: columns.collect(),
        identity,
    }
}

fn shop(identity: &Identity) -> Vec<TableInfo> {
    let of = |name, key: &[&str], columns: &[&str]| table("public", name, key, columns, identity.clone());
    vec![
        of("users", &["id"], &["name", "company_id", "boss_id", "ci_mail"]),
        of("companies", &["id"], &["name"]),
        of("orders", &["id"], &["user_id", "total", "status"]),
        of("items", &["order_id", "line"], &["product_id", "quantity"]),
        of("products", &["id"], &["name", "note"]),
        of("user_tags", &["user_id", "tag_id"], &[]),
        of("labels", &["id"], &["user_id", "tag_id"]),
        of("tags", &["id"], &["name"]),
        of("mails", &["id"], &["ci_to"]),
        table("crm", "orders", &["id"], &["user_id", "total"], identity.clone()),
    ]
}

const USERS: &str = "version: 1
table: users
primary_key: id
fields:
  - keyword: name
  - belongs_to: company
    column: company_id
    table: companies
    primary_key: id
    fields: [{ keyword: name }]
  - belongs_to: boss
    column: boss_id
    table: users
    primary_key: id
    fields: [{ keyword: name }]
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    fields:
      - keyword: status
      - has_many: items
        table: items
        primary_key: [order_id, line]
        foreign_key: order_id
        fields:
          - belongs_to: product
            column: product_id
            table: products
            primary_key: id
            fields: [{ keyword: name }]
  - many_to_many: tags
    table: tags
    primary_key: id
    through: { table: user_tags, left_key: user_id, right_key: tag_id }
    fields: [{ keyword: name }]
  - ids: labels
    table: tags
    through: { table: labels, left_key: user_id, right_key: tag_id }
    element_type: keyword
  - count: crmOrders
    table: crm.orders
    foreign_key: user_id
";

const SPENT: &str = "version: 1
table: users
primary_key: id
fields:
  - sum: spent
    table: orders
    foreign_key: user_id
    column: total
    value_type: decimal
";

const ORDERS: &str = "version: 1\ntable: orders\nprimary_key: id\nfields: [{ keyword: total }, { keyword: user_id }]\n";

fn schemas() -> Vec<Schema> {
    [USERS, SPENT, ORDERS].iter().map(|text| flusso_schema::parse(text, "test").unwrap()).collect()
}

fn resolver(identity: &Identity) -> Resolver {
    let schemas = schemas();
    let indexes: Vec<Documents<'_>> = schemas.iter().map(Documents::Schema).collect();
    Resolver::new(&indexes, &shop(identity)).unwrap()
}

fn text(parts: &[&str]) -> Key {
    let value = |part: &&str| if *part == "-" { Value::Null } else { Value::Text((*part).into()) };
    parts.iter().map(value).collect()
}

type Row = BTreeMap<String, String>;

/// Rows by table, and what was asked.
#[derive(Default)]
struct Rows {
    rows: Vec<(String, Row)>,
    asked: Vec<Vec<String>>,
}

impl Rows {
    fn with(mut self, table: &str, cells: &[(&str, &str)]) -> Self {
        let cells = cells.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.rows.push((table.to_owned(), cells));
        self
    }
}

impl Lookup for Rows {
    type Error = Never;

    fn unreadable(&self, error: crate::Unreadable) -> Never {
        panic!("{error}")
    }

    fn lookup(&mut self, asked: &[Hop<'_>]) -> Result<Vec<Vec<Pair>>, Never> {
        let label = |hop: &Hop<'_>| {
            let (schema, name) = (&hop.table.schema, &hop.table.name);
            format!("{schema}.{name} {}→{} {}", hop.by.join(","), hop.select.join(","), hop.values.len())
        };
        self.asked.push(asked.iter().map(label).collect());
        let answer = |hop: &Hop<'_>| {
            let full = format!("{}.{}", hop.table.schema, hop.table.name);
            let cells = |row: &Row, names: &[String]| -> Option<Key> {
                names.iter().map(|name| Some(Value::Text(row.get(name)?.clone()))).collect()
            };
            let mut pairs: BTreeMap<(Vec<u8>, Vec<u8>), Pair> = BTreeMap::new();
            for (_, row) in self.rows.iter().filter(|(table, _)| *table == full) {
                if let (Some(from), Some(to)) = (cells(row, hop.by), cells(row, hop.select))
                    && hop.values.contains(&from)
                {
                    pairs.insert((code(&to), code(&from)), Pair { from, to });
                }
            }
            let after = hop.after.map(|pair| (code(&pair.to), code(&pair.from)));
            let pairs = pairs.into_iter().filter(|(place, _)| after.as_ref().is_none_or(|after| place > after));
            pairs.map(|(_, pair)| pair).take(hop.limit).collect()
        };
        Ok(asked.iter().map(answer).collect())
    }
}

fn change(
    resolver: &Resolver,
    table: &str,
    op: Op,
    key: &[&str],
    before: Option<&[&str]>,
    after: Option<&[&str]>,
) -> Change {
    let full = |name: &TableName| format!("{}.{}", name.schema, name.name);
    let number = resolver.interest().iter().position(|interest| full(&interest.table) == table).unwrap();
    let table = u32::try_from(number).unwrap();
    Change {
        table,
        op,
        key: text(key),
        before: before.map(text),
        after: after.map(text),
        version: 1,
        changed: None,
        extra: None,
    }
}

fn ids(affected: &Affected) -> Vec<String> {
    let part = |value: &Value| if let Value::Text(text) = value { text.clone() } else { panic!("{value:?}") };
    let id = |id: &flusso_plugin::DocumentId| {
        format!("{}/{}", id.index, id.key.iter().map(part).collect::<Vec<_>>().join("+"))
    };
    affected.ids.iter().map(id).collect()
}

fn found(resolver: &Resolver, changes: &[Change], rows: &mut Rows) -> Vec<String> {
    let affected = resolver.resolve(changes, 1000, rows, &mut NoLinks).unwrap().affected;
    assert!(affected.more.is_none());
    ids(&affected)
}

#[test]
fn the_interest_holds_links_that_are_not_of_the_key() {
    let interest = resolver(&Identity::Full).interest();
    let line = |one: &flusso_plugin::TableInterest| {
        let (key, links) = (one.key.join(","), one.links.join(","));
        format!("{}.{} {key} | {links} | {:?}", one.table.schema, one.table.name, one.reads)
    };
    let lines: Vec<String> = interest.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "public.users id |  | Some([\"boss_id\", \"company_id\", \"name\"])",
            "public.companies id |  | Some([\"name\"])",
            "public.orders id | user_id | Some([\"status\", \"total\"])",
            "public.items order_id,line |  | Some([\"product_id\"])",
            "public.products id |  | Some([\"name\"])",
            "public.user_tags user_id,tag_id |  | Some([])",
            "public.tags id |  | Some([\"name\"])",
            "public.labels id | user_id | Some([\"tag_id\"])",
            "crm.orders id | user_id | Some([])",
        ]
    );
}

#[test]
fn roots_children_and_junctions_that_carry_their_links_ask_nothing() {
    let resolver = resolver(&Identity::Full);
    let mut rows = Rows::default();
    let changes = [
        change(&resolver, "public.orders", Op::Upsert, &["o1"], Some(&["u1"]), Some(&["u2"])),
        change(&resolver, "public.orders", Op::Delete, &["o2"], Some(&["u3"]), None),
        change(&resolver, "public.user_tags", Op::Delete, &["u4", "t1"], None, None),
        change(&resolver, "public.labels", Op::Delete, &["l1"], Some(&["u5"]), None),
        change(&resolver, "crm.orders", Op::Upsert, &["o9"], None, Some(&["u6"])),
        change(&resolver, "crm.orders", Op::Upsert, &["o8"], None, Some(&["-"])),
    ];
    let found = found(&resolver, &changes, &mut rows);
    assert_eq!(
        found,
        ["2/o1", "0/u1", "0/u2", "1/u1", "1/u2", "2/o2", "0/u3", "1/u3", "0/u4", "0/u5", "0/u6"],
        "old and new parents, in the order of the changes, and nothing of the table of the same name"
    );
    assert_eq!(rows.asked, Vec::<Vec<String>>::new());
}

#[test]
fn a_round_asks_once_a_group_and_hop_whatever_the_batch() {
    let resolver = resolver(&Identity::Full);
    let mut rows = Rows::default();
    let mut changes = Vec::new();
    for n in 0..300 {
        let (p, o, u) = (format!("p{n}"), format!("o{n}"), format!("u{n}"));
        rows = rows
            .with("public.items", &[("order_id", &o), ("line", "1"), ("product_id", &p)])
            .with("public.orders", &[("id", &o), ("user_id", &u)])
            .with("public.users", &[("id", &u), ("company_id", "c"), ("boss_id", "u0")]);
        changes.push(change(&resolver, "public.products", Op::Upsert, &[&p], None, None));
        changes.push(change(&resolver, "public.items", Op::Upsert, &[&o, "2"], None, None));
    }
    changes.push(change(&resolver, "public.companies", Op::Upsert, &["c"], None, None));
    changes.push(change(&resolver, "public.users", Op::Upsert, &["u0"], None, None));
    let found = found(&resolver, &changes, &mut rows);
    assert_eq!(found.len(), 300 + 1, "each once: {found:?}");
    let mut first = rows.asked.remove(0);
    first.sort();
    assert_eq!(
        first,
        [
            "public.items product_id→order_id 300",
            "public.orders id→user_id 300",
            "public.users boss_id→id 1",
            "public.users company_id→id 1"
        ]
    );
    assert_eq!(rows.asked, [["public.orders id→user_id 300"]], "one question more for the second hop");
}

#[test]
fn what_is_equal_to_the_store_alone_is_looked_up() {
    let schema = flusso_schema::parse(
        "version: 1\ntable: users\nprimary_key: id\nfields:\n  - has_many: mails\n    table: mails\n    primary_key: id\n    foreign_key: ci_to\n    fields: [{ keyword: id }]\n",
        "test",
    )
    .unwrap();
    let resolver = Resolver::new(&[Documents::Schema(&schema)], &shop(&Identity::Full)).unwrap();
    let mut rows = Rows::default().with("public.users", &[("id", "a")]);
    let changes = [change(&resolver, "public.mails", Op::Upsert, &["m"], None, Some(&["a"]))];
    assert_eq!(found(&resolver, &changes, &mut rows), ["0/a"]);
    assert_eq!(rows.asked, [["public.users id→id 1"]]);
}

#[test]
fn a_delete_that_does_not_tell_what_it_should_builds_the_index_again() {
    let resolver = resolver(&Identity::Full);
    let rebuilt = |before: Option<&[&str]>| {
        let gone = change(&resolver, "public.labels", Op::Delete, &["1"], before, None);
        resolver.resolve(&[gone], 10, &mut Rows::default(), &mut NoLinks).unwrap().affected.rebuild
    };
    assert_eq!(rebuilt(None), [0]);
    assert_eq!(rebuilt(Some(&["u"])), [0; 0]);
}

#[test]
fn a_truncate_clears_what_is_rooted_there_and_rebuilds_what_reads_it() {
    let resolver = resolver(&Identity::Full);
    let truncate = |name| change(&resolver, name, Op::Truncate, &[], None, None);
    let whole = |changes: &[Change]| {
        let affected = resolver.resolve(changes, 10, &mut Rows::default(), &mut NoLinks).unwrap().affected;
        assert!(affected.ids.is_empty());
        (affected.rebuild, affected.clear)
    };
    assert_eq!(whole(&[truncate("public.tags")]), (vec![0], vec![]));
    assert_eq!(whole(&[truncate("public.orders")]), (vec![0, 1], vec![2]));
    assert_eq!(whole(&[truncate("public.orders"), truncate("public.users")]), (vec![], vec![0, 1, 2]));
}

#[test]
fn an_update_is_pruned_where_nothing_it_changed_is_read() {
    let resolver = resolver(&Identity::Full);
    let interest = resolver.interest();
    let orders = interest.iter().find(|one| one.table.name == "orders").unwrap();
    assert!(orders.wants_changed, "the table stands at several places");
    let update = |changed: &str, before, after| {
        let at = orders.reads.as_ref().unwrap().iter().position(|read| read == changed).unwrap();
        let changes = [Change {
            changed: Some(vec![u32::try_from(at).unwrap()]),
            ..change(&resolver, "public.orders", Op::Upsert, &["o"], Some(&[before]), Some(&[after]))
        }];
        let mut found = found(&resolver, &changes, &mut Rows::default());
        found.sort();
        found
    };
    assert_eq!(update("status", "u", "u"), ["0/u"]);
    assert_eq!(update("total", "u", "u"), ["1/u", "2/o"]);
    assert_eq!(update("status", "u", "v"), ["0/u", "0/v", "1/u", "1/v", "2/o"], "who is moved matters to all");
}

#[test]
fn one_change_of_very_many_documents_is_answered_in_parts_by_any_instance() {
    let mut rows = Rows::default();
    for n in 0..500 {
        rows = rows.with("public.users", &[("id", &format!("u{n:03}")), ("company_id", "c")]);
    }
    let first = resolver(&Identity::Full).with_page(64);
    let changes = [change(&first, "public.companies", Op::Upsert, &["c"], None, None)];
    let mut affected = first.resolve(&changes, 50, &mut rows, &mut NoLinks).unwrap().affected;
    let mut all = Vec::new();
    loop {
        assert!(affected.ids.len() <= 50);
        all.extend(ids(&affected));
        let Some(cursor) = affected.more else { break };
        let other = resolver(&Identity::Full).with_page(64);
        for end in 0..cursor.len() {
            assert!(other.parse(&cursor[..end]).is_err(), "cut at {end}");
        }
        affected = other.resolve_more(&cursor, 50, &mut rows).unwrap();
    }
    let expected: Vec<String> = (0..500).map(|n| format!("0/u{n:03}")).collect();
    assert_eq!(all, expected, "each once");
}

#[test]
fn a_cursor_of_other_schemas_rebuilds_every_index() {
    let mut rows = Rows::default().with("public.users", &[("id", "u"), ("company_id", "c")]);
    let first = resolver(&Identity::Full).with_page(1);
    let changes = [change(&first, "public.companies", Op::Upsert, &["c"], None, None)];
    let cursor = first.resolve(&changes, 1, &mut rows, &mut NoLinks).unwrap().affected.more.unwrap();
    let name = TableName { schema: "public".into(), name: "tags".into() };
    let other = Resolver::new(&[Documents::Rows(&name)], &shop(&Identity::Full)).unwrap();
    assert_eq!(other.resolve_more(&cursor, 1, &mut rows).unwrap().rebuild, [0]);
}

#[test]
fn each_relation_says_which_way_it_goes() {
    let tracing = |identity: Identity| {
        let of = |relation: &crate::Relation| {
            format!("{}.{} {}", relation.table.schema, relation.table.name, relation.columns.join(","))
        };
        let relations = resolver(&identity).relations();
        relations.iter().map(|relation| (of(relation), relation.tracing.clone())).collect::<BTreeMap<_, _>>()
    };
    let untold = |table: &str| {
        let remedy = Some(format!("ALTER TABLE {table} REPLICA IDENTITY FULL"));
        Tracing::Untold { remedy }
    };
    let by_key = tracing(Identity::Key);
    assert_eq!(by_key["public.orders user_id"], untold("\"public\".\"orders\""));
    assert_eq!(by_key["crm.orders user_id"], untold("\"crm\".\"orders\""));
    assert_eq!(by_key["public.labels user_id"], untold("\"public\".\"labels\""), "a junction with a surrogate key");
    assert_eq!(by_key["public.user_tags user_id"], Tracing::Key);
    assert_eq!(by_key["public.items order_id"], Tracing::Key);
    assert_eq!(by_key["public.companies id"], Tracing::Key);
    assert_eq!(tracing(Identity::Full)["public.orders user_id"], Tracing::Identity { whole: true });
    let covering = Identity::Columns(vec!["id".into(), "user_id".into()]);
    assert_eq!(tracing(covering)["public.orders user_id"], Tracing::Identity { whole: false });
}

#[test]
fn what_schema_and_catalogue_do_not_agree_about_is_refused() {
    let new = |text: &str| {
        let schema = flusso_schema::parse(text, "test").unwrap();
        Resolver::new(&[Documents::Schema(&schema)], &shop(&Identity::Full)).map(|_| ()).unwrap_err()
    };
    let rooted = |table: &str, key: &str, field: &str| {
        format!("version: 1\ntable: {table}\nprimary_key: {key}\nfields:\n  - keyword: id\n{field}")
    };
    assert!(matches!(new(&rooted("nothing", "id", "")), Problem::NoTable { .. }));
    let count = |table: &str, key: &str| format!("  - count: n\n    table: {table}\n    foreign_key: {key}\n");
    assert!(matches!(new(&rooted("users", "id", &count("orders", "user"))), Problem::NoColumn { .. }));
    let keyless = format!("version: 1\ntable: items\nfields:\n{}", count("orders", "user_id"));
    assert!(matches!(new(&keyless), Problem::Width { .. }));
}

#[test]
fn documents_may_be_named_by_other_columns_than_the_primary_key() {
    let schema =
        flusso_schema::parse("version: 1\ntable: users\nprimary_key: name\nfields: [{ keyword: name }]\n", "test");
    let schema = schema.unwrap();
    let resolver = |identity| Resolver::new(&[Documents::Schema(&schema)], &shop(&identity)).unwrap();
    let full = resolver(Identity::Full);
    assert_eq!(
        (full.interest()[0].key.clone(), full.interest()[0].links.clone()),
        (vec!["id".into()], vec!["name".into()])
    );
    assert_eq!((full.interest()[1].key.clone(), full.scopes()[0].root), (vec!["name".into()], 1));
    let changes = [
        change(&full, "public.users", Op::Upsert, &["1"], Some(&["ann"]), Some(&["anna"])),
        change(&full, "public.users", Op::Delete, &["2"], Some(&["bob"]), None),
        change(&full, "public.users", Op::Upsert, &["3"], Some(&["-"]), Some(&["-"])),
        change(&full, "public.users", Op::Upsert, &["4"], None, None),
    ];
    let mut rows = Rows::default().with("public.users", &[("id", "4"), ("name", "dan")]);
    assert_eq!(found(&full, &changes, &mut rows), ["0/ann", "0/anna", "0/bob", "0/dan"]);
    assert!(full.relations()[0].tracing.is_exact());
    assert!(!resolver(Identity::Key).relations()[0].tracing.is_exact());
}
