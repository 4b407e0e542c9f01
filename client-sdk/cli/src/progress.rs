//! How far a transfer is: a bar on the terminal for a person, records for a program.

use std::io::{self, IsTerminal, Write};

use cercle_proto::id::BlobId;

use crate::{output::Output, records::Record};

/// Characters of the bar.
const WIDTH: u64 = 30;

/// A bar, while it lives; nothing where nobody sees it.
pub(crate) struct Progress<'a> {
    output: &'a Output,
    drawn: bool,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(output: &'a Output) -> Self {
        Self { output, drawn: false }
    }

    /// So many of so many bytes are through.
    pub(crate) fn at(&mut self, transfer: BlobId, done: u64, total: u64) {
        self.output.record(&Record::Progress { transfer: transfer.to_hex(), done, total });
        let mut stderr = io::stderr().lock();
        if self.output.is_json() || !stderr.is_terminal() {
            return;
        }
        self.drawn = true;
        // A terminal that has gone is no failure.
        let _ = write!(stderr, "\r{}\u{1b}[K", line(done, total)).and_then(|()| stderr.flush());
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}

/// `[######……] 20 %  20,0 / 100,0 Mo`
fn line(done: u64, total: u64) -> String {
    let total = total.max(1);
    let full = (done * WIDTH / total).min(WIDTH);
    let bar: String = (0..WIDTH).map(|at| if at < full { '█' } else { '░' }).collect();
    let tenths = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
    format!("{bar} {:3} %  {} / {} MB", done * 100 / total, tenths(done), tenths(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_from_nothing_to_full() {
        assert_eq!(line(0, 100_000_000), format!("{}   0 %  0.0 / 100.0 MB", "░".repeat(30)));
        let half = format!("{}{}  50 %  50.0 / 100.0 MB", "█".repeat(15), "░".repeat(15));
        assert_eq!(line(50_000_000, 100_000_000), half);
        assert!(line(7, 7).starts_with(&"█".repeat(30)));
        assert!(line(0, 0).contains("0 %"));
    }
}
