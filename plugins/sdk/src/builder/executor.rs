//! Runs the builds of a batch side by side.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde::Serialize;

use super::reads::{Read, Shape, Shared, Waiting};
use super::{Reads, TableRow};
use crate::lookups::{self, Lookups};
use crate::{Error, Failure, Outcome, Row};

/// Why one document cannot be built. Made by `?` of every error, with the class `build`.
#[derive(Debug)]
pub struct Failed {
    class: String,
    reason: String,
}

impl Failed {
    /// With a short, stable class to count by.
    pub fn new(class: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { class: class.into(), reason: reason.into() }
    }
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::new("build", error.to_string())
    }
}

impl From<Failed> for Outcome {
    fn from(Failed { class, reason }: Failed) -> Self {
        Self::Failed(Failure { class, reason, extra: None })
    }
}

pub(super) fn poll_into<F: Future>(place: &mut Option<F::Output>, future: Pin<&mut F>, context: &mut Context<'_>) {
    if place.is_none()
        && let Poll::Ready(output) = future.poll(context)
    {
        *place = Some(output);
    }
}

/// Builds a batch: what [`crate::TrackedBuilder::build_many`] returns. An error of a build is its document's outcome.
///
/// # Errors
///
/// What the host answers to a read.
pub fn build<R: TableRow, D: Serialize>(
    roots: Vec<Row>,
    build: impl AsyncFn(R, &Reads) -> Result<Option<D>, Failed>,
) -> crate::Result<Vec<Outcome>> {
    build_with(roots, build, |reads| lookups::read(reads))
}

/// [`build`] with another reader, for tests.
///
/// # Errors
///
/// Those of the reader, and [`Error::Fatal`] if its answer has another shape than what was asked.
pub fn build_with<R: TableRow, D: Serialize>(
    roots: Vec<Row>,
    build: impl AsyncFn(R, &Reads) -> Result<Option<D>, Failed>,
    mut reader: impl FnMut(&[Lookups]) -> crate::Result<Vec<Vec<Vec<Row>>>>,
) -> crate::Result<Vec<Outcome>> {
    let shared = Rc::new(RefCell::new(Shared::default()));
    let mut builds = Vec::new();
    for (document, root) in (0u32..).zip(roots) {
        let db = Reads { document, shared: Rc::clone(&shared) };
        let build = &build;
        let one = async move { outcome(build(R::from_row(root)?, &db).await?) };
        builds.push((Box::pin(one), None));
    }
    let mut context = Context::from_waker(Waker::noop());
    loop {
        for (future, done) in &mut builds {
            poll_into(done, future.as_mut(), &mut context);
        }
        let waiting = std::mem::take(&mut shared.borrow_mut().waiting);
        if waiting.is_empty() {
            break;
        }
        let answers = cross(waiting, &mut reader)?;
        let mut shared = shared.borrow_mut();
        for (number, rows) in answers {
            if let Some(place) = shared.answers.get_mut(number) {
                *place = Some(rows);
            }
        }
    }
    let stuck = || Failed::new("stuck", "the build waits for something that is no read of `Reads`").into();
    Ok(builds.into_iter().map(|(_, done)| done.map_or_else(stuck, |done| done.unwrap_or_else(Outcome::from))).collect())
}

fn outcome<D: Serialize>(document: Option<D>) -> Result<Outcome, Failed> {
    Ok(match document {
        Some(document) => Outcome::Built(serde_json::to_vec(&document)?),
        None => Outcome::Absent,
    })
}

/// Asks everything that waits in one read, reads of one shape as one list of lookups.
fn cross(
    waiting: Vec<Waiting>,
    reader: &mut impl FnMut(&[Lookups]) -> crate::Result<Vec<Vec<Vec<Row>>>>,
) -> crate::Result<Vec<(usize, Vec<Row>)>> {
    let mut shapes: Vec<Shape> = Vec::new();
    let (mut asked, mut numbers): (Vec<Lookups>, Vec<Vec<usize>>) = Default::default();
    for Waiting { number, read: Read { shape, lookup } } in waiting {
        let at = shapes.iter().position(|known| known.is(&shape));
        match at.and_then(|at| asked.get_mut(at).zip(numbers.get_mut(at))) {
            Some((same, of)) => {
                same.lookups.push(lookup);
                of.push(number);
            }
            None => {
                asked.push(Lookups { lookups: vec![lookup], ..shape.lookups() });
                shapes.push(shape);
                numbers.push(vec![number]);
            }
        }
    }
    let found = reader(&asked)?;
    let whole = found.len() == asked.len() && found.iter().zip(&numbers).all(|(found, of)| found.len() == of.len());
    if !whole {
        return Err(Error::fatal("the reader answered another number of lookups than were asked"));
    }
    Ok(numbers.into_iter().flatten().zip(found.into_iter().flatten()).collect())
}
