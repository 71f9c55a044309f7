//! What is wrong with a file, and where. Problems are collected, so that one look at a file finds as many as possible.

use std::fmt;

/// A place in a file, line and column counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// One thing that is wrong, or is read otherwise than it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}:{line}:{column}: {key}: {message}")]
pub struct Problem {
    /// The file, as the caller named it.
    pub origin: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The key at fault, as written; of a field as a whole, its document key; of the file as a whole, `yaml`.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// Of a note about a name that the database decides: the name as the file has it; see [`crate::Schema::folded_names`].
    pub name: Option<String>,
}

/// Everything that is wrong with a file, in the order of the file. Never empty. Prints one problem a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, at least one.
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Where problems are collected while a file is read.
#[derive(Debug)]
pub(crate) struct Report {
    origin: String,
    list: Vec<Problem>,
    notes: Vec<Problem>,
}

impl Report {
    pub(crate) fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), list: Vec::new(), notes: Vec::new() }
    }

    /// Notes a problem. What a key or value holds is cut, so that a message stays one line.
    pub(crate) fn add(&mut self, at: Mark, key: &str, message: impl Into<String>) {
        let problem = self.problem(at, key, message.into());
        self.list.push(problem);
    }

    /// Notes what is no problem, but is not as it is written.
    pub(crate) fn note(&mut self, at: Mark, key: &str, message: impl Into<String>) {
        let note = self.problem(at, key, message.into());
        self.notes.push(note);
    }

    /// Notes that a name is read folded, unless the database has it as it is written.
    pub(crate) fn note_folded(&mut self, at: Mark, key: &str, written: &str, folded: &str) {
        let message = format!("`{}` is read as `{folded}`, unless the database has exactly this name", shown(written));
        let note = Problem { name: Some(written.trim().to_owned()), ..self.problem(at, key, message) };
        self.notes.push(note);
    }

    fn problem(&self, at: Mark, key: &str, message: String) -> Problem {
        Problem { origin: self.origin.clone(), line: at.line, column: at.column, key: shown(key), message, name: None }
    }

    /// The value and the notes, if nothing was found wrong on the way to it.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<(T, Vec<Problem>), Problems> {
        self.notes.sort_by_key(|note| (note.line, note.column));
        self.notes.dedup();
        self.list.sort_by_key(|problem| (problem.line, problem.column));
        self.list.dedup();
        match value {
            Some(value) if self.list.is_empty() => Ok((value, self.notes)),
            _ => {
                if self.list.is_empty() {
                    self.add(Mark { line: 1, column: 1 }, "yaml", "the file cannot be understood");
                }
                Err(Problems(self.list))
            }
        }
    }
}

/// A key or value as a message shows it: on one line, and at most 60 characters of it.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_in_the_order_of_the_file_one_a_line() {
        let mut report = Report::new("users.schema.yml");
        report.add(Mark { line: 7, column: 5 }, "limit", "must be at least 1");
        report.add(Mark { line: 2, column: 1 }, "tabel", "unknown key; did you mean `table`?");
        let problems = report.finish(Some(())).unwrap_err();
        assert_eq!(
            problems.to_string(),
            "users.schema.yml:2:1: tabel: unknown key; did you mean `table`?\n\
             users.schema.yml:7:5: limit: must be at least 1"
        );
        assert_eq!(problems.list().len(), 2);
    }

    #[test]
    fn what_a_message_shows_is_cut_and_stays_on_one_line() {
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"x".repeat(80)), format!("{}…", "x".repeat(60)));
    }
}
