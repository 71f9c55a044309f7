//! `#[derive(Document)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DataEnum, DeriveInput, Error, Fields, LitStr, Result, Type};

use crate::attributes::{named, plain, sdk};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if let Data::Enum(data) = &input.data {
        return keyword(input, data);
    }
    let (sdk, name) = (sdk(), &input.ident);
    let container = Serde::read(&input.attrs)?;
    if let Some(becomes) = container.becomes {
        let message = "serde writes something else than its fields: derive Document for the type that is written";
        return Err(Error::new_spanned(becomes, message));
    }
    if let Some(inner) = inner(input, container.transparent).filter(|_| input.generics.params.is_empty()) {
        return Ok(quote! {
            impl #sdk::FieldType for #name {
                fn shape() -> #sdk::Shape { <#inner as #sdk::FieldType>::shape() }
            }
        });
    }
    let style = container.rename_all;
    let mut fields = Vec::new();
    for field in &named(input, "a document")?.named {
        let Some(ident) = &field.ident else { continue };
        let serde = Serde::read(&field.attrs)?;
        let given = Given::read(&field.attrs)?;
        let ty = &field.ty;
        if serde.skipped {
            continue;
        }
        if let Some(becomes) = serde.becomes {
            // What a function writes is known to nobody but the author.
            let Some(kind) = given.kind else {
                let message = "a function writes it: say what it is in the index, such as #[field(keyword)]";
                return Err(Error::new_spanned(becomes, message));
            };
            let (key, options) = (serde.rename.unwrap_or_else(|| style.apply(&plain(ident))), optional(given.options));
            let nullable = quote!(#sdk::Shape { nullable: true, ..#sdk::Shape::of(#kind) });
            fields.push(quote!(#sdk::add_field(&mut fields, #key, #nullable, ::core::option::Option::None, #options);));
            continue;
        }
        if serde.flattened {
            fields.push(quote!(fields.extend(<#ty as #sdk::FieldType>::shape().fields);));
            continue;
        }
        let key = serde.rename.unwrap_or_else(|| style.apply(&plain(ident)));
        let (kind, options) = (optional(given.kind), optional(given.options));
        fields.push(quote!(#sdk::add_field(&mut fields, #key, <#ty as #sdk::FieldType>::shape(), #kind, #options);));
    }
    Ok(quote! {
        impl #sdk::FieldType for #name {
            fn shape() -> #sdk::Shape {
                let mut fields = ::std::vec::Vec::new();
                #(#fields)*
                #sdk::Shape::object(fields)
            }
        }
        impl #sdk::Document for #name {}
    })
}

/// The one type that serde writes a newtype or a transparent struct as.
fn inner(input: &DeriveInput, transparent: bool) -> Option<&Type> {
    let Data::Struct(data) = &input.data else { return None };
    match &data.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => fields.unnamed.first().map(|field| &field.ty),
        Fields::Named(fields) if transparent && fields.named.len() == 1 => fields.named.first().map(|field| &field.ty),
        _ => None,
    }
}

/// An enum without data.
fn keyword(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let (sdk, name) = (sdk(), &input.ident);
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "only an enum whose variants hold nothing is a field's type"));
        }
    }
    Ok(quote! {
        impl #sdk::FieldType for #name {
            fn shape() -> #sdk::Shape { #sdk::Shape::of("keyword") }
        }
    })
}

