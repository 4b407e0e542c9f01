//! WebP (RFC 9649): chunks that show the picture stay.

use super::exif;
use crate::transfer::limits::PICTURE_CHUNKS_MAX;

/// Chunks without which the picture would not look the same. EXIF, XMP and everything unknown go.
const SHOWN: &[&[u8; 4]] = &[b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];

/// Bits of the extended header's first byte that announce EXIF and XMP.
const ANNOUNCES_EXIF: u8 = 0x08;
const ANNOUNCES_XMP: u8 = 0x04;

/// The picture without metadata; `None` if it is not built as it must be.
pub(super) fn clean(picture: &[u8]) -> Option<Vec<u8>> {
    let size = usize::try_from(u32::from_le_bytes(*picture.strip_prefix(b"RIFF")?.first_chunk()?)).ok()?;
    let mut rest = picture.get(8..)?.get(..size)?.strip_prefix(b"WEBP")?;
    let mut kept = b"RIFF\0\0\0\0WEBP".to_vec();
    let mut orientation = None;
    let mut header = None;
    for _ in 0..PICTURE_CHUNKS_MAX {
        if rest.is_empty() {
            break;
        }
        let name = rest.get(..4)?;
        let length = usize::try_from(u32::from_le_bytes(*rest.get(4..)?.first_chunk()?)).ok()?;
        let content = rest.get(8..)?.get(..length)?;
        if name == b"EXIF" {
            let block = content.strip_prefix(b"Exif\0\0").unwrap_or(content);
            orientation = exif::orientation_only(block);
        } else if SHOWN.iter().any(|shown| shown.as_slice() == name) {
            header = header.or_else(|| (name == b"VP8X").then_some(kept.len() + 8));
            chunk(&mut kept, name, content);
        }
        rest = rest.get(8 + length + length % 2..).unwrap_or_default();
    }
    if !rest.is_empty() {
        return None;
    }
    if let Some(flags) = header {
        let announced = kept.get_mut(flags)?;
        *announced &= !(ANNOUNCES_EXIF | ANNOUNCES_XMP);
        if let Some(block) = orientation {
            *announced |= ANNOUNCES_EXIF;
            chunk(&mut kept, b"EXIF", &block);
        }
    }
    let size = u32::try_from(kept.len() - 8).ok()?;
    kept[4..8].copy_from_slice(&size.to_le_bytes());
    Some(kept)
}

/// Chunks begin at even places.
fn chunk(kept: &mut Vec<u8>, name: &[u8], content: &[u8]) {
    let length = u32::try_from(content.len()).expect("it was read from a chunk, or is short");
    kept.extend_from_slice(name);
    kept.extend(length.to_le_bytes());
    kept.extend_from_slice(content);
    if content.len() % 2 == 1 {
        kept.push(0);
    }
}
