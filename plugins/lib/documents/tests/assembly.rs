//! Plans and bodies without a database: tables of text in memory, and an executor that answers from them in an awkward order.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use flusso_documents::{
    Catalogue, Chunk, Column, Content, Fetch, Form, Grouping, Links, Plan, RecordedRelation, Rows, Source, build,
    rows_of_table,
};
use flusso_schema::{AggregateOp, TableName};
use std::collections::{BTreeMap, VecDeque};

/// A table: its columns, then its rows; an empty text is null.
type Table = (Vec<(&'static str, Form)>, Vec<Vec<&'static str>>);

struct Store {
    tables: BTreeMap<&'static str, Table>,
    /// Whether columns say that their texts tell whether they are equal.
    alike: bool,
}

impl Catalogue for Store {
    fn key(&self, table: &TableName) -> Option<Vec<String>> {
        let (columns, _) = self.tables.get(table.name.as_str())?;
        Some(columns.iter().take(1).map(|(name, _)| (*name).to_owned()).collect())
    }
    fn column(&self, table: &TableName, column: &str) -> Option<Column> {
        let (columns, _) = self.tables.get(table.name.as_str())?;
        let form = columns.iter().find(|(name, _)| *name == column)?.1;
        let alike = self.alike.then(|| "all".to_owned());
        Some(Column { form, type_names: vec![format!("{form:?}").to_lowercase()], alike })
    }
    fn columns(&self, table: &TableName) -> Vec<String> {
        self.tables[table.name.as_str()].0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
}

struct Executor<'a> {
    store: &'a Store,
    plan: &'a Plan,
    /// Questions: the node, and the first column of the links.
    asked: VecDeque<(usize, Vec<Vec<u8>>)>,
    questions: usize,
    ended: bool,
}

impl Fetch for Executor<'_> {
    type Error = String;

    fn ask(&mut self, node: usize, links: &Links<'_>) -> Result<(), String> {
        assert!(!self.ended, "asked after the end was announced");
        self.questions += 1;
        let mut columns = links.columns();
        self.asked.push_back((node, columns.next().unwrap().map(<[u8]>::to_vec).collect()));
        Ok(())
    }

    fn answer(&mut self, rows: &mut Rows) -> Result<(), String> {
        let (number, links) = self.asked.pop_front().unwrap();
        let node = &self.plan.nodes[number];
        let (columns, stored) = &self.store.tables[node.table.name.as_str()];
        let place = |name: &str| columns.iter().position(|(column, _)| *column == name).unwrap();
        let by = place(&node.link.columns[0]);
        // Rows of different links mixed, those of one in order.
        let found = stored.iter().filter_map(|row| {
            let link = links.iter().position(|link| link == row[by].as_bytes())?;
            Some((row, if node.link.grouping == Grouping::Text { row[by].to_owned() } else { (link + 1).to_string() }))
        });
        match &node.content {
            Content::Rows { cells, .. } => {
                for (row, group) in found {
                    let values =
                        cells.iter().map(|cell| Some(row[place(&cell.column)]).filter(|text| !text.is_empty()));
                    rows.push(
                        std::iter::once(Some(group.as_bytes())).chain(values.map(|text| text.map(str::as_bytes))),
                    )
                    .unwrap();
                }
            }
            Content::Aggregates(reductions) => {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                found.for_each(|(_, group)| *counts.entry(group).or_default() += 1);
                assert!(reductions.iter().all(|one| one.op == AggregateOp::Count));
                for (group, count) in counts {
                    let count = count.to_string();
                    rows.push(
                        std::iter::once(Some(group.as_bytes()))
                            .chain(reductions.iter().map(|_| Some(count.as_bytes()))),
                    )
                    .unwrap();
                }
            }
        }
        Ok(())
    }

    fn asked_all(&mut self) -> Result<(), String> {
        self.ended = true;
        Ok(())
    }

    fn malformed(&self, node: usize) -> String {
        format!("malformed rows of {node}")
    }
}

fn store(alike: bool) -> Store {
    let (int, text) = (Form::Integer, Form::Text);
    let tables = BTreeMap::from([
        ("users", (vec![("id", int), ("name", text)], vec![vec!["1", "Ann"], vec!["2", ""], vec!["3", "Cy \"C\""]])),
        (
            "orders",
            (
                vec![("id", int), ("user_id", int), ("product_id", int)],
                vec![
                    vec!["10", "3", "7"],
                    vec!["11", "1", "8"],
                    vec!["12", "3", ""],
                    vec!["13", "1", "7"],
                    vec!["14", "", "7"],
                ],
            ),
        ),
        ("products", (vec![("id", int), ("title", text)], vec![vec!["8", "Lamp"], vec!["7", "Desk"]])),
    ]);
    Store { tables, alike }
}

