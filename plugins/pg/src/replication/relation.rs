//! The tables that are followed, as the stream describes them: where their keys and links stand in its rows.

use crate::catalog::fingerprint::Fingerprint;
use crate::catalog::shape_store::label;
use crate::catalog::table::{self, Table};
use crate::error::{Error, Result};
use crate::protocol::codec::Kind;
use crate::protocol::session::Session;
use crate::replication::capture::catalog_watch::table_gone;
use crate::replication::pgoutput::{Cell, Relation, Tuple};
use flusso_plugin::{TableInterest, Value};
use std::collections::{HashMap, HashSet};

/// A table of the interest.
pub struct FollowedTable {
    /// Its number in the interest.
    pub number: u32,
    /// Which of its columns are wanted.
    pub interest: TableInterest,
    /// The table as the catalogue showed it last.
    pub table: Table,
    /// Whether its rows are named by the primary key, as it was when this began; else by another key that the builder declares.
    pub by_primary_key: bool,
    /// Its fingerprint at that time; comparing with a later one finds what changed.
    pub fingerprint: Fingerprint,
    /// Whether the server has sent the links of old rows since the capture began. The resolver relies on it.
    pub sends_old_links: bool,
}

/// A followed table as the stream describes it now: the places of its columns in a row, by purpose.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The table's number.
    pub number: u32,
    key: Vec<(usize, Kind)>,
    links: Vec<(usize, Kind)>,
    /// Whether the replica identity is an index that holds every link: then the server sends them whenever they change.
    pub indexed: bool,
    /// Whether the server sends the links of old rows.
    pub sends_old_links: bool,
    /// The columns read, where the interest wants to know which of them an update changed.
    reads: Option<Vec<usize>>,
    /// Every column of the interest; none: all columns count.
    interesting: Option<Vec<usize>>,
}

impl FollowedTable {
    /// Looks the tables of an interest up; one that is gone is waited for.
    pub fn all(session: &mut Session, publication: &str, interest: &[TableInterest]) -> Result<Vec<Self>> {
        let found = Self::found(session, publication, interest)?;
        found.into_iter().map(|(interest, found)| found.ok_or_else(|| table_gone(&label(interest)))).collect()
    }

