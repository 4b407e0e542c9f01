//! PNG (W3C recommendation, third edition): chunks that show the picture stay.

use super::exif;
use crate::transfer::limits::PICTURE_CHUNKS_MAX;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Chunks without which the picture would not look the same. Texts, times, EXIF and everything unknown go.
const SHOWN: &[&[u8; 4]] = &[
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP",
    b"mDCV", b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
];

/// The picture without metadata; `None` if it is not built as it must be.
pub(super) fn clean(picture: &[u8]) -> Option<Vec<u8>> {
    let chunks = chunks(picture)?;
    let orientation = chunks.iter().find(|chunk| chunk.name == b"eXIf");
    let orientation = orientation.and_then(|chunk| exif::orientation_only(chunk.content));
    let mut kept = Vec::with_capacity(picture.len());
    kept.extend(SIGNATURE);
    for chunk in &chunks {
        if SHOWN.iter().any(|shown| shown.as_slice() == chunk.name) {
            kept.extend_from_slice(chunk.whole);
        }
        if let Some(block) = orientation.as_ref().filter(|_| chunk.name == b"IHDR") {
            write_chunk(&mut kept, *b"eXIf", block);
        }
    }
    Some(kept)
}

/// A chunk where it lies.
struct Chunk<'a> {
    name: &'a [u8],
    content: &'a [u8],
    /// With length and check sum.
    whole: &'a [u8],
}

/// Every chunk up to the end of the picture; what follows it is not part of it.
fn chunks(picture: &[u8]) -> Option<Vec<Chunk<'_>>> {
    let mut rest = picture.strip_prefix(SIGNATURE)?;
    let mut chunks = Vec::new();
    while chunks.len() < PICTURE_CHUNKS_MAX {
        let length = usize::try_from(u32::from_be_bytes(rest.first_chunk().copied()?)).ok()?;
        let whole = rest.get(..length.checked_add(12)?)?;
        let chunk = Chunk { name: &whole[4..8], content: &whole[8..8 + length], whole };
        rest = &rest[whole.len()..];
        let ends = chunk.name == b"IEND";
        chunks.push(chunk);
        if ends {
            return Some(chunks);
        }
    }
    None
}

fn write_chunk(kept: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    let length = u32::try_from(content.len()).expect("the orientation is short");
    kept.extend(length.to_be_bytes());
    let start = kept.len();
    kept.extend(name);
    kept.extend_from_slice(content);
    let sum = crc32(&kept[start..]);
    kept.extend(sum.to_be_bytes());
}

/// The check sum of a chunk (ISO 3309), bit by bit: it is made for thirty bytes at most.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    let byte = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum));
    !bytes.iter().fold(u32::MAX, byte)
}