const SCHEMA: &str = "
version: 1
table: users
fields:
  - long: id
  - text: name
    default: nobody
  - object: deep
    fields: [{ constant: kind, value: user }, { count: orders, table: orders, foreign_key: user_id }]
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    fields:
      - long: id
      - belongs_to: product
        table: products
        primary_key: id
        column: product_id
        fields: [{ text: title }, { count: sold, table: orders, foreign_key: product_id }]
  - count: orderCount
    table: orders
    foreign_key: user_id
";

fn keys(keys: &[&str]) -> Chunk {
    let mut rows = Rows::new(1);
    keys.iter().for_each(|key| rows.push([Some(key.as_bytes())]).unwrap());
    Chunk::Keys(rows)
}

fn bodies(store: &Store, plan: &Plan, chunks: Vec<Chunk>, ahead: usize) -> (Vec<String>, usize) {
    let mut executor = Executor { store, plan, asked: VecDeque::new(), questions: 0, ended: false };
    let mut chunks = chunks.into_iter();
    let mut built: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    build(
        plan,
        &mut executor,
        ahead,
        |_| Ok(chunks.next()),
        |number, assembly| {
            let of_chunk = built.entry(number).or_default();
            for document in 0..assembly.len() {
                let mut body = Vec::new();
                let there = assembly.render(document, &mut body);
                of_chunk.push(if there { String::from_utf8(body).unwrap() } else { "absent".to_owned() });
            }
            Ok(true)
        },
    )
    .unwrap();
    assert!(executor.ended && executor.asked.is_empty());
    (built.into_values().flatten().collect(), executor.questions)
}

#[test]
fn rows_of_all_levels_meet_in_their_documents() {
    let schema = flusso_schema::parse(SCHEMA, "users.schema.yml").unwrap();
    for alike in [true, false] {
        let store = store(alike);
        let plan = Plan::of_schema(&schema, &store).unwrap();
        assert_eq!(plan.nodes.len(), 5, "both counts over the orders of a user are one node");
        let desk = r#"{"title":"Desk","sold":3}"#;
        let lamp = r#"{"title":"Lamp","sold":1}"#;
        let expected = [
            format!(
                r#"{{"id":3,"name":"Cy \"C\"","deep":{{"kind":"user","orders":2}},"orders":[{{"id":10,"product":{desk}}},{{"id":12,"product":null}}],"orderCount":2}}"#
            ),
            "absent".to_owned(),
            r#"{"id":2,"name":"nobody","deep":{"kind":"user","orders":0},"orders":[],"orderCount":0}"#.to_owned(),
            format!(
                r#"{{"id":1,"name":"Ann","deep":{{"kind":"user","orders":2}},"orders":[{{"id":11,"product":{lamp}}},{{"id":13,"product":{desk}}}],"orderCount":2}}"#
            ),
        ];
        let (built, questions) = bodies(&store, &plan, vec![keys(&["3", "4", "2", "1"])], 4);
        assert_eq!(built, expected);
        assert_eq!(questions, 5, "one a node");
        for ahead in 1..4 {
            assert_eq!(bodies(&store, &plan, vec![keys(&["3", "4"]), keys(&["2"]), keys(&["1"])], ahead).0, expected);
        }
        assert_eq!(bodies(&store, &plan, Vec::new(), 4), (Vec::new(), 0));
    }
}

/// The links that are read beside documents: relation, row and where it leads.
fn tracked(store: &Store, plan: &Plan, chunk: Chunk) -> Vec<String> {
    let mut executor = Executor { store, plan, asked: VecDeque::new(), questions: 0, ended: false };
    let (mut chunks, mut found) = (Some(chunk), Vec::new());
    let next = |_: &mut Executor<'_>| Ok(chunks.take());
    build(plan, &mut executor, 1, next, |_, assembly| {
        for (track, rows) in assembly.tracked() {
            let texts = |row: usize, cells: &[usize]| {
                let texts = cells.iter().map(|cell| rows.cell(row, *cell).unwrap_or(b"-"));
                texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect::<Vec<_>>().join(",")
            };
            let links = (0..rows.len()).map(|row| (texts(row, &track.row), texts(row, &track.links)));
            found.extend(links.map(|(row, links)| format!("{} {row} {links}", track.relation)));
        }
        Ok(true)
    })
    .unwrap();
    found.sort();
    found
}

