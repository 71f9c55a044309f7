//! Writing SQL: names, texts and array literals, quoted completely.

/// A name as an identifier.
pub fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// `"schema"."table"`.
pub fn table(schema: &str, table: &str) -> String {
    format!("{}.{}", name(schema), name(table))
}

/// `schema.table` for a person and as a key: a schema whose name has a dot is quoted, so that no two tables are called alike.
pub fn label(schema: &str, table: &str) -> String {
    let plain = !schema.contains('.') && !schema.starts_with('"');
    if plain { format!("{schema}.{table}") } else { format!("{}.{table}", name(schema)) }
}

/// A text as a literal; `standard_conforming_strings` is on in every session.
pub fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Appends one element to an array literal that is being written (`{` first, `}` last).
pub fn element(out: &mut String, text: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// A whole array literal.
pub fn array<T: AsRef<str>>(elements: impl IntoIterator<Item = T>) -> String {
    let mut out = String::from("{");
    for text in elements {
        element(&mut out, text.as_ref());
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tables_are_called_alike() {
        assert_eq!(label("shop", "users"), "shop.users");
        assert_eq!(label("a", "b.c"), "a.b.c");
        assert_eq!(label("a.b", "c"), "\"a.b\".c");
        assert!(label("\"a", "b\".c") != label("a.b", "c"));
    }

    #[test]
    fn quotes_are_complete() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(array(["a", "", "NULL", "x\"y\\z", "{,}"]), r#"{"a","","NULL","x\"y\\z","{,}"}"#);
        assert_eq!(array(Vec::<String>::new()), "{}");
    }
}
