//! The range builder: documents of whole ranges of a root table. A page of root rows is read along the key, and what
//! belongs to them by their keys, all of one moment.
//!
//! A document of one row is a statement of its own, so the next page of such is asked for at the end of a call and waits in
//! the socket. Where documents have more rows, nothing is read ahead: a transaction held open while nobody asks would keep
//! the server from cleaning up.

use crate::documents::builder::{self, DocumentBuilder, Index};
use crate::documents::executor::{Executor, push};
use crate::error::Result;
use crate::links::{Named, Seen};
use crate::protocol::session::{CALL, Session};
use crate::snapshot::range_scan::Walk;
use flusso_documents::{Assembly, CHUNK, Chunk, Rows, build};
use flusso_plugin::{DocumentId, Outcome, Ranged, RangedPage};
use std::ops::Range;

/// Root rows of a first page: nothing is known yet of how large documents are.
const FIRST: usize = 256;
/// Root rows of any page.
const MOST: usize = 4096;

impl DocumentBuilder {
    /// The next documents of a range: at most `max`, and about `max_bytes` of bodies.
    pub fn range(
        &mut self,
        index: u32,
        range: &[u8],
        cursor: Option<&[u8]>,
        max: usize,
        max_bytes: usize,
    ) -> Result<RangedPage> {
        self.session.within(CALL);
        let most = max.clamp(1, MOST);
        let current = self.walk.as_ref().is_some_and(|(number, walk)| *number == index && walk.is_at(range, cursor));
        if !current {
            self.release()?;
            self.walk = None;
        }
        let mut walk = match self.walk.take() {
            Some((_, walk)) => walk,
            None => {
                self.freshen(index)?;
                Walk::new(range, cursor, most.min(FIRST))?
            }
        };
        let since = self.moment();
        let followed = self.followed.clone();
        let mut page = Page::default();
        self.again(index, |session, index| {
            page = Page::default();
            page.read(session, index, &followed, &mut walk, most, max_bytes.max(1))
        })?;
        let (rows, cursor) = (page.used as u64, walk.cursor());
        self.walk = Some((index, walk));
        let Page { mut documents, seen, places, .. } = page;
        let overtaken: Vec<usize> = self
            .remember(since, seen)?
            .into_iter()
            .filter_map(|chunk| places.get(usize::try_from(chunk).ok()?)?.clone())
            .flatten()
            .collect();
        let keys = overtaken.iter().filter_map(|at| documents.get(*at)).map(|document| document.key.clone());
        let ids: Vec<DocumentId> = keys.map(|key| DocumentId { index, key }).collect();
        if !ids.is_empty() {
            // Each few of them with a moment of its own.
            for (at, outcome) in overtaken.into_iter().zip(self.build_few(&ids)?) {
                if let Some(document) = documents.get_mut(at) {
                    document.outcome = outcome;
                }
            }
        }
        Ok(RangedPage { documents, rows, cursor, extra: None })
    }
}

/// A page as far as it is finished.
#[derive(Default)]
struct Page {
    documents: Vec<Ranged>,
    bytes: usize,
    /// Root rows that it took.
    used: usize,
    last: Vec<Vec<u8>>,
    /// Chunks that were finished before those in front of them.
    early: Vec<Option<Part>>,
    next: usize,
    /// Links, chunk by chunk as they were finished; and where the documents of each of these are, if they are part of the page.
    seen: Seen,
    places: Vec<Option<Range<usize>>>,
}

struct Part {
    documents: Vec<Ranged>,
    bytes: usize,
    rows: usize,
    last: Vec<Vec<u8>>,
    /// Its number among the links.
    chunk: u32,
}

impl Page {
    fn read(
        &mut self,
        session: &mut Session,
        index: &Index,
        followed: &[Named],
        walk: &mut Walk,
        most: usize,
        max_bytes: usize,
    ) -> Result<()> {
        walk.at_most(session, most)?;
        // What is read ahead would be older than the moment that the links are remembered with.
        let tracked = index.plan.nodes.iter().any(|node| !node.tracks.is_empty());
        let (flat, roots) = (index.plan.is_flat() && !tracked, &index.queries.roots);
        let width = index.plan.nodes.first().map_or(0, flusso_documents::Node::width);
        let mut whole = false;
        let read = builder::read(session, index, |executor| {
            walk.begin(executor, roots, flat)?;
            let next = |executor: &mut Executor<'_>| {
                if whole {
                    return Ok(None);
                }
                let mut rows = Rows::new(width);
                while rows.len() < CHUNK {
                    match walk.next_row(executor.session(), roots)? {
                        Some(frame) => push(executor.session().row(frame), &mut rows)?,
                        None => {
                            whole = true;
                            executor.beside_read();
                            break;
                        }
                    }
                }
                Ok((!rows.is_empty()).then_some(Chunk::Roots(rows)))
            };
            // All root rows come before any answer, so all chunks are begun before the first is finished; where there is
            // nothing to ask, a chunk is rendered while the next arrives.
            let ahead = if flat { 1 } else { usize::MAX };
            build(&index.plan, executor, ahead, next, |number, assembly| {
                let chunk = self.seen.take(assembly, followed);
                self.take(number, Part { chunk, ..part(index, assembly) });
                Ok(self.bytes < max_bytes)
            })
        });
        if let Err(error) = read {
            walk.lost();
            return Err(error);
        }
        if !self.last.is_empty() {
            walk.passed(self.last.iter().map(Vec::as_slice));
        }
        walk.read(self.used, self.bytes < max_bytes / 2, most);
        if flat { walk.ahead(session, roots) } else { Ok(()) }
    }

    /// Takes a finished chunk; pages hold chunks in their order, so it may have to wait.
    fn take(&mut self, number: usize, part: Part) {
        if self.early.len() <= number {
            self.early.resize_with(number + 1, || None);
        }
        if let Some(place) = self.early.get_mut(number) {
            *place = Some(part);
        }
        while let Some(part) = self.early.get_mut(self.next).and_then(Option::take) {
            let from = self.documents.len();
            self.documents.extend(part.documents);
            let chunk = usize::try_from(part.chunk).unwrap_or(usize::MAX);
            if self.places.len() <= chunk {
                self.places.resize(chunk + 1, None);
            }
            if let Some(place) = self.places.get_mut(chunk) {
                *place = Some(from..self.documents.len());
            }
            self.bytes += part.bytes;
            self.used += part.rows;
            self.last = part.last;
            self.next += 1;
        }
    }
}

fn part(index: &Index, assembly: &Assembly<'_>) -> Part {
    let (mut bytes, mut body) = (0, Vec::new());
    let mut documents = Vec::with_capacity(assembly.len());
    for document in 0..assembly.len() {
        body.clear();
        if !assembly.render(document, &mut body) {
            continue;
        }
        let Some(texts) = assembly.key(document) else { continue };
        bytes += body.len();
        // Copied out at its exact size: a body that had grown into its place would be moved once more on its way out.
        let outcome = Outcome::Built(body.as_slice().to_vec());
        documents.push(Ranged { key: index.queries.roots.values(texts), outcome });
    }
    let last = assembly.texts(assembly.len().saturating_sub(1));
    let last = last.map(|texts| texts.map(<[u8]>::to_vec).collect()).unwrap_or_default();
    Part { documents, bytes, rows: assembly.len(), last, chunk: 0 }
}
