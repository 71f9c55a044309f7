//! A tracked builder that is written against the contract itself: orders with what belongs to them, and categories with the path
//! to their top, which takes a lookup after the other. The setting `how` makes it do what it must not.

use std::collections::HashMap;

use flusso_plugin::lookups::{self, Lookup, Lookups};
use flusso_plugin::{
    Error, Failure, Field, IndexNumber, Mapping, OfferedIndex, Ordering, Outcome, Result, Row, Settings, TableName,
    TableRead, TrackedBuilder, Value,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// The builder.
pub struct Tracked {
    how: String,
}

#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    how: String,
}

flusso_plugin::plugin! {
    manifest: include_str!("../manifest.json"),
    tracked_builder: Tracked,
}

fn table(name: &str) -> TableName {
    TableName { schema: "public".to_owned(), name: name.to_owned() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn field(path: &str, kind: &str, array: bool) -> Field {
    Field {
        path: path.to_owned(),
        type_: kind.to_owned(),
        nullable: true,
        array,
        options: "{}".to_owned(),
        variants: None,
        map_values: None,
        extra: None,
    }
}

fn reads(name: &str, columns: &[&str], by: &str) -> TableRead {
    TableRead { table: table(name), columns: texts(columns), by: vec![texts(&[by])], extra: None }
}

fn index(name: &str, root: &str, columns: &[&str], fields: Vec<Field>, reads: Vec<TableRead>) -> OfferedIndex {
    let mapping = Mapping { index: name.to_owned(), hash: "1".to_owned(), fields, prefix: String::new(), extra: None };
    OfferedIndex { mapping, root: table(root), columns: texts(columns), reads, extra: None }
}

/// A read of some columns by one, for documents and the value each looks for.
fn look_up(name: &str, columns: &[&str], by: &str, of: impl Iterator<Item = (usize, Value)>) -> Lookups {
    let lookup =
        |(document, value)| Lookup { document: u32::try_from(document).unwrap_or(u32::MAX), values: vec![value] };
    Lookups {
        table: table(name),
        columns: texts(columns),
        by: texts(&[by]),
        filters: Vec::new(),
        order: Vec::new(),
        limit: None,
        lookups: of.map(lookup).collect(),
        extra: None,
    }
}

fn cell(row: &[Value], place: usize) -> Value {
    row.get(place).cloned().unwrap_or(Value::Null)
}

fn shown(value: &Value) -> Json {
    match value {
        Value::Integer(value) => json!(value),
        Value::Text(text) | Value::Decimal(text) => json!(text),
        _ => Json::Null,
    }
}

impl TrackedBuilder for Tracked {
    fn open(settings: Settings) -> Result<Self> {
        let Given { how } = settings.parse()?;
        Ok(Self { how })
    }

    fn indexes(&mut self) -> Result<Vec<OfferedIndex>> {
        let id = || field("id", "long", false);
        let users = match self.how.as_str() {
            "unknown-table" => reads("userz", &["id", "name"], "id"),
            "unknown-column" => reads("users", &["id", "nam"], "id"),
            "whole-table" => TableRead { by: vec![Vec::new()], ..reads("users", &["id", "name"], "id") },
            _ => reads("users", &["id", "name"], "id"),
        };
        let mut items = reads("order_items", &["id", "order_id", "product_id", "quantity", "price"], "order_id");
        if self.how == "more-reads" {
            items.by.push(texts(&["product_id"]));
        }
        let products = reads("products", &["id", "title"], "id");
        let order =
            vec![id(), field("status", "keyword", false), field("user", "text", false), field("items", "nested", true)];
        let path = vec![id(), field("path", "text", true)];
        let categories = reads("categories", &["id", "parent_id", "name"], "id");
        Ok(vec![
            index("orders", "orders", &["id", "user_id", "status"], order, vec![users, items, products]),
            index("categories", "categories", &["id", "parent_id", "name"], path, vec![categories]),
        ])
    }

    fn build_many(&mut self, index: IndexNumber, roots: Vec<Row>) -> Result<Vec<Outcome>> {
        match index {
            0 => self.orders(&roots),
            _ => paths(&roots),
        }
    }
}

impl Tracked {
    fn orders(&self, roots: &[Row]) -> Result<Vec<Outcome>> {
        let of = |place: usize| roots.iter().map(move |row| cell(row, place)).enumerate();
        let mut users = look_up("users", &["name"], "id", of(1));
        match self.how.as_str() {
            "whole-table" => {
                users.by.clear();
                users.lookups.iter_mut().for_each(|lookup| lookup.values.clear());
            }
            "undeclared-table" => users.table = table("addresses"),
            "undeclared-column" => users.columns = texts(&["email"]),
            "undeclared-lookup" => users.by = texts(&["name"]),
            "other-document" => users.lookups.push(Lookup { document: 1_000_000, values: vec![Value::Integer(1)] }),
            "log" => {
                flusso_plugin::tracing::warn!(documents = roots.len(), table = "orders", "building {}", "some");
                flusso_plugin::tracing::trace!("not shown");
            }
            "hidden" => {
                // What the host refused is not to be hidden by going on.
                let hidden = look_up("addresses", &["city"], "user_id", of(1));
                let _ = lookups::read(&[hidden]);
            }
            _ => {}
        }
        let mut items = look_up("order_items", &["quantity", "price", "product_id"], "order_id", of(0));
        if self.how == "no-items" {
            items.lookups.iter_mut().for_each(|lookup| lookup.values = vec![Value::Null]);
        }
        items.order = vec![Ordering { column: "id".to_owned(), descending: false }];
        let [users, items] = two(lookups::read(&[users, items])?)?;
        // What is looked up here depends on what was found there.
        let wanted =
            items.iter().enumerate().flat_map(|(document, rows)| rows.iter().map(move |row| (document, cell(row, 2))));
        let products = look_up("products", &["id", "title"], "id", wanted);
        let found = lookups::read(&[products])?.pop().unwrap_or_default();
        let titles: HashMap<String, Json> =
            found.into_iter().flatten().map(|row| (shown(&cell(&row, 0)).to_string(), shown(&cell(&row, 1)))).collect();
        let document = |((root, user), items): ((&Row, &Vec<Row>), &Vec<Row>)| {
            if cell(root, 2) == Value::Text("void".to_owned()) {
                return Outcome::Absent;
            }
            let item = |row: &Row| {
                let title = titles.get(&shown(&cell(row, 2)).to_string());
                json!({ "quantity": shown(&cell(row, 0)), "price": shown(&cell(row, 1)), "title": title })
            };
            let document = json!({
                "id": shown(&cell(root, 0)),
                "status": shown(&cell(root, 2)),
                "user": user.first().map(|row| shown(&cell(row, 0))),
                "items": items.iter().map(item).collect::<Vec<_>>(),
            });
            Outcome::Built(document.to_string().into_bytes())
        };
        let mut outcomes: Vec<Outcome> = roots.iter().zip(&users).zip(&items).map(document).collect();
        if self.how == "fewer" {
            outcomes.pop();
        }
        Ok(outcomes)
    }
}

/// The answers to two reads.
fn two(answers: Vec<Vec<Vec<Row>>>) -> Result<[Vec<Vec<Row>>; 2]> {
    answers.try_into().map_err(|_| Error::Fatal("two reads have two answers".to_owned()))
}

/// Each category with the names from the top down to it.
fn paths(roots: &[Row]) -> Result<Vec<Outcome>> {
    let mut paths: Vec<(Vec<Json>, Value)> =
        roots.iter().map(|row| (vec![shown(&cell(row, 2))], cell(row, 1))).collect();
    // A path as long as this goes in a circle.
    for _ in 0..32 {
        let open: Vec<usize> =
            paths.iter().enumerate().filter(|(_, (_, above))| *above != Value::Null).map(|(at, _)| at).collect();
        if open.is_empty() {
            break;
        }
        let wanted = open.iter().filter_map(|at| paths.get(*at).map(|(_, above)| (*at, above.clone())));
        let read = look_up("categories", &["parent_id", "name"], "id", wanted);
        let found = lookups::read(&[read])?.pop().unwrap_or_default();
        for (at, rows) in open.into_iter().zip(found) {
            if let Some((path, above)) = paths.get_mut(at) {
                let row = rows.into_iter().next().unwrap_or_default();
                path.insert(0, shown(&cell(&row, 1)));
                *above = cell(&row, 0);
            }
        }
    }
    let document = |((path, above), root): ((Vec<Json>, Value), &Row)| match above {
        Value::Null => Outcome::Built(json!({ "id": shown(&cell(root, 0)), "path": path }).to_string().into_bytes()),
        _ => Outcome::Failed(Failure {
            class: "circle".to_owned(),
            reason: "the category is above itself".to_owned(),
            extra: None,
        }),
    };
    Ok(paths.into_iter().zip(roots).map(document).collect())
}
