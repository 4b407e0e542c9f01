//! What a person or a program sees.
//!
//! Standard output: results, as sentences or (with `--json`) as one object a line. Standard error: failures
//! and progress for a person; with `--json` a failure is a last object on standard output. A reader that
//! goes away ends the output quietly.

use std::{
    future::Future,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use crate::{
    failure::Failure,
    language::{Language, Text},
    limits::PROGRESS_AFTER,
    records::{ErrorRecord, Record},
};

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    language: Language,
    json: bool,
}

impl Output {
    pub(crate) fn new(language: Language, json: bool) -> Self {
        Self { language, json }
    }

    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// Whether a program reads, who needs no pauses.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows a result: the record to a program, the sentence to a person.
    pub(crate) fn result(&self, record: &Record<'_>, sentence: &Text) {
        if self.json {
            self.record(record);
        } else {
            write_line(&mut io::stdout().lock(), sentence.get(self.language));
        }
    }

    /// Shows something that only a program wants.
    pub(crate) fn record(&self, record: &Record<'_>) {
        if self.json {
            let line = serde_json::to_string(record).expect("a record has only text, numbers and lists");
            write_line(&mut io::stdout().lock(), &line);
        }
    }

    /// Shows something that only a person wants.
    pub(crate) fn say(&self, sentence: &Text) {
        if !self.json {
            write_line(&mut io::stdout().lock(), sentence.get(self.language));
        }
    }

    /// Tells a person something beside the result.
    pub(crate) fn note(&self, sentence: &Text) {
        if !self.json {
            write_line(&mut io::stderr().lock(), sentence.get(self.language));
        }
    }

    /// Tells a person why something that the command can do without did not work.
    pub(crate) fn failure_as_note(&self, failure: &Failure) {
        self.note(&failure.what);
    }

    /// Shows why the command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        let (what, mend) =
            (failure.what.get(self.language), failure.mend.as_ref().map(|mend| mend.get(self.language)));
        if self.json {
            let error =
                ErrorRecord { code: failure.exit.number(), name: failure.exit.name(), message: what, mend };
            self.record(&Record::Error(error));
            return;
        }
        let mut stderr = io::stderr().lock();
        write_line(&mut stderr, &format!("cercle : {what}"));
        if let Some(mend) = mend {
            write_line(&mut stderr, &format!("         {mend}"));
        }
    }

    /// Waits for something and, if that takes more than a second, says on the terminal for what.
    pub(crate) async fn waiting<T>(&self, what: &Text, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(PROGRESS_AFTER) => {}
        }
        let shown = !self.json && io::stderr().is_terminal();
        if !shown {
            return work.await;
        }
        let mut ticks = tokio::time::interval(Duration::from_millis(120));
        for wheel in ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'].into_iter().cycle()
        {
            let sentence = what.get(self.language);
            write_raw(&mut io::stderr().lock(), &format!("\r{wheel} {sentence}"));
            tokio::select! {
                biased;
                done = &mut work => {
                    write_raw(&mut io::stderr().lock(), "\r\u{1b}[K");
                    return done;
                }
                _ = ticks.tick() => {}
            }
        }
        work.await
    }
}

/// Lines hold what other people wrote: a control character among it would be an order to the terminal.
fn write_line(to: &mut impl Write, line: &str) {
    let order = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    write_raw(to, &format!("{}\n", line.replace(order, "\u{fffd}")));
}

fn write_raw(to: &mut impl Write, text: &str) {
    // A reader that has gone wants no more: `cercle recv | head -1` is no failure.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_gives_the_terminal_no_orders() {
        let mut written = Vec::new();
        write_line(&mut written, "un\u{1b}[2J\u{9b}31m\rdeux\n\ttrois");
        assert_eq!(String::from_utf8(written).unwrap(), "un\u{fffd}[2J\u{fffd}31m\u{fffd}deux\n\ttrois\n");
    }
}
