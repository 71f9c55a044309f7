//! The shop of the demo, as files or in a database: the same rows, the same schema file, the same changes.

use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::server::Server;
use super::{DemoError, Result};

/// What an order's document is made of.
pub(super) const SCHEMA: &str = include_str!("../../../examples/quickstart/orders.schema.yml");
const SQL: &str = include_str!("shop.sql");

/// The files of the shop, by their names.
const FILES: [(&str, &str); 4] = [
    ("users.csv", include_str!("../../../examples/quickstart/shop/users.csv")),
    ("products.csv", include_str!("../../../examples/quickstart/shop/products.csv")),
    ("orders.ndjson", include_str!("../../../examples/quickstart/shop/orders.ndjson")),
    ("order_items.csv", include_str!("../../../examples/quickstart/shop/order_items.csv")),
];

/// A change of the shop, and the search that shows it.
pub(super) struct Change {
    /// What happens.
    pub(super) what: &'static str,
    /// As statements.
    pub(super) sql: &'static str,
    /// As lines of files: file, the line that goes, the line that comes; empty: none.
    pub(super) lines: &'static [(&'static str, &'static str, &'static str)],
    /// What is searched for before and after.
    pub(super) query: &'static str,
    /// How many documents it finds after.
    pub(super) found: u64,
}

/// The changes, in this order.
pub(super) const CHANGES: [Change; 4] = [
    Change {
        what: "A product gets another name: the order that holds it is found by it, three tables away",
        sql: "UPDATE products SET name = 'Burr mill' WHERE id = 2",
        lines: &[("products.csv", "2,Hand grinder,74.50", "2,Burr mill,74.50")],
        query: "burr",
        found: 1,
    },
    Change {
        what: "A customer moves: all her orders do",
        sql: "UPDATE users SET city = 'Cambridge' WHERE id = 1",
        lines: &[("users.csv", "1,Ada Lovelace,ada@example.com,London", "1,Ada Lovelace,ada@example.com,Cambridge")],
        query: "customer.city:Cambridge",
        found: 2,
    },
    Change {
        what: "An order comes in, in two tables",
        sql: "INSERT INTO orders VALUES (1007, 5, 'new', '2026-04-15 10:00:00+00');\nINSERT INTO order_items VALUES (1007, 6, 2)",
        lines: &[
            ("orders.ndjson", "", r#"{"id":1007,"user_id":5,"status":"new","placed":"2026-04-15T10:00:00Z"}"#),
            ("order_items.csv", "", "12,1007,6,2"),
        ],
        query: "kay",
        found: 1,
    },
    Change {
        what: "An item is taken off an order",
        sql: "DELETE FROM order_items WHERE order_id = 1005 AND product_id = 4",
        lines: &[("order_items.csv", "10,1005,4,2", "")],
        query: "lamp",
        found: 0,
    },
];

/// The shop.
pub(super) enum Shop {
    Files(Folder),
    Database(Server),
}

impl Shop {
    /// Everything that the host needs in the folder of the shop: the rows, where they are files, the schema file and the configuration.
    pub(super) fn set_up(&self, sink: &str, prefix: Option<&str>, plugins: &[(&str, &Path)]) -> Result<()> {
        let folder = self.folder();
        let plugin = |name: &str| {
            let path = plugins.iter().find(|(known, _)| *known == name).map_or(Path::new(name), |(_, path)| *path);
            std::path::absolute(path).map(|path| toml::Value::from(path.display().to_string()).to_string())
        };
        let mut config = prefix.map(|prefix| format!("prefix = \"{prefix}\"\n\n")).unwrap_or_default();
        match self {
            Self::Files(_) => {
                let shop = folder.join("shop");
                std::fs::create_dir(&shop)?;
                for (name, text) in FILES {
                    std::fs::write(shop.join(name), text)?;
                }
                config.push_str(&format!("[source]\nplugin = {}\npath = \"shop\"\n\n", plugin("files")?));
                config.push_str(&format!("[builder]\nplugin = {}\n\n", plugin("schema-builder")?));
            }
            Self::Database(server) => {
                server.sql(SQL)?;
                config.push_str(&format!(
                    "[source]\nplugin = {}\nconnection_url = {{ env = \"DATABASE_URL\" }}\n\n",
                    plugin("pg")?
                ));
            }
        }
        std::fs::write(folder.join("orders.schema.yml"), SCHEMA)?;
        config.push_str("[[index]]\nname = \"orders\"\nschema = \"orders.schema.yml\"\n\n");
        match sink {
            "tantivy" => config.push_str(&format!(
                "[sinks.search]\nplugin = {}\ntrusted = true              # a native library\npath = \"index\"\n",
                plugin("tantivy")?
            )),
            _ => config.push_str(&format!(
                "[sinks.search]\nplugin = {}\nurl = {{ env = \"OPENSEARCH_URL\" }}\n",
                plugin("opensearch")?
            )),
        }
        std::fs::write(folder.join("flusso.toml"), config)?;
        Ok(())
    }

    /// The folder that the host runs in.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Files(folder) => &folder.0,
            Self::Database(server) => server.folder(),
        }
    }

    /// Where the database is, if there is one.
    pub(super) fn url(&self) -> Option<&str> {
        match self {
            Self::Files(_) => None,
            Self::Database(server) => Some(server.url()),
        }
    }

    /// The lines that a change is, as they are shown.
    pub(super) fn shown(&self, change: &Change) -> Vec<String> {
        match self {
            Self::Database(_) => change.sql.lines().map(str::to_owned).collect(),
            Self::Files(_) => {
                let lines = change.lines.iter();
                let line = |(file, goes, comes): &(&str, &str, &str)| {
                    let of = |sign, line: &str| (!line.is_empty()).then(|| format!("shop/{file}  {sign} {line}"));
                    [of('-', goes), of('+', comes)]
                };
                lines.flat_map(line).flatten().collect()
            }
        }
    }

    /// Makes a change.
    pub(super) fn make(&self, change: &Change) -> Result<()> {
        match self {
            Self::Database(server) => server.sql(change.sql).map(drop),
            Self::Files(folder) => change
                .lines
                .iter()
                .try_for_each(|(file, goes, comes)| edit(folder.0.join("shop").join(file), goes, comes)),
        }
    }
}

/// Puts a line of a file in the place of another; the whole file takes the place of the one before.
fn edit(path: PathBuf, goes: &str, comes: &str) -> Result<()> {
    let text = std::fs::read_to_string(&path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter().position(|line| *line == goes) {
        Some(at) if comes.is_empty() => drop(lines.remove(at)),
        Some(at) => lines.iter_mut().skip(at).take(1).for_each(|line| *line = comes),
        None if goes.is_empty() => lines.push(comes),
        None => {
            let why = format!("{} has no line {goes:?}", path.display());
            return Err(DemoError::Program { what: "a change".to_owned(), why });
        }
    }
    // Not in the folder that is followed.
    let new = path.with_file_name("..").join("new-lines");
    std::fs::write(&new, lines.join("\n") + "\n")?;
    std::fs::rename(new, path)?;
    Ok(())
}
