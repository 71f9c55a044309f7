//! The shop of `tests/shop`, and its users as documents: by a schema here, by correlated subqueries of the server's own there.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "shared by tests")]

/// Tables and rows, for so many users.
pub fn tables(users: u32) -> String {
    include_str!("../../../../tests/shop/tables.sql").replace("{users}", &users.to_string())
}

/// Three joins deep, with two aggregates.
pub const SCHEMA: &str = include_str!("../../../../tests/shop/users.schema.yml");

/// The same documents by the server.
pub const SQL: &str = include_str!("../../../../tests/shop/users.sql");
