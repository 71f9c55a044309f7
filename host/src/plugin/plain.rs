//! Texts that a plugin wrote, as they can be shown: on a terminal, in a log line.

/// A text cut to so many bytes, without characters that move a cursor, start a line, turn the direction of writing or are not seen.
pub fn plain(text: &str, max: usize) -> String {
    let cut =
        text.char_indices().find(|(at, character)| at + character.len_utf8() > max).map_or(text.len(), |(at, _)| at);
    let (kept, rest) = text.split_at(cut);
    let mut plain: String = kept.chars().map(|c| if is_shown(c) { c } else { ' ' }).collect();
    if !rest.is_empty() {
        plain.push('…');
    }
    plain
}

/// Bidirectional controls and invisible characters are named by <https://www.unicode.org/reports/tr36/>.
fn is_shown(c: char) -> bool {
    let is_hidden = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    c == '\t' || !(c.is_control() || is_hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_or_not_seen_is_a_space() {
        assert_eq!(plain("a\u{1b}[2J\nb\u{202e}c\u{200b}d", 100), "a [2J b c d");
        assert_eq!(plain("größer\tals", 100), "größer\tals");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(plain("größer", 3), "gr…");
        assert_eq!(plain("größer", 4), "grö…");
    }
}
