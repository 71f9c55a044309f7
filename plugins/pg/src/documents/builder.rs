//! The builder: documents by key, each made of the rows of one table or of a whole tree of them.

mod describe;
mod mapping_hash;
pub(crate) mod open;
mod resolve;
mod table_selection;

use crate::catalog::table_catalog::Known;
use crate::documents::executor::Executor;
use crate::documents::lookup::fits;
use crate::documents::query::Queries;
use crate::error::{Error, Result};
use crate::links::{self, LinkTable, Named, Seen};
use crate::protocol::codec;
use crate::protocol::session::{CALL, Session};
use crate::settings::Settings;
use crate::snapshot::range_scan::Walk;
use flusso_documents::{Assembly, CHUNK, Chunk, Plan, Rows, build};
use flusso_plugin::{Affected, DocumentId, IndexRequest, Outcome, Value};
use flusso_resolve::Resolver;
use flusso_schema::Schema;
use std::collections::{BTreeSet, HashMap};

/// Chunks under way at once.
pub(crate) const AHEAD: usize = 4;
/// Documents that were overtaken are built again so few at a time, and so often.
const FEW: usize = 32;
const AGAIN: usize = 50;

/// A builder, opened.
pub struct DocumentBuilder {
    pub(crate) session: Session,
    pub(crate) indexes: Vec<Index>,
    /// The ways from rows to documents; the contract's numbers of tables are its.
    pub(crate) resolver: Resolver,
    pub(crate) walk: Option<(u32, Walk)>,
    /// Where links are remembered that the server does not tell; none outside a component.
    pub(crate) links: Option<Box<dyn LinkTable>>,
    /// The relations that are followed through it.
    pub(crate) followed: Vec<Named>,
    /// Their names, and those of before.
    pub(crate) kept: BTreeSet<String>,
    /// Whether replica identity is set where it may be.
    pub(crate) manages: bool,
}

/// An index. Its place is its number.
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) made_of: MadeOf,
    pub(crate) known: Known,
    /// What the documents are made of.
    pub(crate) bare: Plan,
    /// The same, with the links that are read beside it.
    pub(crate) plan: Plan,
    pub(crate) queries: Queries,
}

/// What documents are made of.
pub(crate) enum MadeOf {
    /// Whole rows of one table.
    Rows { schema: String, table: String },
    /// What a schema says.
    Schema {
        schema: Box<Schema>,
        /// Where its text came from, for messages.
        origin: String,
    },
}

impl DocumentBuilder {
    /// Opens a session, reads the schemas and looks the tables up.
    pub fn start(settings: &Settings, requests: &[IndexRequest]) -> Result<Self> {
        Self::remembering(settings, requests, links::of_host())
    }

    /// The same, with this link table.
    pub fn remembering(
        settings: &Settings,
        requests: &[IndexRequest],
        mut links: Option<Box<dyn LinkTable>>,
    ) -> Result<Self> {
        let mut session = Session::open(&settings.connection, crate::protocol::session::Mode::Sql)?;
        let indexes = crate::documents::builder::open::indexes(&mut session, requests)?;
        let manages = settings.manage_replica_identity;
        let resolver = crate::documents::builder::resolve::resolver(&indexes, manages)?;
        let kept = links.as_mut().map(|links| links.followed()).unwrap_or_default().into_iter().collect();
        let mut builder = Self { session, indexes, resolver, walk: None, links, followed: Vec::new(), kept, manages };
        builder.connect()?;
        Ok(builder)
    }

    /// Builds by key, in the order of the ids.
    pub fn build(&mut self, ids: &[DocumentId]) -> Result<Vec<Outcome>> {
        self.session.within(CALL);
        self.release()?;
        let (mut outcomes, mut overtaken) = self.build_once(ids)?;
        // A row whose change was resolved before its links were remembered: the document may hold what nobody will mend.
        for _ in 0..AGAIN {
            if overtaken.is_empty() {
                return Ok(outcomes);
            }
            // Few at a time, so that it is quick, and hardly overtaken again.
            for places in std::mem::take(&mut overtaken).chunks(FEW) {
                let few: Vec<DocumentId> = places.iter().filter_map(|place| ids.get(*place).cloned()).collect();
                let (fresh, again) = self.build_once(&few)?;
                overtaken.extend(again.into_iter().filter_map(|at| places.get(at).copied()));
                for (place, outcome) in places.iter().zip(fresh) {
                    if let Some(held) = outcomes.get_mut(*place) {
                        *held = outcome;
                    }
                }
            }
        }
        Err(Error::Transient("rows change faster than documents of them can be read; it is tried again".into()))
    }

