//! JPEG (ITU-T T.81): segments that show the picture stay.

use super::exif;

const START: u8 = 0xd8;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const EXIF: &[u8] = b"Exif\0\0";

/// The picture without metadata; `None` if it is not built as it must be.
pub(super) fn clean(picture: &[u8]) -> Option<Vec<u8>> {
    let mut rest = picture.strip_prefix(&[0xff, START])?;
    let mut kept = Vec::with_capacity(picture.len());
    kept.extend([0xff, START]);
    if let Some(orientation) = orientation(rest) {
        segment(&mut kept, 0xe1, &[EXIF, &orientation].concat());
    }
    loop {
        let (marker, after) = next_marker(rest)?;
        rest = after;
        if marker == END {
            // Whatever follows is not part of the picture: cameras put further pictures there.
            kept.extend([0xff, END]);
            return Some(kept);
        }
        let (content, after) = split_segment(rest)?;
        rest = after;
        if shows(marker, content) {
            segment(&mut kept, marker, content);
        }
        if marker == SCAN {
            let (data, after) = rest.split_at(scan_bytes(rest));
            kept.extend_from_slice(data);
            rest = after;
        }
    }
}

/// Finds the orientation before the first scan.
fn orientation(mut rest: &[u8]) -> Option<Vec<u8>> {
    loop {
        let (marker, after) = next_marker(rest)?;
        if matches!(marker, SCAN | END) {
            return None;
        }
        let (content, after) = split_segment(after)?;
        if let Some(block) = content.strip_prefix(EXIF).filter(|_| marker == 0xe1) {
            return exif::orientation_only(block);
        }
        rest = after;
    }
}

/// The next marker that has a segment (or ends the picture), and what follows it. Fill bytes and markers
/// without a segment are passed over.
fn next_marker(mut rest: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        let (first, after) = rest.split_first()?;
        if *first != 0xff {
            return None;
        }
        let (&marker, after) = after.split_first()?;
        match marker {
            0xff => rest = &rest[1..],
            0x01 | 0xd0..=0xd7 => rest = after,
            0x00 | START => return None,
            _ => return Some((marker, after)),
        }
    }
}

fn split_segment(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes(rest.first_chunk().copied()?));
    Some((rest.get(2..length)?, &rest[length..]))
}

/// Whether a segment is needed to show the picture: tables, frames and scans; of the application segments
/// JFIF's head, the colour profile and Adobe's colour transform. JFIF's extension and EXIF hold small copies.
fn shows(marker: u8, content: &[u8]) -> bool {
    match marker {
        0xe0 => content.starts_with(b"JFIF\0"),
        0xe2 => content.starts_with(b"ICC_PROFILE\0"),
        0xee => content.starts_with(b"Adobe"),
        0xe1..=0xfe => false,
        _ => true,
    }
}

/// Length of the data of a scan: up to the next marker that is neither a stuffed byte nor a restart.
fn scan_bytes(data: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = data[at..].iter().position(|byte| *byte == 0xff) {
        at += found;
        match data.get(at + 1) {
            Some(0x00 | 0xd0..=0xd7) => at += 2,
            Some(_) => return at,
            None => break,
        }
    }
    data.len()
}

fn segment(kept: &mut Vec<u8>, marker: u8, content: &[u8]) {
    let length = u16::try_from(content.len() + 2).expect("it was read from a segment, or is short");
    kept.extend([0xff, marker]);
    kept.extend(length.to_be_bytes());
    kept.extend_from_slice(content);
}
