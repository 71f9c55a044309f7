//! Every rule of the language: a file that breaks it, and the exact message. The cases stand in `rules.txt`: a sentence
//! after `#` (after `# @` for what stands under `HEAD`), the file, and a line after `>` for each problem. `>!` marks what
//! the JSON Schema for editors cannot tell.

use super::{EXAMPLE, HEAD};
use crate::parse;

pub(super) struct Case {
    pub(super) rule: String,
    pub(super) file: String,
    pub(super) problems: Vec<String>,
    /// Whether editors are told too.
    pub(super) in_editor: bool,
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("rules.txt").lines() {
        if let Some(rule) = line.strip_prefix("# @ ") {
            cases.push(Case { rule: rule.to_owned(), file: HEAD.to_owned(), problems: Vec::new(), in_editor: true });
        } else if let Some(rule) = line.strip_prefix("# ") {
            cases.push(Case { rule: rule.to_owned(), file: String::new(), problems: Vec::new(), in_editor: true });
        } else if let Some(case) = cases.last_mut() {
            if let Some(problem) = line.strip_prefix(">! ") {
                case.in_editor = false;
                case.problems.push(problem.to_owned());
            } else if let Some(problem) = line.strip_prefix("> ") {
                case.problems.push(problem.to_owned());
            } else {
                case.file.push_str(line);
                case.file.push('\n');
            }
        }
    }
    cases
}

#[test]
fn every_rule_has_its_message_with_line_and_column() {
    let mut wrong = Vec::new();
    for case in cases() {
        let said: Vec<String> = match parse(&case.file, "f.yml") {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(|problem| problem.to_string()).collect(),
        };
        if said != case.problems || said.is_empty() {
            wrong.push(format!("# {}\n{}> {}", case.rule, case.file, said.join("\n> ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases().len() > 100, "the cases were not read");
}

#[test]
fn the_example_of_the_readme_is_valid_and_uses_every_word_of_the_language() {
    parse(EXAMPLE, "example.schema.yml").unwrap();
    assert!(include_str!("../../README.md").contains(EXAMPLE.trim()), "README.md shows another example");
    for key in crate::language::TYPE_KEYS {
        assert!(EXAMPLE.contains(&format!("- {}: ", key.name)), "{} is missing", key.name);
        for sibling in key.siblings {
            let written = [format!("{}:", sibling.name)].iter().any(|word| EXAMPLE.contains(word.as_str()));
            assert!(written, "{} is missing", sibling.name);
        }
    }
}
