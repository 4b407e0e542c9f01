//! The one tag of EXIF that is kept: how the picture must be turned (TIFF 6.0 tag 274).

use image::metadata::Orientation;

/// An EXIF block (a TIFF file) that holds the orientation of another and nothing else. `None`: the other
/// says nothing, or that the picture stands upright.
pub(super) fn orientation_only(exif: &[u8]) -> Option<Vec<u8>> {
    let orientation = Orientation::from_exif_chunk(exif)?;
    if orientation == Orientation::NoTransforms {
        return None;
    }
    let mut block = Vec::with_capacity(26);
    block.extend(b"MM\0*\0\0\0\x08"); // big endian; the first directory is at byte 8
    block.extend([0, 1]); // one entry:
    block.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1]); // orientation, one 16-bit number,
    block.extend([0, orientation.to_exif(), 0, 0]); // this one
    block.extend([0; 4]); // no further directory
    Some(block)
}
