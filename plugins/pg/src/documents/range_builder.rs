//! The contract's range builder: documents of whole ranges of a root table. A page of root rows is read in key order, the rows
//! that belong to them by their keys, all in one snapshot.
//!
//! Where a document is one row, the next page is requested at the end of a call and waits in the socket. Where documents have
//! more rows, nothing is read ahead: a transaction that stays open between calls would keep the server from vacuuming.

use crate::documents::builder::{self, DocumentBuilder, Index, OVERTAKEN_CHUNK};
use crate::documents::executor::{Executor, push};
use crate::error::Result;
use crate::links::{LinkRecorder, LinkRelation};
use crate::protocol::codec;
use crate::protocol::session::{CALL_LIMIT, Session};
use crate::snapshot::range_scan::RangeScan;
use flusso_documents::{Assembly, CHUNK, Chunk, Rows, build};
use flusso_plugin as contract;
use flusso_plugin::{Cursor, DocumentId, IndexNumber, Outcome, RangeBuilder, Ranged, RangedPage, log};
use std::ops::Range;

/// Root rows of a first page: nothing is known yet of how large documents are.
const FIRST_PAGE_ROWS: usize = 256;
/// Root rows of any page.
const MAX_PAGE_ROWS: usize = 4096;
/// Bytes of root rows of one chunk: rows are kept until their documents are rendered.
const MAX_CHUNK_BYTES: usize = 4 << 20;

impl RangeBuilder for DocumentBuilder {
    fn build_range(
        &mut self,
        index: IndexNumber,
        range: contract::Range,
        cursor: Option<Cursor>,
        max: u32,
        max_bytes: u32,
    ) -> contract::Result<RangedPage> {
        self.session.within(CALL_LIMIT);
        let (range, cursor) = (range.as_slice(), cursor.as_deref());
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (most, max_bytes) = (size(max).clamp(1, MAX_PAGE_ROWS), size(max_bytes));
        let current = self.scan.as_ref().is_some_and(|(number, scan)| *number == index && scan.is_at(range, cursor));
        if !current {
            self.release()?;
            self.scan = None;
        }
        let mut scan = match self.scan.take() {
            Some((_, scan)) => scan,
            None => {
                self.replan_if_altered(index)?;
                RangeScan::new(range, cursor, most.min(FIRST_PAGE_ROWS))?
            }
        };
        let since = self.clock();
        let followed = self.followed.clone();
        let mut page = Page::default();
        self.with_replan(index, |session, index| {
            page = Page::default();
            page.read(session, index, &followed, &mut scan, most, max_bytes.max(1))
        })?;
        let (rows, cursor) = (page.used as u64, scan.cursor());
        self.scan = Some((index, scan));
        self.say_repeated_keys(index, &page.documents);
        let Page { mut documents, recorder, places, .. } = page;
        let overtaken: Vec<usize> = self
            .record_links(since, recorder)?
            .into_iter()
            .filter_map(|chunk| places.get(usize::try_from(chunk).ok()?)?.clone())
            .flatten()
            .collect();
        let keys = overtaken.iter().filter_map(|at| documents.get(*at)).map(|document| document.key.clone());
        let ids: Vec<DocumentId> = keys.map(|key| DocumentId { index, key }).collect();
        if !ids.is_empty() {
            for (at, outcome) in overtaken.into_iter().zip(self.build_current(&ids, OVERTAKEN_CHUNK)?) {
                if let Some(document) = documents.get_mut(at) {
                    document.outcome = outcome;
                }
            }
        }
        Ok(RangedPage { documents, rows, cursor, extra: None })
    }
}

impl DocumentBuilder {
    /// The key of a view is what its schema file says, and nothing holds it to be one. Where several rows have the same, one becomes
    /// the document; said once an index.
    fn say_repeated_keys(&mut self, index: IndexNumber, documents: &[Ranged]) {
        let index = usize::try_from(index).ok().and_then(|number| self.indexes.get_mut(number));
        let Some(index) = index.filter(|index| !index.repeated_keys) else { return };
        let root = index.plan.nodes.first().and_then(|root| index.catalog.table(&root.table.schema, &root.table.name));
        let Some(view) = root.filter(|root| !root.is_streamed()) else { return };
        let repeated = documents.windows(2).find(|pair| matches!(pair, [one, next] if one.key == next.key));
        let Some([document, _]) = repeated else { return };
        index.repeated_keys = true;
        let key: Vec<String> = document.key.iter().filter_map(codec::encode).collect();
        let label = view.label();
        let message = format!(
            "several rows of {label} have the key {}: one of them becomes the document, and which one changes from time to time; declare a `primary_key` that no two rows share",
            key.join(", ")
        );
        log::warn(&message, &[("index", &index.name)]);
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
    recorder: LinkRecorder,
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
        followed: &[LinkRelation],
        scan: &mut RangeScan,
        most: usize,
        max_bytes: usize,
    ) -> Result<()> {
        scan.at_most(session, most)?;
        // What is read ahead would be older than the moment that the links are remembered with.
        let tracked = index.plan.nodes.iter().any(|node| !node.link_cells.is_empty());
        let (flat, roots) = (index.plan.is_flat() && !tracked, &index.queries.roots);
        let width = index.plan.nodes.first().map_or(0, flusso_documents::Node::width);
        let (mut whole, mut root_bytes) = (false, 0);
        let read = builder::read(session, index, |executor| {
            scan.begin(executor, roots, flat)?;
            let next = |executor: &mut Executor<'_>| {
                if whole {
                    return Ok(None);
                }
                let mut rows = Rows::new(width);
                while rows.len() < CHUNK && rows.size() < MAX_CHUNK_BYTES {
                    match scan.next_row(executor.session(), roots)? {
                        // What does not fit is read and dropped; the next page begins with it and has fewer rows.
                        Some(_) if !flat && root_bytes >= max_bytes => {}
                        Some(frame) => {
                            let row = executor.session().row(frame);
                            root_bytes += row.len();
                            push(row, &mut rows)?;
                        }
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
                let chunk = self.recorder.take(assembly, followed);
                self.take(number, Part { chunk, ..part(index, assembly) });
                Ok(self.bytes < max_bytes)
            })
        });
        if let Err(error) = read {
            scan.lost();
            return Err(error);
        }
        if !self.last.is_empty() {
            scan.passed(self.last.iter().map(Vec::as_slice));
        }
        scan.read(self.used, self.bytes < max_bytes / 2, most);
        if flat { scan.ahead(session, roots) } else { Ok(()) }
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
