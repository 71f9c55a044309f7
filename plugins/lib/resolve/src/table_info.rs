//! What a catalogue has to tell about the tables that documents read.

use flusso_plugin::TableName;

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableInfo {
    /// Its name.
    pub name: TableName,
    /// The columns of its primary key, in order; empty if it has none.
    pub key: Vec<String>,
    /// Its columns.
    pub columns: Vec<ColumnInfo>,
    /// What the store says of a row that was changed or deleted.
    pub identity: Identity,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Two columns with the same word here hold equal values exactly where the contract's values are equal, so that a value
    /// of one can stand for a value of the other. `None`: only the store can tell (text that ignores case).
    pub alike: Option<String>,
    /// Whether the store computes it, so that changes do not carry it.
    pub generated: bool,
}

/// Which columns of the row before a change the store tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Those of the primary key.
    Key,
    /// All.
    Full,
    /// These; those of the primary key are among them.
    Columns(Vec<String>),
}

impl TableInfo {
    pub(crate) fn column(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether a column of the row before a change is known.
    pub(crate) fn sends_old(&self, column: &str) -> bool {
        let generated = self.column(column).is_some_and(|found| found.generated);
        self.key.iter().any(|key| key == column)
            || (!generated
                && match &self.identity {
                    Identity::Key => false,
                    Identity::Full => true,
                    Identity::Columns(columns) => columns.iter().any(|known| known == column),
                })
    }
}