    /// Looks the tables of an interest up: each once, `None` where there is none of the name.
    pub fn found<'i>(
        session: &mut Session,
        publication: &str,
        interest: &'i [TableInterest],
    ) -> Result<Vec<(&'i TableInterest, Option<Self>)>> {
        // A table that is listed again is a root under another key; its changes come under the first number.
        let mut listed = HashSet::with_capacity(interest.len());
        let mut wanted: Vec<(u32, &TableInterest)> = (0..).zip(interest).collect();
        wanted.retain(|(_, one)| listed.insert((&one.table.schema, &one.table.name)));
        // Fingerprints first: what is altered between the two is noticed by the next comparison.
        let fingerprints = Fingerprint::all(session, publication, wanted.iter().map(|(_, interest)| *interest))?;
        let names: Vec<_> =
            wanted.iter().map(|(_, one)| (one.table.schema.as_str(), one.table.name.as_str())).collect();
        let mut tables: HashMap<(String, String), Table> = HashMap::with_capacity(names.len());
        for table in table::named(session, &names)? {
            tables.insert((table.schema.clone(), table.name.clone()), table);
        }
        let mut followed = |number: u32, interest: &TableInterest, fingerprint: Option<Fingerprint>| {
            let mut table = tables.remove(&(interest.table.schema.clone(), interest.table.name.clone()))?;
            read_only_by(&mut table, interest);
            let (fingerprint, interest) = (fingerprint?, interest.clone());
            let mut followed =
                Self { number, interest, table, by_primary_key: true, fingerprint, sends_old_links: false };
            followed.sends_old_links = followed.identity_covers_links();
            Some(followed)
        };
        let each = wanted.into_iter().zip(fingerprints);
        Ok(each.map(|((number, one), fingerprint)| (one, followed(number, one, fingerprint))).collect())
    }

    /// Looks at them once more after the publication was altered. A table whose definition is what it was is not read again:
    /// it was read after the fingerprint that is the same still.
    pub fn again(
        session: &mut Session,
        publication: &str,
        interest: &[TableInterest],
        mut before: Vec<Self>,
    ) -> Result<Vec<Self>> {
        let fingerprints = Fingerprint::all(session, publication, before.iter().map(|followed| &followed.interest))?;
        for (followed, fingerprint) in before.iter_mut().zip(fingerprints) {
            match fingerprint {
                Some(fingerprint) if fingerprint.has_definition_of(&followed.fingerprint) => {
                    followed.fingerprint = fingerprint;
                }
                _ => return Self::anew(session, publication, interest, &before),
            }
        }
        Ok(before)
    }

    fn anew(
        session: &mut Session,
        publication: &str,
        interest: &[TableInterest],
        before: &[Self],
    ) -> Result<Vec<Self>> {
        let mut followed = Self::all(session, publication, interest)?;
        for (followed, before) in followed.iter_mut().zip(before) {
            followed.by_primary_key = before.by_primary_key;
        }
        Ok(followed)
    }

    /// Whether the replica identity makes the server send the links of old rows.
    pub fn identity_covers_links(&self) -> bool {
        let covered = |link: &String| self.table.identity_columns.contains(link);
        match self.table.identity.as_str() {
            "f" => true,
            // Each partition has an identity of its own.
            "i" => !self.table.partitioned && self.interest.links.iter().all(covered),
            _ => self.interest.links.is_empty(),
        }
    }

    /// Whether the stream's description is the one the catalogue gave.
    pub fn fits(&self, relation: &Relation<'_>) -> bool {
        let streamed: Vec<_> = self
            .table
            .columns
            .iter()
            .filter(|column| !column.generated)
            .map(|column| (column.name.as_str(), column.type_oid))
            .collect();
        streamed == relation.columns
    }

    /// Reads the catalogue again for several tables.
    pub fn refresh_all(session: &mut Session, followed: &mut [&mut Self]) -> Result<()> {
        let names: Vec<_> =
            followed.iter().map(|it| (it.interest.table.schema.clone(), it.interest.table.name.clone())).collect();
        let names: Vec<_> = names.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).collect();
        let tables = table::named(session, &names)?;
        let mut tables: HashMap<_, _> =
            tables.into_iter().map(|table| ((table.schema.clone(), table.name.clone()), table)).collect();
        for followed in followed {
            let TableInterest { table: name, .. } = &followed.interest;
            let found = tables.remove(&(name.schema.clone(), name.name.clone()));
            followed.table = found.ok_or_else(|| table_gone(&label(&followed.interest)))?;
            read_only_by(&mut followed.table, &followed.interest);
        }
        Ok(())
    }

    /// Reads the catalogue again.
    pub fn refresh(&mut self, session: &mut Session) -> Result<()> {
        let found = table::find(session, &self.interest.table.schema, &self.interest.table.name)?;
        self.table = found.ok_or_else(|| table_gone(&label(&self.interest)))?;
        read_only_by(&mut self.table, &self.interest);
        Ok(())
    }

    /// Where the wanted columns stand in the stream's rows; `None` when a key column is not among them.
    pub fn shape(&self, relation: &Relation<'_>) -> Option<Shape> {
        let place = |name: &String| {
            let at = relation.columns.iter().position(|(column, _)| column == name)?;
            let (_, streamed) = relation.columns.get(at)?;
            // The catalogue knows what a domain is over; the stream does not.
            let base = self
                .table
                .columns
                .iter()
                .find(|column| column.name == *name && column.type_oid == *streamed)
                .map_or(*streamed, |column| column.base);
            Some((at, Kind::of(base)))
        };
        let key = self.interest.key.iter().map(place).collect::<Option<Vec<_>>>()?;
        let links: Option<Vec<_>> = self.interest.links.iter().map(place).collect();
        let links = links.unwrap_or_default();
        let reads: Option<Vec<_>> = self.interest.reads.as_ref().and_then(|reads| reads.iter().map(place).collect());
        let changed = reads
            .as_ref()
            .filter(|_| self.interest.wants_changed)
            .map(|reads| reads.iter().map(|(at, _)| *at).collect());
        // Each partition has an identity of its own.
        let indexed = relation.identity == b'i'
            && !self.table.partitioned
            && links.iter().all(|(at, _)| relation.identifying.get(*at) == Some(&true));
        let interesting = reads.map(|reads| key.iter().chain(&links).chain(&reads).map(|(at, _)| *at).collect());
        let sends_old_links = self.interest.links.is_empty() || indexed || relation.identity == b'f';
        Some(Shape { number: self.number, key, links, indexed, sends_old_links, reads: changed, interesting })
    }

    /// Why its changes cannot be followed. A table without a key can be, where the server sends whole old rows.
    pub fn obstacle(&self) -> Option<String> {
        if self.interest.key.is_empty() && self.table.identity == "f" {
            return self.table.unreadable();
        }
        if self.interest.key.is_empty() && self.table.key.is_empty() {
            return self.table.unreadable().or_else(|| Some(format!(
                "it has no primary key, and without one the server tells nothing of rows that go or move; ALTER TABLE {} REPLICA IDENTITY FULL helps",
                self.table.sql()
            )));
        }
        if self.by_primary_key || self.interest.key.is_empty() {
            return self.table.obstacle();
        }
        self.table.obstacle_by(&self.interest.key)
    }

    /// The stream sent a change without the row's key. Where the catalogue shows no reason, the change is older than the key that the
    /// table has now. Reads the catalogue.
    pub fn check_key(&mut self, session: &mut Session) -> Result<()> {
        self.refresh(session)?;
        let label = self.table.label();
        if let Some(reason) = self.obstacle() {
            return Err(Error::Fatal(format!(
                "the table {label} cannot be followed any more: {reason}; then start again"
            )));
        }
        if self.by_primary_key && self.table.key != self.interest.key {
            return Err(Error::Fatal(format!(
                "the primary key of {label} is ({}) now and was ({}) when this run began; start again to follow it by its new one",
                self.table.key.join(", "),
                self.interest.key.join(", ")
            )));
        }
        Ok(())
    }
}

