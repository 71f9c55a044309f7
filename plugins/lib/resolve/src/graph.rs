//! The network: every way from a row of a table up to documents, for all indexes. Made once; nothing in it changes.
//!
//! A node is a place of one index at which rows of a table stand. Places that lead up the same way (the orders of a user, and
//! the sum over them) are one node. An entry is a way to arrive at a node: by which of its columns.

use crate::problem::Problem;
use crate::table_info::TableInfo;
use crate::table_reads::{self, Reads, TableRead};
use flusso_plugin::TableName;
use flusso_schema::Schema;
use std::collections::{BTreeSet, HashMap};

/// What the documents of an index are made of.
#[derive(Debug, Clone, Copy)]
pub enum Documents<'a> {
    /// The rows of one table, each with all its columns.
    Rows(&'a TableName),
    /// What a schema says.
    Schema(&'a Schema),
}

/// Knows which documents a change touches.
#[derive(Debug)]
pub struct Resolver {
    pub(crate) tables: Vec<Table>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) relations: Vec<(usize, Vec<String>)>,
    /// At most so many pairs are asked for in one question.
    pub(crate) page: usize,
    /// What its cursors are marked with: another network does not read them.
    pub(crate) print: u64,
}

/// A table, by its number in the interest.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) facts: TableInfo,
    /// Link columns that are not of the key.
    pub(crate) links: Vec<String>,
    /// What else is read; `None`: every column counts.
    pub(crate) reads: Option<Vec<String>>,
    pub(crate) nodes: Vec<usize>,
}

/// Rows of a table at one or more places of an index that lead up the same way.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: u32,
    pub(crate) table: usize,
    pub(crate) parent: Option<usize>,
    pub(crate) from: Vec<String>,
    pub(crate) by: Vec<String>,
    pub(crate) reads: Reads,
    pub(crate) paths: Vec<String>,
    /// Where the values of `from` stand in a change.
    pub(crate) parts: Vec<Part>,
    /// Where its links lead; `None` for the root.
    pub(crate) up: Option<usize>,
    /// Its rows by their key.
    pub(crate) own: Option<usize>,
    pub(crate) relation: Option<u32>,
    /// Whether the links before a change are known.
    pub(crate) exact: bool,
    /// Whether they are asked of a link table.
    pub(crate) followed: bool,
}

/// Where a column's value stands in a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key(usize),
    Link(usize),
    /// Nowhere: the store computes it.
    Nowhere,
}

/// A way to arrive at the rows of a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) node: usize,
    pub(crate) by: Vec<String>,
    /// Where in `by` the columns stand that lead on, if all of them do: then nothing has to be looked up.
    pub(crate) through: Option<Vec<usize>>,
}

/// Pairs asked for in one question, by default.
const PAGE: usize = 16_384;

