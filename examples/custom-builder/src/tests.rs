//! The documents, from rows in memory, and which changes build them again.

use flusso_plugin::testing::Tables;

use super::{Category, Product, Sale, products};

fn product(id: i64, category: i64) -> Product {
    Product { id, name: format!("product {id}"), category_id: Some(category), retired: false }
}

fn sale(product: i64, quantity: i32, price: &str) -> Sale {
    Sale { product_id: product, quantity, price: price.parse().unwrap_or_default() }
}

fn shop() -> Tables {
    let category = |id, parent_id, name: &str| Category { id, parent_id, name: name.to_owned() };
    Tables::new()
        .with([category(1, None, "Tools"), category(2, Some(1), "Saws"), category(9, Some(9), "Round")])
        .with([product(1, 2), product(2, 2), Product { retired: true, ..product(3, 2) }, product(4, 9)])
        .with([sale(1, 3, "0.10"), sale(2, 1, "0.2"), sale(2, 1, "0.2"), sale(3, 1, "900")])
}

#[test]
fn a_product_has_its_path_its_exact_revenue_and_its_rank() {
    let built = shop().build(products);
    let first = built.document(1);
    assert_eq!(first["categories"], serde_json::json!(["Tools", "Saws"]));
    assert_eq!((first["revenue"].to_string(), &first["rank"]), ("0.3".to_owned(), &2.into()));
    assert_eq!(built.document(2)["rank"], 1);
    assert!(built.document(3).is_null(), "it is retired");
    assert_eq!(built.failure(4).map(|(class, _)| class), Some("cycle".to_owned()));
}

#[test]
fn a_change_builds_again_what_read_it() {
    let built = shop().build(products);
    let moved = Category { id: 1, parent_id: None, name: "Everything".to_owned() };
    let tools = Category { id: 1, parent_id: None, name: "Tools".to_owned() };
    assert_eq!(built.woken_by_update(tools, moved), ["1", "2"]);
    // Its rivals' ranks depend on it.
    assert_eq!(built.woken_by_insert(sale(1, 1, "5")), ["1", "2"]);
    assert_eq!(built.woken_by_insert(sale(4, 1, "5")), ["4"]);
    assert_eq!(built.woken_by_insert(product(5, 2)), ["1", "2", "5"]);
    assert!(built.woken_by_update(product(7, 7), product(7, 7)).is_empty(), "nothing changed");
}
