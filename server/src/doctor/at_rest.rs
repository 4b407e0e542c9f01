//! The key at rest: whether it is there, fits, belongs to this user alone, and lies somewhere else than what it seals.

use std::os::unix::fs::MetadataExt;

use cercle_storage::EngineKind;

use super::Finding;
use crate::{
    at_rest::{self, AtRestError, KeySource, WRAPPED_KEY},
    config::Config,
    error::Chain,
    server::keys::KeyFileError,
};

const SUBJECT: &str = "key at rest";

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let is_sealed = config.data.join(WRAPPED_KEY).exists();
    let source = match config.at_rest_source() {
        Ok(None) if !is_sealed => {
            let mend = "set at_rest_key, stop the hub and run `cercle-server store seal`; or keep the disk encrypted";
            return vec![Finding::warning(SUBJECT, "names and user ids lie readable on the disk", mend)];
        }
        Ok(None) => {
            let found = Chain(&AtRestError::NotConfigured).to_string();
            return vec![Finding::bad(SUBJECT, found, "set at_rest_key to the key of this hub")];
        }
        Ok(Some(source)) => source,
        Err(error) => {
            return vec![Finding::bad(SUBJECT, Chain(&error).to_string(), "correct at_rest_key")];
        }
    };
    if !is_sealed && EngineKind::found_in(&config.data.join("store")).is_some() {
        let mend = "stop the hub and run `cercle-server store seal`";
        return vec![Finding::bad(SUBJECT, "the store is not sealed yet, and at_rest_key is set", mend)];
    }
    match at_rest::fits(config, &source) {
        Err(AtRestError::File(KeyFileError::Permissions { path, mode, wanted })) => {
            let found = format!("{} has mode {mode:o}: other users can read it", path.display());
            vec![Finding::bad(SUBJECT, found, format!("chmod {wanted:o} {}", path.display()))]
        }
        Err(error) => {
            let mend = "put the key of this hub back, from where you keep its copy; without it nothing opens";
            vec![Finding::bad(SUBJECT, Chain(&error).to_string(), mend)]
        }
        Ok(()) => vec![place(config, &source)],
    }
}

/// A key beside what it seals is stolen with it.
fn place(config: &Config, source: &KeySource) -> Finding {
    let KeySource::File(file) = source else {
        return Finding::good(SUBJECT, "the program gives the key of this hub");
    };
    let device = |path: &std::path::Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    if device(file).is_some() && device(file) == device(&config.data) {
        let found = format!("{} lies on the disk of the hub: who takes the disk has both", file.display());
        let mend = "move it to another disk or a credential of systemd, or let a key service give it; keep a copy elsewhere";
        return Finding::warning(SUBJECT, found, mend);
    }
    Finding::good(SUBJECT, "it fits, and lies on another disk than the store")
}
