//! What an index is called in the cluster.
//!
//! | name | what it is |
//! |---|---|
//! | `users_1a2b3c4d_1` | a generation: the index that holds documents |
//! | `users_1a2b3c4d_1_write` | an alias of every generation, which it is written under: a generation that was removed is then missed, and not made anew without a mapping by the first document |
//! | `users_1a2b3c4d` | the alias of the generation that serves, for this mapping |
//! | `users` | the alias of what serves, for readers that do not care about mappings |

use flusso_plugin::Mapping;

/// The longest name of an index, in bytes, by the cluster's rules.
const MAX_NAME_BYTES: usize = 255;
/// Room for what is put behind an index's name: `_1a2b3c4d_` and a number and `_write`.
const SUFFIX_BYTES: usize = 36;

/// The names of one index under one mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// As the host says it, with the deployment's prefix; another one where the cluster takes no such name.
    pub(crate) index: String,
    /// With the mapping's hash.
    pub(crate) alias: String,
    /// The index that remembers what is seeded.
    pub(crate) meta: String,
}

/// What the meta index is called behind a deployment's prefix, where the operator gave it no other name.
pub(crate) fn meta(prefix: &str) -> String {
    format!("{prefix}flusso_meta")
}

impl Names {
    /// The names of an index under a mapping; the meta index has this name, if it is given one.
    pub(crate) fn of(mapping: &Mapping, meta_index: Option<&str>) -> Self {
        let mut names = Self::from(&mapping.index, &mapping.hash);
        names.meta = meta_index.map_or_else(|| meta(&mapping.prefix), str::to_owned);
        names
    }

    /// The names of an index under a mapping's hash, without a prefix.
    pub(crate) fn from(index: &str, hash: &str) -> Self {
        let index = accepted(index);
        Self { alias: format!("{index}_{}", short(hash)), index, meta: meta("") }
    }

    /// What is to be said where the cluster has another name for an index.
    pub(crate) fn renamed(&self, index: &str) -> Option<String> {
        let there = &self.index;
        let message = || {
            format!(
                "the cluster takes no index {index:?}: it is called {there:?} there; another `name` under [[index]] gives it another"
            )
        };
        (there != index).then(message)
    }

    /// A generation's name.
    pub(crate) fn generation(&self, number: u64) -> String {
        format!("{}_{number}", self.alias)
    }

