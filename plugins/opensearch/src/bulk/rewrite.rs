//! A document's body written anew as JSON that the cluster takes, with everything else in it as it was. One pass, another before it
//! for keys that are there twice; depth costs memory, and no stack.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use flusso_plugin::json::push_string;

use super::tokens::{Token, Tokens, is_json, unescaped};
use crate::field_names::Level;

/// The field that holds, unindexed, what a document's fields could not hold.
pub(crate) const UNINDEXED: &str = "flusso_unindexed";
/// The longest number that the cluster reads, in characters.
const MAX_NUMBER: usize = 1_000;
/// Keys of a path that are named, and characters of each.
const MAX_NAMED_KEYS: usize = 6;
const MAX_NAMED_CHARACTERS: usize = 100;
/// Containers inside each other that stay as they are, of the 20 levels that the cluster takes; the document is one.
const MAX_DEPTH: usize = 18;

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    DuplicateKey,
    LongNumber,
    TooDeep,
    Unindexed,
}

impl Change {
    /// In a log line.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::DuplicateKey => "a key is there twice: the last one is written",
            Self::LongNumber => "a number has over 1 000 digits: it is written as a string",
            Self::TooDeep => "it is nested too deeply: what is below is written as JSON text",
            Self::Unindexed => {
                "the mapping does not take this field: it is kept unindexed, in `flusso_unindexed.document`"
            }
        }
    }

    /// In a metric's label.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::DuplicateKey => "duplicate-key",
            Self::LongNumber => "long-number",
            Self::TooDeep => "too-deep",
            Self::Unindexed => "unindexed",
        }
    }
}

/// What to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules<'a> {
    /// Other names for keys.
    pub(crate) names: Option<&'a Level>,
    /// Whether keys that are there twice, and numbers that are too long, are mended.
    pub(crate) mend: bool,
    /// Whether what is nested deeply becomes text.
    pub(crate) flatten: bool,
    /// Keys of the document itself whose values go where nothing is indexed.
    pub(crate) unindexed: BTreeSet<Vec<u8>>,
}

/// A body, and what of it was changed, with the path of the first of each kind.
pub(crate) type Rewritten = (Vec<u8>, Vec<(Change, String)>);

/// A body after the rules; none: it is no JSON object.
pub(crate) fn rewrite(body: &[u8], rules: &Rules<'_>) -> Option<Rewritten> {
    let object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !object || !is_json(body) {
        return None;
    }
    let overwritten = if rules.mend { overwritten(body) } else { Vec::new() };
    let mut writer = Writer {
        rules,
        tokens: Tokens::new(body),
        overwritten,
        frames: Vec::new(),
        main: Vec::with_capacity(body.len() + body.len() / 8),
        aside: Vec::new(),
        is_aside: false,
        changes: Vec::new(),
    };
    writer.run(body);
    Some((writer.main, writer.changes))
}

/// The keys of a document itself, and whether they hold an object or a list with something in it.
pub(crate) fn members(body: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let (mut tokens, mut found) = (Tokens::new(body), Vec::new());
    tokens.next();
    while let Some(Token::Key(place)) = tokens.next() {
        let key = unescaped(tokens.bytes(&place)).into_owned();
        let mut value = tokens.clone();
        let container =
            matches!(value.next(), Some(Token::Begin { .. })) && !matches!(value.next(), Some(Token::End { .. }));
        tokens.pass_value();
        found.push((key, container));
    }
    found
}

/// Where keys stand whose object has the same key once more behind them.
fn overwritten(body: &[u8]) -> Vec<usize> {
    let (mut tokens, mut open, mut found) = (Tokens::new(body), Vec::new(), Vec::new());
    while let Some(token) = tokens.next() {
        match token {
            Token::Begin { .. } => open.push(HashMap::new()),
            Token::End { .. } => drop(open.pop()),
            Token::Key(place) => {
                let key = unescaped(tokens.bytes(&place));
                found.extend(open.last_mut().and_then(|keys| keys.insert(key, place.start)));
            }
            Token::Scalar(_) => {}
        }
    }
    found.sort_unstable();
    found
}

/// A container that is being written.
struct Frame<'a> {
    empty: bool,
    /// The last key, in an object.
    key: Option<Range<usize>>,
    /// Other names for the keys of this object, or of the objects in this list.
    names: Option<&'a Level>,
    /// The same for the value of the last key.
    below: Option<&'a Level>,
}

