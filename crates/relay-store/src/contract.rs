//! The conformance suite: what every store owes its callers, said once and run on each adapter.
//!
//! An adapter's test file gives [`contract_suite!`](crate::contract_suite) an async function that
//! returns a guard and fresh, empty [`Stores`], whose calendar is [`fixture::calendar`]; it gets a
//! `#[test]` for each behaviour. Time is a value here too: nothing sleeps, and no result depends on the
//! machine's clock. The moments lie in 2040, so that a store which hands ends of time to its backend
//! does not lose what it has just written.

#![expect(clippy::missing_panics_doc, reason = "a broken promise of a store fails the test")]
#![expect(clippy::panic, reason = "a broken promise of a store fails the test")]
#![expect(clippy::unwrap_used, reason = "a failing store fails the test")]

pub mod account_groups;
pub mod accounts;
pub mod admin;
pub mod admission;
pub mod archive;
pub mod budgets;
pub mod clocks;
pub mod corrections;
pub mod events;
pub mod fixture;
pub mod history;
pub mod key_groups;
pub mod key_pages;
pub mod keys;
pub mod limit_model;
pub mod listing_load;
pub mod moved_days;
pub mod operator;
mod random;
pub mod reaping;
pub mod record_search;
pub mod scopes;
pub mod sequences;
pub mod settings;
pub mod settlement;
pub mod spender;
pub mod standing;
pub mod statistics;
pub mod thresholds;
pub mod transfer;
pub mod waiting;
pub mod weeks;
pub mod windows;

use crate::Stores;

/// Runs one behaviour on a store that `factory` makes. What else `factory` returns (a folder, a server)
/// is kept until the behaviour has been checked.
///
/// It runs on a runtime with several threads: what is called at once really meets.
pub fn run<G>(factory: impl AsyncFnOnce() -> (G, Stores), behaviour: impl AsyncFnOnce(&Stores)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let (guard, stores) = factory().await;
        behaviour(&stores).await;
        drop(stores);
        drop(guard);
    });
}