    /// Builds by key, few at a time, so that each is hardly overtaken.
    pub(crate) fn build_few(&mut self, ids: &[DocumentId]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for few in ids.chunks(FEW) {
            outcomes.extend(self.build(few)?);
        }
        Ok(outcomes)
    }

    /// Builds by key, and remembers the links that were read. Says which documents were overtaken meanwhile, by their places.
    fn build_once(&mut self, ids: &[DocumentId]) -> Result<(Vec<Outcome>, Vec<usize>)> {
        let since = self.moment();
        let (mut seen, mut chunks) = (Seen::default(), Vec::new());
        let mut outcomes = vec![Outcome::Absent; ids.len()];
        let mut by_index: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, id) in ids.iter().enumerate() {
            by_index.entry(id.index).or_default().push(at);
        }
        for (number, places) in by_index {
            let followed = self.followed.clone();
            self.again(number, |session, index| {
                let mut taken = |assembly: &Assembly<'_>, places: Vec<usize>| {
                    seen.take(assembly, &followed);
                    chunks.push(places);
                };
                by_key(session, index, &places, ids, &mut outcomes, &mut taken)
            })?;
        }
        let chunks =
            self.remember(since, seen)?.into_iter().filter_map(|chunk| chunks.get(usize::try_from(chunk).ok()?));
        Ok((outcomes, chunks.flatten().copied().collect()))
    }

    /// Now, to the link table; before anything is read.
    pub(crate) fn moment(&mut self) -> u64 {
        match &mut self.links {
            Some(links) if !self.followed.is_empty() => links.moment(),
            _ => 0,
        }
    }

    /// Hands over the links that were read. Returns the chunks that were overtaken.
    pub(crate) fn remember(&mut self, since: u64, seen: Seen) -> Result<BTreeSet<u32>> {
        match &mut self.links {
            Some(links) if !self.followed.is_empty() => seen.remember(&mut **links, since, &self.followed),
            _ => Ok(BTreeSet::new()),
        }
    }

    /// Reads documents, and once more when it turns out that a table was altered.
    pub(crate) fn again(
        &mut self,
        number: u32,
        mut read: impl FnMut(&mut Session, &Index) -> Result<()>,
    ) -> Result<()> {
        for _ in 0..3 {
            let index = at(&self.indexes, number)?;
            let failed = match read(&mut self.session, index) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !matches!(failed, Error::Server(_) | Error::Transient(_)) || !self.freshen(number)? {
                return Err(failed);
            }
        }
        Err(Error::Transient("the tables change their shape faster than they can be read; it is tried again".into()))
    }

    /// Looks whether the tables still have the columns the documents were planned with, and plans again if not; whether
    /// they had changed.
    pub(crate) fn freshen(&mut self, number: u32) -> Result<bool> {
        let index = usize::try_from(number).ok().and_then(|number| self.indexes.get_mut(number));
        let index = index.ok_or_else(|| unknown(number))?;
        let look = self.session.prepare(&index.queries.shapes)?;
        let found = self.session.rows(&look, &[])?;
        let found: Vec<(String, String)> = found
            .into_iter()
            .map(|row| {
                let mut cells = row.into_iter().map(Option::unwrap_or_default);
                (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
            })
            .collect();
        if found == index.queries.fingerprints {
            return Ok(false);
        }
        self.session.forget()?;
        index.plan_again(&mut self.session)?;
        self.connect()?;
        Ok(true)
    }

    /// Tables changed their shape: the documents that read them are built anew.
    pub fn look_again(&mut self, tables: &[u32]) -> Result<Affected> {
        self.session.within(CALL);
        self.release()?;
        self.walk = None;
        let affected = self.resolver.reshaped(tables);
        for number in &affected.rebuild {
            self.freshen(*number)?;
        }
        self.connect()?;
        Ok(affected)
    }

    /// Frees the session from a range that was left in the middle.
    pub(crate) fn release(&mut self) -> Result<()> {
        match &mut self.walk {
            Some((_, walk)) => walk.abandon(&mut self.session),
            None => Ok(()),
        }
    }
}

