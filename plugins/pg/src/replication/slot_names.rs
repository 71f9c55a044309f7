//! Generated names: of the slot, and of the identity under which the host stores this source's state.

/// `flusso_<database>`, of letters that a slot's name may have. Where the database's name has others, or is too long, a hash of
/// it follows, so that two databases never share a name.
pub(super) fn slot(database: &str) -> String {
    let plain = plain_slot(database);
    if plain == format!("flusso_{database}") {
        return plain;
    }
    format!("{}_{:08x}", plain.chars().take(54).collect::<String>(), fnv(database) >> 32)
}

/// The same without the hash, as versions before 0.2 called it.
pub(super) fn plain_slot(database: &str) -> String {
    let clean =
        database.to_lowercase().chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect::<String>();
    format!("flusso_{clean}").chars().take(63).collect()
}

/// FNV-1a of 64 bits.
pub(crate) fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Letters, digits, `-`, `_`, `.`, at most 100; what had to be cut or replaced is told apart by a number.
pub(super) fn file(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.') { it } else { '_' })
        .collect();
    if clean == text && clean.len() <= 100 {
        return clean;
    }
    format!("{}-{:016x}", clean.chars().take(83).collect::<String>(), fnv(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_where_they_are_used() {
        assert_eq!(slot("shop_2"), "flusso_shop_2");
        assert_eq!(plain_slot("My-Shop"), "flusso_my_shop");
        let names = ["My-Shop", "my-shop", "my shop", "my_shop"].map(slot);
        let valid = |name: &String| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        assert!(names.iter().all(|name| name.starts_with("flusso_my_shop") && valid(name)), "{names:?}");
        assert!((1..4).all(|at| !names[..at].contains(&names[at])), "{names:?}");
        assert_eq!(slot(&"x".repeat(80)).len(), 63);
        assert_eq!(file("pg-1-shop-flusso_shop"), "pg-1-shop-flusso_shop");
        let (a, b) = (file("pg-1-a/b-s"), file("pg-1-a b-s"));
        assert!(a != b && a.starts_with("pg-1-a_b-s-") && file(&"é".repeat(200)).len() <= 100, "{a} {b}");
    }
}
