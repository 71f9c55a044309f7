//! Following the folder: what changed since the rows that every sink has.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flusso_plugin::{
    Change, Checkpoint, Continuity, Error, Event, Inspection, Op, PollRequest, Position, Preparation, Prepared, Result,
    Settings, Source, TableChanged, TableInterest, Version,
};

use crate::folder::Folder;
use crate::options::Options;
use crate::remembered;
use crate::table::{KeyBytes, Look, Table, key_of};

/// The source, opened.
#[derive(Debug)]
pub struct FilesSource {
    folder: Folder,
    interest: Vec<TableInterest>,
    events: VecDeque<Event>,
    /// What is remembered once its position is confirmed.
    pending: VecDeque<(Version, Vec<Changes>)>,
    /// The version of the last look that found something.
    version: Version,
    looked: Option<Instant>,
    /// The head was asked for, and a checkpoint is to come.
    owes_checkpoint: bool,
}

/// The table's name, and the number of each row that changed.
type Changes = (String, Vec<(KeyBytes, Option<u64>)>);

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
        let mut changes = Vec::new();
        for (name, look) in looks {
            let Some(table) = self.folder.tables.get(&name) else { continue };
            let interests = self.interest.iter().zip(0..);
            for (wanted, number) in
                interests.filter(|(it, _)| it.table.name == name && it.table.schema == self.folder.options.schema)
            {
                if let Some(detail) = &look.reshaped {
                    self.events.push_back(Event::TableChanged(TableChanged {
                        table: number,
                        detail: detail.clone(),
                        extra: None,
                    }));
                }
                self.events.extend(events(table, wanted, number, &look.changed, self.version)?);
            }
            let numbers = look.changed.into_iter().map(|key| {
                let hash = table.rows.get(&key).map(|place| place.hash);
                (key, hash)
            });
            changes.push((name, numbers.collect()));
        }
        self.events.push_back(checkpoint(self.version));
        self.pending.push_back((self.version, changes));
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        let looks = self.folder.look()?;
        self.looked = Some(Instant::now());
        self.take(looks)
    }

    /// Remembers what every sink has.
    fn confirm(&mut self, confirmed: &Position) -> Result<()> {
        let confirmed = version(confirmed)?;
        due(&mut self.pending, confirmed).try_for_each(|(table, changes)| remembered::change(&table, changes))
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
fn events(
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
            events: VecDeque::new(),
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
        let (history, resumed) = match (known, resume) {
            (Some(history), Some(resume)) => (history, version(&resume)?),
            _ => {
                let resumed = now();
                let history = format!("{own}-{resumed:x}");
                remembered::begin(&history)?;
                (history, resumed)
            }
        };
        self.version = resumed;
        // What the folder holds beside what is remembered has changed meanwhile; in a new history all of it, and the snapshot reads it too.
        let is_new = remembered::tables()?.is_empty();
        let mut looks = self.folder.look()?;
        self.looked = Some(Instant::now());
        if is_new {
            for (name, look) in looks {
                let Some(table) = self.folder.tables.get(&name) else { continue };
                let numbers = look
                    .changed
                    .into_iter()
                    .filter_map(|key| table.rows.get(&key).map(|place| place.hash).map(|hash| (key, Some(hash))));
                remembered::change(&name, numbers.collect())?;
            }
        } else {
            let gone = remembered::tables()?
                .into_iter()
                .filter(|name| !self.folder.tables.contains_key(name))
                .collect::<Vec<_>>();
            for name in gone {
                let empty = Table::new(&name, Default::default(), self.folder.options.on_bad_row);
                self.folder.tables.insert(name.clone(), empty);
                looks.push((name, Look::default()));
            }
            for (name, look) in &mut looks {
                let before: HashMap<KeyBytes, u64> = remembered::rows(name)?;
                let Some(table) = self.folder.tables.get(name) else { continue };
                let new =
                    table.rows.iter().filter(|(key, place)| before.get(*key) != Some(&place.hash)).map(|(key, _)| key);
                let gone = before.keys().filter(|key| !table.rows.contains_key(*key));
                look.changed = new.chain(gone).cloned().collect();
            }
            self.take(looks)?;
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
        while self.events.is_empty() {
            if self.looked.is_none_or(|looked| looked.elapsed() >= interval) {
                self.look()?;
                continue;
            }
            if std::mem::take(&mut self.owes_checkpoint) {
                self.events.push_back(checkpoint(self.version));
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        let count = usize::try_from(request.max).unwrap_or(usize::MAX).min(self.events.len());
        Ok(self.events.drain(..count).collect())
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
        remembered::forget()?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_remembered_before_it_is_confirmed() {
        let of = |name: &str| vec![(name.to_owned(), Vec::new())];
        let mut pending = VecDeque::from([(5, of("a")), (7, of("b")), (9, of("c"))]);
        assert_eq!(due(&mut pending, 4).count(), 0);
        assert_eq!(due(&mut pending, 7).map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(pending.len(), 1);
    }
}
