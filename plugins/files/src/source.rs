//! Following the folder: what changed since the rows that every sink has.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flusso_plugin::{
    Change, Checkpoint, Continuity, Error, Event, Inspection, Op, PollRequest, Position, Preparation, Prepared, Result,
    Settings, Source, TableChanged, TableInterest, TableNumber, Version,
};

use crate::folder::Folder;
use crate::key::{KeyBytes, key_of};
use crate::options::{Options, TableOptions};
use crate::remembered;
use crate::table::{Look, Table, Wanted};

/// The source, opened.
#[derive(Debug)]
pub struct FilesSource {
    folder: Folder,
    interest: Vec<TableInterest>,
    /// What is to be told, in order.
    queue: VecDeque<News>,
    /// What is remembered once its position is confirmed.
    pending: VecDeque<(Version, Vec<Changes>)>,
    /// The version of the last look that found something.
    version: Version,
    looked: Option<Instant>,
    /// The head was asked for, and a checkpoint is to come.
    owes_checkpoint: bool,
}

/// The table's name, and the number of each row that changed; none: it is gone.
type Changes = (String, Rc<Vec<(KeyBytes, Option<u64>)>>);

/// What is to be told. The changes of rows become events when they are polled, so that a file in which every row is another takes no
/// more memory than the keys.
#[derive(Debug)]
enum News {
    /// One event.
    Event(Event),
    /// The rows of a table that changed, from one on.
    Rows { number: TableNumber, changes: Changes, at: usize, version: Version },
}

/// Rows whose events are made at once.
const AT_ONCE: usize = 1_000;

/// The longest sleep; a signal is felt as late as this.
const NAP: Duration = Duration::from_millis(20);

/// Microseconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|age| u64::try_from(age.as_micros()).ok())
        .unwrap_or_default()
}

fn position(version: Version) -> Position {
    version.to_be_bytes().to_vec()
}

fn version(position: &Position) -> Result<Version> {
    let bytes = position.as_slice().try_into().map_err(|_| Error::fatal("a position that is none of this source"))?;
    Ok(Version::from_be_bytes(bytes))
}

impl FilesSource {
    /// A name of the folder.
    fn own_name(&self) -> String {
        format!("files-{:016x}", xxhash_rust::xxh3::xxh3_64(self.folder.options.path.to_string_lossy().as_bytes()))
    }

    /// Puts what a look found among the events.
    fn take(&mut self, looks: Vec<(String, Look)>) -> Result<()> {
        let looks: Vec<_> =
            looks.into_iter().filter(|(_, look)| !look.changed.is_empty() || look.reshaped.is_some()).collect();
        if looks.is_empty() {
            return Ok(());
        }
        // Grows over restarts too: a document of before is never newer than one of now.
        self.version = now().max(self.version.saturating_add(1));
        let mut pending = Vec::new();
        for (name, look) in looks {
            let Some(table) = self.folder.tables.get(&name) else { continue };
            let hash = |key: KeyBytes| {
                let hash = table.rows.get(&key).map(|place| place.hash);
                (key, hash)
            };
            let changes: Changes = (name, Rc::new(look.changed.into_iter().map(hash).collect()));
            let is_wanted =
                |it: &TableInterest| it.table.name == changes.0 && it.table.schema == self.folder.options.schema;
            for (_, number) in self.interest.iter().zip(0..).filter(|(it, _)| is_wanted(it)) {
                if let Some(detail) = &look.reshaped {
                    let changed = TableChanged { table: number, detail: detail.clone(), extra: None };
                    self.queue.push_back(News::Event(Event::TableChanged(changed)));
                }
                self.queue.push_back(News::Rows { number, changes: changes.clone(), at: 0, version: self.version });
            }
            pending.push(changes);
        }
        self.queue.push_back(News::Event(checkpoint(self.version)));
        self.pending.push_back((self.version, pending));
        Ok(())
    }

