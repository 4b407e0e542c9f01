//! What the hub asks of the operating system at start.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that the hub needs beside its connections: store, log, sockets of its own.
const OWN_DESCRIPTORS: u64 = 64;

/// Raises the soft limit of file descriptors to the hard one, and warns if it is still too low: a hub without
/// descriptors lets clients hang.
pub(super) fn raise_descriptor_limit(connections_max: usize) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let needed = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OWN_DESCRIPTORS);
    if limit < needed {
        tracing::warn!(
            limit,
            needed,
            "fewer file descriptors than connections_max: raise LimitNOFILE or lower connections_max"
        );
    }
}
