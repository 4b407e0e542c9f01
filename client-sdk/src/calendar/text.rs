//! Content lines of iCalendar (RFC 5545 section 3.1): what is written cannot break out of its line.

use crate::limits::ICALENDAR_LINE_BYTES_MAX;

/// Lines of a file.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    /// Adds a property whose value is no text: names, times, addresses. Control characters are left out.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let plain: String = value.chars().filter(|letter| !letter.is_control()).collect();
        let mut line = format!("{name}:{plain}");
        while line.len() > ICALENDAR_LINE_BYTES_MAX {
            let rest = line.split_off(line.floor_char_boundary(ICALENDAR_LINE_BYTES_MAX));
            self.0.push_str(&line);
            self.0.push_str("\r\n");
            line = format!(" {rest}");
        }
        self.0.push_str(&line);
        self.0.push_str("\r\n");
    }

    /// Adds a property whose value is a text (section 3.3.11).
    pub(super) fn add_text(&mut self, name: &str, text: &str) {
        let mut escaped = String::with_capacity(text.len());
        for letter in text.replace("\r\n", "\n").chars() {
            match letter {
                '\\' | ';' | ',' => escaped.extend(['\\', letter]),
                '\n' => escaped.push_str("\\n"),
                letter => escaped.push(letter),
            }
        }
        self.add(name, &escaped);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}
