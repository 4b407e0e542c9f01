//! One device's connection to a system, whichever that is.

use std::collections::HashMap;

use cercle_proto::id::{GroupId, Seq};

use super::{
    cercle::CercleLink, ejabberd::EjabberdLink, mosquitto::MosquittoLink, nats::NatsLink,
    reference::ReferenceLink,
};
use crate::raw::payload::Payload;

/// A connection of one device: posts into groups, hears what others post.
pub(crate) enum Link {
    /// To a hub of ours.
    Cercle(Box<CercleLink>),
    /// To the reference hub.
    Reference(Box<ReferenceLink>),
    /// To `nats-server`.
    Nats(Box<NatsLink>),
    /// To `mosquitto`.
    Mosquitto(Box<MosquittoLink>),
    /// To `ejabberd`.
    Ejabberd(Box<EjabberdLink>),
}

/// What a link has heard since it was asked last.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Messages of others.
    pub(crate) payloads: Vec<Payload>,
    /// Own messages that the system has accepted, as durably as it ever does.
    pub(crate) accepted: Vec<Payload>,
    /// Places where the system's own numbering has a gap or a step back.
    pub(crate) misnumbered: u64,
    /// History has been read to its end.
    pub(crate) caught_up: bool,
}

impl Link {
    /// Queues a message; it leaves while the link hears. The systems that acknowledge nothing are taken by
    /// their word at once: the payload is then in `heard.accepted`.
    ///
    /// # Errors
    /// When the device is not in that group.
    pub(crate) fn post(
        &mut self,
        group: usize,
        payload: Payload,
        bytes: usize,
        heard: &mut Heard,
    ) -> anyhow::Result<()> {
        match self {
            Self::Cercle(link) => link.post(group, payload, bytes),
            Self::Reference(link) => {
                link.post(group, payload, bytes);
                heard.accepted.push(payload);
                Ok(())
            }
            Self::Nats(link) => link.post(group, payload, bytes, heard),
            Self::Mosquitto(link) => {
                link.post(group, payload, bytes);
                Ok(())
            }
            Self::Ejabberd(link) => {
                link.post(group, payload, bytes);
                Ok(())
            }
        }
    }

    /// Takes over what the device's former link has no answer to.
    ///
    /// # Errors
    /// When the device is no longer in one of the groups.
    pub(crate) fn resume(&mut self, former: &Self) -> anyhow::Result<()> {
        match (self, former) {
            (Self::Cercle(link), Self::Cercle(former)) => {
                former.unanswered().into_iter().try_for_each(|posted| link.send(posted))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the other side has read everything that was queued, and ends the connection.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn settle(self) -> anyhow::Result<()> {
        match self {
            Self::Cercle(link) => link.settle().await,
            _ => Ok(()),
        }
    }

    /// How far each group was read, where the system has such places.
    pub(crate) const fn cursors(&self) -> Option<&HashMap<GroupId, Seq>> {
        match self {
            Self::Cercle(link) => Some(&link.cursors),
            _ => None,
        }
    }

    /// Waits until something was heard; false when the other side has closed. Cancelling it loses nothing.
    ///
    /// # Errors
    /// When the other side refuses a message or breaks the protocol.
    pub(crate) async fn hear(&mut self, heard: &mut Heard) -> anyhow::Result<bool> {
        match self {
            Self::Cercle(link) => link.hear(heard).await,
            Self::Reference(link) => Ok(link.hear(heard).await),
            Self::Nats(link) => link.hear(heard).await,
            Self::Mosquitto(link) => link.hear(heard).await,
            Self::Ejabberd(link) => link.hear(heard).await,
        }
    }
}
