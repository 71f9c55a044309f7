//! Products with the path of their category, their exact revenue, and their rank among the products of their category: what no
//! schema file says. The host sees what each document reads, and builds it again when that changes.

use flusso_plugin::builder::prelude::*;

#[derive(Row)]
#[table("public.products")]
struct Product {
    id: i64,
    name: String,
    category_id: Option<i64>,
    retired: bool,
}

#[derive(Row)]
#[table("public.categories")]
struct Category {
    id: i64,
    parent_id: Option<i64>,
    name: String,
}

#[derive(Row)]
#[table("public.sales")]
struct Sale {
    product_id: i64,
    quantity: i32,
    price: Decimal,
}

#[derive(Serialize, Document)]
struct ProductDocument {
    id: i64,
    name: String,
    /// From the top down.
    #[field(keyword)]
    categories: Vec<String>,
    revenue: Decimal,
    /// 1: no product of the category sold for more.
    rank: i64,
}

#[builder(index = "products", reads(Product by category_id, Category by id, Sale by product_id))]
async fn products(product: Product, db: &Reads) -> Result<Option<ProductDocument>> {
    if product.retired {
        return Ok(None);
    }
    let siblings = db.by(Product::category_id(), product.category_id);
    let (categories, revenue, siblings) =
        join((path(product.category_id, db), revenue(product.id, db), siblings)).await?;
    let rivals = siblings.iter().filter(|other| other.id != product.id && !other.retired);
    let revenues = join_all(rivals.map(|other| self::revenue(other.id, db))).await?;
    let ahead = revenues.iter().filter(|other| **other > revenue).count();
    let rank = i64::try_from(ahead)? + 1;
    Ok(Some(ProductDocument { id: product.id, name: product.name, categories, revenue, rank }))
}

/// The names of a category and of those above it, from the top down.
async fn path(mut category: Option<i64>, db: &Reads) -> Result<Vec<String>> {
    let mut names = Vec::new();
    while let Some(id) = category {
        let Some(found) = db.one(Category::id(), id).await? else { break };
        if names.len() == 20 {
            return Err(Failed::new("cycle", format!("category {id} is above itself")));
        }
        names.insert(0, found.name);
        category = found.parent_id;
    }
    Ok(names)
}

async fn revenue(product: i64, db: &Reads) -> Result<Decimal> {
    let sales = db.by(Sale::product_id(), product).await?;
    Ok(sales.iter().map(|sale| &sale.price * sale.quantity).sum())
}

flusso_plugin::builders!(products);

#[cfg(test)]
mod tests;
