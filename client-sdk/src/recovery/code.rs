//! The recovery code as people write it, and what derives from it.
//!
//! 128 random bits and 12 check bits in Crockford's base 32, in seven groups of four:
//! `7Q2K-9MPX-…`. Case, spaces and dashes do not matter; O counts as 0, I and L as 1. From the code and the
//! user derives, with Argon2id (RFC 9106), a key; from that, with HKDF, one that signs towards the hub and one
//! that opens the header of the vault.

use argon2::{Algorithm, Argon2, Params, Version};
use cercle_proto::{id::UserId, signing::sha256};
use hkdf::Hkdf;
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{store::StoreKey, store::seal::Sealer};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SECRET_BYTES: usize = 16;
const CHARS: usize = 28;
const GROUP: usize = 4;
const LABEL: &[u8] = b"cercle recovery v1\0";
const LANES: u32 = 4;

/// How much work Argon2id is for who derives from a code, and for who guesses. It is not stored anywhere: a code
/// opens only with the cost that it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
}

impl Cost {
    /// As for profiles (RFC 9106 section 4, second recommended option): 64 MiB, three passes, four lanes; a
    /// quarter of a second. The code has 128 random bits, so this is a second line, not the first.
    pub const STANDARD: Self = Self { memory_kib: 64 << 10, passes: 3 };
    /// As little as Argon2 takes: for tests and load generators, whose codes protect nothing.
    pub const LEAST: Self = Self { memory_kib: 8 * LANES, passes: 1 };
}

/// A text is no recovery code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// Characters are missing or too many.
    #[error("a recovery code has 28 letters and digits, this has {0}")]
    Length(usize),
    /// A character that no code has.
    #[error("no recovery code has the character {0}")]
    Character(char),
    /// The check characters do not fit: something was mistyped.
    #[error("the recovery code was mistyped: its check characters do not fit")]
    Mistyped,
}

/// A recovery code. Wiped when dropped; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<[u8; SECRET_BYTES]>);

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCode")
    }
}

impl RecoveryCode {
    /// Makes a new one.
    #[must_use]
    pub fn generate() -> Self {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        SystemRandom::new().fill(secret.as_mut_slice()).expect("the operating system has randomness");
        Self(secret)
    }

    /// As it is written down.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bits = u128::from_be_bytes(*self.0);
        // 140 bits: 12 of the check after 128 of the secret. The last 28 characters' worth of five bits.
        let check = check(&self.0);
        let mut digits = Zeroizing::new([0_u8; CHARS]);
        digits[CHARS - 1] = low5(u128::from(check));
        digits[CHARS - 2] = low5(u128::from(check >> 5));
        // Three characters end inside the check: the third from last has its two highest bits.
        let top = u128::from(check >> 10);
        digits[CHARS - 3] = low5((bits << 2) | top);
        bits >>= 3;
        for digit in digits[..CHARS - 3].iter_mut().rev() {
            *digit = low5(bits);
            bits >>= 5;
        }
        let mut text = Zeroizing::new(String::with_capacity(CHARS + CHARS / GROUP));
        for (index, digit) in digits.iter().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(*digit)]));
        }
        text
    }

    /// Reads what somebody has typed.
    ///
    /// # Errors
    /// Says what is wrong with it; a mistyped character is noticed in all but one of 4096 cases.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut digits = Zeroizing::new(Vec::with_capacity(CHARS));
        for character in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '‐' | '–' | '_'))
        {
            digits.push(value_of(character).ok_or(CodeError::Character(character))?);
        }
        if digits.len() != CHARS {
            return Err(CodeError::Length(digits.len()));
        }
        let bits = digits[..CHARS - 3].iter().fold(0_u128, |bits, digit| (bits << 5) | u128::from(*digit));
        let (third, second, last) = (digits[CHARS - 3], digits[CHARS - 2], digits[CHARS - 1]);
        let bits = (bits << 3) | u128::from(third >> 2);
        let found = (u16::from(third & 3) << 10) | (u16::from(second) << 5) | u16::from(last);
        let secret = Zeroizing::new(bits.to_be_bytes());
        if found == check(&secret) { Ok(Self(secret)) } else { Err(CodeError::Mistyped) }
    }

    /// Derives what the code opens for a user of a hub, at this cost.
    #[must_use]
    pub(crate) fn keys(&self, user: &UserId, root_fingerprint: &[u8; 32], cost: Cost) -> RecoveryKeys {
        let salt = sha256(&[LABEL, root_fingerprint, user.as_str().as_bytes()].concat());
        let params = Params::new(cost.memory_kib, cost.passes, LANES, Some(32));
        let params = params.expect("both costs are within Argon2's bounds");
        let mut root = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.0.as_slice(), &salt, root.as_mut_slice())
            .expect("the salt and the output have lengths that Argon2 takes");
        let derive = Hkdf::<Sha256>::new(Some(LABEL), root.as_slice());
        let mut keys = RecoveryKeys { sign: [0; 32], open: [0; 32] };
        derive.expand(b"sign", &mut keys.sign).expect("HKDF-SHA256 gives up to 8160 bytes");
        derive.expand(b"open", &mut keys.open).expect("HKDF-SHA256 gives up to 8160 bytes");
        keys
    }
}

