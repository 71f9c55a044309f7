//! One file an invariant, and one each for batching, `--once`, backfill, retry and draining; `convergence` tells random
//! stories. The stages are in `kit`; the clock is paused.
//!
//! Every test was seen failing against an engine broken on purpose:
//!
//! | test | what was broken |
//! |---|---|
//! | `i1::a_document_that_cannot_be_built_is_put_aside_before_its_position_is_confirmed` | what is put aside is not remembered |
//! | `i1::an_idle_stream_moves_on` | a checkpoint without documents is dropped |
//! | `i1::nothing_is_confirmed_while_its_flush_is_under_way` | a group counts as done before it is flushed |
//! | `i1::the_slowest_sink_decides_what_is_confirmed` | the fastest sink decides |
//! | `i1::the_source_hears_of_a_position_only_after_the_host_remembers_it` | the state is written behind the confirmation's back |
//! | `i2::a_batch_boundary_inside_a_transaction_moves_nothing` | a full batch confirms its last change |
//! | `i2::the_checkpoint_of_changes_that_touch_very_many_documents_goes_with_the_last_of_them` | the checkpoint goes with the first slice |
//! | `i3::no_row_is_read_before_the_source_is_prepared` | a snapshot is opened before `prepare` |
//! | `i3::rows_written_between_slot_and_snapshot_and_during_it_are_not_missed` | the version is taken after the build |
//! | `i4::a_batch_is_resolved_in_one_call_and_built_in_one` | `build_many` with one document |
//! | `i4::a_document_touched_many_times_in_a_batch_is_built_once` | the ids are not made distinct |
//! | `i4::a_large_build_is_spread_over_the_instances_and_comes_back_in_order` | all documents go to one instance (and: the shares come back in reverse) |
//! | `i5::an_older_read_of_a_backfill_does_not_bring_back_what_was_truncated` | a clearing is not noted |
//! | `i5::an_older_read_of_a_backfill_does_not_stand_in_for_a_document_that_was_refused_since` | a read is always current |
//! | `i5::an_older_read_of_a_backfill_never_lands_after_a_live_document` | a read is always current |
//! | `i5::documents_are_flushed_in_the_order_of_their_changes` | a group is written in reverse |
//! | `i6::a_document_of_two_generations_is_refused_once_also_at_the_promotion` | a rejection counts in each generation |
//! | `i6::a_later_success_clears_the_entry_also_after_a_restart` | the quarantine is not read at start |
//! | `i6::a_refused_document_is_put_aside_and_the_rest_of_its_batch_lands` | what is put aside is not remembered |
//! | `i6::a_run_that_stops_at_a_refused_document_has_not_marked_its_index_seeded` | the mark comes before the policy |
//! | `i6::a_sink_that_fails_for_good_keeps_no_other_from_what_is_built` | all tasks of a run that failed end at once |
//! | `i6::a_sink_that_is_away_is_tried_again_and_nothing_is_confirmed_meanwhile` | a group counts as done before it is flushed |
//! | `i6::a_stop_is_decided_before_anything_is_put_aside` | only the first refused document can stop the run |
//! | `i6::what_takes_a_sink_too_long_is_flushed_in_smaller_parts` | what failed goes again whole |
//! | `i6::what_was_written_since_the_last_good_flush_is_written_again_to_a_fresh_instance` | a group counts as done before it is flushed |
//! | `i7::a_backfill_is_not_resumed_in_a_generation_that_another_attempt_began` | the attempt is not compared |
//! | `i7::a_crash_between_promotion_and_mark_does_not_promote_an_empty_generation` | a promoted generation is taken for one under way |
//! | `i7::a_crash_in_the_middle_of_a_generation_goes_on_with_it` | nothing makes room |
//! | `i7::a_half_seeded_index_removed_behind_the_hosts_back_is_seeded_from_the_start` | an empty index is resumed |
//! | `i7::a_half_seeded_index_made_anew_behind_the_hosts_back_is_seeded_from_the_start` | the attempt's target is not compared |
//! | `i7::an_idle_sink_notices_that_its_index_was_removed` | an idle sink is not flushed |
//! | `i7::a_stream_that_moves_on_does_not_keep_an_idle_sink_from_its_flush` | an entry without documents begins the wait anew |
//! | `i7::a_host_that_forgot_everything_seeds_again_under_a_new_history` | a host that remembers nothing leaves the marks |
//! | `i7::a_lost_slot_stops_the_run_unless_it_may_seed_again` | a lost history is begun anew without a word |
//! | `i7::a_promotion_whose_answer_was_lost_is_recognised` | the target of `ensure_index` is not looked at |
//! | `i7::a_sink_without_generations_is_cleared_before_it_is_seeded_again` | a sink without generations is not cleared |
//! | `i7::a_slot_lost_while_it_is_followed_ends_the_run` | a lost history is tried again |
//! | `i7::an_index_is_not_marked_seeded_while_a_part_of_it_is_not_flushed` | a group counts as done before it is flushed |
//! | `i7::a_lost_slot_is_replaced_where_the_operator_allowed_it_beforehand` | the setting is not looked at |
//! | `i7::a_start_that_dies_between_new_marks_and_remembering_them_is_no_backup` | only the remembered term counts |
//! | `i7::an_index_restored_from_a_backup_is_not_taken_for_what_the_host_left_behind` | the term is not compared |
//! | `i7::an_index_removed_behind_the_hosts_back_is_seeded_again` | `Seeded` is carried out before the flush |
//! | `i7::what_is_missing_from_a_snapshot_is_known_before_its_index_is_marked_seeded` | what a seed could not build is remembered with its entry only |
//! | `i8::a_crash_at_any_call_of_a_stage_loses_nothing` | a backfill begins in the middle of a group |
//! | `i8::what_was_not_confirmed_comes_again_and_changes_nothing` | a transient error ends the run |
//! | `i11::a_batch_larger_than_every_limit_passes_alone` | a batch asks for all the room it needs |
//! | `i11::a_sink_leads_another_by_no_more_than_max_lead` | the lead is given back at once (and: is zero) |
//! | `i11::checkpoints_alone_are_bounded_too` | only changes are counted |
//! | `i11::the_queue_takes_no_more_than_its_limit_and_the_connection_is_kept_alive` | room in the queue is given back at once |
//! | `i11::what_is_built_and_not_flushed_is_bounded` | the room in the lane is given back at once |
//! | `i12::a_document_carries_the_version_that_was_polled_before_its_build` | the version is taken after the build |
//! | `i12::a_document_of_a_backfill_carries_the_version_that_was_polled_before_it_was_read` | the version is taken when the chunk arrives |
//! | `batching::a_delete_and_an_insert_of_one_key_in_one_transaction_is_one_build` | `build_many` with one document |
//! | `batching::a_lone_change_does_not_wait_for_the_clock` | a batch always waits for the delay |
//! | `batching::documents_that_a_reshaped_table_names_are_built_again` | the documents that `reshaped` names are dropped |
//! | `batching::only_the_last_flush_before_it_is_quiet_is_told_that_it_is_caught_up` | `caught_up` is always true (and: never) |
//! | `batching::the_next_batch_is_resolved_and_built_while_one_is_flushed` | an entry waits until the one before it is flushed |
//! | `batching::the_rest_of_a_transaction_is_waited_for_no_longer_than_the_delay` | an open transaction is not waited for |
//! | `batching::what_waits_together_goes_together_and_never_more_than_the_limit` | `max_changes` is not looked at |
//! | `once::a_head_that_is_reached_already_ends_it` | a head that is behind is waited for |
//! | `once::a_rebuild_that_is_asked_for_on_the_way_is_finished` | the worker ends before its seeds |
//! | `once::it_seeds_follows_to_the_head_and_ends_with_everything_confirmed` | `--once` only follows |
//! | `once::the_head_is_taken_when_the_last_seed_is_durable` | the first seed asks for the head |
//! | `once::what_is_committed_after_the_head_was_taken_is_not_waited_for` | the head is asked for at every poll |
//! | `once::what_it_wrote_is_found_when_it_ends` | an end counts as something that waits |
//! | `backfill::a_backfill_comes_to_its_end_although_live_changes_never_stop` | a waiting read never gets a turn |
//! | `backfill::a_range_whose_cursor_stands_still_is_not_read_for_ever` | a cursor that stands still is read on |
//! | `backfill::a_sink_that_joins_later_is_seeded_alone` | a seed goes to every sink |
//! | `backfill::an_interrupted_backfill_goes_on_after_what_was_durable` | no record is resumed |
//! | `backfill::another_mapping_starts_again` | the mapping's hash is not compared |
//! | `backfill::live_changes_are_confirmed_while_a_backfill_is_under_way` | `Seeded` is carried out before the flush |
//! | `backfill::only_the_index_that_is_unseeded_is_seeded` | every index is seeded at every start |
//! | `backfill::ranges_are_read_side_by_side` | one reading task |
//! | `backfill::skip_backfill_goes_straight_to_live` | `skip_backfill` is not looked at |
//! | `backfill::whole_ranges_are_preferred_to_keys` | the range builder is not asked for |
//! | `prefix::a_sink_is_told_the_prefix_that_stands_before_an_index` | the name alone has the prefix |
//! | `prefix::without_a_prefix_a_mapping_reaches_a_sink_as_the_builder_made_it` | the prefix is said although it is empty |
//! | `reindex::a_crash_at_any_call_goes_on_with_it_and_the_live_one_stays_whole` | what was asked for is not remembered (and: the live one loses its mark) |
//! | `reindex::a_sink_without_generations_says_that_its_index_is_not_whole_meanwhile` | what is cleared keeps its mark |
//! | `reindex::documents_that_are_wrong_end_what_was_asked_for_and_begin_it_anew` | the live one always keeps its mark |
//! | `reindex::live_changes_reach_both_and_one_promotion_ends_it` | the live one loses its mark |
//! | `reindex::what_is_not_there_or_is_being_built_is_refused` | what is being built is begun again |
//! | `retry::a_crash_now_and_then_does_not_use_up_the_budget` | a success heals nothing |
//! | `poison::of_a_batch_those_alone_are_put_aside_and_come_back_when_they_can_be_built` | no error is looked for (likewise the three below) |
//! | `poison::a_document_alone_in_its_batch_ends_no_run` | |
//! | `poison::of_a_seeded_index_too` | |
//! | `poison::where_the_run_is_to_stop_the_document_is_named` | |
//! | `poison::of_what_a_sink_is_given_those_alone_that_end_it_are_put_aside` | no error is looked for in a sink |
//! | `poison::what_an_entry_clears_is_cleared_once` | what the entry clears is not cleared |
//! | `poison::a_sink_that_dies_of_nothing_puts_nothing_aside` | no flush of nothing |
//! | `poison::a_sink_that_takes_nothing_any_more_ends_the_run` | no bound on documents in a row |
//! | `poison::a_builder_that_fails_in_several_ways_puts_nothing_aside` | the second failure need not be like the first |
//! | `poison::a_builder_that_builds_nothing_ends_the_run` | no bound on documents in a row |
//! | `retry::a_new_opening_is_not_told_what_an_older_one_handed_out` | the epoch of a position is not looked at |
//! | `retry::a_source_that_is_away_is_opened_again_where_it_was_confirmed` | a new opening is prepared for nothing |
//! | `retry::a_source_that_is_not_ready_is_waited_for_without_a_limit` | pending is an error |
//! | `retry::a_source_that_somebody_holds_is_waited_for_with_patience` | twice the patience (and: a hundredth) |
//! | `retry::a_resolve_whose_cursor_stands_still_ends_the_run` | a cursor that stands still is asked on |
//! | `retry::a_stage_cannot_put_a_run_to_sleep` | any wait is waited |
//! | `retry::a_stage_may_ask_for_a_longer_wait` | `retry_after` is not looked at |
//! | `retry::a_stage_that_dies_again_and_again_ends_the_run` | fifty more crashes |
//! | `retry::a_stage_that_stays_away_ends_the_run_after_the_timeout` | three times the timeout |
//! | `retry::an_error_that_nothing_helps_against_ends_the_run_at_once` | every error is tried again |
//! | `retry::the_wait_doubles_up_to_its_limit_and_a_success_heals_it` | the wait stays as it is |
//! | `retry::what_was_queued_from_an_older_opening_is_dropped` | events of an older opening are kept |
//! | `wait::a_change_is_found_when_the_answer_comes_although_more_is_always_waiting` | a wish is not heard under load (and: what is durable is taken for found) |
//! | `wait::nothing_is_promised_of_an_index_before_it_is_whole` | it is not looked at what is being filled |
//! | `wait::now_is_everything_that_was_committed_before_the_question` | now is what is durable |
//! | `wait::the_slowest_sink_decides_what_is_found` | the fastest sink decides |
//! | `wait::what_cannot_be_waited_for_is_said` | every error is waited out |
//! | `wait::what_was_left_for_later_is_shown_when_somebody_waits_for_it` | nothing is flushed for a wish alone |
//! | `drain::a_stage_that_hangs_is_cut_off_at_the_deadline` | the drain takes a hundred times as long |
//! | `drain::a_stop_does_not_wait_for_a_backfill` | a stop does not end the seeds |
//! | `drain::a_stop_does_not_wait_for_a_source_that_is_away` | the wish to end is not heard while the source is away |
//! | `drain::a_stop_under_load_confirms_what_is_in_flight` | the capture ends at once |
//! | `drain::a_stop_while_it_starts_ends_it_at_once` | the start is not cut short |
//! | `drain::an_idle_run_ends_at_once` | the capture ends at once |
//! | `drain::the_connection_is_kept_alive_while_it_drains` | no poll while draining |
//! | `links::a_backfill_that_did_not_remember_is_not_gone_on_with` | the record of a backfill that remembered nothing is kept |
//! | `links::a_crash_before_the_confirmation_finds_the_link_again` | what ended is never removed |
//! | `links::a_link_is_removed_together_with_the_confirmation` | what ended is removed when it is resolved |
//! | `links::an_index_whose_links_were_not_remembered_is_seeded_again` | what an index lacks is not looked at |
//! | `links::links_are_stored_before_a_document_made_of_them_is_written` | nothing is stored before a write |
//! | `links::what_a_batch_of_many_documents_ended_waits_for_the_last_of_them` | what ended is removed when it is resolved |
//! | `continuity::a_history_goes_on_only_where_both_sides_remember_the_same_one` | another history is resumed |
//! | `error_policy::each_kind_of_error_has_its_reaction_and_its_end` | a denied capability is tried again |
//! | `lag::the_lag_of_the_source_is_read_now_and_then` | the lag is read at every poll (and: never) |
//! | `convergence::every_sink_converges_whatever_happens_on_the_way` | a checkpoint goes with the first batch of its poll; and some thirty more |

mod backfill;
mod batching;
mod continuity;
mod convergence;
mod drain;
mod error_policy;
mod i1;
mod i11;
mod i12;
mod i2;
mod i3;
mod i4;
mod i5;
mod i6;
mod i7;
mod i8;
mod kit;
mod lag;
mod links;
mod once;
mod poison;
mod prefix;
mod reindex;
mod retry;
mod wait;
