//! What must never go wrong, case by case, each of which some tool in this field got wrong, and the tests that hold us to it.
//! Cases that are a search cluster's alone stand with its plugin. All of them at once, at random and under faults:
//! `converge.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::path::Path;

/// The case, and the names of its tests.
const CASES: [(&str, &[&str]); 23] = [
    (
        "1  a transaction larger than a batch, a crash between its batches: all of it comes again",
        &[
            "a_batch_boundary_inside_a_transaction_moves_nothing",
            "a_large_transaction_that_is_cut_off_between_its_batches_comes_again_whole",
        ],
    ),
    (
        "2  rows written while the first backfill runs: none is missed",
        &[
            "no_row_is_read_before_the_source_is_prepared",
            "rows_written_between_slot_and_snapshot_and_during_it_are_not_missed",
            "every_index_equals_its_rebuild_after_kills",
        ],
    ),
    (
        "3  slot dropped, invalidated, recreated; state lost; sink removed or restored; another database: never a silent gap",
        &[
            "a_dropped_slot_stops_the_run_and_nothing_is_created",
            "a_dropped_slot_is_replaced_and_everything_seeded_again_where_the_operator_said_so",
            "a_slot_dropped_under_a_running_host_is_replaced_without_a_new_start",
            "a_slot_made_anew_by_somebody_else_is_a_lost_history",
            "a_slot_whose_log_was_thrown_away_is_a_lost_history",
            "a_host_that_lost_its_state_seeds_its_files_again",
            "a_host_that_forgot_everything_seeds_again_under_a_new_history",
            "another_server_behind_the_address_is_another_history",
            "a_lost_history_says_why_and_begins_anew",
            "a_publication_that_was_dropped_is_a_lost_history",
            "a_stream_that_was_never_seeded_is_cleared_before_it_is",
        ],
    ),
    (
        "4  idle watched tables on a busy server: the confirmed position moves on",
        &["watched_tables_that_are_idle_do_not_keep_the_log_of_a_busy_server", "an_idle_stream_moves_on"],
    ),
    (
        "5  a child deleted, or moved to another parent: both are rebuilt",
        &[
            "both_parents_of_a_moved_child_and_the_parent_of_a_deleted_one_are_rebuilt",
            "when_the_stream_is_quiet_every_document_equals_a_rebuild",
            "when_the_stream_is_quiet_what_is_held_equals_what_is_built_anew",
        ],
    ),
    (
        "6  TRUNCATE of a root, of a child",
        &[
            "truncating_the_root_table_removes_its_documents_and_nothing_later",
            "truncating_a_child_table_rebuilds_what_read_from_it",
            "a_truncate_clears_what_is_rooted_there_and_rebuilds_what_reads_it",
            "an_older_read_of_a_backfill_does_not_bring_back_what_was_truncated",
        ],
    ),
    (
        "7  REPLICA IDENTITY FULL, NOTHING, USING INDEX",
        &[
            "full_identity_composite_keys_links_and_unread_columns",
            "an_index_as_replica_identity_tells_the_links_it_covers",
            "a_table_without_an_identity_is_never_published_and_the_remedy_is_named",
            "a_deferrable_key_is_not_published_unless_the_identity_is_full",
            "replica_identity_is_set_where_it_is_needed_and_asked_for",
        ],
    ),
    (
        "8  one table name in two schemas",
        &[
            "tables_of_one_name_in_two_schemas_are_told_apart",
            "partitions_come_as_their_root_and_schemas_are_told_apart",
        ],
    ),
    ("9  composite keys, parts with colons", &["keys_of_several_parts_that_hold_colons_name_different_documents"]),
    (
        "10 a table related to itself",
        &[
            "a_table_related_to_itself_rebuilds_the_documents_that_refer_to_a_row",
            "self_joins_composite_keys_and_tables_of_one_name",
        ],
    ),
    (
        "11 two sinks, one slow, one failing",
        &[
            "the_slowest_sink_decides_what_is_confirmed",
            "a_sink_leads_another_by_no_more_than_max_lead",
            "two_sinks_get_every_document",
            "a_sink_that_sat_out_a_run_misses_nothing",
        ],
    ),
    ("13 a delete of a document that is not there", &["every_index_equals_its_rebuild_after_faults_of_every_kind"]),
    ("14 an index removed behind the host's back", &["an_index_removed_behind_the_hosts_back_is_seeded_again"]),
    (
        "15 keys of every type: an update stays an update",
        &[
            "keys_of_every_type_are_what_the_snapshot_reads",
            "values_of_every_shape_find_their_rows",
            "absent_and_look_alike_keys_are_absent",
        ],
    ),
    (
        "16 a soft delete with a condition on NULL",
        &["a_condition_on_null_does_not_hold_for_a_soft_delete", "filters_soft_delete_and_null"],
    ),
    (
        "17 one document of 10 000 changes; one change of very many documents",
        &[
            "a_document_touched_by_ten_thousand_changes_is_built_once_a_batch",
            "a_document_touched_many_times_in_a_batch_is_built_once",
            "one_change_of_very_many_documents_comes_in_parts",
            "large_documents_are_built_and_written_few_at_a_time",
        ],
    ),
    (
        "18 percent-encoded password, sslmode, IPv6, unix socket",
        &["a_password_with_every_awkward_character", "tls_as_asked_for", "an_address_of_ipv6", "a_unix_socket"],
    ),
    (
        "19 partitioned tables",
        &[
            "partitions_come_as_their_root_and_schemas_are_told_apart",
            "cases_19_and_22_what_no_change_tells_is_found_while_running",
            "cases_19_and_22_what_no_change_tells_is_found_at_the_next_start",
        ],
    ),
    (
        "20 the database restarted, failed over, cut off",
        &[
            "a_database_that_crashed_is_followed_again_where_it_was",
            "a_new_timeline_is_the_same_history_while_nothing_was_lost",
            "a_killed_walsender_is_transient_and_nothing_is_missed",
            "a_source_that_is_away_is_opened_again_where_it_was_confirmed",
        ],
    ),
    ("21 SIGTERM under load", &["sigterm_drains_confirms_and_exits_with_zero"]),
    (
        "22 a column added, dropped, retyped; generated columns",
        &[
            "cases_19_and_22_what_no_change_tells_is_found_while_running",
            "a_document_is_of_one_moment_and_altered_tables_are_noticed",
            "changes_under_a_name_of_the_meantime_are_the_tables",
        ],
    ),
    (
        "23 two hosts on one slot",
        &["a_slot_that_somebody_holds", "a_source_that_somebody_holds_is_waited_for_with_patience"],
    ),
    (
        "25, 26 row-level security; log positions that go backwards",
        &["hidden_rows_are_an_error_and_never_a_delete", "a_database_restored_from_a_backup_is_another_history"],
    ),
];

fn read(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_case_has_the_tests_that_it_names() {
    let mut text = String::new();
    for folder in ["host/src", "plugins", "tests/tests"] {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut text);
    }
    for (case, tests) in CASES {
        assert!(!tests.is_empty(), "case {case} has no test");
        for test in tests {
            assert!(text.contains(&format!("fn {test}()")), "case {case}: there is no test {test}");
        }
    }
}