    /// The next events, about `max`.
    fn next(&mut self, max: usize) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while events.len() < max {
            match self.queue.pop_front() {
                None => break,
                Some(News::Event(event)) => events.push(event),
                Some(News::Rows { number, changes, at, version }) => {
                    let end = (at + AT_ONCE.min(max - events.len())).min(changes.1.len());
                    let wanted = usize::try_from(number).ok().and_then(|at| self.interest.get(at));
                    if let (Some(wanted), Some(table)) = (wanted, self.folder.tables.get(&changes.0)) {
                        let keys = changes.1.get(at..end).unwrap_or_default().iter().map(|(key, _)| key.clone());
                        events.extend(changed_rows(table, wanted, number, &keys.collect::<Vec<_>>(), version)?);
                    }
                    if end < changes.1.len() {
                        self.queue.push_front(News::Rows { number, changes, at: end, version });
                    }
                }
            }
        }
        Ok(events)
    }

    fn look(&mut self) -> Result<()> {
        let looks = self.folder.look(Wanted::Changes)?;
        self.looked = Some(Instant::now());
        self.take(looks)
    }

    /// Remembers what every sink has.
    fn confirm(&mut self, confirmed: &Position) -> Result<()> {
        let confirmed = version(confirmed)?;
        due(&mut self.pending, confirmed).try_for_each(|(table, changes)| remembered::change(&table, &changes))
    }
}

/// Takes out what was found up to a version: every sink has it.
fn due(pending: &mut VecDeque<(Version, Vec<Changes>)>, confirmed: Version) -> impl Iterator<Item = Changes> {
    let count = pending.partition_point(|(version, _)| *version <= confirmed);
    pending.drain(..count).flat_map(|(_, changes)| changes)
}

fn checkpoint(version: Version) -> Event {
    Event::Checkpoint(Checkpoint { position: position(version), version, committed_at: Some(now()), extra: None })
}

/// The changes of rows with these keys.
fn changed_rows(
    table: &Table,
    wanted: &TableInterest,
    number: u32,
    keys: &[KeyBytes],
    version: Version,
) -> Result<Vec<Event>> {
    if wanted.key != table.key && !table.key.is_empty() {
        return Err(Error::fatal(format!(
            "the builder reads table `{}` by ({}), and its key is ({}); set `tables.{}.key`",
            table.name,
            wanted.key.join(", "),
            table.key.join(", "),
            table.name
        )));
    }
    let missing = wanted.links.iter().find(|name| table.column(name).is_none() && !table.columns.is_empty());
    if let Some(missing) = missing {
        return Err(Error::fatal(format!(
            "table `{}` has no column `{missing}`, which a document is found by",
            table.name
        )));
    }
    let links: Vec<usize> = wanted.links.iter().filter_map(|name| table.column(name)).collect();
    let values = if links.is_empty() { vec![None; keys.len()] } else { table.values(keys, &links)? };
    let change = |(key, after): (&KeyBytes, Option<Vec<_>>)| {
        let is_there = table.rows.contains_key(key);
        Ok(Event::Change(Change {
            table: number,
            op: if is_there { Op::Upsert } else { Op::Delete },
            key: key_of(key)?,
            before: None,
            after: if is_there && links.is_empty() { Some(Vec::new()) } else { after },
            version,
            changed: None,
            extra: None,
        }))
    };
    keys.iter().zip(values).map(change).collect()
}

impl Source for FilesSource {
    fn open(settings: Settings, interest: Vec<TableInterest>) -> Result<Self> {
        let options: Options = settings.parse()?;
        let folder = Folder::new(options);
        Ok(Self {
            folder,
            interest,
            queue: VecDeque::new(),
            pending: VecDeque::new(),
            version: 0,
            looked: None,
            owes_checkpoint: false,
        })
    }

    fn identity(&mut self) -> Result<String> {
        Ok(self.own_name())
    }

    fn inspect(&mut self, resume: Option<Position>) -> Result<Inspection> {
        let history = remembered::history()?.filter(|history| history.starts_with(&self.own_name()));
        let continuity = match (&history, resume) {
            (_, None) => Continuity::Fresh,
            (Some(_), Some(_)) => Continuity::Continuous,
            (None, Some(_)) => Continuity::Lost("what the files held is not remembered any more".to_owned()),
        };
        Ok(Inspection { history, continuity, unrecorded: Vec::new(), extra: None })
    }

