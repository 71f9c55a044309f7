//! The documents of the convergence test, as typed builders: joins three deep, totals in code, a soft delete, lookups whose values
//! come from other lookups, a self-relation walked upwards, keys and lookups of several columns. What they should be stands in
//! `tests/src/converge/world/tracked`, in SQL.

use flusso_plugin::builder::prelude::*;

/// How far up the bosses of a user are followed: they may lead in a circle.
const BOSSES: usize = 5;

#[derive(Row)]
#[table("public.users")]
struct User {
    id: i64,
    name: Option<String>,
    email: Option<String>,
    company_id: Option<Uuid>,
    boss_id: Option<i64>,
    kind: Option<String>,
    deleted_at: Option<Timestamp>,
}

#[derive(Row)]
#[table("public.companies")]
struct Company {
    id: Uuid,
    name: Option<String>,
}

#[derive(Row)]
#[table("public.profiles")]
struct Profile {
    user_id: i64,
    theme: Option<String>,
}

#[derive(Row)]
#[table("public.labels")]
struct Label {
    id: i64,
    user_id: Option<i64>,
    tag_id: Option<String>,
}

#[derive(Row)]
#[table("public.tags")]
struct Tag {
    id: String,
    name: Option<String>,
}

#[derive(Row)]
#[table("public.orders")]
struct Order {
    id: i64,
    user_id: Option<i64>,
    status: Option<String>,
    total: Option<Decimal>,
    note: Option<String>,
    gone: bool,
}

#[derive(Row)]
#[table("public.items")]
struct Item {
    order_id: i64,
    line: String,
    product: Option<String>,
    quantity: Option<i32>,
    price: Option<Decimal>,
}

#[derive(Row)]
#[table("public.products")]
struct Product {
    code: String,
    name: Option<String>,
    shown: Option<String>,
    price: Option<Decimal>,
}

#[derive(Row)]
#[table("public.parts")]
struct Part {
    code: String,
    grade: String,
    size: Decimal,
    label: Option<String>,
}

#[derive(Row)]
#[table("public.pieces")]
struct Piece {
    id: i32,
    code: Option<String>,
    grade: Option<String>,
    size: Option<Decimal>,
    q: Option<i32>,
}

#[derive(Row)]
#[table("public.sentinels")]
struct Sentinel {
    id: i64,
}

#[derive(Serialize, Document)]
struct UserDocument {
    name: Option<String>,
    company: Option<String>,
    bosses: Vec<Option<String>>,
    tags: Vec<Option<String>>,
}

#[derive(Serialize, Document)]
struct OrderDocument {
    id: i64,
    #[field(keyword)]
    status: Option<String>,
    total: Option<Decimal>,
    note: Option<String>,
    user: Option<Customer>,
    items: Vec<Line>,
    quantity: Option<i64>,
    last: Option<String>,
    large: i64,
}

#[derive(Serialize, Document)]
struct Customer {
    name: Option<String>,
    company: Option<String>,
    tags: i64,
}

#[derive(Serialize, Document)]
struct Line {
    line: String,
    price: Option<Decimal>,
    product: Option<String>,
}

#[derive(Serialize, Document)]
struct ItemDocument {
    quantity: Option<i32>,
    price: Option<Decimal>,
    status: Option<String>,
    email: Option<String>,
    theme: Option<String>,
}

#[derive(Serialize, Document)]
struct ProductDocument {
    shown: Option<String>,
    price: Option<Decimal>,
    sold: Option<i64>,
    top: Vec<TopLine>,
}

#[derive(Serialize, Document)]
struct TopLine {
    line: String,
    status: Option<String>,
}

#[derive(Serialize, Document)]
struct PartDocument {
    label: Option<String>,
    pieces: Vec<Option<i32>>,
}

#[derive(Serialize, Document)]
struct SentinelDocument {
    id: i64,
}

#[builder(index = "users", reads(User by id, Company by id, Label by user_id, Tag by id))]
async fn user_documents(user: User, db: &Reads) -> Result<Option<UserDocument>> {
    if user.deleted_at.is_some() {
        return Ok(None);
    }
    let (company, bosses, tags) =
        join((db.one(Company::id(), user.company_id), bosses(user.boss_id, db), tags(user.id, db))).await?;
    let company = company.and_then(|company| company.name);
    Ok(Some(UserDocument { name: user.name, company, bosses, tags: tags.into_iter().map(|tag| tag.name).collect() }))
}

async fn bosses(mut above: Option<i64>, db: &Reads) -> Result<Vec<Option<String>>> {
    let mut names = Vec::new();
    while let Some(id) = above
        && names.len() < BOSSES
    {
        let Some(boss) = db.one(User::id(), id).await? else { break };
        names.push(boss.name);
        above = boss.boss_id;
    }
    Ok(names)
}

