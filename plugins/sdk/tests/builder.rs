//! Builders against rows in memory: what crosses, what becomes of errors, and what the host is told.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::str::FromStr;

use flusso_plugin::builder::prelude::*;
use flusso_plugin::builder::{self, IndexBuilder, NoSettings, TableRow, build_with};
use flusso_plugin::lookups::Lookups;
use flusso_plugin::{Error, Outcome, Value};
use serde_json::{Value as Object, json};

type Row = Vec<Value>;

#[derive(Row)]
#[table("public.orders")]
struct Order {
    id: i64,
    customer_id: Option<i64>,
}

#[derive(Row)]
#[table("public.customers")]
struct Customer {
    id: i64,
    name: String,
}

#[derive(Row)]
#[table("order_items")]
struct Item {
    order_id: i64,
    product: String,
}

#[derive(Row)]
#[table(schema = "public", name = "categories")]
struct Category {
    id: i64,
    parent_id: Option<i64>,
    #[column("name")]
    title: String,
}

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

fn shown(outcome: &Outcome) -> Object {
    match outcome {
        Outcome::Built(body) => serde_json::from_slice(body).unwrap(),
        Outcome::Absent => json!("absent"),
        Outcome::Failed(failure) => json!([failure.class, failure.reason]),
    }
}

