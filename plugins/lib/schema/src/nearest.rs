//! The nearest valid word for one that is not: so that a typing error is one look away from its remedy.

/// The word that was most likely meant, if one is near enough: a third of the letters may be wrong.
pub fn nearest<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if written.len() > 80 {
        return None;
    }
    let plain = plain(written);
    words
        .into_iter()
        .map(|word| (distance(&plain, word), word))
        .filter(|(distance, word)| *distance <= word.len().max(plain.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `did you mean …`, or the words there are.
pub(crate) fn hint<'w>(written: &str, words: impl IntoIterator<Item = &'w str> + Clone) -> String {
    match nearest(written, words.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("it is one of {}", listed(words)),
    }
}

/// Words in a row, each in backticks.
pub(crate) fn listed<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `foreignKey` and `foreign-key` are `foreign_key` in another habit.
fn plain(written: &str) -> String {
    let mut out = String::with_capacity(written.len() + 2);
    let mut small = false;
    for c in written.chars() {
        if c.is_ascii_uppercase() && small {
            out.push('_');
        }
        small = c.is_ascii_lowercase();
        out.push(if c == '-' || c == ' ' { '_' } else { c.to_ascii_lowercase() });
    }
    out
}

/// How many letters have to be put in, left out, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 4] = ["table", "foreign_key", "filters", "fields"];

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        for (written, meant) in
            [("tabel", "table"), ("foreignKey", "foreign_key"), ("filter", "filters"), ("feilds", "fields")]
        {
            assert_eq!(nearest(written, WORDS), Some(meant), "{written}");
        }
    }

    #[test]
    fn what_resembles_nothing_gets_the_whole_list() {
        assert_eq!(nearest("zzzzzz", WORDS), None);
        assert_eq!(hint("zzzzzz", WORDS), "it is one of `table`, `foreign_key`, `filters`, `fields`");
    }
}
