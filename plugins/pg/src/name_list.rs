//! Names in a message: all of a few, the first of many and the number of the rest, so that a database of thousands of tables
//! costs one line of the log and not thousands.

/// So many names are written out.
pub(crate) const NAMED: usize = 5;

/// `a, b, c, d, e and 2995 more`.
pub(crate) fn shortened<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let (mut text, mut count) = (String::new(), 0_usize);
    for name in names {
        if count < NAMED {
            text.push_str(if count > 0 { ", " } else { "" });
            text.push_str(name.as_ref());
        }
        count += 1;
    }
    match count.saturating_sub(NAMED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_the_first_stand_for_all() {
        assert_eq!(shortened(["a"]), "a");
        assert_eq!(shortened(["a", "b", "c", "d", "e"]), "a, b, c, d, e");
        assert_eq!(shortened((0..3000).map(|at| format!("t{at}"))), "t0, t1, t2, t3, t4 and 2995 more");
    }
}