/// An interest that names its columns needs no right to read others.
fn read_only_by(table: &mut Table, interest: &TableInterest) {
    if let Some(reads) = &interest.reads {
        table.read_only_by(interest.key.iter().chain(&interest.links).chain(reads).map(String::as_str));
    }
}

impl Shape {
    /// The key in a row; what it lacks is taken from `other`, the same row before. `None` when it is in neither.
    pub fn key(&self, row: &Tuple<'_>, other: Option<&Tuple<'_>>) -> Option<Vec<Value>> {
        self.key
            .iter()
            .map(|(at, kind)| match (row.get(*at), other.and_then(|row| row.get(*at))) {
                (Some(Cell::Text(text)), _) | (Some(Cell::Unchanged), Some(Cell::Text(text))) => {
                    Some(kind.decode(text))
                }
                _ => None,
            })
            .collect()
    }

    /// The links in a row; `None` where one of them was not sent.
    pub fn links(&self, row: &Tuple<'_>, other: Option<&Tuple<'_>>) -> Option<Vec<Value>> {
        if self.links.is_empty() {
            return None;
        }
        self.links
            .iter()
            .map(|(at, kind)| match (row.get(*at)?, other.and_then(|row| row.get(*at))) {
                (Cell::Text(text), _) | (Cell::Unchanged, Some(Cell::Text(text))) => Some(kind.decode(text)),
                (Cell::Null, _) | (Cell::Unchanged, Some(Cell::Null)) => Some(Value::Null),
                (Cell::Unchanged, _) => None,
            })
            .collect()
    }

    /// The links before an insert, where those of any other row before its change are told too: all null.
    pub fn links_of_no_row(&self) -> Option<Vec<Value>> {
        (self.sends_old_links && !self.links.is_empty()).then(|| vec![Value::Null; self.links.len()])
    }

    /// Which of the columns read an update changed, by their places in the interest.
    pub fn changed(&self, old: &Tuple<'_>, new: &Tuple<'_>) -> Option<Vec<u32>> {
        let differs = |at: &usize| new.get(*at) != Some(&Cell::Unchanged) && old.get(*at) != new.get(*at);
        let places = (0..).zip(self.reads.as_ref()?);
        Some(places.filter(|(_, at)| differs(at)).map(|(place, _)| place).collect())
    }

    /// Whether an update changes none of the interest's columns, where both rows are known.
    pub fn is_irrelevant(&self, old: &Tuple<'_>, new: &Tuple<'_>) -> bool {
        self.interesting.as_ref().is_some_and(|places| {
            places.iter().all(|at| match (old.get(*at), new.get(*at)) {
                (_, Some(Cell::Unchanged)) => true,
                (Some(old), Some(new)) => old == new,
                _ => false,
            })
        })
    }
}
