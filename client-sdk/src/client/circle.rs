//! What an app does with patient circles: one method per operation, no logic.

use cercle_proto::id::{GroupId, UserId};

use super::{Client, ClientError, operations::Invited};
use crate::{
    core::{Command, Core, NewCircle, Outcome, RefusalRecord},
    error::Error,
    message::{CircleMember, Language},
    thread::{
        Circle,
        timeline::{TimelineEntry, TimelineFilter},
    },
};

impl Client {
    /// Makes a patient circle.
    ///
    /// # Errors
    /// When a field breaks a rule, the founder has no basis, or there is a circle for this patient among
    /// one's own ([`Error::CircleExists`]).
    pub async fn open_circle(&self, circle: NewCircle) -> Result<GroupId, ClientError> {
        match self.command(Command::OpenCircle(Box::new(circle))).await? {
            Outcome::GroupCreated(group) => Ok(group),
            _ => Err(unexpected()),
        }
    }

    /// Adds a person with all devices to a circle. A refusal is journaled ([`Client::refusals`]).
    ///
    /// # Errors
    /// When the rules of circles refuse it ([`Error::CircleRefused`]), the person has no device, or the
    /// policy forbids it.
    pub async fn add_to_circle(&self, group: GroupId, entry: CircleMember) -> Result<Invited, ClientError> {
        match self.command(Command::AddToCircle { group, entry: Box::new(entry) }).await? {
            Outcome::Invited { devices, missing } => Ok(Invited { devices, missing }),
            _ => Err(unexpected()),
        }
    }

    /// Ends a person's period in a circle and removes every device of the person.
    ///
    /// # Errors
    /// When the person is not in the circle or the policy forbids it.
    pub async fn end_membership(&self, group: GroupId, user: UserId, note: &str) -> Result<(), ClientError> {
        let note = note.to_owned();
        self.command(Command::EndMembership { group, user, note }).await.map(drop)
    }

    /// The circle that a group is; `None` if it is none, or its beginning is not known here.
    ///
    /// # Errors
    /// When the group is unknown or the store fails.
    pub async fn circle(&self, group: GroupId) -> Result<Option<Circle>, ClientError> {
        Ok(self.query(move |core| core.circle(group)).await??)
    }

    /// The timeline of a group, in the order of its log.
    ///
    /// # Errors
    /// When the group is unknown or the store fails.
    pub async fn timeline(
        &self,
        group: GroupId,
        filter: TimelineFilter,
        language: Language,
    ) -> Result<Vec<TimelineEntry>, ClientError> {
        Ok(self.query(move |core| core.timeline(group, &filter, language)).await??)
    }

    /// Whether parts of histories wait to be put on the hub or fetched from it. They go by themselves while
    /// the client is connected.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn history_waits(&self) -> Result<bool, ClientError> {
        let waits = |core: &mut Core| -> Result<bool, Error> {
            Ok(!core.history_uploads()?.is_empty() || !core.history_fetches()?.is_empty())
        };
        Ok(self.query(waits).await??)
    }

    /// What was refused on this device, oldest first: in one group, or everywhere.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refusals(&self, group: Option<GroupId>) -> Result<Vec<RefusalRecord>, ClientError> {
        Ok(self.query(move |core| core.refusals(group)).await??)
    }
}

/// The core answered a command with another's outcome: a fault of this program, reported, not a panic.
fn unexpected() -> ClientError {
    Error::Invalid("the core answered with the outcome of another command").into()
}
