//! What is wrong with a plugin's settings, in words that name the key and the remedy. Never the value of a secret.

use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::{Schema, join, last};

/// A setting that is wrong: which, what is wrong with it and what would be right. Never the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting's name, parts joined by `.`; empty for the whole.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.message),
            key => write!(f, "`{key}`: {}", self.message),
        }
    }
}

impl Schema {
    pub(super) fn problems(&self, error: &jsonschema::ValidationError<'_>) -> Vec<Problem> {
        let path = error.instance_path().to_string();
        let key = path.trim_start_matches('/').replace('/', ".");
        let one = |message: String| vec![Problem { key: key.clone(), message }];
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.keys_under(&key);
                unexpected.iter().map(|name| unknown(&key, name, &known)).collect()
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let full = join(&key, name);
                let hint = self.described.iter().find(|setting| setting.key == full);
                let env = hint.and_then(|setting| setting.env.as_deref()).map(|env| format!(" or the variable {env}"));
                let about = hint.map(|setting| setting.description.as_str()).filter(|text| !text.is_empty());
                let about = about.map(|text| format!(" ({text})")).unwrap_or_default();
                let message = format!("is missing{about}; set it{}", env.unwrap_or_default());
                vec![Problem { key: full, message }]
            }
            ValidationErrorKind::Type { kind } => {
                let wanted = match kind {
                    TypeKind::Single(kind) => kind.to_string(),
                    TypeKind::Multiple(kinds) => {
                        kinds.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or ")
                    }
                };
                one(format!("is {} and should be {wanted}", type_name(error.instance())))
            }
            ValidationErrorKind::Enum { options } => {
                let options: Vec<_> = options.as_array().into_iter().flatten().map(ToString::to_string).collect();
                let given = error.instance().as_str().filter(|_| !self.is_secret(&key));
                let near =
                    given.and_then(|given| nearest(given, options.iter().map(|option| option.trim_matches('"'))));
                let near = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
                one(format!("should be one of {}{near}", options.join(", ")))
            }
            // Of several shapes, what is wrong with the one that was meant: the one whose type fits.
            ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
                let fits = |errors: &&Vec<jsonschema::ValidationError<'static>>| {
                    let typed = |error: &jsonschema::ValidationError<'_>| {
                        matches!(error.kind(), ValidationErrorKind::Type { .. })
                    };
                    !errors.iter().any(|inner| typed(inner) && inner.instance_path() == error.instance_path())
                };
                match context.iter().find(fits) {
                    Some(errors) => errors.iter().flat_map(|error| self.problems(error)).collect(),
                    None => {
                        let kinds = self
                            .described
                            .iter()
                            .find(|setting| setting.key == key)
                            .map(|setting| setting.kind.replace('|', " or "));
                        one(format!("is {} and should be {}", type_name(error.instance()), kinds.unwrap_or_default()))
                    }
                }
            }
            // What is left names the value it complains about; that must not be a secret.
            _ => one(error.masked_with("the value").to_string()),
        }
    }

    fn keys_under(&self, parent: &str) -> Vec<&str> {
        let under = |key: &'_ str| -> bool { key.rsplit_once('.').map_or("", |(parent, _)| parent) == parent };
        self.described.iter().map(|setting| setting.key.as_str()).filter(|key| under(key)).map(last).collect()
    }

    fn is_secret(&self, key: &str) -> bool {
        self.secrets().any(|secret| secret == key)
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn unknown(parent: &str, name: &str, known: &[&str]) -> Problem {
    let near = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "this plugin has no settings here".to_owned(),
        None => {
            format!("this plugin knows {}", known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "))
        }
    };
    Problem { key: join(parent, name), message: format!("is not a setting of this plugin; {near}") }
}

/// The candidate that a wrong name was probably meant to be.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    near.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}
