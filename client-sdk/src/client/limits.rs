//! Every bound of the client's handles and thread, with its unit and its reason.

/// Requests of all handles that wait for the thread. When full, callers wait.
pub(super) const REQUESTS_MAX: usize = 64;

/// Commands that run at once, most of them waiting for the hub. Beyond, a command is refused as busy:
/// somebody issues commands faster than any hub answers them.
pub(super) const COMMANDS_MAX: usize = 1024;

/// Events that one subscriber may lag behind before it is told how many it missed. A catch-up of 1 200
/// messages in one burst fits.
pub(super) const EVENTS_MAX: usize = 2048;

/// Frames that wait for room in the connection's queue. While any wait, no new command is taken; at this
/// many, the hub is not listened to either, until its side or the write time limit gives way.
pub(super) const BACKLOG_FRAMES_MAX: usize = 4096;

/// Inputs that the core handles in one transaction: enough to spread the cost of a durable write, few enough
/// that the first answer does not wait long for the last.
pub(super) const BATCH_INPUTS_MAX: usize = 32;

const _: () = assert!(BACKLOG_FRAMES_MAX > crate::connection::limits::OUTBOUND_FRAMES_MAX);
