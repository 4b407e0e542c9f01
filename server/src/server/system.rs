//! What the hub asks of the operating system at start.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::limits;

/// Raises the soft limit of file descriptors to the hard one. Returns how many connections may be admitted: as
/// many as configured, or as descriptors allow. Beyond that a hub could neither refuse a device politely nor
/// open its own files.
pub(super) fn connections_max(configured: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return configured };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return configured };
    let places = places(limit);
    if places < configured {
        tracing::warn!(
            limit,
            places,
            configured,
            "fewer file descriptors than connections_max asks for, so fewer devices are admitted: raise LimitNOFILE"
        );
    }
    places.min(configured)
}

/// Connections that so many descriptors allow.
fn places(descriptors: u64) -> usize {
    let own = limits::OWN_DESCRIPTORS.min(descriptors / 2);
    usize::try_from(descriptors - own).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_keeps_descriptors_for_itself_however_few_there_are() {
        assert_eq!(places(20_000), 19_040);
        assert_eq!(places(1_024), 512);
        assert_eq!(
            places(nix::libc::RLIM_INFINITY),
            usize::try_from(u64::MAX - limits::OWN_DESCRIPTORS).unwrap()
        );
    }
}
