//! Writing SQL: names, texts and array literals, quoted completely.

/// A name as an identifier.
pub fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// `"schema"."table"`.
pub fn table(schema: &str, table: &str) -> String {
    format!("{}.{}", name(schema), name(table))
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
    fn quotes_are_complete() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(array(["a", "", "NULL", "x\"y\\z", "{,}"]), r#"{"a","","NULL","x\"y\\z","{,}"}"#);
        assert_eq!(array(Vec::<String>::new()), "{}");
    }
}
