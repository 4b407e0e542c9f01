//! What the devices of one user tell each other: read marks, drafts, changes that concern them all.

use cercle_proto::id::{GroupId, Seq, TimestampMs};
use serde::{Deserialize, Serialize};

use super::{
    Kind, Language,
    kind::{Wire, at_most, bounded, hidden},
    wire,
};
use crate::{error::Error, limits};

/// What changed on one device, for the user's others. Nothing of it is in the JSON form.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnState {
    /// How far the user has read.
    #[serde(skip)]
    pub reads: Vec<(GroupId, Seq)>,
    /// What the user has begun to write; empty: nothing any more.
    #[serde(skip)]
    pub drafts: Vec<OwnDraft>,
    /// There are groups that the others are not in yet.
    #[serde(skip)]
    pub groups_changed: bool,
    /// With which keys the backup is kept, sealed, if that has changed.
    #[serde(skip)]
    pub vault_keys: Vec<u8>,
}

hidden!(OwnState);

/// What the user has begun to write in a group.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnDraft {
    pub(crate) group: [u8; 16],
    pub(crate) text: String,
    pub(crate) at_ms: TimestampMs,
}

hidden!(OwnDraft);

impl Kind for OwnState {
    fn check(&self) -> Result<(), Error> {
        at_most("reads", &self.reads, limits::OWN_STATE_GROUPS_MAX)?;
        at_most("drafts", &self.drafts, limits::OWN_STATE_GROUPS_MAX)?;
        at_most("vault_keys", &self.vault_keys, limits::VAULT_KEYS_BYTES_MAX)?;
        self.drafts.iter().try_for_each(|draft| bounded("drafts", &draft.text, limits::TEXT_BYTES_MAX))
    }

    fn render(&self, language: Language) -> String {
        match language {
            Language::French => "État pour vos autres appareils".into(),
            Language::English => "State for your other devices".into(),
        }
    }
}

impl Wire for OwnState {
    type Message = wire::OwnState;

    fn to_wire(&self) -> wire::OwnState {
        let read = |(group, up_to): &(GroupId, Seq)| wire::OwnRead {
            group: group.as_bytes().to_vec(),
            up_to: *up_to,
        };
        let draft = |draft: &OwnDraft| wire::OwnDraft {
            group: draft.group.to_vec(),
            text: draft.text.clone(),
            at_ms: draft.at_ms,
        };
        wire::OwnState {
            reads: self.reads.iter().map(read).collect(),
            drafts: self.drafts.iter().map(draft).collect(),
            groups_changed: self.groups_changed,
            vault_keys: self.vault_keys.clone(),
        }
    }

    fn from_wire(message: wire::OwnState) -> Option<Self> {
        let read = |read: wire::OwnRead| Some((GroupId::try_from(read.group.as_slice()).ok()?, read.up_to));
        let draft = |draft: wire::OwnDraft| {
            Some(OwnDraft { group: draft.group.try_into().ok()?, text: draft.text, at_ms: draft.at_ms })
        };
        Some(Self {
            reads: message.reads.into_iter().map(read).collect::<Option<_>>()?,
            drafts: message.drafts.into_iter().map(draft).collect::<Option<_>>()?,
            groups_changed: message.groups_changed,
            vault_keys: message.vault_keys,
        })
    }
}
