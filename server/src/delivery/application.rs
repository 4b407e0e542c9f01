//! Application messages: a header and a roster row decide; no group state is loaded, nothing is opened.

use bytes::Bytes;
use cercle_proto::{
    id::{DeviceId, Epoch, GroupId, TimestampMs},
    mls_message::{Content, Header, read_header},
};
use cercle_storage::store::{Append, AppendError, Entry, Kind};

use super::{Accepted, Application, Delivery, Error};
use crate::{auth::Identity, limits};

impl Delivery {
    /// Appends an application message. Concurrent calls share one durable write of the store.
    ///
    /// The first poll queues the message in the store, so a caller that polls several of these in turn keeps
    /// their order. The caller runs it to its end: between the durable write and the wake of its readers
    /// nothing may stop.
    ///
    /// # Errors
    /// [`Error::EpochStale`] when it is more than [`limits::EPOCHS_BEHIND_MAX`] epochs behind, or ahead;
    /// [`Error::ApplicationNotPrivate`], [`Error::NotMember`], [`Error::PolicyDenied`] where only
    /// administrators post, [`Error::BlobUnknown`], [`Error::BlobIncomplete`], or a store failure.
    pub async fn send_application(
        &self,
        identity: &Identity,
        group: GroupId,
        application: Application,
        now: TimestampMs,
    ) -> Result<Accepted, Error> {
        let Application { message_id, mls, blobs } = application;
        let epoch = check_application(&mls, group)?;
        let append = Append {
            group,
            sender: Some(identity.device),
            message_id,
            kind: Kind::Application,
            epoch,
            epochs_behind_max: limits::EPOCHS_BEHIND_MAX,
            at: now,
            body: mls,
            group_state: None,
            blobs,
        };
        self.append(append, identity.device).await.map_err(|error| match error {
            Error::EpochConflict { current_epoch, winner_seq } => {
                Error::EpochStale { current_epoch, winner_seq }
            }
            other => other,
        })
    }

    /// Relays a message that is not stored to the connected devices of a group.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::ApplicationNotPrivate`], [`Error::NotMember`], or a store failure.
    pub async fn ephemeral(&self, identity: &Identity, group: GroupId, mls: Bytes) -> Result<(), Error> {
        if mls.len() > limits::EPHEMERAL_BYTES_MAX {
            return Err(Error::TooLarge("mls"));
        }
        check_application(&mls, group)?;
        self.member(group, identity.device).await?;
        self.inner.fanout.ephemeral(group, identity.device, mls);
        Ok(())
    }

    /// Makes one entry durable, then wakes the readers of its group; `device` asks.
    pub(super) async fn append(&self, append: Append, device: DeviceId) -> Result<Accepted, Error> {
        let Append { group, sender, message_id, kind, epoch, body, .. } = append.clone();
        let verdict = self.inner.store.append(vec![append]).await.pop();
        let appended = match verdict.ok_or(Error::Internal("the store gave no verdict"))? {
            Ok(appended) => appended,
            Err(AppendError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(self.refusal(error, group, device).await),
        };
        if !appended.repeated {
            let (seq, at) = (appended.seq, appended.at);
            let entry = Entry { seq, kind, epoch, sender, message_id, at, body };
            self.inner.fanout.appended(group, vec![entry]);
        }
        Ok(Accepted::new(group, message_id, appended))
    }
}

/// Reads the epoch of an application message of this group.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::ApplicationNotPrivate`], [`Error::MlsInvalid`], or [`Error::InvalidField`]
/// for another group's.
pub(super) fn check_application(mls: &[u8], group: GroupId) -> Result<Epoch, Error> {
    if mls.len() > limits::APPLICATION_BYTES_MAX {
        return Err(Error::TooLarge("mls"));
    }
    match read_header(mls).map_err(|error| Error::MlsInvalid(error.to_string()))? {
        Header::Private { group: named, epoch, content: Content::Application } => {
            if named == group {
                Ok(epoch)
            } else {
                Err(Error::InvalidField("mls is of another group"))
            }
        }
        _ => Err(Error::ApplicationNotPrivate),
    }
}
