//! The media type of a file (RFC 6838), told from its first bytes: a name says what somebody wants it to be.

/// What a file is taken for when nothing is recognised.
pub const UNKNOWN: &str = "application/octet-stream";

/// Where which bytes stand, and what that means.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"%PDF-", "application/pdf"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypmsf1", "image/heif"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (128, b"DICM", "application/dicom"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"{\\rtf", "text/rtf"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\x1f\x8b", "application/gzip"),
];

/// Tells the type from the start of a file, [`HEAD_BYTES`](super::limits) or all of it.
#[must_use]
pub fn of(head: &[u8]) -> &'static str {
    let stands =
        |(at, bytes, _): &&(usize, &[u8], &str)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes));
    if let Some((_, _, media_type)) = SIGNATURES.iter().find(stands) {
        return media_type;
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return "image/webp";
    }
    of_text(head).unwrap_or(UNKNOWN)
}

/// Text is UTF-8 without control characters; the last character may be cut.
fn of_text(head: &[u8]) -> Option<&'static str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return None;
    }
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with("<?xml") {
        Some("application/xml")
    } else if start.starts_with('{') || start.starts_with('[') {
        Some("application/json")
    } else {
        Some("text/plain")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_from_content() {
        let mut dicom = vec![0; 128];
        dicom.extend(b"DICM\x02\0");
        for (head, expected) in [
            (&b"%PDF-1.7\n"[..], "application/pdf"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n\0\0", "image/png"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"\0\0\0\x18ftypheic\0\0", "image/heic"),
            (b"\0\0\0\x18ftypisom\0\0", "video/mp4"),
            (&dicom, "application/dicom"),
            ("Résultats : normaux\n".as_bytes(), "text/plain"),
            (b"<?xml version=\"1.0\"?><ClinicalDocument/>", "application/xml"),
            (b" {\"a\": 1}", "application/json"),
            (b"MZ\x90\0\x03", UNKNOWN),
            (b"", "text/plain"),
        ] {
            assert_eq!(of(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_text_cut_inside_a_character_is_still_a_text() {
        let text = "é".repeat(20);
        assert_eq!(of(&text.as_bytes()[..39]), "text/plain");
    }
}
