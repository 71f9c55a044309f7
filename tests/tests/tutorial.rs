//! `plugins/sdk/TUTORIAL.md`, followed to the letter in a clean folder: every block is written or run, and prints what stands
//! below it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use flusso_tests::{Postgres, given};

const TUTORIAL: &str = include_str!("../../plugins/sdk/TUTORIAL.md");

/// The fenced blocks: what stands behind the fence, and the text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Runs commands with the environment of somebody who has built the host; returns what they print.
fn run(commands: &str, folder: &Path, database: &Postgres) -> String {
    let host = given("FLUSSO_TEST_HOST");
    let path = format!("{}:{}", Path::new(&host).parent().unwrap().display(), given("FLUSSO_TEST_PG_BIN"));
    let ended = Command::new("bash")
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(folder)
        .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()))
        .env("DATABASE_URL", database.url())
        .env("FLUSSO_PLUGIN_DIR", given("FLUSSO_TEST_PLUGINS"))
        .env("FLUSSO_CACHE_DIR", given("FLUSSO_TEST_CACHE"))
        // One for all steps, so that the SDK is compiled once for each target.
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{commands}\n{said}\n{}", String::from_utf8_lossy(&ended.stdout));
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn the_tutorial_does_what_it_says() {
    let (home, database) = (tempfile::tempdir().unwrap(), Postgres::new());
    let folder = home.path().join("my-orders");
    let mut printed = String::new();
    let mut lines_of_code = 0;
    let started = Instant::now();
    for (info, text) in blocks(TUTORIAL) {
        let here = if folder.exists() { folder.as_path() } else { home.path() };
        match info.split_once(" file=").map_or((info.as_str(), None), |(kind, file)| (kind, Some(file))) {
            ("sh", None) => printed = run(&text, here, &database),
            (_, Some(file)) => {
                if file.ends_with(".rs") {
                    lines_of_code = text.lines().filter(|line| !line.trim().is_empty()).count();
                    // The tests of the template are of the first version.
                    std::fs::write(folder.join("src/tests.rs"), "").unwrap();
                }
                std::fs::write(folder.join(file), text).unwrap();
            }
            ("text", None) => {
                let wanted: Vec<&str> = text.lines().collect();
                // One may come twice: for a change, and with the seed.
                let found: BTreeSet<&str> = printed.lines().filter(|line| line.contains("\"document\"")).collect();
                assert_eq!(found.len(), wanted.len(), "{printed}");
                for line in wanted {
                    assert!(found.iter().any(|found| found.contains(line)), "{line}\n{printed}");
                }
            }
            other => panic!("a block that the test does not know: {other:?}"),
        }
    }
    eprintln!("the tutorial took {:.0} s; its last builder has {lines_of_code} lines", started.elapsed().as_secs_f64());
}