fn by_key(
    session: &mut Session,
    index: &Index,
    places: &[usize],
    ids: &[DocumentId],
    outcomes: &mut [Outcome],
    taken: &mut dyn FnMut(&Assembly<'_>, Vec<usize>),
) -> Result<()> {
    // A key asked for twice is read once and answered twice.
    let mut wanted: HashMap<Vec<u8>, usize> = HashMap::with_capacity(places.len());
    let mut keys: Vec<(&[Value], Vec<usize>)> = Vec::with_capacity(places.len());
    let root = index.plan.nodes.first().ok_or_else(|| Error::Fatal("a plan without a root".into()))?;
    let table = index.known.of_plan(&root.table)?;
    for place in places {
        // A link may name what its own type can say and the key's cannot: there is no such document.
        let Some(id) = ids.get(*place).filter(|id| fits(table, &root.key, &id.key)) else { continue };
        let known = *wanted.entry(codec::distinguish_key(&id.key)).or_insert_with(|| {
            keys.push((id.key.as_slice(), Vec::new()));
            keys.len() - 1
        });
        if let Some((_, places)) = keys.get_mut(known) {
            places.push(*place);
        }
    }
    let width = index.plan.key.len();
    let mut chunks = keys.chunks(CHUNK);
    let next = |_: &mut Executor<'_>| {
        let Some(chunk) = chunks.next() else { return Ok(None) };
        let mut rows = Rows::new(width);
        for (key, _) in chunk {
            let texts: Vec<Option<String>> = key.iter().map(codec::encode).collect();
            let pushed = rows.push(texts.iter().map(|text| text.as_ref().map(String::as_bytes)));
            pushed.map_err(|_| Error::Fatal("keys of more than 4 GiB".into()))?;
        }
        Ok(Some(Chunk::Keys(rows)))
    };
    let mut body = Vec::new();
    read(session, index, |executor| {
        executor.begin()?;
        build(&index.plan, executor, AHEAD, next, |number, assembly| {
            let here = keys.iter().skip(number * CHUNK).take(assembly.len());
            taken(assembly, here.flat_map(|(_, places)| places).copied().collect());
            for (document, (key, places)) in keys.iter().skip(number * CHUNK).take(assembly.len()).enumerate() {
                // What is equal to the server alone (citext) is another document.
                let same = assembly.key(document).is_some_and(|texts| index.queries.roots.is(key, texts));
                body.clear();
                if !same || !assembly.render(document, &mut body) {
                    continue;
                }
                for place in places {
                    if let Some(outcome) = outcomes.get_mut(*place) {
                        *outcome = Outcome::Built(body.as_slice().to_vec());
                    }
                }
            }
            Ok(true)
        })
    })
}

/// One reading: an executor is made for it, and the session is ready for something else afterwards, however it went.
pub(crate) fn read(
    session: &mut Session,
    index: &Index,
    work: impl FnOnce(&mut Executor<'_>) -> Result<()>,
) -> Result<()> {
    let mut executor = Executor::new(session, &index.queries)?;
    match work(&mut executor) {
        Ok(()) => executor.end(),
        Err(error) => {
            executor.give_up()?;
            Err(error)
        }
    }
}

pub(crate) fn at(indexes: &[Index], number: u32) -> Result<&Index> {
    usize::try_from(number).ok().and_then(|number| indexes.get(number)).ok_or_else(|| unknown(number))
}

pub(crate) fn unknown(number: u32) -> Error {
    Error::Fatal(format!("there is no index {number}"))
}
