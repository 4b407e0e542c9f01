//! The exact bytes that devices sign outside MLS.
//!
//! Each signature is over a label that ends with a zero byte, then fields of fixed length. MLS prefixes
//! what it signs with "MLS 1.0 " (RFC 9420 section 5.1.2), so no signature can serve in the other domain.

use crate::id::{DeviceId, UserId};
use ring::digest::{SHA256, digest};

/// Length of the nonce of `HelloOk`.
pub const NONCE_BYTES: usize = 32;
/// Length of an Ed25519 public key.
pub const PUBLIC_KEY_BYTES: usize = 32;

/// What a device signs to enrol: label, nonce, SHA-256 of the invitation secret, device id, public key.
#[must_use]
pub fn enrol_message(
    nonce: &[u8; 32],
    secret: &[u8; 32],
    device: DeviceId,
    public_key: &[u8; 32],
) -> Vec<u8> {
    let secret_hash = digest(&SHA256, secret);
    [b"cercle enrol v1\0".as_slice(), nonce, secret_hash.as_ref(), device.as_bytes(), public_key].concat()
}

/// What a device signs to open a session: label, nonce, device id.
#[must_use]
pub fn session_message(nonce: &[u8; 32], device: DeviceId) -> Vec<u8> {
    [b"cercle session v1\0".as_slice(), nonce, device.as_bytes()].concat()
}

/// What a device and its user's recovery key sign to come back: label, nonce, device id, public key of the
/// device, user.
#[must_use]
pub fn recover_message(nonce: &[u8; 32], device: DeviceId, public_key: &[u8; 32], user: &UserId) -> Vec<u8> {
    let label = b"cercle recover v1\0".as_slice();
    [label, nonce, device.as_bytes(), public_key, user.as_str().as_bytes()].concat()
}

/// Checks an Ed25519 signature (RFC 8032).
#[must_use]
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public_key)
        .verify(message, signature)
        .is_ok()
}

/// SHA-256 of bytes: fingerprints, and the form in which invitations are stored.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}