struct Writer<'a> {
    rules: &'a Rules<'a>,
    tokens: Tokens<'a>,
    overwritten: Vec<usize>,
    frames: Vec<Frame<'a>>,
    main: Vec<u8>,
    /// The members that are not indexed.
    aside: Vec<u8>,
    is_aside: bool,
    changes: Vec<(Change, String)>,
}

impl<'a> Writer<'a> {
    fn run(&mut self, body: &'a [u8]) {
        while let Some(token) = self.tokens.next() {
            match token {
                Token::Key(place) => self.key(place),
                Token::Begin { object, at } => {
                    self.separate();
                    if self.rules.flatten && self.frames.len() >= MAX_DEPTH && !self.is_aside {
                        self.change(Change::TooDeep);
                        let end = self.tokens.pass_container();
                        let text = String::from_utf8_lossy(body.get(at..end).unwrap_or_default());
                        push_string(self.out(), &text);
                        continue;
                    }
                    let names = match self.frames.last() {
                        None => self.rules.names,
                        Some(Frame { key: None, names, .. }) => *names,
                        Some(frame) => frame.below,
                    };
                    self.frames.push(Frame { empty: true, key: None, names, below: None });
                    self.out().push(if object { b'{' } else { b'[' });
                }
                Token::End { object } => {
                    if self.frames.len() == 1 {
                        self.finish();
                    }
                    self.frames.pop();
                    self.out().push(if object { b'}' } else { b']' });
                }
                Token::Scalar(place) => {
                    self.separate();
                    let bytes = self.tokens.bytes(&place);
                    if self.rules.mend && bytes.len() > MAX_NUMBER && bytes.first() != Some(&b'"') {
                        self.change(Change::LongNumber);
                        push_string(self.out(), &String::from_utf8_lossy(bytes));
                    } else {
                        self.out().extend_from_slice(bytes);
                    }
                }
            }
        }
    }

    fn key(&mut self, place: Range<usize>) {
        let quoted = self.tokens.bytes(&place);
        let (outermost, rules) = (self.frames.len() == 1, self.rules);
        let Some(frame) = self.frames.last_mut() else { return };
        let overwritten = self.overwritten.binary_search(&place.start).is_ok();
        frame.key = Some(place);
        let names = frame.names;
        if outermost {
            self.is_aside = rules.unindexed.contains(unescaped(quoted).as_ref());
        }
        if overwritten {
            self.change(Change::DuplicateKey);
            self.tokens.pass_value();
            return;
        }
        if outermost && self.is_aside {
            self.change(Change::Unindexed);
            if !self.aside.is_empty() {
                self.aside.push(b',');
            }
        } else if let Some(frame) = self.frames.last_mut() {
            let empty = std::mem::replace(&mut frame.empty, false);
            if !empty {
                self.out().push(b',');
            }
        }
        let known = names.and_then(|names| names.get(unescaped(quoted).as_ref()));
        if let Some(frame) = self.frames.last_mut() {
            frame.below = known.map(|known| &known.below);
        }
        if let Some(name) = known.and_then(|known| known.name.as_deref()) {
            push_string(self.out(), name);
        } else {
            self.out().extend_from_slice(quoted);
        }
        self.out().push(b':');
    }

    /// A comma between the elements of a list.
    fn separate(&mut self) {
        if let Some(frame) = self.frames.last_mut()
            && frame.key.is_none()
            && !std::mem::replace(&mut frame.empty, false)
        {
            self.out().push(b',');
        }
    }

    /// Behind the last member of the document: what is not indexed.
    fn finish(&mut self) {
        self.is_aside = false;
        if self.aside.is_empty() {
            return;
        }
        if self.frames.last().is_some_and(|frame| !frame.empty) {
            self.main.push(b',');
        }
        push_string(&mut self.main, UNINDEXED);
        self.main.extend_from_slice(b":{\"fields\":[");
        for (place, key) in self.rules.unindexed.iter().enumerate() {
            if place > 0 {
                self.main.push(b',');
            }
            push_string(&mut self.main, &String::from_utf8_lossy(key));
        }
        self.main.extend_from_slice(b"],\"document\":{");
        self.main.append(&mut self.aside);
        self.main.extend_from_slice(b"}}");
    }

    fn out(&mut self) -> &mut Vec<u8> {
        if self.is_aside { &mut self.aside } else { &mut self.main }
    }

