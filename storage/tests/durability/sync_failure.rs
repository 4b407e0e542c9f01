//! A disk whose sync fails: nothing is acknowledged on the strength of it, and nothing that was is lost.
//!
//! `strace` makes every sync of a process fail from some moment on. Without it the tests say so and pass, as
//! those of [`super::power_loss`].

use super::{
    child::{End, Engine, Job, Task},
    power_loss::strace_is_there,
    verify::Expected,
};

fn survives_failing_syncs(engine: Engine) {
    if !strace_is_there() {
        return;
    }
    for syncs in [40, 90, 140] {
        let place = tempfile::tempdir().unwrap();
        let (store, notes) = (place.path().join("store"), place.path().join("notes"));
        let inject = format!("inject=fdatasync:error=EIO:when={syncs}+");
        let wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", &inject];
        let task = Task {
            job: Job::Load,
            store: store.clone(),
            engine,
            notes: notes.clone(),
            round: 2,
            entries: Some(100_000),
            end: End::Clean,
        };
        // The load ends with the first write that is not acknowledged.
        let status = task.start(&wrapper.map(str::to_owned)).wait().unwrap();
        assert!(!status.success(), "every sync failed, and the load went on");
        let expected = Expected::read(&notes);
        assert!(expected.len() > 10, "only {} entries before the failure", expected.len());
        expected.check(engine, &store).unwrap_or_else(|what| panic!("after {syncs} syncs: {what}"));
    }
}

#[test]
fn the_journal_loses_nothing_when_syncs_fail() {
    survives_failing_syncs(Engine::Journal);
}

#[test]
fn a_journal_of_many_checkpoints_loses_nothing_when_syncs_fail() {
    survives_failing_syncs(Engine::BusyJournal);
}

#[test]
fn redb_loses_nothing_when_syncs_fail() {
    survives_failing_syncs(Engine::Redb);
}
