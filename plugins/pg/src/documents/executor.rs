//! Fetches the rows of a plan through a session: statements are pipelined and answered in order, all in one repeatable-read
//! transaction.
//!
//! `BEGIN` and a comparison of the tables' definitions travel with the first statement, `COMMIT` with the last. The number of
//! statements in flight is bounded by what surely fits the socket buffers: otherwise the server could block on its answers
//! while this side blocks on its requests.

use crate::documents::dense_range::DenseRange;
use crate::documents::query::Queries;
use crate::error::{Error, Result};
use crate::protocol::session::{Session, Statement};
use flusso_documents::{Fetch, Links, Malformed, Rows};
use std::collections::VecDeque;

/// Bytes of questions under way at most, beyond a single one.
const PIPELINE_BYTES: usize = 48 * 1024;

/// One reading of documents.
pub(crate) struct Executor<'s> {
    session: &'s mut Session,
    queries: &'s Queries,
    statements: Vec<(Statement, Option<Statement>)>,
    commit: Statement,
    /// What the server has been sent, or will be with the next question, and has not answered.
    expected: VecDeque<Expected>,
    under_way: usize,
    waiting: VecDeque<Question>,
    transaction: Transaction,
}

/// A question that was not sent yet.
struct Question {
    node: usize,
    parameters: Vec<String>,
    /// What was asked for, where it is looked up by its two ends.
    range: Option<DenseRange>,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// An answer without rows.
    NoRows,
    /// The tables' shapes.
    Shapes,
    /// The rows of a question of so many bytes; of a range, those that were asked for.
    Rows(usize, Option<DenseRange>),
    /// Rows that were asked for beside the questions, and are read beside them.
    Beside,
    /// That the transaction has ended.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    /// Its end travels behind the last question.
    Ending,
    Ended,
}

impl<'s> Executor<'s> {
    /// Prepares what is needed, and starts a transaction where more than one statement has to see the same moment.
    pub(crate) fn new(session: &'s mut Session, queries: &'s Queries) -> Result<Self> {
        let prepared = queries.by_links.iter().map(|statements| {
            let range = statements.range.as_ref().map(|text| session.prepare(text));
            Ok((session.prepare(&statements.list)?, range.transpose()?))
        });
        let statements = prepared.collect::<Result<Vec<_>>>()?;
        let commit = session.prepare("COMMIT")?;
        Ok(Self {
            session,
            queries,
            statements,
            commit,
            expected: VecDeque::new(),
            under_way: 0,
            waiting: VecDeque::new(),
            transaction: Transaction::None,
        })
    }

    /// Lines up the beginning.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let shapes = self.session.prepare(&self.queries.shape_query)?;
        if self.statements.len() > 1 {
            let begin = self.session.prepare("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
            self.session.line_up(&begin, &[])?;
            self.expected.push_back(Expected::NoRows);
            self.transaction = Transaction::Open;
        }
        self.session.line_up(&shapes, &[])?;
        self.expected.push_back(Expected::Shapes);
        Ok(())
    }

    /// The session, to send something off beside the questions and to read it.
    pub(crate) fn session(&mut self) -> &mut Session {
        self.session
    }

    /// Something was sent off beside the questions.
    pub(crate) fn beside(&mut self) {
        self.expected.push_back(Expected::Beside);
    }

    /// All of it was read.
    pub(crate) fn beside_read(&mut self) {
        if self.expected.front() == Some(&Expected::Beside) {
            self.expected.pop_front();
        }
    }

    /// Takes the answers to the beginning; an error if the tables are not what the plan was made for.
    pub(crate) fn begun(&mut self) -> Result<()> {
        self.session.send()?;
        loop {
            match self.expected.front() {
                Some(Expected::NoRows) => {
                    self.expected.pop_front();
                    self.session.rest()?;
                }
                Some(Expected::Shapes) => {
                    self.expected.pop_front();
                    let found = self.session.rest()?;
                    let same = found.len() == self.queries.expected_shapes.len()
                        && found.iter().zip(&self.queries.expected_shapes).all(|(row, (oid, shape))| {
                            matches!(row.as_slice(), [Some(found_oid), Some(found)] if found_oid == oid && found == shape)
                        });
                    if !same {
                        return Err(Error::Transient("a table was altered: it is read again".into()));
                    }
                }
                Some(Expected::Rows(..) | Expected::Beside | Expected::End) | None => return Ok(()),
            }
        }
    }