/// What derives from a code. Wiped when dropped.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct RecoveryKeys {
    sign: [u8; 32],
    open: [u8; 32],
}

impl Drop for RecoveryKeys {
    fn drop(&mut self) {
        self.sign.zeroize();
        self.open.zeroize();
    }
}

impl std::fmt::Debug for RecoveryKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryKeys")
    }
}

impl RecoveryKeys {
    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.sign).expect("a seed has 32 bytes")
    }

    /// What the hub is given to know the code by.
    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.pair().public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    /// Signs towards the hub.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair().sign(message).as_ref().to_vec()
    }

    /// Seals the header of a vault.
    pub(crate) fn seal_header(&self, header: &[u8]) -> Vec<u8> {
        Sealer::new(&StoreKey::new(self.open)).seal(&[LABEL, b"header"], header)
    }

    /// Opens the header of a vault; `None` if it was sealed with another code.
    pub(crate) fn open_header(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        Sealer::new(&StoreKey::new(self.open)).open(&[LABEL, b"header"], sealed).ok()
    }
}

fn check(secret: &[u8; SECRET_BYTES]) -> u16 {
    let hash = sha256(&[b"cercle recovery check v1\0".as_slice(), secret].concat());
    u16::from_be_bytes([hash[0], hash[1]]) >> 4
}

fn low5(bits: u128) -> u8 {
    u8::try_from(bits & 31).expect("five bits are a byte")
}

fn value_of(character: char) -> Option<u8> {
    let character = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let index = ALPHABET.iter().position(|known| char::from(*known) == character)?;
    u8::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(byte: u8) -> RecoveryCode {
        RecoveryCode(Zeroizing::new(std::array::from_fn(|i| {
            byte.wrapping_mul(31).wrapping_add(u8::try_from(i * 15).unwrap())
        })))
    }

    #[test]
    fn a_code_is_read_as_people_write_it() {
        for byte in 0..=255 {
            let code = code(byte);
            let text = code.to_text();
            assert_eq!(text.len(), 34, "{}", *text);
            assert_eq!(RecoveryCode::parse(&text), Ok(code.clone()));
            let lazy = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
            assert_eq!(RecoveryCode::parse(&format!(" {lazy}\n")), Ok(code));
        }
        assert_ne!(RecoveryCode::generate(), RecoveryCode::generate());
    }

    #[test]
    fn what_was_mistyped_is_noticed() {
        let text = code(9).to_text();
        assert_eq!(RecoveryCode::parse(&text[..30]), Err(CodeError::Length(24)));
        assert_eq!(RecoveryCode::parse("U"), Err(CodeError::Character('U')));
        let mut noticed = 0;
        let mut tried = 0;
        for (index, old) in text.char_indices().filter(|(_, c)| *c != '-') {
            for new in ALPHABET.iter().map(|c| char::from(*c)).filter(|new| *new != old) {
                let mut changed = text.to_string();
                changed.replace_range(index..=index, &new.to_string());
                tried += 1;
                noticed += usize::from(RecoveryCode::parse(&changed) == Err(CodeError::Mistyped));
            }
        }
        assert!(tried > 800 && noticed >= tried - 4, "{noticed} of {tried}");
    }

    #[test]
    fn what_derives_depends_on_code_user_and_hub() {
        let (anne, bruno) =
            (UserId::parse("anne@cpts.example").unwrap(), UserId::parse("bruno@cpts.example").unwrap());
        let keys = code(1).keys(&anne, &[1; 32], Cost::LEAST);
        assert_eq!(keys.public_key(), code(1).keys(&anne, &[1; 32], Cost::LEAST).public_key());
        let others = [
            code(2).keys(&anne, &[1; 32], Cost::LEAST),
            code(1).keys(&bruno, &[1; 32], Cost::LEAST),
            code(1).keys(&anne, &[2; 32], Cost::LEAST),
            code(1).keys(&anne, &[1; 32], Cost { passes: 2, ..Cost::LEAST }),
        ];
        for other in others {
            assert_ne!(keys.public_key(), other.public_key());
            assert_eq!(other.open_header(&keys.seal_header(b"header")), None);
        }
        assert_eq!(keys.open_header(&keys.seal_header(b"header")).unwrap(), b"header");
        assert!(cercle_proto::signing::verify(&keys.public_key(), b"m", &keys.sign(b"m")));
    }
}
