//! Resident memory where it could grow: one transaction of a million changes, one change that touches 200 000 documents.

use std::time::Instant;

use crate::shop::{Shop, Which};
use crate::timed::{number, resident, say, seconds};

pub(crate) fn print() {
    Shop::open(20).warm();
    transaction(number("FLUSSO_MEASURE_TRANSACTION", 1_000_000));
    fan_out(number("FLUSSO_MEASURE_TOUCHED", 200_000));
}

/// One transaction of so many changes, over documents of many rows.
fn transaction(changes: usize) {
    let shop = Shop::open(number("FLUSSO_MEASURE_USERS", 20_000));
    shop.indexes(true);
    let (running, mut tail) = shop.follow(Which::Ours);
    let items = shop.users * 15;
    let mut statements = String::from("BEGIN;");
    let mut left = changes;
    while left > 0 {
        let some = left.min(items);
        statements.push_str(&format!("UPDATE order_items SET quantity = quantity % 100 + 1 WHERE id <= {some};"));
        left -= some;
    }
    shop.database.sql(&format!("{statements}COMMIT;"));
    let started = Instant::now();
    shop.barrier(&mut tail);
    shown(&format!("one transaction of {changes} changes"), started, running.id());
    shop.end(running);
}

/// One change of a row that so many documents read.
fn fan_out(documents: usize) {
    let shop = Shop::open(documents.div_ceil(15).max(1));
    // Every item of the shop is an order item of one product.
    shop.database.sql("UPDATE order_items SET product_id = 1; VACUUM ANALYZE order_items");
    shop.host.file(
        "items.schema.yml",
        "version: 1\ntable: order_items\nprimary_key: id\nfields:\n  - integer: quantity\n  - belongs_to: product\n    \
         column: product_id\n    table: products\n    primary_key: id\n    fields:\n      - text: title\n",
    );
    shop.indexes(false);
    let path = shop.host.folder().join("flusso.toml");
    let mut text = std::fs::read_to_string(&path).unwrap_or_default();
    text.push_str("[[index]]\nname = \"items\"\nschema = \"items.schema.yml\"\n");
    shop.host.file("flusso.toml", &text);
    let (running, mut tail) = shop.follow(Which::Ours);
    shop.database.sql("UPDATE products SET title = 'another' WHERE id = 1");
    let started = Instant::now();
    shop.barrier(&mut tail);
    shown(&format!("one change of {documents} documents and their users"), started, running.id());
    shop.end(running);
}

fn shown(what: &str, started: Instant, process: u32) {
    let (peak, now) = resident(process);
    say(what, &format!("{} MiB, {now} after", peak), &format!("below 200 MiB; took {}", seconds(started.elapsed())));
}
