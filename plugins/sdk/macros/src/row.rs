//! `#[derive(Row)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, DeriveInput, Error, LitStr, Result};

use crate::attributes::{named, plain, sdk};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let (sdk, name) = (sdk(), &input.ident);
    let fields = named(input, "a row")?;
    let (schema, table) = table(input)?;
    let mut columns = Vec::new();
    for field in &fields.named {
        let Some(ident) = &field.ident else { continue };
        let named = field.attrs.iter().find(|attribute| attribute.path().is_ident("column"));
        let column = named.map_or_else(|| Ok(plain(ident)), |it| it.parse_args::<LitStr>().map(|it| it.value()))?;
        columns.push((ident, &field.ty, column));
    }
    if columns.is_empty() {
        return Err(Error::new_spanned(name, "a row has at least one column"));
    }
    let functions = columns.iter().map(|(ident, ty, column)| {
        let doc = format!("The column `{column}`.");
        quote! {
            #[doc = #doc]
            #[must_use]
            pub const fn #ident() -> #sdk::Column<Self, #ty> { #sdk::Column::new(#column) }
        }
    });
    let cells =
        columns.iter().map(|(ident, ty, column)| quote!(#ident: #sdk::cell::<Self, #ty>(&mut values, #column)?));
    let values = columns.iter().map(|(ident, ty, _)| quote!(<#ty as #sdk::FromValue>::into_cell(self.#ident)));
    let names = columns.iter().map(|(.., column)| column);
    Ok(quote! {
        #[allow(dead_code, clippy::allow_attributes_without_reason)]
        impl #name { #(#functions)* }

        impl #sdk::TableRow for #name {
            const SCHEMA: &'static str = #schema;
            const TABLE: &'static str = #table;
            const COLUMNS: &'static [&'static str] = &[#(#names),*];

            fn from_row(row: ::flusso_plugin::Row) -> ::core::result::Result<Self, #sdk::Failed> {
                let mut values = row.into_iter();
                ::core::result::Result::Ok(Self { #(#cells),* })
            }

            fn into_row(self) -> ::flusso_plugin::Row {
                ::std::vec![#(#values),*]
            }
        }
    })
}

/// Schema and table.
fn table(input: &DeriveInput) -> Result<(String, String)> {
    let is_table = |attribute: &&Attribute| attribute.path().is_ident("table");
    let Some(attribute) = input.attrs.iter().find(is_table) else {
        let message = "which table? add #[table(\"schema.table\")]";
        return Err(Error::new_spanned(&input.ident, message));
    };
    if let Ok(text) = attribute.parse_args::<LitStr>() {
        let value = text.value();
        return match value.split('.').collect::<Vec<_>>().as_slice() {
            [table] if !table.is_empty() => Ok(("public".to_owned(), (*table).to_owned())),
            [schema, table] if !schema.is_empty() && !table.is_empty() => {
                Ok(((*schema).to_owned(), (*table).to_owned()))
            }
            _ => Err(Error::new(
                text.span(),
                "a table is \"table\" or \"schema.table\"; with other dots: schema = …, name = …",
            )),
        };
    }
    let (mut schema, mut name) = ("public".to_owned(), None);
    attribute.parse_nested_meta(|meta| {
        if meta.path.is_ident("schema") {
            schema = meta.value()?.parse::<LitStr>()?.value();
        } else if meta.path.is_ident("name") {
            name = Some(meta.value()?.parse::<LitStr>()?.value());
        } else {
            return Err(meta.error("known here: schema, name"));
        }
        Ok(())
    })?;
    let name = name.ok_or_else(|| Error::new_spanned(attribute, "the table's `name` is missing"))?;
    Ok((schema, name))
}
