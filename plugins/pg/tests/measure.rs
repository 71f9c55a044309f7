//! Measures: documents a second by range and by key, against the server writing the same documents as JSON.
//! `cargo test --release -p flusso-pg --test measure -- --ignored --nocapture`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "prints what it measured"
)]

mod server;
mod shop;

use flusso_pg::documents::builder::DocumentBuilder;
use flusso_pg::snapshot::range_scan::KeyRange;
use flusso_plugin::{Builder as _, RangeBuilder as _};
use flusso_plugin::{DocumentId, IndexRequest, Outcome, Value};
use server::Database;
use std::time::Instant;

const USERS: u32 = 20_000;

#[test]
#[ignore = "takes a while, and means something on an idle machine only"]
fn documents_a_second() {
    let Some(database) = Database::create("measure") else { return };
    database.session().simple(&shop::tables(USERS)).unwrap();
    let request = IndexRequest {
        name: "users".into(),
        schema: Some(shop::SCHEMA.into()),
        origin: Some("users.schema.yml".into()),
        extra: None,
    };
    let mut builder = DocumentBuilder::start(&database.settings(), &[request], None).unwrap();
    let url = std::env::var("FLUSSO_TEST_DATABASE_URL").unwrap();
    let url = format!("{}/{}", url.rsplit_once('/').unwrap().0, database.name);
    for round in 1..=5 {
        let started = Instant::now();
        let output = std::process::Command::new("psql")
            .args([&url, "-qXc", &format!("COPY ({}) TO STDOUT", shop::SQL)])
            .output()
            .unwrap();
        let copy = started.elapsed();
        assert!(output.status.success());
        let started = Instant::now();
        let (mut cursor, mut count, mut bytes, mut calls) = (None, 0, 0, 0);
        loop {
            let page = builder.build_range(0, KeyRange::default().to_bytes(), cursor.clone(), 2000, 8 << 20).unwrap();
            count += page.documents.len();
            calls += 1;
            bytes += page
                .documents
                .iter()
                .map(|one| if let Outcome::Built(body) = &one.outcome { body.len() } else { 0 })
                .sum::<usize>();
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        let range = started.elapsed();
        assert_eq!(count, USERS as usize);
        let started = Instant::now();
        for from in (1..=i64::from(USERS)).step_by(2000) {
            let ids: Vec<_> =
                (from..from + 2000).map(|id| DocumentId { index: 0, key: vec![Value::Integer(id)] }).collect();
            assert!(
                builder.build_many(ids.clone()).unwrap().iter().all(|outcome| matches!(outcome, Outcome::Built(_)))
            );
        }
        let keys = started.elapsed();
        let mut lone: Vec<_> = (0..200)
            .map(|id| {
                let started = Instant::now();
                builder.build_many(vec![DocumentId { index: 0, key: vec![Value::Integer(1 + id * 97)] }]).unwrap();
                started.elapsed()
            })
            .collect();
        lone.sort();
        println!(
            "{round}: COPY by psql {:.0} ms ({} bytes) · by range {:.0} ms, {:.0} documents/s, {calls} calls, {bytes} bytes · by key {:.0} ms · ratio {:.2} (range), {:.2} (key) · one document {:.2} ms",
            copy.as_secs_f64() * 1e3,
            output.stdout.len(),
            range.as_secs_f64() * 1e3,
            f64::from(USERS) / range.as_secs_f64(),
            keys.as_secs_f64() * 1e3,
            copy.as_secs_f64() / range.as_secs_f64(),
            copy.as_secs_f64() / keys.as_secs_f64(),
            lone[100].as_secs_f64() * 1e3,
        );
    }
}
