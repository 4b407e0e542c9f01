//! A photo as a telephone takes it: a drawn picture with the place where it was taken (EXIF 2.32, GPS directory).

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use crate::failure::Failure;

/// More than such a photo has, bytes.
pub(super) const BYTES_MAX: u64 = 1 << 20;

/// Width and height, pixels.
const SIZE: u32 = 160;

/// Degrees, minutes and seconds of an invented place, as rationals: 45° 30' 15" north, 3° 10' 20" east.
const POSITION: [[(u32, u32); 3]; 2] = [[(45, 1), (30, 1), (15, 1)], [(3, 1), (10, 1), (20, 1)]];

/// A photo on the disk of whoever took it.
pub(super) struct Taken {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Takes a photo.
///
/// # Errors
/// When it cannot be written.
pub(super) fn take(folder: &Path) -> Result<Taken, Failure> {
    let plain = draw()?;
    // The marker for EXIF follows the marker for the beginning of the picture.
    let exif = [b"Exif\0\0".as_slice(), &exif_block()].concat();
    let length = u16::try_from(exif.len() + 2).expect("the block has fewer than 200 bytes").to_be_bytes();
    let bytes = [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat();
    let path = folder.join("photo.jpg");
    std::fs::write(&path, &bytes)?;
    Ok(Taken { path, bytes })
}

/// Whether a picture says where it was taken: by its EXIF marker, or by the position anywhere in it.
pub(super) fn has_position(picture: &[u8]) -> bool {
    let holds = |wanted: &[u8]| picture.windows(wanted.len()).any(|window| window == wanted);
    holds(b"Exif\0\0") || POSITION.iter().any(|degrees| holds(&rationals(degrees)))
}

/// Whether two pictures show the same, point by point.
pub(super) fn is_same_picture(one: &[u8], other: &[u8]) -> bool {
    let points = |bytes: &[u8]| image::load_from_memory(bytes).map(DynamicImage::into_bytes).ok();
    points(one).is_some() && points(one) == points(other)
}

/// A dark spot on skin.
fn draw() -> Result<Vec<u8>, Failure> {
    let middle = i64::from(SIZE / 2);
    let picture = RgbImage::from_fn(SIZE, SIZE, |x, y| {
        let (dx, dy) = (i64::from(x) - middle, i64::from(y) - middle);
        if dx * dx * 2 + dy * dy * 3 < middle * middle { Rgb([110, 70, 50]) } else { Rgb([224, 180, 155]) }
    });
    let mut bytes = Vec::new();
    DynamicImage::ImageRgb8(picture)
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg)
        .map_err(|error| Failure::fault(&error))?;
    Ok(bytes)
}

/// A TIFF file, big endian, with a directory that points to a GPS directory of four entries.
fn exif_block() -> Vec<u8> {
    /// Where the GPS directory begins: behind the header (8) and a directory of one entry (2 + 12 + 4).
    const GPS_AT: u32 = 26;
    /// Where its rationals begin: behind its four entries (2 + 4 * 12 + 4).
    const RATIONALS_AT: u32 = GPS_AT + 54;
    let mut block = b"MM\0*\0\0\0\x08".to_vec();
    block.extend([0, 1]);
    block.extend(entry(0x8825, 4, 1, GPS_AT.to_be_bytes()));
    block.extend([0; 4]);
    block.extend([0, 4]);
    block.extend(entry(1, 2, 2, *b"N\0\0\0"));
    block.extend(entry(2, 5, 3, RATIONALS_AT.to_be_bytes()));
    block.extend(entry(3, 2, 2, *b"E\0\0\0"));
    block.extend(entry(4, 5, 3, (RATIONALS_AT + 24).to_be_bytes()));
    block.extend([0; 4]);
    block.extend(POSITION.iter().flat_map(rationals));
    block
}

/// Tag, type and count of a value, and the value or where it lies.
fn entry(tag: u16, kind: u16, count: u32, value: [u8; 4]) -> Vec<u8> {
    [&tag.to_be_bytes()[..], &kind.to_be_bytes(), &count.to_be_bytes(), &value].concat()
}

fn rationals(degrees: &[(u32, u32); 3]) -> Vec<u8> {
    degrees.iter().flat_map(|(above, below)| [above.to_be_bytes(), below.to_be_bytes()]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_of_the_demonstration_is_a_picture_that_says_where_it_was_taken() {
        let folder = tempfile::tempdir().unwrap();
        let taken = take(folder.path()).unwrap();
        assert!(has_position(&taken.bytes) && taken.bytes.len() < usize::try_from(BYTES_MAX).unwrap());
        let plain = draw().unwrap();
        assert!(!has_position(&plain) && is_same_picture(&taken.bytes, &plain));
        assert!(!is_same_picture(b"", b""));
    }
}