    /// Notes a change, and where it is if it is the first of its kind.
    fn change(&mut self, change: Change) {
        if change != Change::Unindexed && self.changes.iter().any(|(known, _)| *known == change) {
            return;
        }
        let keys: Vec<_> = self.frames.iter().filter_map(|frame| frame.key.as_ref()).collect();
        let names = keys.iter().take(MAX_NAMED_KEYS).map(|key| {
            let name = String::from_utf8_lossy(&unescaped(self.tokens.bytes(key))).into_owned();
            name.chars().take(MAX_NAMED_CHARACTERS).collect::<String>()
        });
        let mut path = names.collect::<Vec<_>>().join(".");
        if keys.len() > MAX_NAMED_KEYS {
            path.push('…');
        }
        self.changes.push((change, path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn rewritten(body: &str, rules: &Rules<'_>) -> String {
        let (bytes, _) = rewrite(body.as_bytes(), rules).unwrap_or_else(|| panic!("no JSON: {body}"));
        String::from_utf8(bytes).unwrap_or_else(|error| panic!("{error}"))
    }

    fn mend(body: &str) -> String {
        rewritten(body, &Rules { mend: true, ..Rules::default() })
    }

    /// Random numbers, the same for the same seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) % end
        }

        fn blank(&mut self) -> &'static str {
            ["", "", "", " ", "\t", " \n "][self.below(6) as usize]
        }

        /// A key as it may be written, and what it stands for.
        fn key(&mut self) -> (&'static str, &'static str) {
            [
                (r#""a""#, "a"),
                (r#""\u0061""#, "a"),
                (r#""b.c""#, "b.c"),
                (r#""""#, ""),
                (r#""q\"\\:{""#, "q\"\\:{"),
                ("\"\u{e9}\"", "\u{e9}"),
                (r#""\ud83d\ude00""#, "\u{1f600}"),
            ][self.below(7) as usize]
        }

        /// A value as it is written, and as it should be in the cluster.
        fn value(&mut self, depth: u64) -> (String, Value) {
            let kinds = if depth > 40 { 6 } else { 10 };
            match self.below(kinds) {
                0 => ("null".to_owned(), Value::Null),
                1 => ("-12.5e1".to_owned(), json!(-125.0)),
                2 => ("9007199254740993".to_owned(), json!(9_007_199_254_740_993_i64)),
                3 => (r#""x\\\"[{,:\u00e9""#.to_owned(), json!("x\\\"[{,:\u{e9}")),
                4 if self.below(4) == 0 => {
                    let long = "7".repeat(1_001);
                    (long.clone(), json!(long))
                }
                4 | 5 => ("true".to_owned(), json!(true)),
                6 | 7 => {
                    let (mut text, mut all) = ("[".to_owned() + self.blank(), Vec::new());
                    for place in 0..self.below(4) {
                        let (one, value) = self.value(depth + 1);
                        let comma = if place > 0 { "," } else { "" };
                        text += &format!("{comma}{}{one}{}", self.blank(), self.blank());
                        all.push(value);
                    }
                    (text + "]", Value::Array(all))
                }
                8 if self.below(8) == 0 => {
                    let (mut one, mut value) = self.value(depth + 30);
                    for _ in 0..self.below(30) {
                        if self.below(2) == 0 {
                            (one, value) = (format!("[{one}]"), json!([value]));
                        } else {
                            (one, value) = (format!("{{\"d\":{one}}}"), json!({ "d": value }));
                        }
                    }
                    (one, value)
                }
                _ => self.object(depth),
            }
        }

        fn object(&mut self, depth: u64) -> (String, Value) {
            let (mut text, mut all) = ("{".to_owned() + self.blank(), Map::new());
            for place in 0..self.below(6) {
                let ((written, key), (one, value)) = (self.key(), self.value(depth + 1));
                let comma = if place > 0 { "," } else { "" };
                text += &format!("{comma}{written}{}:{}{one}{}", self.blank(), self.blank(), self.blank());
                all.insert(key.to_owned(), value);
            }
            (text + "}", Value::Object(all))
        }
    }

    /// Containers inside each other, in a text that is JSON.
    fn depth(text: &str) -> usize {
        let (mut now, mut most) = (0_usize, 0);
        for token in Tokens::new(text.as_bytes()) {
            match token {
                Token::Begin { .. } => now += 1,
                Token::End { .. } => now -= 1,
                _ => {}
            }
            most = most.max(now);
        }
        most
    }

    /// What was written as text, as what it stands for again.
    fn unflattened(value: Value) -> Value {
        match value {
            Value::String(text) if text.starts_with(['[', '{']) => {
                serde_json::from_str(&mend(&format!("{{\"v\":{text}}}")))
                    .map_or(Value::String(text), |value: Value| value["v"].clone())
            }
            Value::Array(all) => all.into_iter().map(unflattened).collect(),
            Value::Object(all) => Value::Object(all.into_iter().map(|(key, one)| (key, unflattened(one))).collect()),
            other => other,
        }
    }

    #[test]
    fn whatever_is_written_is_json_and_means_the_same_with_the_last_key_winning() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut twice, mut deep) = (0, 0);
        for _ in 0..3_000 {
            let (body, expected) = random.object(0);
            let (bytes, changes) =
                rewrite(body.as_bytes(), &Rules { mend: true, ..Rules::default() }).expect("it is JSON");
            let text = String::from_utf8(bytes).expect("UTF-8");
            assert_eq!(serde_json::from_str::<Value>(&text).ok().as_ref(), Some(&expected), "{body}\n{text}");
            assert!(overwritten(text.as_bytes()).is_empty(), "{text}");
            twice += usize::from(changes.iter().any(|(change, _)| *change == Change::DuplicateKey));
            assert_eq!(mend(&text), text, "what is mended stays as it is");

            let flat = rewritten(&body, &Rules { mend: true, flatten: true, ..Rules::default() });
            assert!(depth(&flat) <= MAX_DEPTH, "{flat}");
            deep += usize::from(flat != text);
            let flat: Value = serde_json::from_str(&flat).expect("JSON");
            assert_eq!(unflattened(flat), expected, "{body}");

            let keys: BTreeSet<Vec<u8>> = [b"a".to_vec(), b"b.c".to_vec()].into();
            let apart = rewritten(&body, &Rules { mend: true, unindexed: keys, ..Rules::default() });
            let mut apart: Value = serde_json::from_str(&apart).expect("JSON");
            let put = apart.as_object_mut().and_then(|all| all.remove(UNINDEXED)).unwrap_or(json!({ "document": {} }));
            for (key, value) in put["document"].as_object().expect("an object") {
                apart[key] = value.clone();
            }
            assert_eq!(apart, expected, "{body}");
        }
        assert!(twice > 100 && deep > 5, "{twice} {deep}");
    }

    #[test]
    fn depth_takes_no_stack() {
        let many = 300_000;
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let body = format!(
                "{{\"x\":{}1{},\"x\":{}2{}}}",
                open.repeat(many),
                close.repeat(many),
                open.repeat(many),
                close.repeat(many)
            );
            let mended = mend(&body);
            assert_eq!(mended, format!("{{\"x\":{}2{}}}", open.repeat(many), close.repeat(many)));
            let flat = rewritten(&body, &Rules { mend: true, flatten: true, ..Rules::default() });
            assert!(depth(&flat) <= MAX_DEPTH && is_json(flat.as_bytes()));
        }
    }

    #[test]
    fn keys_get_other_names_where_they_are_fields_and_nowhere_else() {
        let field = |path: &str, type_: &str| flusso_plugin::Field {
            path: path.to_owned(),
            type_: type_.to_owned(),
            nullable: true,
            array: false,
            options: "{}".to_owned(),
            variants: None,
            map_values: None,
            extra: None,
        };
        let fields = [field("_id", "long"), field("o", "nested"), field("o..x", "long"), field("j", "json")];
        let names = crate::field_names::FieldNames::of(&fields);
        let rules = Rules { names: Some(&names.level), ..Rules::default() };
        let body = r#"{"_id":1,"o":[{".x":1,"_id":2},{".x":[3]}],"j":{"_id":{".x":4}},"\u005fid":5}"#;
        let expected = r#"{"id":1,"o":[{"x":1,"_id":2},{"x":[3]}],"j":{"_id":{".x":4}},"id":5}"#;
        assert_eq!(rewritten(body, &rules), expected);
        for other in ["[]", "1", "{\"a\":", "", "{} {}"] {
            assert!(rewrite(other.as_bytes(), &rules).is_none(), "{other}");
        }
    }
}
