//! Builders against tables in memory: what documents they give, and which changes would build them again. For `cargo test`; no
//! database, no host, no component.
//!
//! ```
//! use flusso_plugin::builder::prelude::*;
//! use flusso_plugin::testing::Tables;
//!
//! #[derive(Row, Clone)]
//! #[table("public.orders")]
//! struct Order { id: i64, customer_id: i64 }
//!
//! #[derive(Row, Clone)]
//! #[table("public.customers")]
//! struct Customer { id: i64, name: String }
//!
//! #[derive(Serialize, Document)]
//! struct OrderDocument { customer: Option<String> }
//!
//! #[builder(index = "orders", reads(Customer by id))]
//! async fn orders(order: Order, db: &Reads) -> Result<Option<OrderDocument>> {
//!     let customer = db.one(Customer::id(), order.customer_id).await?;
//!     Ok(Some(OrderDocument { customer: customer.map(|it| it.name) }))
//! }
//!
//! let ada = Customer { id: 7, name: "Ada".to_owned() };
//! let built = Tables::new()
//!     .with([Order { id: 1, customer_id: 7 }, Order { id: 2, customer_id: 8 }])
//!     .with([ada.clone()])
//!     .build(orders);
//! assert_eq!(built.document(1)["customer"], "Ada");
//! assert_eq!(built.woken_by_update(ada.clone(), Customer { name: "Lady Ada".to_owned(), ..ada }), ["1"]);
//! assert_eq!(built.woken_by_insert(Customer { id: 8, name: "Grace".to_owned() }), ["2"]);
//! ```

mod built;
mod lookup;
mod tables;
mod values;

pub use built::Built;
pub use tables::Tables;
