//! The codes of findings: stable words that scripts may branch on. What each means stands in the plugin's README, and nowhere
//! else.

macro_rules! codes {
    ($($name:ident = $word:literal,)*) => {
        /// What was found.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $($name,)*
        }

        impl Code {
            /// Every one.
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is shown.
            pub(crate) fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

codes! {
    Unreachable = "unreachable",
    Server = "server",
    ServerVersion = "server-version",
    Standby = "standby",
    WalLevel = "wal-level",
    Replication = "replication-privilege",
    SynchronousStandby = "synchronous-standby",
    Slots = "slots-exhausted",
    Slot = "slot",
    SlotForeign = "slot-foreign",
    SlotActive = "slot-active",
    SlotLost = "slot-lost",
    SlotAtRisk = "slot-at-risk",
    PreparedTransaction = "prepared-transaction",
    Publication = "publication",
    PublicationMissing = "publication-missing",
    PublicationCoverage = "publication-coverage",
    PublicationKinds = "publication-kinds",
    PublicationRoot = "publication-root",
    PublicationFilter = "publication-filter",
    PublicationOwner = "publication-owner",
    SchemaInvalid = "schema-invalid",
    Index = "index",
    IndexRefused = "index-refused",
    NoIndex = "no-index",
    TableMissing = "table-missing",
    ColumnMissing = "column-missing",
    TypeMismatch = "type-mismatch",
    Nullable = "nullable",
    StatementRefused = "statement-refused",
    RawFilter = "raw-filter",
    GeneratedColumn = "generated-column",
    SelectPrivilege = "select-privilege",
    RowSecurity = "row-security",
    Unlogged = "unlogged",
    NotFollowed = "not-followed",
    PrimaryKey = "primary-key",
    KeyNotUnique = "key-not-unique",
    ReplicaIdentity = "replica-identity",
    OldLinks = "old-links",
    IndexMissing = "index-missing",
    Inheritance = "inheritance",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_says_what_each_code_means_and_knows_no_other() {
        let readme = include_str!("../../README.md");
        let section = readme.split("## What `check` finds").nth(1).unwrap_or_default();
        let told: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let known: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(told, known);
    }
}
