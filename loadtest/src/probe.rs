//! The text of a message that is counted: which run and message it is, and when it was due.
//!
//! The due time travels inside the message, so that a receiver measures the whole way, including the time
//! that the message waited because its sender was late (no coordinated omission).

/// First word of every probe; other texts of a group are not counted.
const MARK: &str = "probe";

/// A counted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Tells runs and rounds on one hub apart.
    pub(crate) run: u64,
    /// Rises with every message of one sender.
    pub(crate) number: u32,
    /// When it was due to be sent, microseconds of the run's clock.
    pub(crate) due_us: u64,
}

impl Probe {
    /// The text, filled up to at least `bytes`.
    pub(crate) fn to_text(self, bytes: usize) -> String {
        let mut text = format!("{MARK} {} {} {} ", self.run, self.number, self.due_us);
        text.extend(std::iter::repeat_n('.', bytes.saturating_sub(text.len())));
        text
    }

    /// Reads a text; `None` if it is another.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next() != Some(MARK) {
            return None;
        }
        let run = words.next()?.parse().ok()?;
        let number = words.next()?.parse().ok()?;
        let due_us = words.next()?.parse().ok()?;
        Some(Self { run, number, due_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_survives_its_text_at_any_length() {
        let probe = Probe { run: 7, number: 42, due_us: 1_234_567 };
        for bytes in [0, 10, 256] {
            let text = probe.to_text(bytes);
            assert!(text.len() >= bytes, "{text}");
            assert_eq!(Probe::parse(&text), Some(probe));
        }
    }

    #[test]
    fn what_people_write_is_no_probe() {
        for text in ["", "Bonjour", "probe", "probe a b c", "probe 1 2"] {
            assert_eq!(Probe::parse(text), None, "{text}");
        }
    }
}
