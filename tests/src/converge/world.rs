//! The tables and indexes that the test is about, and how the host is told of them.

use std::fmt::Write as _;
use std::path::Path;

use super::Options;
use super::place::Place;
use super::random::Random;

/// An index of the test.
pub(super) struct Index {
    /// Its name.
    pub(super) name: &'static str,
    /// Its schema; none: the rows of the table of its name.
    pub(super) schema: Option<&'static str>,
    /// Its documents from scratch: id and body.
    pub(super) oracle: &'static str,
}

macro_rules! index {
    ($name:literal) => {
        Index {
            name: $name,
            schema: Some(include_str!(concat!("world/", $name, ".schema.yml"))),
            oracle: include_str!(concat!("world/", $name, ".sql")),
        }
    };
    (rows $name:literal) => {
        Index { name: $name, schema: None, oracle: include_str!(concat!("world/", $name, ".sql")) }
    };
}

/// All indexes with schemas, and some of whole rows.
const INDEXES: &[Index] = &[
    index!("users"),
    index!("orders"),
    index!("items"),
    index!("products"),
    index!("crm_orders"),
    index!("parts"),
    index!("taggings"),
    index!("tagged"),
    index!(rows "readings"),
    index!(rows "sentinels"),
];

/// What can be built by lookups alone: the others, but for parts, which are looked up by a column that ignores case.
const BY_LOOKUPS: &[Index] = &[
    index!("users"),
    index!("orders"),
    index!("items"),
    index!("products"),
    index!("crm_orders"),
    index!("taggings"),
    index!("tagged"),
    index!(rows "readings"),
    index!(rows "sentinels"),
];

macro_rules! tracked {
    ($name:literal) => {
        Index { name: $name, schema: None, oracle: include_str!(concat!("world/tracked/", $name, ".sql")) }
    };
}

/// All indexes of `tests/guests/world`.
const TRACKED: &[Index] = &[
    tracked!("users"),
    tracked!("orders"),
    tracked!("items"),
    tracked!("products"),
    tracked!("parts"),
    tracked!("sentinels"),
];

/// What builds the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// `pg.wasm`, by schemas.
    Schemas,
    /// `schema-builder.wasm`, by the same schemas and by lookups alone.
    Lookups,
    /// `tests/guests/world`, by functions whose reads the host follows.
    Tracked,
}

impl Builder {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 3] =
        [("schemas", Self::Schemas), ("lookups", Self::Lookups), ("tracked", Self::Tracked)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }

    /// The indexes that it fills.
    pub(super) fn indexes(self) -> &'static [Index] {
        match self {
            Self::Schemas => INDEXES,
            Self::Lookups => BY_LOOKUPS,
            Self::Tracked => TRACKED,
        }
    }

    fn plugin(self) -> String {
        match self {
            Self::Schemas => "pg".to_owned(),
            Self::Lookups => crate::plugin("plugins/schema-builder"),
            Self::Tracked => crate::plugin("tests/guests/world"),
        }
    }
}

/// The tables and their first rows.
pub(super) const TABLES: &str = include_str!("world/tables.sql");

/// How the old links of deleted and moved rows become known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The host sets what is needed.
    Managed,
    /// Somebody set it by hand: whole rows, or an index that covers the links.
    Full,
    /// Nobody did anything: the server tells keys alone.
    Default,
}

impl Identity {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 3] =
        [("managed", Self::Managed), ("full", Self::Full), ("default", Self::Default)];

    pub(super) fn statements(self) -> &'static str {
        match self {
            Self::Full => {
                "ALTER TABLE users REPLICA IDENTITY FULL; ALTER TABLE orders REPLICA IDENTITY FULL; ALTER TABLE items REPLICA IDENTITY FULL;
                 ALTER TABLE profiles REPLICA IDENTITY FULL; ALTER TABLE labels REPLICA IDENTITY FULL; ALTER TABLE pieces REPLICA IDENTITY FULL;
                 ALTER TABLE readings REPLICA IDENTITY FULL; ALTER TABLE taggings REPLICA IDENTITY FULL; ALTER TABLE parts REPLICA IDENTITY FULL;
                 CREATE UNIQUE INDEX covering ON crm.orders (id, user_id); ALTER TABLE crm.orders ALTER user_id SET NOT NULL;
                 ALTER TABLE crm.orders REPLICA IDENTITY USING INDEX covering;"
            }
            Self::Managed | Self::Default => "",
        }
    }
}

/// The one condition of the schemas that is written in SQL, and what it says.
const RAW: &str = "{ raw: \"quantity > 5 -- and no more\" }";
const PLAIN: &str = "{ column: quantity, op: gt, value: 5 }";

/// Writes `flusso.toml` and the schemas. The sizes of batches are drawn from the seed: a boundary may lie anywhere.
pub(super) fn configure(folder: &Path, options: &Options, place: &Place) -> std::io::Result<()> {
    let mut random = Random::new(options.seed, 1_000);
    let mut file = place.prefix();
    if random.once_in(2) {
        file.push_str("on_history_loss = \"reseed\"\n");
    }
    let _ = writeln!(file, "[batch]\nmax_changes = {}", random.one_of(&[32, 256, 256, 2_000]).unwrap_or(256));
    let _ = writeln!(file, "backfill_documents = {}", random.one_of(&[60, 300, 2_000]).unwrap_or(2_000));
    file.push_str("[source]\nplugin = \"pg\"\nconnection_url = { env = \"DATABASE_URL\" }\nlook_every = \"2s\"\n");
    if options.identity == Identity::Managed {
        file.push_str("manage_replica_identity = true\n");
    }
    let _ = writeln!(file, "[builder]\nplugin = '{}'\ninstances = {}", options.builder.plugin(), 1 + random.below(3));
    file.push_str(&place.sink());
    for index in options.builder.indexes() {
        let _ = write!(file, "\n[[index]]\nname = \"{}\"\n", index.name);
        if let Some(schema) = index.schema {
            let _ = writeln!(file, "schema = \"{}.schema.yml\"", index.name);
            // A condition in SQL is asked of no other source; the same without SQL.
            let schema = match options.builder {
                Builder::Lookups => schema.replace(RAW, PLAIN),
                Builder::Schemas | Builder::Tracked => schema.to_owned(),
            };
            std::fs::write(folder.join(format!("{}.schema.yml", index.name)), schema)?;
        }
    }
    std::fs::write(folder.join("flusso.toml"), file)
}
