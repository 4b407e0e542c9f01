//! The members as real SDK clients, each with a profile of its own, and one queue of what they all hear.

use std::path::{Path, PathBuf};

use cercle_proto::{
    id::{GroupId, UserId},
    invitation::Invitation,
};
use cercle_sdk::{
    client::{Client, Events, Notice},
    core::{PolicyTemplate, Settings},
    message::GroupProfile,
    profile::{Profile, Protection},
};
use futures_util::future::try_join_all;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    cast::{DOMAIN, GROUPS, PEOPLE},
    hub::DemoHub,
};
use crate::{failure::Failure, limits::DEMO_NOTICES_MAX};

/// All members, in the order of [`PEOPLE`].
pub(super) struct People {
    clients: Vec<Client>,
    heard: mpsc::Receiver<(usize, Notice)>,
    _listeners: JoinSet<()>,
}

impl People {
    /// Enrols everybody at once.
    pub(super) async fn enrol(hub: &DemoHub, data: &Path) -> Result<Self, Failure> {
        let profiles = data.join("profils");
        let enrolling = PEOPLE.iter().enumerate().map(|(place, person)| {
            let folder = profiles.join(person.id);
            async move {
                let invitation = hub.invite(person.id, person.name, person.profession, place == 0).await?;
                enrol(folder, &invitation).await
            }
        });
        let clients: Vec<Client> = Box::pin(try_join_all(enrolling)).await?;
        let (sender, heard) = mpsc::channel(DEMO_NOTICES_MAX);
        let mut listeners = JoinSet::new();
        for (place, client) in clients.iter().enumerate() {
            listeners.spawn(listen(place, client.events(), sender.clone()));
        }
        Ok(Self { clients, heard, _listeners: listeners })
    }

    pub(super) fn count(&self) -> usize {
        self.clients.len()
    }

    /// The client of the member at this place of [`PEOPLE`].
    pub(super) fn client(&self, place: usize) -> &Client {
        &self.clients[place]
    }

    /// The user at this place of [`PEOPLE`].
    pub(super) fn user(&self, place: usize) -> Result<UserId, Failure> {
        UserId::new(PEOPLE[place].id, DOMAIN).map_err(|error| Failure::fault(&error))
    }

    /// What any member hears next, and who.
    pub(super) async fn next(&mut self) -> Option<(usize, Notice)> {
        self.heard.recv().await
    }

    /// The founder makes the group and adds the others.
    pub(super) async fn found(&self, group: usize) -> Result<GroupId, Failure> {
        let plan = &GROUPS[group];
        let founder = self.client(plan.members[0]);
        let profile = GroupProfile::of_kind(plan.title, plan.kind);
        let id = founder.create_group(profile, PolicyTemplate::Conversation).await?;
        let users: Result<Vec<_>, _> = plan.members[1..].iter().map(|place| self.user(*place)).collect();
        let users = users?;
        let invited = founder.invite(id, users).await?;
        if invited.missing.is_empty() {
            Ok(id)
        } else {
            Err(Failure::from(cercle_sdk::error::Error::NoDevice { users: invited.missing }))
        }
    }

    /// Closes every client, so that each says goodbye to the hub.
    pub(super) async fn close(self) {
        futures_util::future::join_all(self.clients.into_iter().map(Client::close)).await;
    }
}

/// Puts what one member hears into the common queue.
async fn listen(place: usize, mut events: Events, heard: mpsc::Sender<(usize, Notice)>) {
    while let Some(notice) = events.next().await {
        if heard.send((place, notice)).await.is_err() {
            return;
        }
    }
}

async fn enrol(folder: PathBuf, invitation: &Invitation) -> Result<Client, Failure> {
    let profile = tokio::task::spawn_blocking(move || Profile::create(&folder, Protection::KeyFile));
    let profile = profile.await.map_err(|error| Failure::fault(&error))??;
    let client = Client::open(profile, Settings::default()).await?;
    client.enrol(invitation).await?;
    client.caught_up().await?;
    Ok(client)
}
