//! The key of the store: made at enrolment, kept in a file or derived from a passphrase.
//!
//! `profile.json` says which of the two, and with which Argon2id parameters (RFC 9106), so that stronger
//! ones can be chosen for new profiles while old ones still open.

use std::{fs, path::Path};

use argon2::{Algorithm, Argon2, Params, Version};
use cercle_proto::id::{from_hex, to_hex};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Passphrase, ProfileError, Protection,
    folder::{check_private, io_error, write_private},
};

const DESCRIPTION: &str = "profile.json";
const KEY_FILE: &str = "key";

/// Format of `profile.json` that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// Argon2id for new profiles: the second recommended option of RFC 9106 section 4, for machines where
/// 2 GiB are too much: 64 MiB, three passes, four lanes; about a quarter of a second.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;
const SALT_BYTES: usize = 16;

/// Most memory that a profile may ask for: more is damage, or an attempt to exhaust the machine.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 64;

#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    key: Source,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
enum Source {
    File,
    Argon2id { salt: String, memory_kib: u32, passes: u32, lanes: u32 },
}

/// Whether the profile is complete.
pub(super) fn is_described(folder: &Path) -> bool {
    folder.join(DESCRIPTION).is_file()
}

/// Makes a new key and writes down how to find it again.
pub(super) fn make(folder: &Path, protection: Protection) -> Result<Zeroizing<[u8; 32]>, ProfileError> {
    let (key, source) = match protection {
        Protection::KeyFile => {
            let key = Zeroizing::new(random::<32>());
            let text = Zeroizing::new(to_hex(key.as_slice()) + "\n");
            write_private(&folder.join(KEY_FILE), text.as_bytes())?;
            (key, Source::File)
        }
        Protection::Passphrase(passphrase) => {
            let salt = random::<SALT_BYTES>();
            let key = derive(&passphrase, &salt, MEMORY_KIB, PASSES, LANES)
                .expect("the parameters and the salt length are constants within Argon2's bounds");
            let (memory_kib, passes, lanes) = (MEMORY_KIB, PASSES, LANES);
            (key, Source::Argon2id { salt: to_hex(&salt), memory_kib, passes, lanes })
        }
    };
    let text = serde_json::to_string_pretty(&Description { format: FORMAT, key: source })
        .expect("a description has only numbers and text");
    write_private(&folder.join(DESCRIPTION), text.as_bytes())?;
    Ok(key)
}

/// Finds the key again; says whether a passphrase was needed.
pub(super) fn read(
    folder: &Path,
    passphrase: impl FnOnce() -> Option<Passphrase>,
) -> Result<(Zeroizing<[u8; 32]>, bool), ProfileError> {
    let path = folder.join(DESCRIPTION);
    let damaged = |what| ProfileError::Damaged { path: path.clone(), what };
    let text = fs::read_to_string(&path).map_err(|source| io_error(&path, source))?;
    let description: Description =
        serde_json::from_str(&text).map_err(|_| damaged("it does not describe a profile"))?;
    if description.format > FORMAT {
        return Err(damaged("a newer version of this program wrote it"));
    }
    match description.key {
        Source::File => Ok((read_key_file(&folder.join(KEY_FILE))?, false)),
        Source::Argon2id { salt, memory_kib, passes, lanes } => {
            if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
                return Err(damaged("its Argon2id parameters are out of range"));
            }
            let salt = from_hex(&salt).ok_or_else(|| damaged("its salt is not hexadecimal"))?;
            let passphrase = passphrase().ok_or(ProfileError::PassphraseNeeded)?;
            let key = derive(&passphrase, &salt, memory_kib, passes, lanes)
                .ok_or_else(|| damaged("its Argon2id parameters are out of range"))?;
            Ok((key, true))
        }
    }
}

fn read_key_file(path: &Path) -> Result<Zeroizing<[u8; 32]>, ProfileError> {
    check_private(path)?;
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|source| io_error(path, source))?);
    let bytes = from_hex(text.trim()).map(Zeroizing::new);
    let key = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
    key.map(Zeroizing::new).ok_or_else(|| ProfileError::Damaged {
        path: path.to_owned(),
        what: "a key is 64 hexadecimal digits",
    })
}

fn derive(
    passphrase: &Passphrase,
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(memory_kib, passes, lanes, Some(key.len())).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice()).ok()?;
    Some(key)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness once it has booted");
    bytes
}
