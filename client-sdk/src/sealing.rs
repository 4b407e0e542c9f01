//! How the content of a document is sealed: in chunks, with a key of its own (docs/protocol.md section 9).
//!
//! The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over ChaCha20-Poly1305 (RFC 8439): every
//! chunk has its place and whether it is the last in its nonce, so that chunks that were changed, moved,
//! left out, added or cut off do not open. Length and SHA-256 of the whole content travel in the message and
//! are checked as well. Pure; [`crate::transfer`] moves the bytes.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    digest,
};

/// Content of one chunk, bytes; the last one may be shorter.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// What sealing adds to a chunk, bytes.
pub const TAG_BYTES: usize = 16;
/// A whole sealed chunk, bytes.
pub const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// Bound to every chunk, so that no other use of a key can be taken for this one.
const CONTEXT: &[u8] = b"cercle document v1";

/// Bytes that the content becomes when sealed. Empty content is one empty chunk.
#[must_use]
pub const fn sealed_size(size: u64) -> u64 {
    size + chunks(size) * TAG_BYTES as u64
}

/// Chunks of a content of this size, bytes.
#[must_use]
pub const fn chunks(size: u64) -> u64 {
    let full = size.div_ceil(CHUNK_BYTES as u64);
    if full == 0 { 1 } else { full }
}

/// The content is not what the message says: another key, or bytes that were changed, moved or cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content is not what the message says")]
pub struct Damaged;

/// Seals a content, chunk after chunk.
pub struct Sealer {
    key: ChunkKey,
    next: u32,
    size: u64,
    digest: digest::Context,
}

impl Sealer {
    /// Begins with a key that is used for nothing else.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: ChunkKey::new(key), next: 0, size: 0, digest: digest::Context::new(&digest::SHA256) }
    }

    /// Seals the next chunk where it lies; the tag is appended. Every chunk but the last has
    /// [`CHUNK_BYTES`].
    pub fn seal(&mut self, chunk: &mut Vec<u8>, last: bool) {
        debug_assert!(chunk.len() == CHUNK_BYTES || last && chunk.len() < CHUNK_BYTES);
        self.digest.update(chunk);
        self.size += chunk.len() as u64;
        self.key.seal(self.next, last, chunk);
        self.next += 1;
    }

    /// Length and SHA-256 of what was sealed.
    #[must_use]
    pub fn finish(self) -> (u64, [u8; 32]) {
        (self.size, sha256(self.digest))
    }
}

/// Opens a sealed content, chunk after chunk.
pub struct Opener {
    key: ChunkKey,
    size: u64,
    sha256: [u8; 32],
    next: u32,
    digest: digest::Context,
}

impl Opener {
    /// Begins with what the message says about the content.
    #[must_use]
    pub fn new(key: &[u8; 32], size: u64, sha256: [u8; 32]) -> Self {
        let digest = digest::Context::new(&digest::SHA256);
        Self { key: ChunkKey::new(key), size, sha256, next: 0, digest }
    }

    /// Sealed bytes of the next chunk; 0 when there is none.
    #[must_use]
    pub fn next_sealed_bytes(&self) -> usize {
        match self.next_bytes() {
            Some(bytes) => bytes + TAG_BYTES,
            None => 0,
        }
    }

    /// Bytes of the whole content that were opened or taken.
    #[must_use]
    pub fn opened(&self) -> u64 {
        (u64::from(self.next) * CHUNK_BYTES as u64).min(self.size)
    }

    /// Sealed bytes before the next chunk: where a download goes on.
    #[must_use]
    pub fn sealed_offset(&self) -> u64 {
        u64::from(self.next) * SEALED_CHUNK_BYTES as u64
    }

    /// Opens the next chunk, [`Opener::next_sealed_bytes`] long.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn open<'a>(&mut self, sealed: &'a mut [u8]) -> Result<&'a [u8], Damaged> {
        let bytes = self.next_bytes().ok_or(Damaged)?;
        let last = u64::from(self.next) + 1 == chunks(self.size);
        let chunk = self.key.open(self.next, last, sealed)?;
        if chunk.len() != bytes {
            return Err(Damaged);
        }
        self.digest.update(chunk);
        self.next += 1;
        Ok(chunk)
    }

    /// Takes a chunk that was opened before, by an earlier try. What is wrong with it shows at the end.
    ///
    /// # Errors
    /// [`Damaged`] if it is not as long as the next chunk must be.
    pub fn take_opened(&mut self, chunk: &[u8]) -> Result<(), Damaged> {
        if self.next_bytes() != Some(chunk.len()) {
            return Err(Damaged);
        }
        self.digest.update(chunk);
        self.next += 1;
        Ok(())
    }

    /// Whether every chunk was opened or taken.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.next_bytes().is_none()
    }

    /// Checks that this is the content that the message means.
    ///
    /// # Errors
    /// [`Damaged`] if chunks are missing or the SHA-256 is another.
    pub fn finish(self) -> Result<(), Damaged> {
        let complete = self.is_complete();
        if complete && sha256(self.digest) == self.sha256 { Ok(()) } else { Err(Damaged) }
    }

    /// Length of the next chunk's content; `None` after the last.
    fn next_bytes(&self) -> Option<usize> {
        if u64::from(self.next) >= chunks(self.size) {
            return None;
        }
        let rest = self.size - u64::from(self.next) * CHUNK_BYTES as u64;
        Some(usize::try_from(rest).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES))
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("next", &self.next).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("next", &self.next).finish_non_exhaustive()
    }
}

