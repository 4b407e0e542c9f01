//! Exit codes: stable, documented in docs/cli.md, never reused for another meaning.

use std::process::ExitCode;

/// How a command ended, for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Something that should not happen: a fault of the program, or the disk.
    Fault = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The profile is not enrolled.
    NotEnrolled = 3,
    /// The hub cannot be reached, or is not the one that the invitation vouches for.
    Unreachable = 4,
    /// The hub or a group's policy refuses.
    Refused = 5,
    /// Safely stored; it happens when the hub can be reached again.
    Kept = 6,
    /// A group, user or device that the arguments name is not there, or several are.
    NotFound = 7,
    /// Another process uses the profile.
    ProfileInUse = 8,
    /// The profile does not open: passphrase, permissions, damage.
    ProfileClosed = 9,
    /// Somebody else has taken the request on.
    Taken = 10,
    /// Ctrl-C, where it is not the usual way to end the command.
    Interrupted = 130,
}

impl Exit {
    /// The name in JSON output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Fault => "fault",
            Self::Usage => "usage",
            Self::NotEnrolled => "not_enrolled",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Kept => "kept",
            Self::NotFound => "not_found",
            Self::ProfileInUse => "profile_in_use",
            Self::ProfileClosed => "profile_closed",
            Self::Taken => "taken",
            Self::Interrupted => "interrupted",
        }
    }

    /// The number that a shell sees.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
