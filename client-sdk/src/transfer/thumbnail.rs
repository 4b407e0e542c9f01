//! A small picture of a picture, for the list in which its message stands.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, codecs::jpeg::JpegEncoder};

use super::limits::{PICTURE_MEMORY_MAX, PICTURE_SIDE_MAX, THUMBNAIL_SIDE};
use crate::limits::THUMBNAIL_BYTES_MAX;

/// Qualities of JPEG that are tried until the picture is small enough.
const QUALITIES: &[u8] = &[75, 55, 35, 15];

/// A JPEG of at most [`THUMBNAIL_SIDE`] pixels a side, turned upright. `None` when the picture cannot be
/// read or claims to be larger than [`PICTURE_SIDE_MAX`] or [`PICTURE_MEMORY_MAX`] allow: a document goes
/// without a thumbnail as well.
#[must_use]
pub fn of(picture: &[u8]) -> Option<Vec<u8>> {
    let mut reader = ImageReader::new(Cursor::new(picture)).with_guessed_format().ok()?;
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(PICTURE_SIDE_MAX);
    limits.max_image_height = Some(PICTURE_SIDE_MAX);
    limits.max_alloc = Some(PICTURE_MEMORY_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    if decoder.total_bytes() > PICTURE_MEMORY_MAX {
        return None;
    }
    let orientation = decoder.orientation().ok()?;
    let small = DynamicImage::from_decoder(decoder).ok()?.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE);
    let mut upright = small;
    upright.apply_orientation(orientation);
    let pixels = DynamicImage::ImageRgb8(upright.into_rgb8());
    QUALITIES.iter().find_map(|quality| {
        let mut bytes = Vec::new();
        pixels.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, *quality)).ok()?;
        (bytes.len() <= THUMBNAIL_BYTES_MAX).then_some(bytes)
    })
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, Rgb, RgbImage};

    use super::*;

    fn png(width: u32, height: u32, pixel: impl Fn(u32, u32) -> Rgb<u8>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let image = DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, pixel));
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    #[test]
    fn a_thumbnail_is_small_in_pixels_and_bytes_whatever_the_picture() {
        let noise = |x: u32, y: u32| {
            let mixed = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519);
            let [a, b, c, _] = mixed.to_be_bytes();
            Rgb([a, b, c])
        };
        let thumbnail = of(&png(600, 300, noise)).unwrap();
        assert!(thumbnail.len() <= THUMBNAIL_BYTES_MAX, "{}", thumbnail.len());
        let small = image::load_from_memory(&thumbnail).unwrap();
        assert_eq!((small.width(), small.height()), (256, 128));
    }

    #[test]
    fn what_is_no_picture_or_claims_to_be_huge_has_no_thumbnail() {
        assert_eq!(of(b"%PDF-1.7"), None);
        let mut bomb = png(4, 4, |_, _| Rgb([0; 3]));
        bomb[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]); // 16384 x 16384 pixels, it says
        assert_eq!(of(&bomb), None);
    }
}
