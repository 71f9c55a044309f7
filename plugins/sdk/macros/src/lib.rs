//! The macros of `flusso_plugin::builder`, which documents them where they are used.

mod attributes;
mod document;
mod index;
mod row;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

/// A struct as the rows of a table: `#[derive(Row)] #[table("public.orders")] struct Order { id: i64, note: Option<String> }`.
///
/// Each field is a column that is read, of the field's name; `#[column("Order Date")]` gives another one. A table without a
/// schema is in `public`; where a name holds a dot: `#[table(schema = "a.b", name = "c")]`. A function of each field's name
/// gives its `Column`, to look up, filter and order by: `Order::id()`.
#[proc_macro_derive(Row, attributes(table, column))]
pub fn derive_row(input: TokenStream) -> TokenStream {
    row::derive(&parse_macro_input!(input as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// A struct as a document, or as an object inside one; an enum without data as a keyword; a struct around one type as that type. It
/// needs `serde::Serialize` too, whose `rename`, `rename_all`, `skip`, `skip_serializing`, `flatten` and `transparent` are understood.
/// A field that a function writes (`serialize_with`, `with`) needs a `#[field(…)]` that says what it becomes.
///
/// A field's type in the index follows from its Rust type (`String` is `text`, `i64` is `long`, `Vec<T>` a list of `T`, a struct an
/// `object`, a `Vec` of structs `nested`). `#[field(keyword)]` gives another type of the schema language, and
/// `#[field(options = r#"{"analyzer": "simple"}"#)]` options for the sink.
#[proc_macro_derive(Document, attributes(field, serde))]
pub fn derive_document(input: TokenStream) -> TokenStream {
    document::derive(&parse_macro_input!(input as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// An async function as the builder of an index: `#[builder(index = "orders", reads(Customer by id, Item by order_id))]`.
///
/// The function gets the root row, the reads and, if it wants them, the settings; it returns `Result<Option<Document>>`, none where
/// the row is no document. `reads` names every row type that it looks up, and by which column: `Item by order_id`, by several columns
/// together `Item by (order_id, line)`, `Rate all` for reads of the whole table; a row type stands there once for each way. `version = 2` is to be raised whenever the same rows give
/// another document: every document is then built again.
#[proc_macro_attribute]
pub fn builder(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as index::Arguments);
    index::expand(&arguments, &parse_macro_input!(item as ItemFn)).unwrap_or_else(syn::Error::into_compile_error).into()
}
