//! What every store must do: one suite of cases, run by each implementation.
//!
//! A case is an async function over an empty store and names the promise it checks. A new engine gets one
//! line in [`engines`]; a new case gets one line in the list below.

mod account;
mod blob;
mod group;
mod inbox;
mod key_package;
mod log;
mod maintenance;
mod random;
mod register;
mod sample;
mod timer;

use std::sync::Arc;

use crate::{
    DataKey, Embedded, EngineKind, Model,
    engine::{JournalEngine, JournalSizes, MemoryEngine, sealed::SealedEngine},
    open, open_sealed,
    store::Store,
};

/// A store and the directory that it may lie in.
struct Fixture {
    store: Arc<dyn Store>,
    _place: Option<tempfile::TempDir>,
}

fn on_disk(kind: EngineKind) -> Fixture {
    let place = tempfile::tempdir().unwrap();
    Fixture { store: open(place.path(), kind).unwrap(), _place: Some(place) }
}

/// A journal with a checkpoint after every few operations.
fn busy_journal() -> Fixture {
    let place = tempfile::tempdir().unwrap();
    let sizes = JournalSizes { checkpoint_bytes: 4_000, journal_file_bytes: 20_000, body_file_bytes: 4_000 };
    let engine = JournalEngine::open(&place.path().join("store"), sizes).unwrap();
    Fixture { store: Arc::new(Embedded::start(Arc::new(engine)).unwrap()), _place: Some(place) }
}

/// Rows about people sealed, on disk.
fn sealed_on_disk(kind: EngineKind) -> Fixture {
    let place = tempfile::tempdir().unwrap();
    let store = open_sealed(place.path(), kind, Some(&DataKey::new([1; 32]))).unwrap();
    Fixture { store, _place: Some(place) }
}

/// Rows about people sealed, in memory.
fn sealed() -> Fixture {
    let engine = SealedEngine::create(Box::new(MemoryEngine::default()), &DataKey::new([1; 32])).unwrap();
    Fixture { store: Arc::new(Embedded::start(Arc::new(engine)).unwrap()), _place: None }
}

macro_rules! conformance {
    ($($theme:ident: $($case:ident),+;)+) => {
        conformance!(@engine model, Fixture { store: Arc::new(Model::new()), _place: None }; $($($theme::$case),+),+);
        conformance!(@engine memory, Fixture { store: Arc::new(Embedded::in_memory()), _place: None }; $($($theme::$case),+),+);
        conformance!(@engine redb, on_disk(EngineKind::Redb); $($($theme::$case),+),+);
        conformance!(@engine journal, on_disk(EngineKind::Journal); $($($theme::$case),+),+);
        conformance!(@engine sealed, sealed(); $($($theme::$case),+),+);
        conformance!(@engine sealed_journal, sealed_on_disk(EngineKind::Journal); $($($theme::$case),+),+);
        conformance!(@engine busy_journal, busy_journal(); $($($theme::$case),+),+);
        #[cfg(feature = "sled")]
        conformance!(@engine sled, on_disk(EngineKind::Sled); $($($theme::$case),+),+);
    };
    (@engine $engine:ident, $fixture:expr; $($theme:ident::$case:ident),+) => {
        mod $engine {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fixture = $fixture;
                    $theme::$case(Arc::clone(&fixture.store)).await;
                }
            )+
        }
    };
}

conformance! {
    log:
        entries_are_numbered_from_one_without_gaps,
        a_repeated_id_answers_as_the_first_time_even_after_the_epoch_moved,
        a_repeated_id_inside_one_batch_is_stored_once,
        a_refused_item_does_not_disturb_its_neighbours,
        the_group_is_checked_before_the_member_and_the_member_before_the_epoch,
        an_epoch_may_be_as_far_behind_as_allowed_and_never_ahead,
        no_message_of_an_epoch_before_an_external_commit_comes_after_it,
        the_hub_proposes_without_being_a_member,
        a_commit_cannot_be_appended,
        pages_come_in_the_order_asked_for,
        a_read_stops_at_its_limits_without_a_gap,
        a_cursor_never_goes_back_nor_past_the_head,
        cursors_of_many_devices_are_recorded_together,
        concurrent_appends_leave_no_gap;
    group:
        a_group_is_made_once,
        one_of_sixteen_racing_commits_wins,
        a_commit_changes_everything_at_once,
        a_commit_that_is_refused_at_its_last_part_changes_nothing,
        the_message_of_a_commit_is_stored_once,
        an_external_committer_joins_and_reads_what_follows,
        a_resynchronised_device_keeps_its_membership,
        a_removed_device_reads_its_removal_and_leaves_the_list,
        a_removed_device_can_be_forgotten_and_a_member_cannot,
        only_some_may_post_where_posting_is_restricted,
        members_that_wait_to_be_added_again_are_listed;
    inbox:
        a_welcome_is_shared_and_goes_with_its_last_pointer,
        numbers_of_an_inbox_are_never_used_twice,
        a_notice_reaches_every_device_it_is_for;
    key_package:
        sixteen_claimers_get_sixteen_packages,
        a_repeated_claim_gets_the_same_answer_and_takes_nothing,
        the_last_resort_comes_last_and_stays,
        expired_packages_are_not_handed_out,
        a_claimed_package_cannot_be_published_again,
        a_newer_generation_replaces_an_older_one,
        a_full_stock_takes_nothing;
    account:
        an_invitation_enrols_one_device_once,
        an_enrolment_is_refused_for_its_reason,
        a_user_has_a_limited_number_of_devices,
        a_revoked_device_loses_its_packages_and_is_listed_until_removed,
        a_device_is_readmitted_once_and_its_user_kept,
        users_are_listed_page_by_page,
        a_certificate_is_replaced_unless_the_device_is_revoked;
    timer:
        timers_fire_once_in_order_of_their_time,
        a_timer_is_replaced_or_disarmed,
        effects_are_stored_with_the_firing,
        a_change_of_notes_sees_what_it_replaces,
        notes_are_listed_by_kind_and_prefix_page_by_page,
        a_timer_leaves_a_note_with_its_firing,
        the_audit_log_is_a_chain,
        a_pruned_audit_log_is_a_chain_still;
    register:
        the_first_claim_of_a_register_stays,
        one_of_sixteen_racing_claims_wins;
    blob:
        a_blob_is_announced_once_and_completed_once,
        the_blobs_of_a_user_take_no_more_than_they_may,
        a_message_refers_to_complete_blobs_of_its_group_only,
        the_message_of_a_commit_refers_to_blobs_too,
        a_blob_that_changed_meanwhile_is_not_removed,
        blobs_are_listed_page_by_page;
    maintenance:
        what_every_member_has_acknowledged_is_deleted,
        what_is_too_old_is_deleted_whoever_waits_for_it,
        a_small_budget_gets_there_in_several_calls,
        records_are_kept_as_long_as_asked,
        a_group_without_members_keeps_entries_until_they_are_old;
}
