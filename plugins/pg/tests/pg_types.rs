//! The table of PostgreSQL types against the server's own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod server;

use flusso_pg::protocol::pg_types::TYPES;
use server::Database;

#[test]
fn every_type_of_the_table_has_its_name_and_its_array_on_the_server() {
    let Some(database) = Database::create("types") else { return };
    let mut session = database.session();
    for row in &TYPES {
        let found = session
            .simple(&format!("SELECT typname, typarray FROM pg_catalog.pg_type WHERE oid = {}", row.oid))
            .unwrap();
        let array = row.array.to_string();
        assert_eq!(found, [[Some(row.name.to_owned()), Some(array)]], "{row:?}");
    }
    // The server knows best whether it has `min` of a type.
    let without: Vec<&str> = TYPES.iter().filter(|row| !row.has_extremes).map(|row| row.name).collect();
    for name in without {
        let missing = format!(
            "SELECT count(*) FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc p ON p.oid = a.aggfnoid
             WHERE p.proname = 'min' AND p.proargtypes[0] = (SELECT oid FROM pg_catalog.pg_type WHERE typname = '{name}' AND typnamespace = 'pg_catalog'::regnamespace)"
        );
        assert_eq!(session.one(&missing).unwrap().as_deref(), Some("0"), "{name}");
    }
}
