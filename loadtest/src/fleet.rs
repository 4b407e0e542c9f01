//! The clients of a run: a coordinator who redeems the given invitation, and members whom it invites.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use cercle_proto::{
    ErrorCode,
    id::{GroupId, UserId},
    invitation::Invitation,
};
use cercle_sdk::{
    client::{Client, ClientError, now_ms},
    core::{GroupState, NewInvitation, PolicyTemplate, Settings},
    error::Error,
    profile::{Profile, Protection},
};
use futures_util::{
    StreamExt, TryStreamExt,
    future::{join_all, try_join_all},
    stream,
};
use tokio::time::{sleep, timeout};

use crate::{
    limits::{
        ENROL_PATIENCE, ENROLLING_MAX, INVITE_AGAIN_AFTER, INVITE_PATIENCE, JOIN_TRIES, LOOK_EVERY,
        OPERATION_PATIENCE, USERS_PER_INVITE,
    },
    progress::Progress,
};

/// A client and where it keeps its store.
#[derive(Debug)]
pub(crate) struct Member {
    /// The connected client.
    pub(crate) client: Client,
    /// Its user.
    pub(crate) user: UserId,
    folder: PathBuf,
}

/// Enrols a coordinator and `count` members, all connected when this returns. The coordinator only invites.
///
/// # Errors
/// When the hub refuses one of them, or the run was asked to stop.
pub(crate) async fn enlist(
    invitation: &Invitation,
    count: u32,
    folder: &Path,
    progress: &Progress,
) -> anyhow::Result<(Member, Vec<Member>)> {
    let coordinator =
        Member::enrol(folder.join("coordinator"), invitation).await.context("the coordinator")?;
    // Names tell runs on one hub apart.
    let prefix = format!("load-{:x}", now_ms());
    let enrolling = (0..count).map(|number| {
        let user = format!("{prefix}-{number}");
        let (invites, folder) = (coordinator.client.clone(), folder.join(&user));
        async move {
            progress.prepares()?;
            progress.step("enrolling clients", number as usize, count as usize);
            let invitation =
                NewInvitation { user, display_name: format!("Charge {number}"), ..Default::default() };
            let link = invite(&invites, invitation).await?;
            Member::enrol(folder, &Invitation::parse(&link)?).await
        }
    });
    let members = stream::iter(enrolling).buffered(ENROLLING_MAX).try_collect().await?;
    Ok((coordinator, members))
}

/// Makes an invitation link. A coordinator may make so many at once and then has to wait.
async fn invite(coordinator: &Client, invitation: NewInvitation) -> anyhow::Result<String> {
    let inviting = async {
        loop {
            match coordinator.create_invitation(invitation.clone()).await {
                Err(ClientError::Core(Error::Refused { code: ErrorCode::RateLimited, .. })) => {
                    sleep(INVITE_AGAIN_AFTER).await;
                }
                made => return made,
            }
        }
    };
    Ok(timeout(INVITE_PATIENCE, inviting).await.context("inviting took too long")??.link)
}

/// Makes a group of these members, founded by the first, and waits until all of them are in.
///
/// # Errors
/// When one cannot be added, or the run was asked to stop.
pub(crate) async fn found(members: &[&Member], title: &str, progress: &Progress) -> anyhow::Result<GroupId> {
    let (founder, others) = members.split_first().context("a group needs a founder")?;
    let group = founder.client.create_group(title, PolicyTemplate::Conversation).await?;
    for others in others.chunks(USERS_PER_INVITE) {
        progress.prepares()?;
        let users = others.iter().map(|member| member.user.clone()).collect();
        patiently("adding members", add(&founder.client, group, users)).await??;
    }
    try_join_all(others.iter().map(|member| joined(&member.client, group))).await?;
    progress.prepares()?;
    Ok(group)
}

/// Adds users, again and again until each has published key packages: a device does so soon after it has
/// enrolled, not at once.
///
/// # Errors
/// When one cannot be added.
pub(crate) async fn add(founder: &Client, group: GroupId, mut users: Vec<UserId>) -> anyhow::Result<()> {
    loop {
        match founder.invite(group, users.clone()).await {
            Ok(invited) => users = invited.missing,
            Err(ClientError::Core(Error::NoDevice { .. })) => {}
            Err(error) => return Err(error).context("adding members"),
        }
        if users.is_empty() {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Closes all clients.
pub(crate) async fn dismiss(members: Vec<Member>) {
    join_all(members.into_iter().map(|member| member.client.close())).await;
}

impl Member {
    /// Enrols a new device in a new folder.
    ///
    /// # Errors
    /// When the hub refuses it or cannot be reached in time.
    pub(crate) async fn enrol(folder: PathBuf, invitation: &Invitation) -> anyhow::Result<Self> {
        let place = folder.clone();
        let profile =
            tokio::task::spawn_blocking(move || Profile::create(&place, Protection::KeyFile)).await??;
        let client = Client::open(profile, Settings::default()).await?;
        let identity =
            timeout(ENROL_PATIENCE, client.enrol(invitation)).await.context("enrolling took too long")??;
        timeout(ENROL_PATIENCE, client.caught_up()).await.context("connecting took too long")??;
        Ok(Self { client, user: identity.user, folder })
    }

    /// Closes the client, as an app that is ended, and says where it can be opened again.
    pub(crate) async fn leave(self) -> Absent {
        self.client.close().await;
        Absent { user: self.user, folder: self.folder }
    }
}

/// A member whose client is closed.
#[derive(Debug)]
pub(crate) struct Absent {
    user: UserId,
    folder: PathBuf,
}

impl Absent {
    /// Opens the client again, as an app that is started; it is not connected yet.
    ///
    /// # Errors
    /// When its store does not open.
    pub(crate) async fn open(self) -> anyhow::Result<Member> {
        let profile = Profile::open(&self.folder, || None)?;
        let client = Client::open(profile, Settings::default()).await?;
        Ok(Member { client, user: self.user, folder: self.folder })
    }
}

/// Waits until a client is in a group: it has opened its welcome.
///
/// # Errors
/// When that takes too long.
pub(crate) async fn joined(client: &Client, group: GroupId) -> anyhow::Result<()> {
    let joining = async {
        loop {
            let groups = client.groups().await?;
            if groups.iter().any(|known| known.group == group && known.state == GroupState::Active) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    };
    patiently("joining a group", joining).await?
}

/// Bounds an operation of a client.
///
/// # Errors
/// When it takes too long.
pub(crate) async fn patiently<T>(what: &str, operation: impl Future<Output = T>) -> anyhow::Result<T> {
    let patience = OPERATION_PATIENCE;
    timeout(patience, operation).await.with_context(|| format!("{what} took more than {patience:?}"))
}

/// Tries a connection again where it did not come about in time.
///
/// # Errors
/// The last one.
pub(crate) async fn insistently<T>(mut connect: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut tries = 1;
    loop {
        match connect().await {
            Err(_) if tries < JOIN_TRIES => tries += 1,
            done => return done,
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until a condition holds.
///
/// # Errors
/// When it cannot be looked at, or does not hold in time.
pub(crate) async fn until(
    what: &str,
    patience: Duration,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let waiting = async {
        while !holds().await? {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    timeout(patience, waiting).await.with_context(|| format!("{what} took more than {patience:?}"))?
}
