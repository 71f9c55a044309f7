//! `#[builder]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Error, FnArg, GenericArgument, Ident, ItemFn, LitInt, LitStr, Path, PathArguments, Result, ReturnType, Token, Type,
    parenthesized,
};

use crate::attributes::sdk;

/// `index = "…", reads(…), version = 1`.
pub(crate) struct Arguments {
    index: LitStr,
    version: Option<LitInt>,
    reads: Vec<Read>,
}

/// `Item by order_id`.
struct Read {
    row: Path,
    by: Vec<Ident>,
}

impl Parse for Read {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let row = input.parse()?;
        let word: Ident =
            input.parse().map_err(|_| input.error("by which column? `Item by order_id`, or `Item all`"))?;
        let by = match word.to_string().as_str() {
            "all" => Vec::new(),
            "by" if input.peek(syn::token::Paren) => {
                let content;
                parenthesized!(content in input);
                Punctuated::<Ident, Token![,]>::parse_terminated(&content)?.into_iter().collect()
            }
            "by" => vec![input.parse()?],
            _ => return Err(Error::new(word.span(), "`by` and a column, or `all`")),
        };
        Ok(Self { row, by })
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut index, mut version, mut reads) = (None, None, Vec::new());
        while !input.is_empty() {
            let word: Ident = input.parse()?;
            match word.to_string().as_str() {
                "index" => {
                    input.parse::<Token![=]>()?;
                    index = Some(input.parse()?);
                }
                "version" => {
                    input.parse::<Token![=]>()?;
                    version = Some(input.parse()?);
                }
                "reads" => {
                    let content;
                    parenthesized!(content in input);
                    reads.extend(Punctuated::<Read, Token![,]>::parse_terminated(&content)?);
                }
                _ => return Err(Error::new(word.span(), "known here: index = \"…\", reads(…), version = 1")),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let index = index.ok_or_else(|| input.error("which index? add index = \"…\""))?;
        Ok(Self { index, version, reads })
    }
}

pub(crate) fn expand(arguments: &Arguments, function: &ItemFn) -> Result<TokenStream> {
    let sdk = sdk();
    let (name, visibility, attributes) = (&function.sig.ident, &function.vis, &function.attrs);
    if function.sig.asyncness.is_none() {
        return Err(Error::new_spanned(function.sig.fn_token, "a builder is an async function"));
    }
    let mut parameters = Vec::new();
    for parameter in &function.sig.inputs {
        match parameter {
            FnArg::Typed(typed) => parameters.push(&*typed.ty),
            FnArg::Receiver(this) => return Err(Error::new_spanned(this, "a builder is no method")),
        }
    }
    let (root, settings) = match parameters.as_slice() {
        [root, _reads] => (*root, None),
        [root, _reads, Type::Reference(settings)] => (*root, Some(&*settings.elem)),
        _ => {
            let message = "a builder takes the root row, `&Reads` and, if it wants them, its settings by reference";
            return Err(Error::new_spanned(&function.sig.inputs, message));
        }
    };
    let document = document(&function.sig.output)?;
    let given = settings.map(|_| quote!(, settings));
    let settings = settings.map_or_else(|| quote!(#sdk::NoSettings), |settings| quote!(#settings));
    let (index, version) = (&arguments.index, arguments.version.as_ref().map_or_else(|| quote!(1), |it| quote!(#it)));
    let reads = arguments.reads.iter().map(|Read { row, by }| {
        let columns = by.iter().map(|column| quote!(#row::#column().name()));
        quote!(#sdk::read::<#row>(::std::vec![::std::vec![#(#columns),*]]))
    });
    let mut inner = function.clone();
    // What is allowed of the function is allowed of its body.
    inner
        .attrs
        .retain(|attribute| ["allow", "expect", "warn", "deny"].iter().any(|lint| attribute.path().is_ident(lint)));
    inner.vis = syn::Visibility::Inherited;
    Ok(quote! {
        #(#attributes)*
        #[allow(non_camel_case_types, clippy::allow_attributes_without_reason)]
        #[derive(Debug, Clone, Copy)]
        #visibility struct #name {}

        // A function and no unit struct: a pattern such as `let items = …` would mean the struct.
        #[allow(dead_code, clippy::allow_attributes_without_reason)]
        #visibility const fn #name() -> #name { #name {} }

        impl #sdk::IndexBuilder for #name {
            type Root = #root;
            type Document = #document;
            type Settings = #settings;
            const INDEX: &'static str = #index;
            const VERSION: u32 = #version;

            fn reads() -> ::std::vec::Vec<::flusso_plugin::TableRead> {
                ::std::vec![#(#reads),*]
            }

            async fn build(
                root: Self::Root,
                reads: &#sdk::Reads,
                settings: &Self::Settings,
            ) -> ::core::result::Result<::core::option::Option<Self::Document>, #sdk::Failed> {
                #inner
                let _ = settings;
                #name(root, reads #given).await
            }
        }
    })
}

/// `D` of `Result<Option<D>>`.
fn document(output: &ReturnType) -> Result<&Type> {
    let wanted = "a builder returns `Result<Option<…>>`, with a document that derives Serialize and Document";
    let ReturnType::Type(_, ty) = output else { return Err(Error::new_spanned(output, wanted)) };
    argument(ty, "Result").and_then(|ty| argument(ty, "Option")).ok_or_else(|| Error::new_spanned(ty, wanted))
}

/// The first argument of a type of this name.
fn argument<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}