    fn prepare(&mut self, resume: Option<Position>) -> Result<Preparation> {
        let own = self.own_name();
        let known = remembered::history()?.filter(|history| history.starts_with(&own));
        let (history, resumed, is_new) = match (known, resume) {
            (Some(history), Some(resume)) => (history, version(&resume)?, false),
            _ => {
                let resumed = now();
                let history = format!("{own}-{resumed:x}");
                remembered::begin(&history)?;
                (history, resumed, true)
            }
        };
        self.version = resumed;
        let looks = self.folder.look(Wanted::Rows)?;
        self.looked = Some(Instant::now());
        if is_new {
            // The snapshot reads it.
            self.folder.tables.iter().try_for_each(|(name, table)| remembered::replace(name, &table.rows))?;
        } else {
            // What the folder holds beside what is remembered has changed meanwhile.
            let mut names: Vec<String> = looks.into_iter().map(|(name, _)| name).collect();
            for name in remembered::tables()? {
                if self.folder.tables.contains_key(&name) {
                    continue;
                }
                let empty = Table::new(&name, TableOptions::default(), self.folder.options.on_bad_row);
                self.folder.tables.insert(name.clone(), empty);
                names.push(name);
            }
            let mut changed = Vec::new();
            for name in names {
                let Some(table) = self.folder.tables.get(&name) else { continue };
                let look = Look { changed: remembered::differences(&name, &table.rows)?, reshaped: None };
                changed.push((name, look));
            }
            self.take(changed)?;
        }
        let prepared =
            Prepared { history, position: position(resumed), version: resumed, resources: Vec::new(), extra: None };
        Ok(Preparation::Ready(prepared))
    }

    fn poll(&mut self, request: PollRequest) -> Result<Vec<Event>> {
        if let Some(confirmed) = &request.confirmed {
            self.confirm(confirmed)?;
        }
        if request.max == 0 {
            return Ok(Vec::new());
        }
        let interval = Duration::from_millis(self.folder.options.interval_ms);
        let end = Instant::now() + Duration::from_millis(request.wait_ms.into());
        while self.queue.is_empty() {
            if self.looked.is_none_or(|looked| looked.elapsed() >= interval) {
                self.look()?;
                continue;
            }
            if std::mem::take(&mut self.owes_checkpoint) {
                self.queue.push_back(News::Event(checkpoint(self.version)));
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        self.next(usize::try_from(request.max).unwrap_or(usize::MAX))
    }

    fn head(&mut self) -> Result<Position> {
        self.look()?;
        self.owes_checkpoint = true;
        Ok(position(self.version))
    }

    fn compare(&mut self, a: Position, b: Position) -> Result<i32> {
        Ok(match version(&a)?.cmp(&version(&b)?) {
            std::cmp::Ordering::Less => -1,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => 1,
        })
    }

    fn parse(&mut self, text: String) -> Result<Position> {
        let wrong = || {
            Error::configuration(
                "position",
                format!("{text:?} is no position of this source: it is a number of microseconds"),
            )
        };
        text.parse().map(position).map_err(|_| wrong())
    }

    fn print(&mut self, position: Position) -> Result<String> {
        Ok(version(&position)?.to_string())
    }

    fn close(&mut self, confirmed: Option<Position>) -> Result<()> {
        confirmed.as_ref().map_or(Ok(()), |confirmed| self.confirm(confirmed))
    }

    fn discard(&mut self) -> Result<Vec<String>> {
        match remembered::forget() {
            // A host that keeps nothing yet.
            Ok(()) | Err(Error::Denied(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_remembered_before_it_is_confirmed() {
        let of = |name: &str| vec![(name.to_owned(), Rc::default())];
        let mut pending = VecDeque::from([(5, of("a")), (7, of("b")), (9, of("c"))]);
        assert_eq!(due(&mut pending, 4).count(), 0);
        assert_eq!(due(&mut pending, 7).map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(pending.len(), 1);
    }
}
