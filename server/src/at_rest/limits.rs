//! Bounds of what gives the hub its key at rest.

use std::time::Duration;

/// How long a program may take to give the key: a few requests to a key service far away.
pub(super) const KEY_COMMAND: Duration = Duration::from_secs(30);
/// Pause between two looks at whether the program has ended.
pub(super) const KEY_COMMAND_LOOK: Duration = Duration::from_millis(20);
/// Bytes of its answer that are read, and of a key file: a key has 64 digits.
pub(super) const KEY_TEXT_BYTES_MAX: u64 = 4_096;