    /// Ends the reading: reads and drops what is still on its way, and ends the transaction.
    pub(crate) fn end(mut self) -> Result<()> {
        self.waiting.clear();
        self.session.send()?;
        while self.expected.pop_front().is_some() {
            while self.session.next_row()?.is_some() {}
        }
        if matches!(self.transaction, Transaction::Open | Transaction::Ending) {
            self.session.execute(&self.commit, &[])?;
            self.session.rest()?;
        }
        Ok(())
    }

    /// After an error of the server: the session is made ready for something else.
    pub(crate) fn give_up(mut self) -> Result<()> {
        self.waiting.clear();
        self.session.send()?;
        while self.expected.pop_front().is_some() {
            // What follows an error in a transaction is refused; the session is ready again after each.
            match self.session.rest() {
                Ok(_) | Err(Error::Server(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if self.session.in_transaction() { self.session.simple("ROLLBACK").map(|_| ()) } else { Ok(()) }
    }

    fn line_up(&mut self, question: Question) -> Result<()> {
        let statement = match (self.statements.get(question.node), &question.range) {
            (Some((_, Some(by_range))), Some(_)) => by_range,
            (Some((by_list, _)), None) => by_list,
            _ => return Err(self.malformed(question.node)),
        };
        let size = size(&question.parameters);
        let parameters: Vec<Option<&str>> = question.parameters.iter().map(|text| Some(text.as_str())).collect();
        self.session.line_up(statement, &parameters)?;
        self.expected.push_back(Expected::Rows(size, question.range));
        self.under_way += size;
        Ok(())
    }

    /// Lines up what has waited, as far as there is room.
    fn pump(&mut self) -> Result<()> {
        while let Some(question) = self.waiting.front() {
            if self.under_way > 0 && self.under_way + size(&question.parameters) > PIPELINE_BYTES {
                return Ok(());
            }
            if let Some(question) = self.waiting.pop_front() {
                self.line_up(question)?;
            }
        }
        if self.transaction == Transaction::Ending {
            self.session.line_up(&self.commit, &[])?;
            self.expected.push_back(Expected::End);
            self.transaction = Transaction::Ended;
        }
        Ok(())
    }
}

impl Fetch for Executor<'_> {
    type Error = Error;

    fn ask(&mut self, node: usize, links: &Links<'_>) -> Result<()> {
        let has_range = self.statements.get(node).is_some_and(|(_, by_range)| by_range.is_some());
        let range = if has_range { links.columns().next().and_then(DenseRange::of_texts) } else { None };
        let parameters = match &range {
            Some(range) => vec![range.low.to_string(), range.high().to_string()],
            None => links.columns().map(array).collect(),
        };
        self.waiting.push_back(Question { node, parameters, range });
        self.pump()
    }

    fn answer(&mut self, rows: &mut Rows) -> Result<()> {
        self.begun()?;
        if !self.expected.iter().any(|expected| matches!(expected, Expected::Rows(..))) {
            self.pump()?;
        }
        self.session.send()?;
        let Some(Expected::Rows(size, range)) = self.expected.pop_front() else {
            return Err(Error::protocol("an answer without a question"));
        };
        while let Some(frame) = self.session.next_row()? {
            let row = self.session.row(frame);
            match &range {
                Some(range) if !first_cell(row).is_some_and(|link| range.contains_text(link)) => {}
                _ => push(row, rows)?,
            }
        }
        self.under_way = self.under_way.saturating_sub(size);
        self.pump()
    }

    fn asked_all(&mut self) -> Result<()> {
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Ending;
        }
        self.pump()
    }

    fn malformed(&self, node: usize) -> Error {
        let table = self.queries.by_links.get(node).map(|statements| statements.list.as_str()).unwrap_or_default();
        Error::protocol(format_args!("rows that were not asked for, to {table}"))
    }
}

/// Takes a row as the server sent it.
#[inline]
pub(crate) fn push(row: &[u8], rows: &mut Rows) -> Result<()> {
    let cells = row.get(2..).unwrap_or_default();
    rows.push_framed(cells).map_err(|Malformed| Error::protocol("a row of another width than was asked for"))
}

/// The first cell of a row as the server sent it; none: it is null.
fn first_cell(row: &[u8]) -> Option<&[u8]> {
    let (length, rest) = row.get(2..)?.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(i32::from_be_bytes(*length)).ok()?)
}

fn size(arrays: &[String]) -> usize {
    arrays.iter().map(String::len).sum::<usize>() + 64
}

/// An array literal: digits as they are, everything else in quotes.
fn array<'a>(values: impl Iterator<Item = &'a [u8]>) -> String {
    let mut out = vec![b'{'];
    for value in values {
        if out.len() > 1 {
            out.push(b',');
        }
        if !value.is_empty() && value.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
            out.extend_from_slice(value);
            continue;
        }
        out.push(b'"');
        for byte in value {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