/// Expands to one `#[test]` for each behaviour of the suite, on the stores that the given async function
/// makes.
#[macro_export]
macro_rules! contract_suite {
    ($factory:path) => {
        $crate::contract_suite! { @tests $factory;
            keys::a_key_reads_back_in_every_field,
            keys::an_absent_key_is_none,
            keys::a_key_id_and_a_digest_are_taken_once,
            keys::digests_are_tried_in_their_order,
            keys::keys_are_listed_newest_first,
            keys::an_update_of_a_key_writes_what_an_operator_may_change,
            keys::the_first_use_sets_the_end,
            keys::first_uses_at_once_agree_on_the_end,
            keys::only_an_end_after_first_use_is_set_by_use,
            keys::an_operator_may_change_an_end_that_use_has_set,
            keys::an_update_on_old_knowledge_is_refused,
            keys::of_updates_at_once_one_is_made,
            keys::a_deleted_key_comes_back,
            keys::a_purged_key_is_gone_and_its_secret_free,
            keys::a_secret_may_be_replaced_and_retire,
            keys::many_keys_are_added_at_once,
            keys::changes_of_keys_raise_their_version,
            keys::how_a_user_stands_comes_along_with_an_import,
            key_groups::a_key_joins_no_group_that_is_not_there,
            key_groups::a_key_is_imported_though_it_is_in_no_group_that_is_there,
            key_groups::a_group_that_keys_belong_to_is_not_removed,
            key_groups::a_key_that_joins_and_the_removal_of_its_group_at_once_agree,
            key_pages::keys_are_found_by_what_they_are,
            key_pages::pages_of_keys_follow_each_other,
            key_pages::a_page_is_never_old,
            key_pages::all_keys_at_once_are_never_old,
            key_pages::keys_are_sorted_by_their_use,
            accounts::an_account_reads_back_in_every_field,
            accounts::an_absent_account_is_none,
            accounts::an_account_id_is_taken_once,
            accounts::accounts_are_listed_by_priority_and_id,
            accounts::an_update_of_an_account_writes_what_an_operator_may_change,
            accounts::an_update_of_an_account_on_old_knowledge_is_refused,
            accounts::secrets_are_replaced_if_they_still_are_as_they_were,
            accounts::a_deleted_account_is_gone,
            accounts::health_follows_events,
            accounts::events_at_once_all_take_effect,
            accounts::changes_of_accounts_raise_their_version,
            account_groups::a_group_of_accounts_reads_back_and_changes_by_revision,
            account_groups::of_changes_of_a_group_of_accounts_at_once_one_is_made,
            account_groups::changes_of_groups_of_accounts_raise_the_version_of_accounts,
            account_groups::a_removed_account_leaves_its_groups,
            account_groups::no_account_joins_a_group_that_is_not_there,
            account_groups::an_account_that_joins_and_its_removal_at_once_agree,
            account_groups::every_binding_of_a_key_reads_back,
            account_groups::a_key_is_bound_to_no_group_that_is_not_there,
            account_groups::a_key_is_imported_though_its_group_is_not_there,
            account_groups::a_group_that_keys_are_bound_to_is_not_removed,
            account_groups::a_key_and_the_removal_of_its_group_at_once_agree,
            archive::an_empty_archive_has_no_pages,
            archive::what_was_counted_is_given,
            archive::counters_read_back,
            archive::counters_are_not_added_up,
            archive::counters_that_were_taken_in_go_on,
            archive::counters_that_were_taken_in_date_no_use,
            archive::records_are_taken_in_once,
            transfer::a_window_moves,
            transfer::a_restart_moves,
            transfer::a_week_of_claude_models_moves,
            transfer::a_day_of_an_account_moves,
            transfer::bindings_move,
            transfer::the_trail_moves,
            transfer::statistics_move,
            transfer::nothing_is_known_of_limits_that_never_were,
            admin::a_fresh_store_has_no_predecessor,
            admin::the_first_login_stays,
            admin::of_two_first_logins_one_wins,
            admin::a_login_can_be_replaced,
            admin::a_login_that_has_changed_is_not_replaced,
            admin::of_replacements_at_once_one_wins,
            operator::a_group_reads_back_and_changes_by_revision,
            operator::changes_of_groups_raise_the_version_of_keys,
            operator::a_token_is_found_and_revoked,
            operator::the_trail_is_read_newest_first,
            operator::what_is_seldom_is_found_in_a_long_trail,
            operator::an_answer_is_given_again,
            events::events_are_read_newest_first,
            events::events_are_bounded_by_count_and_age,
            events::a_model_is_told_of_once_a_day,
            events::of_instances_at_once_one_tells,
            events::no_more_models_are_told_of_in_a_day_than_may_be,
            settings::documents_read_back_each_for_itself,
            settings::a_document_that_has_changed_is_not_replaced,
            settings::of_changes_at_once_one_is_made,
            admission::a_request_without_limits_is_in,
            admission::the_concurrency_limit_is_exact,
            admission::the_limit_is_exact_under_parallel_requests,
            admission::keys_do_not_share_a_limit,
            admission::a_lease_that_has_ended_holds_nothing,
            admission::a_checkpoint_extends_the_lease,
            admission::a_settled_request_frees_its_slot,
            admission::asking_again_takes_no_second_slot,
            admission::asking_again_in_vain_takes_none,
            admission::a_binding_is_seen_until_it_ends,
            admission::a_binding_is_renewed_and_replaced,
            budgets::a_budget_lets_in_what_fits,
            budgets::a_soft_budget_lets_in_the_last_that_finds_room,
            budgets::a_budget_is_exact_under_parallel_requests,
            budgets::a_budget_that_is_used_up_lets_nothing_in,
            budgets::the_first_limit_that_is_reached_is_named,
            budgets::a_budget_of_claude_models_counts_no_others,
            budgets::a_period_that_is_over_weighs_no_more,
            budgets::what_ends_in_the_next_period_counts_there,
            budgets::a_limit_that_is_changed_holds_at_once,
            budgets::a_release_spends_nothing,
            budgets::an_unknown_cost_counts_what_stands_for_it,
            budgets::what_is_reaped_counts_its_progress_and_holds_nothing,
            budgets::a_lease_that_has_ended_still_holds_its_budget,
            budgets::asking_again_holds_once,
            moved_days::a_day_that_is_moved_has_what_was_spent_since_it_began,
            moved_days::what_runs_while_a_day_is_moved_counts,
            moved_days::a_day_that_is_moved_has_nothing_from_before_a_restart,
            weeks::a_week_that_begins_elsewhere_forgets_nothing,
            weeks::a_limit_that_comes_with_another_week_counts_what_was_spent,
            weeks::what_ends_after_its_week_was_moved_counts_in_the_new_one,
            standing::a_restart_starts_every_limit_anew,
            standing::a_week_may_begin_ever_earlier,
            standing::a_grant_tells_how_the_limits_stand,
            standing::many_standings_are_told_in_the_order_asked_for,
            windows::a_window_counts_requests_until_it_closes,
            windows::first_requests_at_once_open_one_window,
            windows::a_denied_request_counts_in_no_window,
            windows::tokens_and_cost_count_at_the_end,
            windows::what_ends_later_counts_in_the_window_that_is_open,
            windows::asking_again_is_counted_once,
            windows::a_window_without_limits_lets_everything_in,
            scopes::a_request_is_held_by_key_and_group_or_by_neither,
            scopes::key_and_group_are_exact_together,
            scopes::a_request_weighs_on_one_account,
            scopes::an_account_holds_what_a_request_may_cost_there,
            scopes::an_account_gets_its_slots_back,
            scopes::assignments_at_once_are_exact,
            scopes::what_has_ended_is_gone,
            scopes::a_hold_is_raised_everywhere_or_nowhere,
            scopes::what_is_not_raised_needs_no_room,
            scopes::raises_at_once_never_pass_a_limit,
            scopes::a_settlement_counts_for_key_group_and_account,
            thresholds::a_settlement_is_told_what_it_has_passed,
            thresholds::a_threshold_is_told_once,
            thresholds::every_watched_budget_tells_its_own,
            thresholds::thresholds_are_told_again_when_a_limit_starts_anew,
            waiting::a_line_has_so_many_places,
            waiting::a_place_in_a_line_ends_by_itself,
            waiting::places_in_a_line_are_exact_under_parallel_requests,
            sequences::every_history_is_as_the_model_says,
            settlement::what_is_not_held_cannot_be_settled,
            settlement::a_request_counts_once,
            settlement::settlements_at_once_count_once,
            settlement::settlements_of_many_requests_all_count,
            settlement::usage_is_counted_in_every_scope_and_period,
            settlement::without_an_account_key_and_model_count,
            settlement::a_release_counts_nothing,
            settlement::a_request_without_price_is_told_apart,
            settlement::records_read_back_in_every_field,
            settlement::recent_records_come_newest_first,
            settlement::use_is_dated_and_raises_no_version,
            reaping::an_orphan_is_settled_with_its_last_checkpoint,
            reaping::an_orphan_counts_once,
            reaping::an_orphan_whose_usage_was_reckoned_says_so,
            reaping::an_orphan_without_progress_counts_nothing,
            reaping::what_was_told_and_withdrawn_counts_nothing,
            reaping::an_orphan_that_was_answered_counts_though_it_had_used_nothing,
            reaping::live_requests_are_left_alone,
            reaping::a_reaper_takes_no_more_than_it_is_told,
            reaping::a_late_settlement_counts_nothing,
            reaping::reapers_and_settlements_at_once_count_once,
            record_search::records_are_found_by_any_condition,
            record_search::a_page_goes_on_where_the_last_ended,
            record_search::records_are_dropped_by_age,
            statistics::any_question_is_answered_as_the_records_say,
            statistics::old_months_stay_and_old_days_are_refused,
            statistics::a_release_is_in_no_statistic,
            corrections::a_correction_moves_all_that_a_record_counts_in,
            corrections::a_correction_is_made_once,
            corrections::only_what_was_read_is_corrected,
            corrections::what_was_taken_in_is_corrected_in_no_statistic,
            corrections::a_correction_moves_the_periods_that_the_request_counts_in,
            corrections::a_correction_of_what_was_before_a_restart_weighs_nothing,
            corrections::a_correction_tells_no_threshold,
        }
    };
    (@tests $factory:path; $($area:ident::$behaviour:ident,)+) => {
        $(
            $crate::contract_suite! { @test $factory; $area, $behaviour }
        )+
    };
    (@test $factory:path; $area:ident, $behaviour:ident) => {
        #[test]
        fn $behaviour() {
            $crate::contract::run($factory, $crate::contract::$area::$behaviour);
        }
    };
}