async fn order(order: Order, db: &Reads) -> Result<Option<Object>> {
    if order.id == 9 {
        return Ok(None);
    }
    let customer = db.one(Customer::id(), order.customer_id);
    let (customer, items) = join((customer, db.by(Item::order_id(), order.id).order(Item::product()))).await?;
    let items: Vec<String> = items.into_iter().map(|item| item.product).collect();
    Ok(Some(json!({ "customer": customer.map(|customer| customer.name), "items": items })))
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

async fn path(category: Category, db: &Reads) -> Result<Option<Object>> {
    let (mut path, mut above) = (vec![category.title], category.parent_id);
    while let Some(id) = above {
        let parent = db.one(Category::id(), id).await?.ok_or_else(|| Failed::new("orphan", "no parent"))?;
        path.insert(0, parent.title);
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
fn several_columns_are_one_lookup() {
    let root = vec![vec![number(1), Value::Null]];
    let build = async |order: Order, db: &Reads| -> Result<Option<Object>> {
        let price: Decimal = "2.5".parse()?;
        db.by(ItemPrice::order_id(), order.id).and(ItemPrice::price(), price).await?;
        Ok(None)
    };
    let mut asked = Vec::new();
    let reader = |reads: &[Lookups]| {
        asked = reads.iter().map(|read| (read.by.clone(), read.lookups.first().unwrap().values.clone())).collect();
        Ok(vec![vec![Vec::new()]])
    };
    assert!(build_with(root, build, reader).is_ok());
    let by = ["order_id", "price"].map(str::to_owned).to_vec();
    assert_eq!(asked, [(by, vec![number(1), Value::Decimal("2.5".to_owned())])]);
}

#[test]
fn waiting_for_no_read_fails_the_document_and_an_error_of_the_reader_the_call() {
    let roots = || vec![vec![number(1), number(7)]];
    let waits = async |_: Order, _: &Reads| -> Result<Option<Object>> { std::future::pending().await };
    let outcomes = build_with(roots(), waits, |_| Ok(Vec::new())).unwrap();
    assert_eq!(shown(outcomes.first().unwrap()).get(0), Some(&json!("stuck")));
    let refused = build_with(roots(), order, |_| Err(Error::transient("the server restarts")));
    assert!(matches!(refused, Err(Error::Transient(_))));
    assert!(matches!(build_with(roots(), order, |_| Ok(Vec::new())), Err(Error::Fatal(_))));
}

#[derive(Serialize, Document)]
#[serde(rename_all = "camelCase")]
struct Line {
    product_code: String,
    price: Decimal,
}

#[derive(Serialize, Document)]
enum State {
    #[allow(dead_code, reason = "its type is all that is asked for")]
    Open,
}

#[derive(Serialize, Document)]
struct Whole {
    id: i64,
    #[field(keyword)]
    code: Option<String>,
    #[field(options = r#"{"analyzer":"simple"}"#)]
    #[serde(rename = "Title")]
    title: String,
    state: State,
    lines: Vec<Line>,
    tags: Vec<String>,
    first: Option<Box<Line>>,
    prices: BTreeMap<String, Decimal>,
    at: Timestamp,
    #[serde(skip)]
    #[allow(dead_code, reason = "not serialised")]
    hidden: u8,
    #[serde(flatten)]
    more: More,
}

#[derive(Serialize, Document)]
struct More {
    rank: i32,
    raw: Json,
}

type Raw = flusso_plugin::builder::Json;

#[derive(Row)]
#[table("public.order_items")]
struct ItemPrice {
    order_id: i64,
    price: Decimal,
}

#[builder(index = "wholes", version = 3, reads(Customer by id, Item by order_id, ItemPrice by (order_id, price), Category all))]
async fn whole(order: Order, _: &Reads) -> Result<Option<Whole>> {
    Err(Failed::new("never", order.id.to_string()))
}

#[test]
fn the_host_is_told_of_every_field_and_read() {
    let offered = builder::offered::<whole>().unwrap();
    let shown = |field: &flusso_plugin::Field| {
        let of = |yes: bool, word: &'static str| if yes { word } else { "" };
        let values = field.map_values.as_ref().map(|kind| format!(" of {kind}")).unwrap_or_default();
        let (null, list) = (of(field.nullable, "?"), of(field.array, "[]"));
        format!("{} {}{null}{list}{values} {}", field.path, field.type_, field.options)
    };
    assert_eq!(
        offered.mapping.fields.iter().map(shown).collect::<Vec<_>>(),
        [
            "id long {}",
            "code keyword? {}",
            "Title text {\"analyzer\":\"simple\"}",
            "state keyword {}",
            "lines nested[] {}",
            "lines.productCode text {}",
            "lines.price decimal {}",
            "tags text[] {}",
            "first object? {}",
            "first.productCode text {}",
            "first.price decimal {}",
            "prices object of decimal {\"dynamic\":true}",
            "at timestamp {}",
            "rank integer {}",
            "raw json {}",
        ]
    );
    assert_eq!(
        (offered.root.name.as_str(), offered.columns.as_slice()),
        ("orders", ["id".to_owned(), "customer_id".to_owned()].as_slice())
    );
    let reads: Vec<_> = offered
        .reads
        .iter()
        .map(|read| (&*read.table.name, read.columns.join(","), format!("{:?}", read.by)))
        .collect();
    assert_eq!(
        reads,
        [
            ("customers", "id,name".to_owned(), "[[\"id\"]]".to_owned()),
            (
                "order_items",
                "order_id,product,price".to_owned(),
                "[[\"order_id\"], [\"order_id\", \"price\"]]".to_owned()
            ),
            ("categories", "id,parent_id,name".to_owned(), "[[]]".to_owned()),
        ]
    );
    // What is written into state folders and names of indexes stays as it is.
    assert_eq!(offered.mapping.hash, "aa128ac6e848565c");
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tax {
    /// Percent.
    #[serde(default)]
    rate: u8,
}

#[derive(Serialize, Document)]
struct Taxed {
    rate: u8,
}

#[builder(index = "taxed")]
async fn taxed(order: Order, _: &Reads, tax: &Tax) -> Result<Option<Taxed>> {
    let _ = (order.id, order.customer_id);
    Ok(Some(Taxed { rate: tax.rate }))
}

#[test]
fn the_manifest_has_the_schema_of_the_settings() {
    let manifest: Object = serde_json::from_str(&builder::manifest::<taxed>("x", "1.2.3", "about")).unwrap();
    assert_eq!(manifest["name"], "x");
    assert_eq!(manifest["roles"], json!(["tracked-builder"]));
    assert_eq!(manifest["contract"], flusso_plugin::CONTRACT);
    let rate = &manifest["settings"]["properties"]["rate"];
    assert_eq!((&rate["type"], &rate["description"]), (&json!("integer"), &json!("Percent.")));
    assert_eq!(manifest["settings"]["additionalProperties"], false);
    let none: Object = serde_json::from_str(&builder::manifest::<whole>("x", "1.2.3", "about")).unwrap();
    assert_eq!(none["settings"]["additionalProperties"], false);
    assert!(serde_json::from_str::<NoSettings>("{}").is_ok());
    assert_eq!(whole::VERSION, 3);
}

#[test]
fn decimals_are_exact() {
    let decimal = |text: &str| text.parse::<Decimal>().unwrap();
    let prices = ["0.10", "0.20", "99999999999999999999999999.99"].map(decimal);
    let sum: Decimal = prices.into_iter().sum();
    assert_eq!(serde_json::to_string(&sum).unwrap(), "100000000000000000000000000.29");
    assert_eq!(serde_json::to_string(&(&decimal("1.50") * 3)).unwrap(), "4.5");
    assert_eq!(decimal("1.5"), decimal("1.50"));
    assert!("NaN".parse::<Decimal>().is_err());
}

#[test]
fn a_row_is_read_and_made() {
    let row = Customer { id: 7, name: "Ada".to_owned() }.into_row();
    assert_eq!(row, [number(7), text("Ada")]);
    assert_eq!(Customer::from_row(row).unwrap().name, "Ada");
    assert_eq!((Category::SCHEMA, Category::title().name()), ("public", "name"));
    let json = Raw::from_str("{\"a\": 1}").unwrap();
    assert_eq!(json.parse::<BTreeMap<String, i32>>().unwrap().get("a"), Some(&1));
}

/// Types that serde writes as something else than an object of their fields.
mod written_as {
    use super::*;

    #[derive(Serialize, Document)]
    pub(super) struct Sku(pub(super) String);

    #[derive(Serialize, Document)]
    #[serde(transparent)]
    pub(super) struct Price {
        pub(super) amount: Decimal,
    }

    fn hex<S: serde::Serializer>(number: &i64, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{number:x}"))
    }

    #[derive(Serialize, Document)]
    pub(super) struct Product {
        pub(super) sku: Sku,
        pub(super) price: Option<Price>,
        pub(super) others: Vec<Sku>,
        #[serde(serialize_with = "hex")]
        #[field(keyword)]
        pub(super) color: i64,
        pub(super) weight: f32,
    }
}

#[test]
fn a_field_is_in_the_index_what_serde_writes() {
    use builder::FieldType;
    use written_as::{Price, Product, Sku};

    let fields = Product::shape().fields.into_iter().map(|field| (field.path, field.type_, field.array));
    let fields: Vec<_> = fields.collect();
    let wanted =
        [("sku", "text", false), ("price", "decimal", false), ("others", "text", true), ("color", "keyword", false)];
    let wanted = wanted.into_iter().chain([("weight", "float", false)]);
    assert_eq!(fields, wanted.map(|(path, kind, array)| (path.to_owned(), kind.to_owned(), array)).collect::<Vec<_>>());
    let sku = |text: &str| Sku(text.to_owned());
    let price = Some(Price { amount: Decimal::from(3) });
    let product = Product { sku: sku("a"), price, others: vec![sku("b")], color: 255, weight: 1.5 };
    let json = serde_json::to_value(product).unwrap();
    assert_eq!(json, json!({"sku": "a", "price": 3, "others": ["b"], "color": "ff", "weight": 1.5}));
}

#[derive(Row)]
#[table("scales")]
struct Scale {
    id: i64,
    weight: f32,
    most: Option<f32>,
}

#[test]
fn floats_of_32_bits_are_read() {
    let read = |weight: f64| Scale::from_row(vec![number(1), Value::Float(weight), Value::Null]);
    let scale = read(0.1).unwrap();
    assert!((scale.weight - 0.1_f32).abs() < f32::EPSILON && scale.most.is_none() && scale.id == 1);
    assert!(matches!(Outcome::from(read(1e300).err().unwrap()), Outcome::Failed(failure) if failure.class == "row"));
}

/// A builder's name is nobody else's: `let items` is a variable.
mod named_as_a_variable {
    use super::*;

    #[derive(Serialize, Document)]
    struct ItemDocument {
        id: i64,
    }

    #[builder(index = "items")]
    async fn items(item: Order, _: &Reads) -> Result<Option<ItemDocument>> {
        let items = vec![item.id];
        Ok(items.first().map(|id| ItemDocument { id: *id }))
    }

    #[test]
    fn is_built() {
        let items = flusso_plugin::testing::Tables::new().with([Order { id: 5, customer_id: None }]);
        assert_eq!(items.build(self::items).document(5), json!({"id": 5}));
    }
}
