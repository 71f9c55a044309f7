//! Findings for a person: what is wrong first, by what it is about, each with what helps on lines of its own; then what is as
//! it should be, a line each.

use std::fmt::Write as _;

use crate::app::{Finding, Level};

/// Sentences are broken at about so many columns; what helps is not, so that it can be copied.
const WIDTH: usize = 110;
/// Sentences begin in this column.
const MARGIN: usize = 11;

/// The whole text. `colour`: with the terminal's codes.
pub(super) fn text(found: &[Finding], colour: bool) -> String {
    let mut out = String::new();
    for (subject, findings) in groups(found) {
        let _ = writeln!(out, "{}", paint(subject, "1", colour));
        for finding in findings {
            one(finding, colour, &mut out);
        }
        out.push('\n');
    }
    let fine: Vec<&Finding> = found.iter().filter(|finding| finding.level == Level::Ok).collect();
    let width = fine.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or_default().min(40);
    for finding in &fine {
        let mark = paint("ok", "32", colour);
        let subject = format!("{:width$}", finding.subject);
        let _ = writeln!(out, "{mark} {subject}  {}", broken(&finding.message, width + 5));
    }
    if !fine.is_empty() {
        out.push('\n');
    }
    let count = |level, one: &str, many: &str| {
        let count = found.iter().filter(|finding| finding.level == level).count();
        format!("{count} {}", if count == 1 { one } else { many })
    };
    let (errors, warnings) = (count(Level::Error, "error", "errors"), count(Level::Warning, "warning", "warnings"));
    let _ = write!(out, "{errors}, {warnings}");
    out
}

/// What is not as it should be, by subject: those with an error first, and in each the errors first.
fn groups(found: &[Finding]) -> Vec<(&str, Vec<&Finding>)> {
    let mut groups: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for finding in found.iter().filter(|finding| finding.level != Level::Ok) {
        match groups.iter_mut().find(|(subject, _)| *subject == finding.subject) {
            Some((_, group)) => group.push(finding),
            None => groups.push((&finding.subject, vec![finding])),
        }
    }
    for (_, group) in &mut groups {
        group.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    }
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.first().map(|finding| finding.level)));
    groups
}

fn one(finding: &Finding, colour: bool, out: &mut String) {
    let mark = match finding.level {
        Level::Error => paint("error  ", "31", colour),
        Level::Warning | Level::Ok => paint("warning", "33", colour),
    };
    let code = paint(&format!("[{}]", finding.code), "2", colour);
    let _ = writeln!(out, "  {mark}  {} {code}", broken(&finding.message, MARGIN));
    for line in finding.remedy.iter().flat_map(|remedy| remedy.lines()) {
        let _ = writeln!(out, "{:indent$}{line}", "", indent = MARGIN + 4);
    }
}

/// A sentence on several lines, all but the first indented.
fn broken(sentence: &str, margin: usize) -> String {
    let (mut out, mut column) = (String::new(), margin);
    for word in sentence.split(' ') {
        let length = word.chars().count();
        if column > margin && column + 1 + length > WIDTH {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', margin));
            column = margin;
        } else if column > margin {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_first_and_what_helps_stands_on_lines_of_its_own() {
        let finding = |level, code, subject, message, remedy: Option<&str>| Finding {
            remedy: remedy.map(str::to_owned),
            ..Finding::new(level, code, subject, message)
        };
        let found = [
            finding(Level::Ok, "server", "server", "as it should be", None),
            finding(Level::Warning, "index-missing", "table public.b", "no index", Some("CREATE INDEX ON b (x);")),
            finding(Level::Warning, "nullable", "table public.a", "may be null", None),
            finding(Level::Error, "row-security", "table public.a", &"hides rows ".repeat(12), Some("ONE;\nTWO;")),
        ];
        let wanted = "\
table public.a
  error    hides rows hides rows hides rows hides rows hides rows hides rows hides rows hides rows hides rows
           hides rows hides rows hides rows  [row-security]
               ONE;
               TWO;
  warning  may be null [nullable]

table public.b
  warning  no index [index-missing]
               CREATE INDEX ON b (x);

ok server  as it should be

1 error, 2 warnings";
        assert_eq!(text(&found, false), wanted);
        assert!(text(&found, true).contains("\u{1b}[31merror"));
    }
}
