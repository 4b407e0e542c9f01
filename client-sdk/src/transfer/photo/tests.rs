//! Pictures with everything that a camera writes into them, and what is left of it.

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, metadata::Orientation};
use std::io::Cursor;

use super::*;

/// What must never be found again.
const SECRETS: &[&[u8]] =
    &[b"GPS-48.8566N-2.3522E", b"SERIAL-0042", b"Chez Mme Dupont", b"COPY-OF-THE-PICTURE"];

fn picture(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = image::RgbImage::from_fn(37, 23, |x, y| image::Rgb([byte(x * 6), byte(y * 9), 99]));
    DynamicImage::ImageRgb8(image).write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// An EXIF block: orientation, a GPS directory, and words.
fn camera_exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0".to_vec();
    block.extend([2, 0]);
    block.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    block.extend([0x25, 0x88, 4, 0, 1, 0, 0, 0, 38, 0, 0, 0]); // GPS directory at byte 38
    block.extend([0; 4]);
    for secret in SECRETS {
        block.extend_from_slice(secret);
    }
    block
}

fn holds_a_secret(bytes: &[u8]) -> bool {
    SECRETS.iter().any(|secret| bytes.windows(secret.len()).any(|window| window == *secret))
}

fn decoded(bytes: &[u8]) -> (Vec<u8>, Orientation) {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap();
    let mut decoder = reader.into_decoder().unwrap();
    let orientation = decoder.orientation().unwrap();
    (DynamicImage::from_decoder(decoder).unwrap().into_bytes(), orientation)
}

fn jpeg_segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &length, content].concat()
}

/// A JPEG as a telephone writes it.
fn jpeg_of_a_camera() -> Vec<u8> {
    let plain = picture(ImageFormat::Jpeg);
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0".as_slice(), SECRETS[0]].concat();
    let mut bytes = plain[..2].to_vec();
    bytes.extend(jpeg_segment(0xe1, &[b"Exif\0\0".as_slice(), &camera_exif(6)].concat()));
    bytes.extend(jpeg_segment(0xe1, &xmp));
    bytes.extend(jpeg_segment(0xed, &[b"Photoshop 3.0\0".as_slice(), SECRETS[2]].concat()));
    bytes.extend(jpeg_segment(0xe2, &[b"MPF\0".as_slice(), SECRETS[3]].concat()));
    bytes.extend(jpeg_segment(0xfe, SECRETS[1]));
    bytes.extend(&plain[2..]);
    // A second picture behind the end, with its own position.
    bytes.extend(&plain[..2]);
    bytes.extend(jpeg_segment(0xe1, &[b"Exif\0\0".as_slice(), &camera_exif(1)].concat()));
    bytes.extend(&plain[2..]);
    bytes
}

fn png_chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
    // Readers take a wrong check sum of these chunks; the cleaned picture has none of them.
    [&length(content).to_be_bytes()[..], name, content, &[0; 4]].concat()
}

fn png_of_a_camera() -> Vec<u8> {
    let plain = picture(ImageFormat::Png);
    let after_header = 8 + 25;
    let mut bytes = plain[..after_header].to_vec();
    bytes.extend(png_chunk(b"tEXt", &[b"Comment\0".as_slice(), SECRETS[2]].concat()));
    bytes.extend(png_chunk(b"iTXt", &[b"XML:com.adobe.xmp\0".as_slice(), SECRETS[0]].concat()));
    bytes.extend(png_chunk(b"eXIf", &camera_exif(6)));
    bytes.extend(png_chunk(b"prVt", SECRETS[1]));
    bytes.extend(&plain[after_header..]);
    bytes.extend(SECRETS[3]);
    bytes
}

fn webp_chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
    let padding: &[u8] = if content.len() % 2 == 1 { &[0] } else { &[] };
    [name, &length(content).to_le_bytes()[..], content, padding].concat()
}

fn webp_of_a_camera() -> Vec<u8> {
    let plain = picture(ImageFormat::WebP);
    let mut chunks = b"WEBP".to_vec();
    chunks.extend(webp_chunk(b"VP8X", &[0x0c, 0, 0, 0, 36, 0, 0, 22, 0, 0]));
    chunks.extend(&plain[12..]);
    chunks.extend(webp_chunk(b"EXIF", &camera_exif(6)));
    chunks.extend(webp_chunk(b"XMP ", SECRETS[2]));
    [&b"RIFF"[..], &length(&chunks).to_le_bytes(), &chunks].concat()
}

fn check(media_type: &str, plain: &[u8], camera: &[u8]) {
    assert!(holds_a_secret(camera));
    let cleaned = clean(media_type, camera).unwrap();
    assert!(!holds_a_secret(&cleaned), "{media_type}");
    let (pixels, orientation) = decoded(&cleaned);
    assert_eq!(orientation, Orientation::Rotate90, "{media_type}");
    assert_eq!(pixels, decoded(plain).0, "{media_type}: the same pixels");
    assert_eq!(clean(media_type, &cleaned).unwrap(), cleaned, "{media_type}: clean stays clean");
}

#[test]
fn no_position_nor_other_metadata_is_left_and_the_picture_is_the_same() {
    check("image/jpeg", &picture(ImageFormat::Jpeg), &jpeg_of_a_camera());
    check("image/png", &picture(ImageFormat::Png), &png_of_a_camera());
    check("image/webp", &picture(ImageFormat::WebP), &webp_of_a_camera());
}

#[test]
fn what_has_no_metadata_loses_nothing() {
    for (media_type, format) in [("image/jpeg", ImageFormat::Jpeg), ("image/png", ImageFormat::Png)] {
        let plain = picture(format);
        assert_eq!(clean(media_type, &plain).unwrap(), plain, "{media_type}");
    }
    let plain = picture(ImageFormat::WebP);
    assert_eq!(decoded(&clean("image/webp", &plain).unwrap()), decoded(&plain));
}

#[test]
fn a_picture_that_is_cut_or_of_another_kind_is_refused_and_nothing_panics() {
    for (media_type, camera) in [
        ("image/jpeg", jpeg_of_a_camera()),
        ("image/png", png_of_a_camera()),
        ("image/webp", webp_of_a_camera()),
    ] {
        for cut in [3, 12, 40, camera.len() / 4] {
            assert_eq!(clean(media_type, &camera[..cut]), Err(PhotoError::Malformed), "{media_type} {cut}");
        }
        for at in 0..camera.len().min(600) {
            let mut damaged = camera.clone();
            damaged[at] ^= 0xff;
            let _ = clean(media_type, &damaged);
        }
    }
    assert_eq!(clean("image/heic", b"....ftypheic"), Err(PhotoError::Format));
    assert_eq!(treatment("image/heic"), Treatment::Refuse);
    assert_eq!(treatment("application/pdf"), Treatment::None);
}
