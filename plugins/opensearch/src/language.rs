//! The languages whose words the cluster can reduce to their stems, and which one a field has.

use std::collections::BTreeMap;

use serde::Deserialize;

/// By their names; each with the cluster's stemmer. The light ones, where there are any: they join singular and plural, and few other words.
const STEMMERS: [(&str, &str); 32] = [
    ("arabic", "arabic"),
    ("armenian", "armenian"),
    ("basque", "basque"),
    ("bengali", "bengali"),
    ("brazilian", "brazilian"),
    ("bulgarian", "bulgarian"),
    ("catalan", "catalan"),
    ("czech", "czech"),
    ("danish", "danish"),
    ("dutch", "dutch"),
    ("english", "english"),
    ("estonian", "estonian"),
    ("finnish", "light_finnish"),
    ("french", "light_french"),
    ("galician", "galician"),
    ("german", "light_german"),
    ("greek", "greek"),
    ("hindi", "hindi"),
    ("hungarian", "light_hungarian"),
    ("indonesian", "indonesian"),
    ("irish", "irish"),
    ("italian", "light_italian"),
    ("latvian", "latvian"),
    ("lithuanian", "lithuanian"),
    ("norwegian", "light_norwegian"),
    ("portuguese", "light_portuguese"),
    ("romanian", "romanian"),
    ("russian", "light_russian"),
    ("sorani", "sorani"),
    ("spanish", "light_spanish"),
    ("swedish", "light_swedish"),
    ("turkish", "turkish"),
];

/// A language that the cluster has a stemmer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Language {
    name: &'static str,
    /// The cluster's name of its stemmer.
    pub(crate) stemmer: &'static str,
}

impl Language {
    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    /// The articles before an apostrophe, which searches leave out: `l'avion` finds `avion`.
    pub(crate) fn articles(self) -> &'static [&'static str] {
        match self.name {
            "french" => &["l", "m", "t", "qu", "n", "s", "j", "d", "c", "jusqu", "quoiqu", "lorsqu", "puisqu"],
            "catalan" => &["d", "l", "m", "n", "s", "t"],
            "italian" => &[
                "c", "l", "all", "dall", "dell", "nell", "sull", "coll", "pell", "gl", "agl", "dagl", "degl", "negl",
                "sugl", "un", "m", "t", "s", "v", "d",
            ],
            _ => &[],
        }
    }
}

impl TryFrom<String> for Language {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let lower = written.to_lowercase();
        if let Some((name, stemmer)) = STEMMERS.iter().find(|(name, _)| *name == lower) {
            return Ok(Self { name, stemmer });
        }
        // `de` and `en` are nobody's typing errors, but what many expect here.
        let near = STEMMERS.iter().map(|(name, _)| (strsim::jaro_winkler(&lower, name), *name));
        let near = near.filter(|(likeness, _)| *likeness >= 0.8).max_by(|one, other| one.0.total_cmp(&other.0));
        Err(match near {
            Some((_, name)) => format!("there is no language {written:?}; did you mean {name:?}?"),
            None => {
                let all: Vec<&str> = STEMMERS.iter().map(|(name, _)| *name).collect();
                format!("there is no language {written:?}; it is one of {}", all.join(", "))
            }
        })
    }
}

/// The languages of a sink's indexes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Languages {
    /// Where nothing else is said.
    pub(crate) all: Option<Language>,
    /// By an index's name, as the configuration has it.
    pub(crate) by_index: BTreeMap<String, Language>,
}

impl Languages {
    /// The language of an index; `index` has the deployment's prefix.
    pub(crate) fn of(&self, index: &str, prefix: &str) -> Option<Language> {
        let name = index.strip_prefix(prefix).unwrap_or(index);
        self.by_index.get(name).copied().or(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_that_does_not_exist_is_answered_with_the_nearest() {
        let refused = |word: &str| Language::try_from(word.to_owned()).err().unwrap_or_default();
        assert_eq!(Language::try_from("German".to_owned()).map(Language::name), Ok("german"));
        assert!(refused("germn").contains("did you mean \"german\"?"), "{}", refused("germn"));
        assert!(refused("klingon").contains("it is one of arabic"), "{}", refused("klingon"));
    }
}
