//! The part of XML that a CAP file may use: elements, text, character data, comments, processing
//! instructions. No document type, hence no entities but the five of XML; UTF-8 only; everything bounded.
//! A fault is told with its line and column.

use quick_xml::{
    NsReader,
    events::Event,
    name::{Namespace, ResolveResult},
};

use crate::limits;

/// Name spaces of CAP, newest first.
pub(super) const NAMESPACES: [&str; 2] =
    ["urn:oasis:names:tc:emergency:cap:1.2", "urn:oasis:names:tc:emergency:cap:1.1"];

/// A place in a file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// Why a file is no CAP that is taken: what, and where. Quotes nothing of the file but names of elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", position.line, position.column)]
pub struct CapError {
    /// Where.
    pub position: Position,
    /// What.
    pub what: String,
}

/// An element of CAP with what is in it.
pub(super) struct Element {
    pub(super) name: String,
    /// Offset of its begin, bytes.
    pub(super) at: usize,
    pub(super) text: String,
    pub(super) children: Vec<Self>,
}

/// A file, and where its faults are.
pub(super) struct Source<'a>(pub(super) &'a str);

impl Source<'_> {
    pub(super) fn fault(&self, at: usize, what: impl Into<String>) -> CapError {
        CapError { position: position(self.0.as_bytes(), at), what: what.into() }
    }
}

/// Line and column of an offset.
fn position(bytes: &[u8], at: usize) -> Position {
    let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or(bytes));
    let line = before.rsplit('\n').next().unwrap_or_default();
    Position { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
}

/// Whether XML 1.0 has the character (section 2.2).
const fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// The text of a file in UTF-8.
pub(super) fn text(bytes: &[u8]) -> Result<&str, CapError> {
    let fault = |at, what: &str| CapError { position: position(bytes, at), what: what.to_owned() };
    if bytes.len() > limits::CAP_BYTES_MAX {
        return Err(fault(limits::CAP_BYTES_MAX, "the file is longer than 60 KiB"));
    }
    if bytes.starts_with(&[0xfe, 0xff]) || bytes.starts_with(&[0xff, 0xfe]) {
        return Err(fault(0, "the file is in UTF-16: save it as UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| fault(error.valid_up_to(), "not UTF-8"))?;
    if let Some((at, _)) = text.char_indices().find(|(_, character)| !is_character(*character)) {
        return Err(fault(at, "a character that XML does not have"));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The root element. Elements of other name spaces (signatures) are left out.
pub(super) fn parse(source: &Source<'_>) -> Result<Element, CapError> {
    let mut reader = NsReader::from_str(source.0);
    reader.config_mut().enable_all_checks(true);
    let mut parser = Parser { source, open: Vec::new(), root: None, foreign: 0, elements: 0 };
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let (space, event) = match reader.read_resolved_event() {
            Ok((space, event)) => (is_cap(&space), event.into_owned()),
            Err(_) => {
                let at = usize::try_from(reader.error_position()).unwrap_or(at);
                return Err(source.fault(at, "not well-formed XML"));
            }
        };
        match event {
            Event::Start(start) => parser.begin(at, space, start.local_name().as_ref())?,
            Event::Empty(start) => {
                parser.begin(at, space, start.local_name().as_ref())?;
                parser.end();
            }
            Event::End(_) => parser.end(),
            Event::Text(text) => parser.say(at, &text)?,
            Event::CData(text) => parser.say(at, &text)?,
            Event::GeneralRef(reference) => {
                let character = resolve(&reference);
                let character =
                    character.ok_or_else(|| source.fault(at, "an entity that XML does not have"))?;
                parser.say(at, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::Decl(declaration) => {
                let encoding = declaration.encoding().transpose();
                let encoding = encoding.map_err(|_| source.fault(at, "not well-formed XML"))?;
                let utf8 =
                    |name: &str| name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii");
                if encoding.is_some_and(|name| !utf8(&name)) {
                    return Err(source.fault(at, "the encoding must be UTF-8"));
                }
            }
            Event::DocType(_) => return Err(source.fault(at, "a document type is not taken")),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    let end = source.0.len();
    if !parser.open.is_empty() || parser.foreign > 0 {
        return Err(source.fault(end, "the file ends within an element"));
    }
    parser.root.ok_or_else(|| source.fault(end, "no element"))
}

/// Whether a name belongs to CAP.
fn is_cap(space: &ResolveResult<'_>) -> bool {
    matches!(space, ResolveResult::Bound(Namespace(space)) if NAMESPACES.contains(space))
}

/// A character of `&name;`: the five of XML, and numbers of characters that XML allows.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if reference.is_char_ref() {
        let allowed = |character: &char| is_character(*character);
        return reference.resolve_char_ref().ok()?.filter(allowed);
    }
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    }
}

struct Parser<'a> {
    source: &'a Source<'a>,
    open: Vec<Element>,
    root: Option<Element>,
    /// Depth within an element of another name space.
    foreign: usize,
    elements: usize,
}

impl Parser<'_> {
    fn begin(&mut self, at: usize, is_cap: bool, name: &str) -> Result<(), CapError> {
        self.elements += 1;
        if self.elements > limits::CAP_ELEMENTS_MAX || self.open.len() + self.foreign >= limits::CAP_DEPTH_MAX
        {
            return Err(self.source.fault(at, "more elements than an alert has"));
        }
        if self.foreign > 0 || !is_cap {
            if self.open.is_empty() {
                return Err(self.source.fault(at, "not an alert of CAP 1.1 or 1.2"));
            }
            self.foreign += 1;
            return Ok(());
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.source.fault(at, "more than one root element"));
        }
        self.open.push(Element { name: name.to_owned(), at, text: String::new(), children: Vec::new() });
        Ok(())
    }

    fn end(&mut self) {
        if self.foreign > 0 {
            self.foreign -= 1;
            return;
        }
        let Some(done) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => self.root = Some(done),
        }
    }

    fn say(&mut self, at: usize, text: &str) -> Result<(), CapError> {
        if self.foreign > 0 {
            return Ok(());
        }
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(self.source.fault(at, "text outside of the alert")),
        }
        Ok(())
    }
}
