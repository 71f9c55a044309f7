//! The convergence test in its short form: fixed seeds, about two minutes in all. For longer ones: `tests/run converge`.

#![allow(clippy::print_stdout, reason = "the report of a test that fails")]

use flusso_tests::converge::{Builder, Fault, Identity, Options, run};

fn converges(options: Options) {
    let report = run(&options);
    println!("{report}");
    assert!(report.wrong.is_none(), "{report}");
}

#[test]
fn every_index_equals_its_rebuild_after_kills() {
    let options = Options::mixed(20, 11, Identity::Managed);
    converges(Options { faults: vec![Fault::Kill], every: 1.5, round: 10.0, ..options });
}

#[test]
fn every_index_equals_its_rebuild_after_faults_of_every_kind() {
    let options = Options::mixed(20, 12, Identity::Full);
    converges(Options { every: 1.5, round: 10.0, ..options });
}

/// Where the database does not tell where a row was.
#[test]
fn every_index_equals_its_rebuild_through_the_link_table() {
    let options = Options::mixed(15, 14, Identity::Default);
    converges(Options { faults: vec![Fault::Kill], every: 1.5, round: 8.0, rate: 100, ..options });
}

/// Functions whose reads the host follows make the documents.
#[test]
fn every_index_of_a_tracked_builder_equals_its_rebuild_after_kills() {
    let options = Options::mixed(12, 15, Identity::Default);
    converges(Options {
        builder: Builder::Tracked,
        faults: vec![Fault::Kill],
        every: 1.5,
        round: 8.0,
        rate: 100,
        ..options
    });
}

/// The same schemas, built by lookups over any source.
#[test]
fn every_index_of_the_schema_builder_equals_its_rebuild_after_kills() {
    let options = Options::mixed(12, 16, Identity::Default);
    converges(Options {
        builder: Builder::Lookups,
        faults: vec![Fault::Kill],
        every: 1.5,
        round: 8.0,
        rate: 100,
        ..options
    });
}

/// PostgreSQL hands a commit to the stream before other sessions can see it (I12).
#[test]
fn no_document_is_built_before_its_change_can_be_seen() {
    converges(Options::race(8, 13, Identity::Managed));
}