#[test]
fn links_are_read_beside_documents_that_stay_the_same() {
    let followed = |relation, columns: &str| RecordedRelation {
        relation,
        table: flusso_documents::Table { schema: "public".into(), name: "orders".into() },
        columns: vec![columns.into()],
        key: vec!["id".into()],
    };
    for alike in [true, false] {
        let store = store(alike);
        let schema = flusso_schema::parse(SCHEMA, "users.schema.yml").unwrap();
        let bare = Plan::of_schema(&schema, &store).unwrap();
        let mut plan = bare.clone();
        plan.follow(&[followed(0, "user_id")]);
        // Orders are fetched for the list, so the counts over the same ask for nothing more.
        let (before, questions) = bodies(&store, &bare, vec![keys(&["1", "2", "3"])], 1);
        assert_eq!(bodies(&store, &plan, vec![keys(&["1", "2", "3"])], 1), (before.clone(), questions));
        assert_eq!(tracked(&store, &plan, keys(&["1", "3"])), ["0 10 3", "0 11 1", "0 12 3", "0 13 1"]);
        // Those that are only counted are fetched for their links.
        let mut plan = bare.clone();
        plan.follow(&[followed(1, "product_id")]);
        assert_eq!(bodies(&store, &plan, vec![keys(&["1", "2", "3"])], 1), (before, questions + 1));
        assert_eq!(tracked(&store, &plan, keys(&["1"])), ["1 10 7", "1 11 8", "1 13 7", "1 14 7"]);
    }
}

#[test]
fn what_a_filter_or_a_limit_hides_from_a_list_is_still_counted_and_followed() {
    let text = "version: 1\ntable: users\nfields:\n  - has_many: few\n    table: orders\n    primary_key: id\n    foreign_key: user_id\n    limit: 1\n    fields: [{ long: id }]\n  - count: all\n    table: orders\n    foreign_key: user_id\n";
    let store = store(true);
    let mut plan = Plan::of_schema(&flusso_schema::parse(text, "x").unwrap(), &store).unwrap();
    let nodes = plan.nodes.len();
    let table = flusso_documents::Table { schema: "public".into(), name: "orders".into() };
    plan.follow(&[RecordedRelation { relation: 0, table, columns: vec!["user_id".into()], key: vec!["id".into()] }]);
    assert_eq!(plan.nodes.len(), nodes + 1, "the list is cut, so the count fetches its rows");
    let alone = plan.nodes.last().unwrap();
    assert!(alone.limit.is_none() && alone.link_cells.len() == 1, "{alone:?}");
}

#[test]
fn root_rows_may_come_first_and_some_are_no_documents() {
    let store = store(true);
    let schema = flusso_schema::parse(SCHEMA, "users.schema.yml").unwrap();
    let plan = Plan::of_schema(&schema, &store).unwrap();
    assert!(
        plan.nodes.iter().skip(1).take(1).all(|node| node.source == Source::Documents),
        "asked for before root rows are here"
    );
    let mut roots = Rows::new(plan.nodes[0].width());
    for cells in [[Some("0"), Some("1"), Some("Ann")], [None, Some("3"), Some("Cy")], [Some("0"), Some("2"), None]] {
        roots.push(cells.map(|cell| cell.map(str::as_bytes))).unwrap();
    }
    let (built, questions) = bodies(&store, &plan, vec![Chunk::Roots(roots)], 1);
    assert_eq!(questions, 4);
    assert!(
        built[0].starts_with(r#"{"id":1,"name":"Ann""#) && built[0].ends_with(r#""orderCount":2}"#),
        "{}",
        built[0]
    );
    assert_eq!(built[1], "absent");
    assert!(built[2].starts_with(r#"{"id":2,"name":"nobody""#), "{}", built[2]);
}

#[test]
fn whole_rows_are_documents_too() {
    let store = store(true);
    let name = flusso_schema::parse("version: 1\ntable: users\nfields: [{ long: id }]\n", "x").unwrap().table;
    let columns: Vec<_> = store
        .columns(&name)
        .into_iter()
        .map(|column| {
            let of = store.column(&name, &column).unwrap();
            (column, of)
        })
        .collect();
    let plan = rows_of_table(flusso_documents::Table::from(&name), &["id".to_owned()], &columns);
    assert!(plan.is_flat());
    let (built, _) = bodies(&store, &plan, vec![keys(&["2", "3"])], 1);
    assert_eq!(built, [r#"{"id":2,"name":null}"#, r#"{"id":3,"name":"Cy \"C\""}"#]);
}

#[test]
fn every_problem_is_found_at_once() {
    let text = "version: 1\ntable: users\nsoft_delete: { column: gone }\nfields:\n  - boolean: name\n  - long: age\n  - count: n\n    table: nothing\n    foreign_key: x\n";
    let schema = flusso_schema::parse(text, "x").unwrap();
    let problems = Plan::of_schema(&schema, &store(true)).unwrap_err();
    let found: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(found, ["soft_delete.column", "age", "n"], "{problems:?}");
}

#[test]
fn rows_of_another_width_are_refused() {
    let mut rows = Rows::new(2);
    assert!(rows.push_framed(&[0, 0, 0, 1, b'x', 255, 255, 255, 255]).is_ok());
    assert_eq!((rows.cell(0, 0), rows.cell(0, 1)), (Some(&b"x"[..]), None));
    for wrong in [&[0, 0, 0, 1, b'x'][..], &[0, 0, 0, 9, b'x', 255, 255, 255, 255], &[255; 12], &[]] {
        assert!(Rows::new(2).push_framed(wrong).is_err(), "{wrong:?}");
    }
}
