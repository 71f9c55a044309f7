//! Document builders: one typed async function a document. The builds of a batch run side by side; what they all wait for crosses
//! to the host in one read, which is one round trip to the database. The host remembers what each document read, and from that
//! finds the documents that a change touches.
//!
//! ```
//! use flusso_plugin::builder::prelude::*;
//!
//! #[derive(Row)]
//! #[table("public.orders")]
//! struct Order { id: i64, customer_id: Option<i64> }
//!
//! #[derive(Row)]
//! #[table("public.customers")]
//! struct Customer { id: i64, name: String }
//!
//! #[derive(Row)]
//! #[table("public.order_items")]
//! struct Item { order_id: i64, product: String, quantity: i32, price: Decimal }
//!
//! #[derive(Serialize, Document)]
//! struct OrderDocument { id: i64, customer: Option<String>, products: Vec<String>, total: Decimal }
//!
//! #[builder(index = "orders", reads(Customer by id, Item by order_id))]
//! async fn orders(order: Order, db: &Reads) -> Result<Option<OrderDocument>> {
//!     let customer = db.one(Customer::id(), order.customer_id);
//!     let items = db.by(Item::order_id(), order.id).order(Item::product());
//!     let (customer, items) = join((customer, items)).await?;
//!     let total = items.iter().map(|item| &item.price * item.quantity).sum();
//!     Ok(Some(OrderDocument {
//!         id: order.id,
//!         customer: customer.map(|customer| customer.name),
//!         products: items.into_iter().map(|item| item.product).collect(),
//!         total,
//!     }))
//! }
//!
//! flusso_plugin::builders!(orders);
//! # fn main() {}
//! ```

mod decimal;
mod documents;
mod executor;
mod index;
mod joined;
mod plugin;
mod reads;
mod rows;
mod values;

pub use decimal::Decimal;
pub use documents::{Document, FieldType, Shape, add_field};
pub use executor::{Failed, build, build_with};
pub use flusso_plugin_macros::{Document, Row, builder};
#[cfg(not(target_family = "wasm"))]
pub(crate) use index::build_index_with;
pub use index::{IndexBuilder, NoSettings, build_index, offered, read};
pub use joined::{Join, join, join_all};
#[doc(hidden)]
pub use plugin::{builders_of_one_plugin_share_the_type_of_their_settings, manifest, one_of};
pub use reads::{Condition, Many, One, Reads};
pub use rows::{Column, FromValue, IntoValue, TableRow, cell};
pub use values::{Bytes, Date, Json, Time, Timestamp, Uuid};

/// What a build returns.
pub type Result<T, E = Failed> = std::result::Result<T, E>;

/// Everything that a builder's file needs.
pub mod prelude {
    pub use super::{
        Bytes, Date, Decimal, Document, Failed, Json, Reads, Result, Row, Time, Timestamp, Uuid, builder, join,
        join_all,
    };
    pub use serde::{Deserialize, Serialize};
    pub use tracing;
}
