//! Records of the demonstration: what one run measured, and what came of each scene.

use serde::Serialize;

/// What one run of the demonstration amounts to. Users are named by the part before `@` unless said.
#[derive(Debug, Serialize)]
pub(crate) struct DemoRecord {
    /// From the start of the program to the first message decrypted by another device.
    pub(crate) first_message_ms: u64,
    /// From the start of the hub to its port taking connections.
    pub(crate) hub_ready_ms: u64,
    /// Devices enrolled.
    pub(crate) members: usize,
    /// Groups with a title; threads of two come on top.
    pub(crate) groups: usize,
    /// Messages of every kind.
    pub(crate) messages: usize,
    /// Messages decrypted, over all devices.
    pub(crate) received: usize,
    /// Gaps that a device reported: none, or something is wrong.
    pub(crate) gaps: usize,
    /// From the start of the program to the last message decrypted by its last reader.
    pub(crate) total_ms: u64,
    pub(crate) without_gp: WithoutGp,
    pub(crate) home_visit: HomeVisit,
    pub(crate) opinion: Opinion,
    pub(crate) board: BoardOutcome,
    pub(crate) timeline: Timeline,
}

/// The patient without general practitioner.
#[derive(Debug, Serialize)]
pub(crate) struct WithoutGp {
    pub(crate) request: String,
    pub(crate) state: &'static str,
    pub(crate) owner: &'static str,
    /// Who asked, and everybody on whose device a decrypted message names the patient.
    pub(crate) identity_known_to: Vec<String>,
    /// Everybody else.
    pub(crate) identity_unknown_to: Vec<String>,
}

/// The home visit that two nurses claimed.
#[derive(Debug, Serialize)]
pub(crate) struct HomeVisit {
    /// The request that the visit is a part of.
    pub(crate) discharge: String,
    pub(crate) request: String,
    pub(crate) state: &'static str,
    pub(crate) owner: &'static str,
    /// Whose claim was not the first.
    pub(crate) too_late: &'static str,
    /// Who has it as the other knows, in full.
    pub(crate) told_owner: Option<String>,
    /// Whether the other knows the patient: no, or something is wrong.
    pub(crate) told_patient: bool,
    /// When the visit is, ms since the Unix epoch.
    pub(crate) scheduled_ms: u64,
}

/// The question to a dermatologist.
#[derive(Debug, Serialize)]
pub(crate) struct Opinion {
    pub(crate) request: String,
    pub(crate) state: &'static str,
    pub(crate) owner: &'static str,
    pub(crate) photo: Photo,
    /// Whether a third member sees the word of thanks as edited, how it reads, and the signs under it.
    pub(crate) edited: bool,
    pub(crate) text: String,
    pub(crate) reactions: Vec<String>,
}

/// A photo on its way.
#[derive(Debug, Serialize)]
pub(crate) struct Photo {
    pub(crate) bytes_taken: usize,
    pub(crate) bytes_received: usize,
    /// Whether it said where it was taken, on the sender's disk and at the receiver.
    pub(crate) position_taken: bool,
    pub(crate) position_received: bool,
    /// Whether both show the same, point by point.
    pub(crate) same_picture: bool,
}

/// What one member sees at the end of the day.
#[derive(Debug, Serialize)]
pub(crate) struct BoardOutcome {
    pub(crate) user: &'static str,
    pub(crate) rows: Vec<BoardLine>,
}

/// A request on a board.
#[derive(Debug, Serialize)]
pub(crate) struct BoardLine {
    pub(crate) request: String,
    pub(crate) kind: &'static str,
    pub(crate) state: &'static str,
    /// In full.
    pub(crate) owner: Option<String>,
    pub(crate) patient_known: bool,
}

/// The events of the group in which the visit was handled.
#[derive(Debug, Serialize)]
pub(crate) struct Timeline {
    pub(crate) group: String,
    /// Kind of each event, in the order of the log.
    pub(crate) kinds: Vec<&'static str>,
}
