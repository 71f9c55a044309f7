//! Generated names: of the slot, and of the identity under which the host stores this source's state.

/// `flusso_<database>`, of letters that a slot's name may have.
pub(super) fn slot(database: &str) -> String {
    let clean =
        database.to_lowercase().chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect::<String>();
    format!("flusso_{clean}").chars().take(63).collect()
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
    let mark = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{}-{mark:016x}", clean.chars().take(83).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_where_they_are_used() {
        assert_eq!(slot("My-Shop"), "flusso_my_shop");
        assert_eq!(slot(&"x".repeat(80)).len(), 63);
        assert_eq!(file("pg-1-shop-flusso_shop"), "pg-1-shop-flusso_shop");
        let (a, b) = (file("pg-1-a/b-s"), file("pg-1-a b-s"));
        assert!(a != b && a.starts_with("pg-1-a_b-s-") && file(&"é".repeat(200)).len() <= 100, "{a} {b}");
    }
}
