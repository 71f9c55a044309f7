//! Tracked builders with typed rows: one async function a document. The builds of a batch run side by side; what they all wait
//! for crosses to the host in one read, which is one round trip to the database.
//!
//! ```
//! use flusso_plugin::typed::{self, Failed, Reads, join};
//!
//! flusso_plugin::row! { pub struct Order in "public", "orders" { id: i64, customer_id: Option<i64> } }
//! flusso_plugin::row! { pub struct Customer in "public", "customers" { id: i64, name: String } }
//! flusso_plugin::row! { pub struct Item in "public", "order_items" { order_id: i64, product: String } }
//!
//! async fn build(order: Order, db: &Reads) -> Result<Option<serde_json::Value>, Failed> {
//!     let customer = db.one(Customer::id(), order.customer_id);
//!     let (customer, items) = join(customer, db.by(Item::order_id(), order.id).order(Item::product())).await;
//!     let products: Vec<String> = items?.into_iter().map(|item| item.product).collect();
//!     Ok(Some(serde_json::json!({ "customer": customer?.map(|it| it.name), "products": products })))
//! }
//!
//! // In `TrackedBuilder::build_many`:
//! fn orders(roots: Vec<flusso_plugin::Row>) -> flusso_plugin::Result<Vec<flusso_plugin::Outcome>> {
//!     typed::build(roots, build)
//! }
//! ```

mod executor;
mod reads;
mod rows;

pub use executor::{Failed, build, build_with, join};
pub use reads::{Many, One, Reads};
pub use rows::{Column, FromValue, IntoValue, TableRow, cell, read};
