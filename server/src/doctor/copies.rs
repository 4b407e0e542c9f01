//! Backups: whether there are any, how old the newest is, and whether they would survive this disk.

use std::os::unix::fs::MetadataExt;

use super::Finding;
use crate::{
    backup::{BackupError, Repository},
    config::Config,
    error::Chain,
    limits,
};

/// Looks at the folder of backups.
pub(super) fn check(config: &Config, now: u64) -> Vec<Finding> {
    let Some(folder) = config.backups_folder() else {
        let mend =
            "set `backups` to a folder on another disk, and run `cercle-server backup create` by a timer";
        return vec![Finding::warning("backups", "none are known", mend)];
    };
    let newest = Repository::open(&folder).and_then(|repository| repository.backup_or_newest(None));
    let newest = match newest {
        Ok(newest) => newest,
        Err(BackupError::Busy(_)) => return vec![Finding::good("backups", "one is being made")],
        Err(error) => {
            let mend = "run `cercle-server backup create`; `backup verify` says what is damaged";
            return vec![Finding::bad("backups", Chain(&error).to_string(), mend)];
        }
    };
    let hours = now.saturating_sub(newest.created_at_ms) / 3_600_000;
    let mut findings = vec![if now > newest.created_at_ms + limits::BACKUP_AGE_MAX_MS {
        let mend = "run `cercle-server backup create`, and see why the timer does not";
        Finding::warning("backups", format!("the newest is {hours} hours old"), mend)
    } else {
        Finding::good("backups", format!("the newest is {hours} hours old"))
    }];
    let device = |path: &std::path::Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    if device(&folder).is_some() && device(&folder) == device(&config.data) {
        let mend = "keep them on another disk, or copy the folder away (rsync): it can be copied as it is";
        findings.push(Finding::warning("backups disk", "backups lie on the disk of the hub", mend));
    }
    findings
}
