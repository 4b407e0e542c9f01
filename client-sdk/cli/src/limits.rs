//! Every bound of the command line, with its unit and its reason.

use std::time::Duration;

/// Default for `--timeout`: longer than a restart of the hub, shorter than a person's patience.
pub(crate) const PATIENCE_SECONDS: u64 = 10;

/// A wait beyond this is explained on the terminal.
pub(crate) const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// Messages read from the store at once, so that a long history does not fill the memory.
pub(crate) const PAGE_MESSAGES: usize = 256;

/// Longest text taken from standard input for one message, bytes. The frame has room for more, but what is
/// longer than a book chapter is a document.
pub(crate) const TEXT_BYTES_MAX: u64 = 64 << 10;

/// Longest JSON form of a message or FHIR bundle that is read, bytes: a message has 64 KiB on the wire, a bundle
/// may carry a document.
pub(crate) const JSON_BYTES_MAX: u64 = 8 << 20;

/// Lines of standard input that `chat` has read ahead of what the outbox has taken.
pub(crate) const LINES_AHEAD_MAX: usize = 64;

/// Shortest prefix of an id that is taken for an id and not for a title.
pub(crate) const ID_PREFIX_DIGITS_MIN: usize = 4;

/// How long a command waits for a group that may be on its way to this device.
pub(crate) const GROUP_ARRIVAL: Duration = Duration::from_secs(4);

/// How long the end of a command may take: telling the hub what is stored, closing the store.
pub(crate) const CLOSING: Duration = Duration::from_secs(3);

/// Notices of all members of the demonstration that wait to be looked at: a script has far fewer.
pub(crate) const DEMO_NOTICES_MAX: usize = 1024;

/// How often is looked whether the hub has opened an alert that was posted.
pub(crate) const ALERT_OPENED_LOOK: Duration = Duration::from_millis(50);

/// Shortest time between two reports that `alert watch --by` asks for: one is a page for each 1 000 recipients.
pub(crate) const ALERT_COUNTS_EVERY: Duration = Duration::from_secs(1);

/// How long one line of the demonstration may take to reach all its readers before it counts as lost.
pub(crate) const DEMO_LINE_PATIENCE: Duration = Duration::from_secs(30);

/// Content of all documents inside a FHIR bundle, bytes: as base64 it fits into what is read as one file.
pub(crate) const FHIR_CONTENT_BYTES_MAX: u64 = 5_000_000;

/// How long a hub takes no other request to join after one was declined, ms: it says so itself, this says when.
pub(crate) const DECLINED_MS: u64 = 24 * 60 * 60 * 1000;

/// How long `link` stays so that the other device is given everything, if `--timeout` is not longer. What is
/// left goes on with the next commands.
pub(crate) const HANDING_OVER: Duration = Duration::from_secs(60);

/// How often `link` looks how far that is.
pub(crate) const HANDING_OVER_LOOK: Duration = Duration::from_millis(200);

/// How long an enrolment that was interrupted may take to go on.
pub(crate) const LINKING: Duration = Duration::from_secs(30);
