//! What is common to the macros.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataStruct, DeriveInput, Error, Fields, FieldsNamed, Result};

/// The module that generated code names things by.
pub(crate) fn sdk() -> TokenStream {
    quote!(::flusso_plugin::builder)
}

/// The fields of a struct with named fields and without parameters.
pub(crate) fn named<'a>(input: &'a DeriveInput, what: &str) -> Result<&'a FieldsNamed> {
    if let Some(parameter) = input.generics.params.first() {
        return Err(Error::new_spanned(parameter, format!("{what} cannot be generic")));
    }
    match &input.data {
        Data::Struct(DataStruct { fields: Fields::Named(fields), .. }) => Ok(fields),
        _ => Err(Error::new_spanned(&input.ident, format!("{what} is a struct with named fields"))),
    }
}

/// An identifier as the name it stands for: `r#type` is `type`.
pub(crate) fn plain(ident: &syn::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or_else(|| text.clone(), str::to_owned)
}
