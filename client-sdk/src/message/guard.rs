//! Who a message is about may be said only where everybody takes part in that person's care: in the patient's
//! circle, and between two professionals (CSP L1110-4).
//!
//! Called before a message is queued, with the kind that counts for this (`sync/kind.rs`). A kind says by [`Kind::about_patient`](super::Kind::about_patient) whether
//! it carries identity traits, or makes sense for one known patient only.

use super::{Body, ThreadKind};
use crate::error::Error;

/// Whether a thread may know who a patient is.
#[must_use]
pub const fn may_identify(thread: ThreadKind) -> bool {
    matches!(thread, ThreadKind::PatientCircle | ThreadKind::Direct)
}

/// Refuses what is about one patient in any other thread.
///
/// # Errors
/// [`Error::IdentityInWideThread`].
pub(crate) fn check(body: &Body, thread: ThreadKind) -> Result<(), Error> {
    if body.about_patient() && !may_identify(thread) {
        return Err(Error::IdentityInWideThread { kind: body.name() });
    }
    Ok(())
}