/// A key, chunk by chunk.
struct ChunkKey(LessSafeKey);

impl ChunkKey {
    fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    fn seal(&self, index: u32, last: bool, chunk: &mut Vec<u8>) {
        self.0
            .seal_in_place_append_tag(nonce(index, last), Aad::from(CONTEXT), chunk)
            .expect("a chunk is shorter than what one nonce may seal");
    }

    fn open<'a>(&self, index: u32, last: bool, sealed: &'a mut [u8]) -> Result<&'a [u8], Damaged> {
        let opened = self.0.open_in_place(nonce(index, last), Aad::from(CONTEXT), sealed);
        opened.map(|chunk| &*chunk).map_err(|_| Damaged)
    }
}

/// Seven zero bytes (the key is new for each document), the place of the chunk, whether it is the last.
fn nonce(index: u32, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[7..11].copy_from_slice(&index.to_be_bytes());
    bytes[11] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

fn sha256(digest: digest::Context) -> [u8; 32] {
    digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|i| ((i * 31) >> 3).to_le_bytes()[0]).collect()
    }

    fn seal(content: &[u8]) -> (Vec<Vec<u8>>, [u8; 32]) {
        let mut sealer = Sealer::new(&KEY);
        let mut pieces: Vec<Vec<u8>> = content.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect();
        if pieces.is_empty() {
            pieces.push(Vec::new());
        }
        let count = pieces.len();
        for (i, piece) in pieces.iter_mut().enumerate() {
            sealer.seal(piece, i + 1 == count);
        }
        let (size, hash) = sealer.finish();
        assert_eq!(size, content.len() as u64);
        (pieces, hash)
    }

    fn open(key: &[u8; 32], pieces: &[Vec<u8>], size: usize, hash: [u8; 32]) -> Result<Vec<u8>, Damaged> {
        let mut opener = Opener::new(key, size as u64, hash);
        let mut content = Vec::new();
        for piece in pieces {
            content.extend_from_slice(opener.open(&mut piece.clone())?);
        }
        opener.finish().map(|()| content)
    }

    #[test]
    fn content_of_every_kind_of_length_comes_back() {
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let content = content(size);
            let (pieces, hash) = seal(&content);
            let sealed: usize = pieces.iter().map(Vec::len).sum();
            assert_eq!(sealed as u64, sealed_size(size as u64), "{size}");
            assert_eq!(open(&KEY, &pieces, size, hash), Ok(content), "{size}");
        }
    }

    #[test]
    fn changed_moved_missing_added_and_cut_chunks_do_not_open() {
        let size = 3 * CHUNK_BYTES + 5;
        let (pieces, hash) = seal(&content(size));
        let refused = |what: &str, pieces: &[Vec<u8>], size: usize| {
            assert_eq!(open(&KEY, pieces, size, hash), Err(Damaged), "{what}");
        };
        let mut changed = pieces.clone();
        changed[1][77] ^= 1;
        refused("changed", &changed, size);
        let mut moved = pieces.clone();
        moved.swap(0, 1);
        refused("moved", &moved, size);
        refused("cut after a chunk", &pieces[..3], 3 * CHUNK_BYTES);
        refused("cut, and the length as before", &pieces[..3], size);
        let added = [pieces.clone(), vec![pieces[3].clone()]].concat();
        refused("added", &added, size);
        let mut short = pieces.clone();
        short[3].truncate(20);
        refused("cut inside a chunk", &short, size);
        assert_eq!(open(&[8; 32], &pieces, size, hash), Err(Damaged), "another key");
        assert_eq!(open(&KEY, &pieces, size, [0; 32]), Err(Damaged), "another hash");
    }

    #[test]
    fn opening_goes_on_after_chunks_that_were_opened_before() {
        let content = content(2 * CHUNK_BYTES + 9);
        let (pieces, hash) = seal(&content);
        let mut opener = Opener::new(&KEY, content.len() as u64, hash);
        opener.take_opened(&content[..CHUNK_BYTES]).unwrap();
        assert_eq!(opener.sealed_offset(), pieces[0].len() as u64);
        assert_eq!(opener.opened(), CHUNK_BYTES as u64);
        assert_eq!(opener.take_opened(&content[..9]), Err(Damaged), "not a whole chunk");
        for piece in &pieces[1..] {
            assert_eq!(opener.next_sealed_bytes(), piece.len());
            opener.open(&mut piece.clone()).unwrap();
        }
        assert!(opener.is_complete());
        opener.finish().unwrap();
    }

    #[test]
    fn the_format_is_the_documented_one_for_another_implementation_too() {
        use chacha20poly1305::{
            ChaCha20Poly1305, KeyInit,
            aead::{Aead, Payload},
        };

        let (pieces, _) = seal(&content(CHUNK_BYTES + 6));
        let other = ChaCha20Poly1305::new(&KEY.into());
        let nonce = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]; // the second chunk, the last
        let payload = Payload { msg: &pieces[1], aad: b"cercle document v1" };
        let opened = other.decrypt(&nonce.into(), payload).unwrap();
        assert_eq!(opened, content(CHUNK_BYTES + 6)[CHUNK_BYTES..]);
        let mut chunk = b"Cercle".to_vec();
        Sealer::new(&KEY).seal(&mut chunk, true);
        assert_eq!(cercle_proto::id::to_hex(&chunk), "aa722175aa0813bda07130cb2e599ee37be0ce96b46c");
    }
}
