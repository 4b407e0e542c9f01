//! Whether a Welcome (RFC 9420 section 12.4.3.1) is for exactly the devices that its commit adds.
//!
//! Its content is encrypted to them, so this is all the hub can see; a device whose Welcome does not open
//! says so with `WelcomeAck`.

use openmls::{
    ciphersuite::hash_ref::KeyPackageRef,
    framing::{MlsMessageBodyIn, MlsMessageIn},
};
use tls_codec::Deserialize;

use super::{Error, profile::CIPHERSUITE};

/// Compares the recipients with the added key packages.
///
/// # Errors
/// [`Error::WelcomeMismatch`] when one is missing, or one too many, or there is no Welcome where one is due.
pub(super) fn check(message: Option<&[u8]>, added: &[KeyPackageRef]) -> Result<(), Error> {
    let mismatch = Error::WelcomeMismatch;
    let message = match (message, added) {
        (None, []) => return Ok(()),
        (None, _) => return Err(mismatch("there is none")),
        (Some(_), []) => return Err(mismatch("the commit adds nobody")),
        (Some(message), _) => message,
    };
    let parsed =
        MlsMessageIn::tls_deserialize_exact(message).map_err(|_| mismatch("it is not an MLSMessage"))?;
    let MlsMessageBodyIn::Welcome(welcome) = parsed.extract() else {
        return Err(mismatch("the MLSMessage holds no Welcome"));
    };
    if welcome.ciphersuite() != CIPHERSUITE {
        return Err(mismatch("its ciphersuite is not that of the profile"));
    }
    let mut recipients: Vec<_> = welcome.secrets().iter().map(|secret| secret.new_member()).collect();
    let mut wanted = added.to_vec();
    recipients.sort();
    wanted.sort();
    if recipients == wanted { Ok(()) } else { Err(mismatch("its recipients are not the added key packages")) }
}
