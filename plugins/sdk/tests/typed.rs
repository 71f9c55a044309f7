//! Typed builds against rows in memory: what crosses, and what becomes of errors.
#![allow(clippy::unwrap_used, reason = "a test")]

use flusso_plugin::lookups::Lookups;
use flusso_plugin::typed::{Failed, Reads, build_with, join};
use flusso_plugin::{Error, Outcome, Row, Value};
use serde_json::{Value as Json, json};

flusso_plugin::row! { struct Order in "public", "orders" { id: i64, customer_id: Option<i64> } }
flusso_plugin::row! { struct Customer in "public", "customers" { id: i64, name: String } }
flusso_plugin::row! { struct Item in "public", "order_items" { order_id: i64, product: String } }
flusso_plugin::row! { struct Category in "public", "categories" { id: i64, parent_id: Option<i64>, name: String } }

fn number(value: i64) -> Value {
    Value::Integer(value)
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn table(name: &str) -> Vec<Row> {
    match name {
        "customers" => vec![vec![number(7), text("Ada")], vec![number(8), number(8)]],
        "order_items" => vec![vec![number(1), text("pen")], vec![number(2), text("ink")], vec![number(1), text("cap")]],
        _ => vec![
            vec![number(1), Value::Null, text("all")],
            vec![number(2), number(1), text("tools")],
            vec![number(3), number(2), text("saws")],
        ],
    }
}

/// What the tables hold by the first column that is looked up; the crossings are kept.
fn reader(crossings: &mut Vec<Vec<String>>) -> impl FnMut(&[Lookups]) -> flusso_plugin::Result<Vec<Vec<Vec<Row>>>> {
    |reads| {
        crossings.push(reads.iter().map(|read| format!("{} {}", read.table.name, read.lookups.len())).collect());
        let find = |read: &Lookups| {
            let at = read.columns.iter().position(|column| Some(column) == read.by.first()).unwrap();
            let rows = |value: Option<&Value>| {
                table(&read.table.name).into_iter().filter(|row| row.get(at) == value).collect()
            };
            read.lookups.iter().map(|lookup| rows(lookup.values.first())).collect()
        };
        Ok(reads.iter().map(find).collect())
    }
}

fn shown(outcome: &Outcome) -> Json {
    match outcome {
        Outcome::Built(body) => serde_json::from_slice(body).unwrap(),
        Outcome::Absent => json!("absent"),
        Outcome::Failed(failure) => json!([failure.class, failure.reason]),
    }
}

async fn order(order: Order, db: &Reads) -> Result<Option<Json>, Failed> {
    if order.id == 9 {
        return Ok(None);
    }
    let customer = db.one(Customer::id(), order.customer_id);
    let (customer, items) = join(customer, db.by(Item::order_id(), order.id).order(Item::product())).await;
    let items: Vec<String> = items?.into_iter().map(|item| item.product).collect();
    Ok(Some(json!({ "customer": customer?.map(|customer| customer.name), "items": items })))
}

#[test]
fn both_reads_of_every_order_cross_together() {
    let root = |id, customer| vec![number(id), customer];
    let roots = vec![root(1, number(7)), root(2, Value::Null), root(9, Value::Null), root(3, number(8))];
    let mut crossings = Vec::new();
    let outcomes = build_with(roots, order, reader(&mut crossings)).unwrap();
    assert_eq!(crossings, [["customers 3", "order_items 3"]]);
    let wrong = "public.customers.name holds an integer that is of another kind or too large, but its field takes text";
    let expected = [
        json!({ "customer": "Ada", "items": ["pen", "cap"] }),
        json!({ "customer": null, "items": ["ink"] }),
        json!("absent"),
        json!(["row", wrong]),
    ];
    assert_eq!(outcomes.iter().map(shown).collect::<Vec<_>>(), expected);
}

async fn path(category: Category, db: &Reads) -> Result<Option<Json>, Failed> {
    let (mut path, mut above) = (vec![category.name], category.parent_id);
    while let Some(id) = above {
        let parent = db.one(Category::id(), id).await?.ok_or_else(|| Failed::new("orphan", "no parent"))?;
        path.insert(0, parent.name);
        above = parent.parent_id;
    }
    Ok(Some(json!(path)))
}

#[test]
fn a_walk_takes_a_crossing_a_step_however_many_walk() {
    let mut crossings = Vec::new();
    let outcomes = build_with(table("categories"), path, reader(&mut crossings)).unwrap();
    assert_eq!(crossings, [["categories 2"], ["categories 1"]]);
    let expected = [json!(["all"]), json!(["all", "tools"]), json!(["all", "tools", "saws"])];
    assert_eq!(outcomes.iter().map(shown).collect::<Vec<_>>(), expected);
}

#[test]
fn waiting_for_no_read_fails_the_document_and_an_error_of_the_reader_the_call() {
    let roots = || vec![vec![number(1), number(7)]];
    let waits = async |_: Order, _: &Reads| -> Result<Option<Json>, Failed> { std::future::pending().await };
    let outcomes = build_with(roots(), waits, |_| Ok(Vec::new())).unwrap();
    assert_eq!(shown(outcomes.first().unwrap()).get(0), Some(&json!("stuck")));
    let refused = build_with(roots(), order, |_| Err(Error::transient("the server restarts")));
    assert!(matches!(refused, Err(Error::Transient(_))));
    assert!(matches!(build_with(roots(), order, |_| Ok(Vec::new())), Err(Error::Fatal(_))));
}