    /// The number of a generation of this index and mapping; none for any other name.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number(name.strip_prefix(&self.alias)?.strip_prefix('_')?)
    }

    /// Whether a name is a generation of this index, under whatever mapping.
    pub(crate) fn is_generation(&self, name: &str) -> bool {
        let parts = || {
            let (hash, count) = name.strip_prefix(&self.index)?.strip_prefix('_')?.split_once('_')?;
            number(count)?;
            Some(hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        parts().unwrap_or(false)
    }
}

/// A name that the cluster takes. One that it does not take (capitals, a leading `_`, characters that mean something in a URL, too
/// long) becomes the lower-case name with `-` for what is refused, and a hash of the original behind it, so that no two
/// indexes meet: `Orders` is `orders-5b1ab0b9`.
pub(crate) fn accepted(index: &str) -> String {
    let refused = |one: char| one.is_control() || one.is_whitespace() || "\\/*?\"<>|,#:;".contains(one);
    let begins_wrong = index.starts_with(['-', '_', '+', '.']) || index.is_empty();
    let fits = index.len() + SUFFIX_BYTES <= MAX_NAME_BYTES;
    if fits && !begins_wrong && !index.chars().any(|one| refused(one) || one.is_uppercase()) {
        return index.to_owned();
    }
    let lower = index.to_lowercase();
    let plain: String = lower.chars().map(|one| if refused(one) { '-' } else { one }).collect();
    let mut plain = plain.trim_start_matches(['-', '_', '+', '.']).to_owned();
    while plain.len() + SUFFIX_BYTES + 9 > MAX_NAME_BYTES {
        plain.pop();
    }
    let plain = if plain.is_empty() { "index" } else { &plain };
    format!("{plain}-{:08x}", fold(index))
}

/// The alias that a generation is written under.
pub(crate) fn write_alias(generation: &str) -> String {
    format!("{generation}_write")
}

/// A number as it is written here: no sign, no zero in front.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

/// Eight hexadecimal digits of a hash: its own first ones, or where it is something else, those of a hash of it.
fn short(hash: &str) -> String {
    let hexadecimal = |text: &&str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match hash.get(..8).filter(hexadecimal) {
        Some(own) => own.to_owned(),
        None => format!("{:08x}", fold(hash)),
    }
}

/// 32 bits of a text (FNV-1a of 64, folded): the same everywhere and for ever.
pub(crate) fn fold(text: &str) -> u32 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
    u32::from_le_bytes([a ^ e, b ^ f, c ^ g, d ^ h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::from("dev_users", "1a2b3c4d5e6f7081")
    }

    #[test]
    fn an_index_and_a_hash_make_the_names() {
        let names = names();
        assert_eq!((names.index.as_str(), names.alias.as_str()), ("dev_users", "dev_users_1a2b3c4d"));
        assert_eq!(names.generation(7), "dev_users_1a2b3c4d_7");
        assert_eq!(write_alias("dev_users_1a2b3c4d_7"), "dev_users_1a2b3c4d_7_write");
    }

    #[test]
    fn marks_are_kept_behind_the_prefix_unless_a_name_is_given() {
        let mapping = |prefix: &str| Mapping {
            index: "dev_users".into(),
            hash: "1a2b3c4d".into(),
            fields: Vec::new(),
            prefix: prefix.into(),
            extra: None,
        };
        let meta = |prefix, given| Names::of(&mapping(prefix), given).meta;
        assert_eq!(meta("dev_", None), "dev_flusso_meta");
        assert_eq!(meta("", None), "flusso_meta");
        assert_eq!(meta("dev_", Some("mine")), "mine");
    }

    #[test]
    fn a_hash_of_another_kind_is_hashed() {
        let alias = |hash| Names::from("u", hash).alias;
        let (one, other) = (alias("Hash/1"), alias("Hash/2"));
        assert!(one != other && one.len() == "u_".len() + 8, "{one} {other}");
        assert_eq!(alias("Hash/1"), one);
        assert!(alias("ABCDEF0123") != "u_ABCDEF01");
    }

    #[test]
    fn generations_are_told_from_everything_else() {
        let names = names();
        assert_eq!(names.number("dev_users_1a2b3c4d_12"), Some(12));
        for other in [
            "dev_users_1a2b3c4d",
            "dev_users_1a2b3c4d_x",
            "dev_users_1a2b3c4d_1_write",
            "dev_users_1a2b3c4d_01",
            "dev_users_1a2b3c4d_+1",
            "dev_users_1a2b3c4d_1_1a2b3c4d_1",
        ] {
            assert_eq!(names.number(other), None, "{other}");
        }
        assert!(names.is_generation("dev_users_ffffffff_1"));
        assert!(
            !names.is_generation("dev_users_archive_1")
                && !names.is_generation("dev_users_abc_1")
                && !names.is_generation("dev_users_old_ffffffff_1")
        );
    }

    #[test]
    fn a_name_that_the_cluster_refuses_becomes_one_that_it_takes() {
        let long = "x".repeat(240);
        let names =
            ["", "Users", "users ", "a b", "_users", "-a", ".a", "a,b", "a*", "a/b", "a#b", "a:b", "Über", &long];
        let taken: Vec<String> = names.iter().map(|name| accepted(name)).collect();
        for (name, taken) in names.iter().zip(&taken) {
            assert!(taken != name && *taken == accepted(taken), "{name}: {taken}");
        }
        let distinct: std::collections::BTreeSet<_> = taken.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(accepted("público.x-1"), "público.x-1");
        assert!(accepted("Users").starts_with("users-"), "{}", accepted("Users"));
        let names = Names::from("Users", "1a2b3c4d");
        assert!(names.is_generation(&names.generation(3)) && !names.is_generation("users_1a2b3c4d_3"));
    }

    #[test]
    fn a_fold_never_changes() {
        assert_eq!((fold(""), fold("a")), (0x4fd0_bfc1, 0x2962_30c0));
    }
}