impl Resolver {
    /// Lays the network out. Indexes have the numbers of their places in the list; `facts` knows every table they name.
    ///
    /// # Errors
    ///
    /// When a schema and the catalogue do not agree.
    pub fn new(indexes: &[Documents<'_>], facts: &[TableInfo]) -> Result<Self, Problem> {
        let mut by_name: HashMap<(&str, &str), &TableInfo> = HashMap::with_capacity(facts.len());
        for found in facts {
            by_name.entry((found.name.schema.as_str(), found.name.name.as_str())).or_insert(found);
        }
        let facts_of = |table: &TableName| {
            let found = by_name.get(&(table.schema.as_str(), table.name.as_str())).copied();
            found.ok_or_else(|| Problem::NoTable { table: table.clone() })
        };
        let key_of = |table: &TableName| {
            let key = &facts_of(table)?.key;
            if key.is_empty() { Err(Problem::NoKey { table: table.clone() }) } else { Ok(key.clone()) }
        };
        let mut network = Self {
            tables: Vec::new(),
            nodes: Vec::new(),
            entries: Vec::new(),
            relations: Vec::new(),
            page: PAGE,
            print: 0,
        };
        let mut numbers = HashMap::with_capacity(facts.len());
        for (number, index) in (0..).zip(indexes) {
            let places = match index {
                Documents::Schema(schema) => table_reads::of_schema(schema, &key_of)?,
                Documents::Rows(table) => vec![TableRead {
                    table: (*table).clone(),
                    path: String::new(),
                    parent: None,
                    from: key_of(table)?,
                    by: Vec::new(),
                    reads: Reads::Every,
                }],
            };
            network.take(number, places, &facts_of, &mut numbers)?;
        }
        network.columns();
        network.connect();
        network.print = network.fingerprint();
        Ok(network)
    }

    /// Asks the link table for these relations, too, though the store tells their links: what was remembered of them once is
    /// kept without gaps.
    #[must_use]
    pub fn following(mut self, relations: &[u32]) -> Self {
        for node in &mut self.nodes {
            node.followed |= node.relation.is_some_and(|relation| relations.contains(&relation));
        }
        self
    }

    /// At most so many pairs in one question, and at least one.
    #[must_use]
    pub fn with_page(mut self, page: usize) -> Self {
        self.page = page.max(1);
        self
    }

    /// The places of an index, those that lead up the same way as one.
    fn take<'f>(
        &mut self,
        index: u32,
        places: Vec<TableRead>,
        facts_of: &dyn Fn(&TableName) -> Result<&'f TableInfo, Problem>,
        tables: &mut HashMap<(&'f str, &'f str), usize>,
    ) -> Result<(), Problem> {
        let mut numbers: Vec<usize> = Vec::with_capacity(places.len());
        for place in places {
            let facts = facts_of(&place.table)?;
            let parent = place.parent.and_then(|parent| numbers.get(parent).copied());
            let above = parent.and_then(|parent| self.nodes.get(parent)).and_then(|node| self.tables.get(node.table));
            let ends = [(Some(facts), &place.from), (above.map(|table| &table.facts), &place.by)];
            for (facts, columns) in ends.into_iter().filter_map(|(facts, columns)| Some((facts?, columns))) {
                if let Some(column) = columns.iter().find(|column| facts.column(column).is_none()) {
                    let (table, path) = (facts.name.clone(), place.path.clone());
                    return Err(Problem::NoColumn { table, column: column.clone(), path });
                }
            }
            let table = *tables.entry((facts.name.schema.as_str(), facts.name.name.as_str())).or_insert_with(|| {
                self.tables.push(Table { facts: facts.clone(), links: Vec::new(), reads: None, nodes: Vec::new() });
                self.tables.len() - 1
            });
            let same = self.nodes.iter().position(|node| {
                (node.index, node.table, node.parent, &node.from, &node.by)
                    == (index, table, parent, &place.from, &place.by)
            });
            let number = same.unwrap_or(self.nodes.len());
            numbers.push(number);
            match self.nodes.get_mut(number) {
                Some(node) => {
                    node.reads.add(&place.reads);
                    node.paths.push(place.path);
                }
                None => self.nodes.push(Node {
                    index,
                    table,
                    parent,
                    from: place.from,
                    by: place.by,
                    reads: place.reads,
                    paths: vec![place.path],
                    parts: Vec::new(),
                    up: None,
                    own: None,
                    relation: None,
                    exact: true,
                    followed: false,
                }),
            }
        }
        Ok(())
    }

