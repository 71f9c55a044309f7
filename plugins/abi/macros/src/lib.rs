//! Derives `Encode` and `Decode` for types that are generated from `wit/`: structs with named fields, enums whose cases have at
//! most one value.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Code;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, parse_macro_input};

/// The fields in their order; of an enum the number of the case, one byte, and its value.
#[proc_macro_derive(Encode)]
pub fn derive_encode(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    encode(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// The same, read. A type that borrows is never read: nothing is made for it.
#[proc_macro_derive(Decode)]
pub fn derive_decode(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    if input.generics.lifetimes().next().is_some() {
        return TokenStream::new();
    }
    decode(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn encode(input: &DeriveInput) -> Result<Code, Error> {
    let body = match &input.data {
        Data::Struct(data) => {
            let names = data.fields.iter().filter_map(|field| field.ident.as_ref());
            quote! { #(::flusso_abi::Encode::encode(&self.#names, to);)* }
        }
        Data::Enum(data) => {
            let cases = data.variants.iter().zip(0_u8..).map(|(case, number)| {
                let name = &case.ident;
                match case.fields {
                    Fields::Unit => quote! { Self::#name => to.push(#number), },
                    _ => {
                        quote! { Self::#name(value) => { to.push(#number); ::flusso_abi::Encode::encode(value, to); } }
                    }
                }
            });
            quote! { match self { #(#cases)* } }
        }
        Data::Union(_) => return Err(Error::new_spanned(&input.ident, "a union has no encoding")),
    };
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        impl #generics ::flusso_abi::Encode for #name #arguments #bounds {
            fn encode(&self, to: &mut ::std::vec::Vec<u8>) { #body }
        }
    })
}

fn decode(input: &DeriveInput) -> Result<Code, Error> {
    let body = match &input.data {
        Data::Struct(data) => {
            let names = data.fields.iter().filter_map(|field| field.ident.as_ref());
            quote! { Ok(Self { #(#names: ::flusso_abi::Decode::decode(from)?,)* }) }
        }
        Data::Enum(data) => {
            let cases = data.variants.iter().zip(0_u8..).map(|(case, number)| {
                let name = &case.ident;
                match case.fields {
                    Fields::Unit => quote! { #number => Ok(Self::#name), },
                    _ => quote! { #number => Ok(Self::#name(::flusso_abi::Decode::decode(from)?)), },
                }
            });
            let name = input.ident.to_string();
            quote! { match from.byte()? { #(#cases)* other => Err(::flusso_abi::DecodeError::case(#name, other)) } }
        }
        Data::Union(_) => return Err(Error::new_spanned(&input.ident, "a union has no encoding")),
    };
    let name = &input.ident;
    Ok(quote! {
        impl ::flusso_abi::Decode for #name {
            fn decode(from: &mut ::flusso_abi::Input<'_>) -> ::std::result::Result<Self, ::flusso_abi::DecodeError> { #body }
        }
    })
}