/// The tags of a user, in the order of the labels.
async fn tags(user: i64, db: &Reads) -> Result<Vec<Tag>> {
    let labels = db.by(Label::user_id(), user).order(Label::id()).await?;
    let tags = join_all(labels.into_iter().map(|label| db.one(Tag::id(), label.tag_id))).await?;
    Ok(tags.into_iter().flatten().collect())
}

#[builder(index = "orders", reads(User by id, Company by id, Label by user_id, Tag by id, Item by order_id, Product by code))]
async fn order_documents(order: Order, db: &Reads) -> Result<Option<OrderDocument>> {
    if order.gone || order.status.as_deref().is_none_or(|status| status == "void") {
        return Ok(None);
    }
    let all = db.by(Item::order_id(), order.id);
    let large = db.by(Item::order_id(), order.id).filter(Item::quantity().greater_than(5));
    let (user, all, large, items) = join((customer(order.user_id, db), all, large, lines(order.id, db))).await?;
    Ok(Some(OrderDocument {
        id: order.id,
        status: order.status,
        total: order.total,
        note: order.note,
        user,
        items,
        quantity: sum(&all),
        last: all.into_iter().map(|item| item.line).max(),
        large: i64::try_from(large.len())?,
    }))
}

async fn customer(id: Option<i64>, db: &Reads) -> Result<Option<Customer>> {
    let Some(user) = db.one(User::id(), id).await?.filter(|user| user.kind.is_some()) else { return Ok(None) };
    let (company, tags) = join((db.one(Company::id(), user.company_id), tags(user.id, db))).await?;
    let company = company.and_then(|company| company.name);
    Ok(Some(Customer { name: user.name, company, tags: i64::try_from(tags.len())? }))
}

/// The dearest items of an order.
async fn lines(order: i64, db: &Reads) -> Result<Vec<Line>> {
    let items = db.by(Item::order_id(), order).order_desc(Item::price()).order(Item::line()).limit(20).await?;
    let products = join_all(items.iter().map(|item| db.one(Product::code(), item.product.clone()))).await?;
    let line = |(item, product): (Item, Option<Product>)| Line {
        line: item.line,
        price: item.price,
        product: product.and_then(|product| product.name),
    };
    Ok(items.into_iter().zip(products).map(line).collect())
}

/// As SQL sums: nothing where there is nothing.
fn sum(items: &[Item]) -> Option<i64> {
    let known = || items.iter().filter_map(|item| item.quantity);
    known().next().map(|_| known().map(i64::from).sum())
}

#[builder(index = "items", reads(Order by id, User by id, Profile by user_id))]
async fn item_documents(item: Item, db: &Reads) -> Result<Option<ItemDocument>> {
    let order = db.one(Order::id(), item.order_id).await?;
    let user = db.one(User::id(), order.as_ref().and_then(|order| order.user_id)).await?;
    let profile = db.one(Profile::user_id(), user.as_ref().map(|user| user.id)).await?;
    Ok(Some(ItemDocument {
        quantity: item.quantity,
        price: item.price,
        status: order.and_then(|order| order.status),
        email: user.and_then(|user| user.email),
        theme: profile.and_then(|profile| profile.theme),
    }))
}

#[builder(index = "products", reads(Item by product, Order by id))]
async fn product_documents(product: Product, db: &Reads) -> Result<Option<ProductDocument>> {
    let all = db.by(Item::product(), product.code.clone());
    let top = db.by(Item::product(), product.code.clone()).order_desc(Item::quantity());
    let (all, top) = join((all, top.order(Item::order_id()).order(Item::line()).limit(3))).await?;
    let orders = join_all(top.iter().map(|item| db.one(Order::id(), item.order_id))).await?;
    let line = |(item, order): (Item, Option<Order>)| TopLine {
        line: item.line,
        status: order.and_then(|order| order.status),
    };
    let top = top.into_iter().zip(orders).map(line).collect();
    Ok(Some(ProductDocument { shown: product.shown, price: product.price, sold: sum(&all), top }))
}

#[builder(index = "parts", reads(Piece by (grade, size)))]
async fn part_documents(part: Part, db: &Reads) -> Result<Option<PartDocument>> {
    // Their codes are equal whatever their case, which the database alone can tell.
    let same = db.by(Piece::grade(), part.grade).and(Piece::size(), part.size).filter(Piece::code().equals(part.code));
    let pieces = same.order(Piece::id()).await?;
    Ok(Some(PartDocument { label: part.label, pieces: pieces.into_iter().map(|piece| piece.q).collect() }))
}

#[builder(index = "sentinels")]
async fn sentinel_documents(sentinel: Sentinel, _: &Reads) -> Result<Option<SentinelDocument>> {
    Ok(Some(SentinelDocument { id: sentinel.id }))
}

flusso_plugin::builders!(
    user_documents,
    order_documents,
    item_documents,
    product_documents,
    part_documents,
    sentinel_documents
);