    /// Which columns of each table matter, and where they will stand in a change.
    fn columns(&mut self) {
        for (number, table) in self.tables.iter_mut().enumerate() {
            let facts = &table.facts;
            let generated = |column: &String| facts.column(column).is_some_and(|found| found.generated);
            let nodes: Vec<_> = self.nodes.iter().enumerate().filter(|(_, node)| node.table == number).collect();
            table.nodes = nodes.iter().map(|(at, _)| *at).collect();
            for column in nodes.iter().flat_map(|(_, node)| &node.from) {
                if !facts.key.contains(column) && !table.links.contains(column) && !generated(column) {
                    table.links.push(column.clone());
                }
            }
            let mut reads = Reads::Columns(BTreeSet::new());
            nodes.iter().for_each(|(_, node)| reads.add(&node.reads));
            table.reads = match reads {
                Reads::Columns(columns) if !columns.iter().any(generated) => Some(
                    columns.into_iter().filter(|it| !facts.key.contains(it) && !table.links.contains(it)).collect(),
                ),
                _ => None,
            };
        }
    }

    /// Where links lead, and whether they are known.
    fn connect(&mut self) {
        for number in 0..self.nodes.len() {
            let Some((node, table)) =
                self.nodes.get(number).and_then(|node| Some((node, self.tables.get(node.table)?)))
            else {
                continue;
            };
            let place = |column: &String| {
                let at = |list: &[String]| list.iter().position(|found| found == column);
                at(&table.facts.key).map(Part::Key).or(at(&table.links).map(Part::Link)).unwrap_or(Part::Nowhere)
            };
            let parts: Vec<Part> = node.from.iter().map(place).collect();
            let by_key = parts.iter().all(|part| matches!(part, Part::Key(_)));
            let told =
                table.links.iter().all(|column| table.facts.sends_old(column)) && !parts.contains(&Part::Nowhere);
            let (table, parent, from, by) = (node.table, node.parent, node.from.clone(), node.by.clone());
            let key = self.tables.get(table).map(|table| table.facts.key.clone()).unwrap_or_default();
            let relation = (parent.is_some() || !by_key).then(|| self.relation(table, &from));
            let up = parent.map(|parent| self.entry(parent, by, (table, &from)));
            let own = (!key.is_empty()).then(|| self.entry(number, key.clone(), (table, &key)));
            if let Some(node) = self.nodes.get_mut(number) {
                (node.parts, node.relation, node.up, node.own) = (parts, relation, up, own);
                node.exact = by_key || told;
                node.followed = !node.exact;
            }
        }
    }

    fn relation(&mut self, table: usize, from: &[String]) -> u32 {
        let at = self.relations.iter().position(|(of, columns)| (*of, columns.as_slice()) == (table, from));
        let at = at.unwrap_or_else(|| {
            self.relations.push((table, from.to_vec()));
            self.relations.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// The entry to a node by these columns, with values that come from columns of another table.
    fn entry(&mut self, node: usize, by: Vec<String>, given: (usize, &[String])) -> usize {
        let alike = |table: usize, column: &String| {
            self.tables.get(table).and_then(|table| table.facts.column(column)).and_then(|it| it.alike.as_deref())
        };
        let through = self.nodes.get(node).and_then(|to| {
            let carried = |column: &String| {
                let at = by.iter().position(|found| found == column)?;
                let source = given.1.get(at)?;
                let same = (given.0, source) == (to.table, column);
                (same || (alike(to.table, column).is_some() && alike(to.table, column) == alike(given.0, source)))
                    .then_some(at)
            };
            to.from.iter().map(carried).collect::<Option<Vec<_>>>()
        });
        let entry = Entry { node, by, through };
        self.entries.iter().position(|found| *found == entry).unwrap_or_else(|| {
            self.entries.push(entry);
            self.entries.len() - 1
        })
    }

    /// FNV-1a over all that a cursor's numbers mean.
    fn fingerprint(&self) -> u64 {
        let tables = self.tables.iter().map(|table| format!("{:?} {:?};", table.facts.name, table.facts.key));
        let nodes = self.nodes.iter().map(|node| format!("{} {} {:?};", node.index, node.table, node.from));
        let entries = self.entries.iter().map(|entry| format!("{entry:?};"));
        let text: String = tables.chain(nodes).chain(entries).collect();
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }
}
