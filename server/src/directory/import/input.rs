//! Opens what is imported: a file or the files in a zip, line by line, in UTF-8 or Latin-1.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use super::ImportError;
use crate::limits;

/// One text, as the import reads it. Counts the bytes that went by, for the progress.
pub(super) struct Input<'a> {
    reader: Box<dyn BufRead + 'a>,
    line: usize,
    progress: &'a mut dyn FnMut(u64),
}

/// A line and its number, from 1.
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: Result<String, &'static str>,
    /// It was read as Latin-1, because it is not UTF-8.
    pub(super) latin: bool,
}

/// Calls `read` with each text of the file: itself, or each `.txt`, `.csv`, `.json` and `.ndjson` of a zip.
pub(super) fn for_each_text(
    path: &Path,
    progress: &mut dyn FnMut(u64),
    mut read: impl FnMut(Input<'_>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut file = File::open(path).map_err(ImportError::Open)?;
    let mut magic = [0; 4];
    let is_zip = file.read(&mut magic).map_err(ImportError::Open)? == 4 && magic == *b"PK\x03\x04";
    drop(file);
    let file = File::open(path).map_err(ImportError::Open)?;
    if !is_zip {
        return read(Input::new(Box::new(BufReader::with_capacity(1 << 16, file)), progress));
    }
    let damaged = |_| ImportError::Zip;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    for index in 0..archive.len() {
        let inside = archive.by_index(index).map_err(damaged)?;
        let name = inside.name().map_err(damaged)?.to_lowercase();
        if [".txt", ".csv", ".json", ".ndjson"].iter().any(|ending| name.ends_with(ending)) {
            read(Input::new(Box::new(BufReader::with_capacity(1 << 16, inside)), progress))?;
        }
    }
    Ok(())
}

impl<'a> Input<'a> {
    fn new(reader: Box<dyn BufRead + 'a>, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self { reader, line: 0, progress }
    }

    /// Whether the text is JSON, seen by its first character.
    pub(super) fn is_json(&mut self) -> Result<bool, ImportError> {
        let start = self.reader.fill_buf().map_err(ImportError::Read)?;
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        Ok(matches!(start.trim_ascii_start().first(), Some(b'{' | b'[')))
    }

    /// Whether each line of the JSON is a document of its own: the first one is, if it is whole.
    pub(super) fn is_lines_of_json(&mut self) -> Result<bool, ImportError> {
        let start = self.reader.fill_buf().map_err(ImportError::Read)?;
        let Some(end) = start.iter().position(|byte| *byte == b'\n') else { return Ok(false) };
        let is_document = serde_json::from_slice::<serde::de::IgnoredAny>(&start[..end]).is_ok();
        Ok(is_document && !start[end..].trim_ascii().is_empty())
    }

    /// The rest, as bytes; the byte order mark is gone.
    pub(super) fn into_reader(mut self) -> Result<Box<dyn BufRead + 'a>, ImportError> {
        if self.reader.fill_buf().map_err(ImportError::Read)?.starts_with(b"\xef\xbb\xbf") {
            self.reader.consume(3);
        }
        Ok(self.reader)
    }

    /// The next line without its end; `None` after the last.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, ImportError> {
        let mut bytes = Vec::new();
        let most = limits::DIRECTORY_LINE_BYTES_MAX as u64;
        let read =
            self.reader.by_ref().take(most).read_until(b'\n', &mut bytes).map_err(ImportError::Read)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        let mut length = read as u64;
        let whole = bytes.ends_with(b"\n") || length < most;
        if !whole {
            length += skip_line(&mut self.reader).map_err(ImportError::Read)?;
        }
        (self.progress)(length);
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        let (text, latin) = decode(bytes);
        let text = if !whole {
            Err("the line is longer than 64 KiB")
        } else if text.contains('\0') {
            Err("the line holds a zero byte")
        } else {
            Ok(text)
        };
        Ok(Some(Line { number: self.line, text, latin }))
    }
}

fn skip_line(reader: &mut dyn BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        skipped += used as u64;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

/// UTF-8, else Latin-1, in which every byte is a letter.
fn decode(bytes: Vec<u8>) -> (String, bool) {
    match String::from_utf8(bytes) {
        Ok(text) => (text.trim_start_matches('\u{feff}').to_owned(), false),
        Err(error) => (error.as_bytes().iter().map(|byte| char::from(*byte)).collect(), true),
    }
}