fn optional(text: Option<String>) -> TokenStream {
    match text {
        Some(text) => quote!(::core::option::Option::Some(#text)),
        None => quote!(::core::option::Option::None),
    }
}

/// `#[field(…)]`.
#[derive(Default)]
struct Given {
    kind: Option<String>,
    options: Option<String>,
}

/// The types of the schema language that a field may be given.
const KINDS: &[&str] = &[
    "text",
    "identifier",
    "keyword",
    "enum",
    "uuid",
    "boolean",
    "short",
    "integer",
    "long",
    "float",
    "double",
    "decimal",
    "date",
    "timestamp",
    "binary",
    "json",
    "object",
    "nested",
    "geo_point",
];

impl Given {
    fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut given = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("field")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("options") {
                    given.options = Some(meta.value()?.parse::<LitStr>()?.value());
                } else if meta.path.is_ident("custom") {
                    given.kind = Some(meta.value()?.parse::<LitStr>()?.value());
                } else if let Some(kind) = KINDS.iter().find(|kind| meta.path.is_ident(kind)) {
                    given.kind = Some((*kind).to_owned());
                } else {
                    let message = format!(
                        "known here: options = \"{{…}}\", custom = \"a type of the sink\", {}",
                        KINDS.join(", ")
                    );
                    return Err(meta.error(message));
                }
                Ok(())
            })?;
        }
        Ok(given)
    }
}

/// What serde's attributes say of names.
#[derive(Default)]
struct Serde {
    rename: Option<String>,
    rename_all: Style,
    skipped: bool,
    flattened: bool,
    transparent: bool,
    /// An attribute by which something else is written than the fields say.
    becomes: Option<syn::Path>,
}

impl Serde {
    fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut serde = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("rename") {
                    let text = renamed(&meta)?;
                    serde.rename = text.map(|text| text.value());
                } else if meta.path.is_ident("rename_all") {
                    if let Some(text) = renamed(&meta)? {
                        serde.rename_all = Style::read(&text)?;
                    }
                } else if meta.path.is_ident("skip") || meta.path.is_ident("skip_serializing") {
                    serde.skipped = true;
                } else if meta.path.is_ident("flatten") {
                    serde.flattened = true;
                } else if meta.path.is_ident("transparent") {
                    serde.transparent = true;
                } else if ["with", "serialize_with", "getter", "into", "tag", "untagged", "remote"]
                    .iter()
                    .any(|word| meta.path.is_ident(word))
                {
                    serde.becomes = Some(meta.path.clone());
                    if meta.input.peek(syn::Token![=]) {
                        meta.value()?.parse::<syn::Expr>()?;
                    }
                } else if meta.input.peek(syn::Token![=]) {
                    meta.value()?.parse::<syn::Expr>()?;
                } else if meta.input.peek(syn::token::Paren) {
                    let content;
                    syn::parenthesized!(content in meta.input);
                    content.parse::<TokenStream>()?;
                }
                Ok(())
            })?;
        }
        Ok(serde)
    }
}

/// `rename = "x"` or `rename(serialize = "x", deserialize = "y")`.
fn renamed(meta: &syn::meta::ParseNestedMeta<'_>) -> Result<Option<LitStr>> {
    if meta.input.peek(syn::Token![=]) {
        return meta.value()?.parse().map(Some);
    }
    let mut found = None;
    meta.parse_nested_meta(|inner| {
        let text: LitStr = inner.value()?.parse()?;
        if inner.path.is_ident("serialize") {
            found = Some(text);
        }
        Ok(())
    })?;
    Ok(found)
}

/// `rename_all`.
#[derive(Default, Clone, Copy)]
enum Style {
    #[default]
    AsItIs,
    Lower,
    Upper,
    Pascal,
    Camel,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

impl Style {
    fn read(text: &LitStr) -> Result<Self> {
        Ok(match text.value().as_str() {
            "snake_case" => Self::AsItIs,
            "lowercase" => Self::Lower,
            "UPPERCASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "SCREAMING_SNAKE_CASE" => Self::ScreamingSnake,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => return Err(Error::new(text.span(), "no rule of serde's `rename_all`")),
        })
    }

    /// As serde does to a field's name, which is in snake case.
    fn apply(self, field: &str) -> String {
        let pascal = || field.split('_').map(capital).collect::<String>();
        match self {
            Self::AsItIs | Self::Lower => field.to_owned(),
            Self::Upper | Self::ScreamingSnake => field.to_ascii_uppercase(),
            Self::Pascal => pascal(),
            Self::Camel => {
                let pascal = pascal();
                let mut letters = pascal.chars();
                letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
            }
            Self::Kebab => field.replace('_', "-"),
            Self::ScreamingKebab => field.to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
