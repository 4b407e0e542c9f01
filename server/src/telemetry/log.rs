//! Where log lines go: standard error, as text for people or JSON for collectors. Called by the binary once.
//!
//! Redaction is by type, not by filter: ids print in short form, user ids and secrets print nothing, and what
//! must not be logged has no `Debug` or `Display` of its content (see [`cercle_proto::id`]).

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether a filter can be read.
#[must_use]
pub fn is_readable(filter: &str) -> bool {
    EnvFilter::try_new(filter).is_ok()
}

/// Starts logging. `filter` is a level, or levels by module as `tracing` reads them; an unreadable filter
/// counts as `info`. A second call changes nothing.
pub fn start(format: Format, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started = match format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    // A library that embeds the hub may have started its own.
    drop(started);
}
