//! Encryption of a Web Push payload (RFC 8291, with the content encoding aes128gcm of RFC 8188): pure, the
//! randomness comes in as an argument. Called by [`super::web_push`].

use p256::{
    PublicKey, SecretKey,
    elliptic_curve::{ecdh::diffie_hellman, sec1::ToEncodedPoint},
};
use ring::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};

/// Bytes of a subscription's public key: P-256, uncompressed.
pub const P256DH_BYTES: usize = 65;
/// Bytes of a subscription's authentication secret.
pub const AUTH_BYTES: usize = 16;
/// Record size that the header names; the payload is one short record.
const RECORD_BYTES: u32 = 4_096;
/// Ends the last record (RFC 8188 section 2).
const LAST_RECORD: u8 = 2;

/// Fresh randomness of one message: used for it alone.
pub struct Fresh {
    /// Salt of the message.
    pub salt: [u8; 16],
    /// Private key of the message, P-256.
    pub key: SecretKey,
}

impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fresh")
    }
}

/// A key of a subscription is no point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("p256dh is no uncompressed point of P-256")]
pub struct NoPoint;

/// Checks a subscription's public key.
///
/// # Errors
/// When it is no point of the curve.
pub fn check_public_key(p256dh: &[u8]) -> Result<PublicKey, NoPoint> {
    if p256dh.len() != P256DH_BYTES {
        return Err(NoPoint);
    }
    PublicKey::from_sec1_bytes(p256dh).map_err(|_| NoPoint)
}

/// The body of the request: header and one record (RFC 8291 section 4).
///
/// # Errors
/// When the subscription's key is no point of the curve.
pub fn encrypt(
    payload: &[u8],
    p256dh: &[u8],
    auth: &[u8; AUTH_BYTES],
    fresh: &Fresh,
) -> Result<Vec<u8>, NoPoint> {
    let receiver = check_public_key(p256dh)?;
    let sender = fresh.key.public_key().to_encoded_point(false);
    let shared = diffie_hellman(fresh.key.to_nonzero_scalar(), receiver.as_affine());
    let key_info = [b"WebPush: info\0", p256dh, sender.as_bytes()].concat();
    let input: [u8; 32] = derive(auth, shared.raw_secret_bytes(), &key_info);
    let key: [u8; 16] = derive(&fresh.salt, &input, b"Content-Encoding: aes128gcm\0");
    let nonce: [u8; NONCE_LEN] = derive(&fresh.salt, &input, b"Content-Encoding: nonce\0");

    let mut record = payload.to_vec();
    record.push(LAST_RECORD);
    let key = UnboundKey::new(&AES_128_GCM, &key).expect("the key has the length of AES-128");
    LessSafeKey::new(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)
        .expect("a wake id is far below the most that one nonce may seal");

    let mut body = fresh.salt.to_vec();
    body.extend(RECORD_BYTES.to_be_bytes());
    body.push(u8::try_from(P256DH_BYTES).expect("65 fits into a byte"));
    body.extend(sender.as_bytes());
    body.extend(record);
    Ok(body)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF with SHA-256 (RFC 5869).
fn derive<const N: usize>(salt: &[u8], input: &[u8], info: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(input);
    extracted
        .expand(&[info], Length(N))
        .and_then(|key| key.fill(&mut out))
        .expect("at most 32 bytes are asked for, far below 255 hashes");
    out
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn the_example_of_the_rfc_comes_out_byte_by_byte() {
        let fresh = Fresh {
            salt: bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap(),
            key: SecretKey::from_slice(&bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap(),
        };
        let p256dh =
            bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let auth = bytes("BTBZMqHH6r4Tts7J_aSIgg").try_into().unwrap();
        let body = encrypt(b"When I grow up, I want to be a watermelon", &p256dh, &auth, &fresh).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vC\
                        YLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWy\
                        ouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(body), expected);
    }

    #[test]
    fn a_key_that_is_no_point_is_refused() {
        let fresh = Fresh { salt: [1; 16], key: SecretKey::from_slice(&[7; 32]).unwrap() };
        assert_eq!(encrypt(b"x", &[4; 65], &[0; 16], &fresh), Err(NoPoint));
        assert_eq!(encrypt(b"x", &[], &[0; 16], &fresh), Err(NoPoint));
    }
}
