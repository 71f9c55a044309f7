//! Orders with their customer, items and exact total, and categories with the path to their top: the documents of
//! `examples/python-builder` and `examples/javascript-builder`, so that the three languages can be compared.

use flusso_plugin::builder::prelude::*;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Orders of this status are no documents.
    #[serde(default = "void")]
    hidden: String,
}

fn void() -> String {
    "void".to_owned()
}

#[derive(Row)]
#[table("public.orders")]
struct Order {
    id: i64,
    user_id: Option<i64>,
    status: Option<String>,
}

#[derive(Row)]
#[table("public.users")]
struct User {
    id: i64,
    name: Option<String>,
}

#[derive(Row)]
#[table("public.order_items")]
struct Item {
    id: i64,
    order_id: Option<i64>,
    product_id: Option<i64>,
    quantity: i32,
    price: Decimal,
}

#[derive(Row)]
#[table("public.products")]
struct Product {
    id: i64,
    title: Option<String>,
}

#[derive(Row)]
#[table("public.categories")]
struct Category {
    id: i64,
    parent_id: Option<i64>,
    name: String,
}

#[derive(Serialize, Document)]
struct OrderDocument {
    id: i64,
    #[field(keyword)]
    status: Option<String>,
    user: Option<String>,
    total: Decimal,
    items: Vec<Line>,
}

#[derive(Serialize, Document)]
struct Line {
    title: Option<String>,
    quantity: i32,
    price: Decimal,
}

#[derive(Serialize, Document)]
struct CategoryDocument {
    id: i64,
    #[field(keyword)]
    path: Vec<String>,
}

#[builder(index = "orders", reads(User by id, Item by order_id, Product by id))]
async fn orders(order: Order, db: &Reads, settings: &Settings) -> Result<Option<OrderDocument>> {
    if order.status.as_ref() == Some(&settings.hidden) {
        return Ok(None);
    }
    let items = db.by(Item::order_id(), order.id).order(Item::id());
    let (user, items) = join((db.one(User::id(), order.user_id), items)).await?;
    let products = join_all(items.iter().map(|item| db.one(Product::id(), item.product_id))).await?;
    let total = items.iter().map(|item| &item.price * item.quantity).sum();
    let line = |(item, product): (Item, Option<Product>)| Line {
        title: product.and_then(|product| product.title),
        quantity: item.quantity,
        price: item.price,
    };
    let items = items.into_iter().zip(products).map(line).collect();
    Ok(Some(OrderDocument { id: order.id, status: order.status, user: user.and_then(|user| user.name), total, items }))
}

#[builder(index = "categories", reads(Category by id))]
async fn categories(category: Category, db: &Reads, _: &Settings) -> Result<Option<CategoryDocument>> {
    let (mut path, mut above) = (vec![category.name], category.parent_id);
    while let Some(id) = above {
        let Some(parent) = db.one(Category::id(), id).await? else { return Ok(None) };
        if path.len() == 20 {
            return Err(Failed::new("cycle", format!("category {id} is above itself")));
        }
        path.insert(0, parent.name);
        above = parent.parent_id;
    }
    Ok(Some(CategoryDocument { id: category.id, path }))
}

flusso_plugin::builders!(orders, categories);
