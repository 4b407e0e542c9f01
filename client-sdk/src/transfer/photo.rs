//! Takes out of a picture what tells where, when and with what it was taken, without encoding it again.
//!
//! What is known to be needed to show the picture stays, everything else goes: EXIF with its GPS position
//! and its own small copy of the picture, XMP, IPTC, maker notes, comments, pictures hidden behind the end.
//! Of EXIF only the orientation is written again, without which the picture would lie on its side.

mod exif;
mod jpeg;
mod png;
mod webp;

/// Why a picture cannot be cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhotoError {
    /// It is of a kind whose metadata this version cannot take out: save it as JPEG or PNG.
    #[error("its format is neither JPEG, PNG nor WebP")]
    Format,
    /// It is not built as its kind must be: save it again.
    #[error("it is damaged")]
    Malformed,
    /// It is too large to be cleaned in memory: make it smaller.
    #[error("it is larger than {} bytes", super::limits::PICTURE_BYTES_MAX)]
    TooLarge,
}

/// What must be done with a file of this media type before it leaves the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Nothing: not a picture of a camera.
    None,
    /// [`clean`] it.
    Clean,
    /// It may carry a position, and [`clean`] does not know its kind.
    Refuse,
}

/// What must be done with a file of this media type.
#[must_use]
pub fn treatment(media_type: &str) -> Treatment {
    match media_type {
        "image/jpeg" | "image/png" | "image/webp" => Treatment::Clean,
        "image/heic" | "image/heif" | "image/avif" | "image/tiff" => Treatment::Refuse,
        _ => Treatment::None,
    }
}

/// The picture without its metadata.
///
/// # Errors
/// See [`PhotoError`].
pub fn clean(media_type: &str, picture: &[u8]) -> Result<Vec<u8>, PhotoError> {
    match media_type {
        "image/jpeg" => jpeg::clean(picture),
        "image/png" => png::clean(picture),
        "image/webp" => webp::clean(picture),
        _ => return Err(PhotoError::Format),
    }
    .ok_or(PhotoError::Malformed)
}

#[cfg(test)]
mod tests;
