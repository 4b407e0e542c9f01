//! What the operator does over the local Unix socket: one JSON object a line in, one a line out.
//!
//! Who may open the socket (its mode is 0600) is the operator. [`Command`] and [`Answer`] are the protocol,
//! [`execute`] carries commands out in the hub, [`client`] sends them from the command line.

pub mod client;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use cercle_proto::{
    ErrorCode,
    id::{DeviceId, GroupId, UserId, to_hex},
    v1::{MemberClass, Role},
};
use cercle_storage::store::{Membership, Store};
use serde::{Deserialize, Serialize};

use crate::{
    audit,
    auth::{InvitationRequest, Inviter},
    backup,
    dispatch::Dispatch,
    error::{Chain, Refusal},
    limits,
};

/// What the operator asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Creates an invitation.
    Invite(Invite),
    /// Lists users.
    Users {
        /// Only users after this one.
        after: Option<String>,
    },
    /// Lists the devices of a user.
    Devices {
        /// User id, with or without the domain.
        user: String,
    },
    /// Ends a device for ever.
    Revoke {
        /// Device id, 32 hexadecimal digits.
        device: String,
    },
    /// Lists groups: size, epoch, how much of the log is kept. No names: the hub knows none.
    Groups,
    /// Lists how users could be reached.
    Reachability {
        /// Only users after this one.
        after: Option<String>,
    },
    /// Says how the hub is.
    Status,
    /// Makes a backup.
    Backup {
        /// Absolute path of the repository.
        repository: PathBuf,
        /// Public key that a new repository is sealed to.
        recipient: Option<String>,
    },
    /// Takes audit records away whose time is over.
    PruneAudit(audit::Keep),
    /// Lists audit records.
    Audit {
        /// Only records after this number.
        after: u64,
    },
}

/// An invitation to create.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// User id without the domain.
    pub user: String,
    /// Name to show; needed for a new user.
    #[serde(default)]
    pub name: String,
    /// Profession code (TRE_G15), or empty.
    #[serde(default)]
    pub profession: String,
    /// `professional`, `verified_other` or `relative`.
    #[serde(default)]
    pub class: Class,
    /// Hub roles; none: member.
    #[serde(default)]
    pub roles: Vec<HubRole>,
    /// Hours until it expires; none: the hub's default.
    #[serde(default)]
    pub valid_for_hours: Option<u64>,
    /// Every device of the user is lost: they end now, and the next one takes their place in the groups.
    #[serde(default)]
    pub lost_devices: bool,
}

impl std::fmt::Debug for Invite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invite").field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// Member class, as the operator writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[clap(rename_all = "snake_case")]
pub enum Class {
    /// A health professional.
    #[default]
    Professional,
    /// Somebody else whose identity was checked.
    VerifiedOther,
    /// A relative of a patient.
    Relative,
}

/// Hub role, as the operator writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[clap(rename_all = "snake_case")]
pub enum HubRole {
    /// Takes part.
    Member,
    /// Moderates.
    Moderator,
    /// Invites users and revokes devices.
    Coordinator,
    /// Publishes crisis alerts.
    CrisisPublisher,
    /// Keeps the directory.
    DirectoryAdmin,
    /// A program.
    Bot,
}

/// What the hub answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Carried out.
    Ok(serde_json::Value),
    /// Refused.
    Error {
        /// Number of the error code.
        code: u32,
        /// What is wrong.
        message: String,
    },
}

/// Carries a command out.
pub async fn execute(
    command: Command,
    dispatch: &Dispatch,
    shared: &Arc<dyn Store>,
    source: &backup::Source,
) -> Answer {
    let store = &**shared;
    let result = match command {
        Command::Invite(invite) => create_invitation(invite, dispatch).await,
        Command::Users { after } => users(after, dispatch, store).await,
        Command::Devices { user } => devices(&user, dispatch).await,
        Command::Revoke { device } => revoke(&device, dispatch).await,
        Command::Groups => groups(store).await,
        Command::Reachability { after } => reachability(after, dispatch).await,
        Command::Status => status(dispatch, store).await,
        Command::Backup { repository, recipient } => {
            make_backup(&repository, recipient, dispatch, shared, source).await
        }
        Command::PruneAudit(keep) => {
            let pruned = audit::prune(store, keep, "operator", dispatch.clock.now()).await;
            pruned.map(|pruned| serde_json::json!(pruned)).map_err(Refusal::from)
        }
        Command::Audit { after } => list_audit(after, store).await,
    };
    match result {
        Ok(value) => Answer::Ok(value),
        Err(refusal) => Answer::error(&refusal),
    }
}

impl Answer {
    /// The answer for a refusal.
    #[must_use]
    pub fn error(refusal: &Refusal) -> Self {
        Self::Error { code: refusal.code.number(), message: refusal.message.clone().into_owned() }
    }
}

async fn create_invitation(invite: Invite, dispatch: &Dispatch) -> Result<serde_json::Value, Refusal> {
    let request = InvitationRequest {
        user: Some(invite.user),
        display_name: invite.name,
        profession: invite.profession,
        class: invite.class.into(),
        roles: invite.roles.into_iter().map(Role::from).collect(),
        valid_for_ms: invite.valid_for_hours.map(|hours| hours.saturating_mul(60 * 60 * 1000)),
        lost_devices: invite.lost_devices,
    };
    let invited = Box::pin(dispatch.invite(Inviter::Operator, request)).await?;
    let ended: Vec<String> = invited.ended.iter().map(|device| device.to_hex()).collect();
    Ok(serde_json::json!({
        "user": invited.created.user.as_str(),
        "link": invited.link,
        "expires_at_ms": invited.created.expires_at,
        "ended_devices": ended,
    }))
}

async fn users(
    after: Option<String>,
    dispatch: &Dispatch,
    store: &dyn Store,
) -> Result<serde_json::Value, Refusal> {
    let after = after.map(|user| user_id(&user, dispatch)).transpose()?;
    let users = store.users(after, limits::ADMIN_PAGE).await?;
    let users = users.into_iter().map(|user| {
        let roles = user.roles.iter().filter_map(|role| i32::try_from(*role).ok());
        let roles: Vec<_> =
            roles.filter_map(|role| Role::try_from(role).ok()).filter_map(role_name).collect();
        serde_json::json!({
            "user": user.user.as_str(),
            "name": user.display_name,
            "profession": user.profession,
            "roles": roles,
            "created_at_ms": user.created_at,
        })
    });
    Ok(users.collect())
}

async fn devices(user: &str, dispatch: &Dispatch) -> Result<serde_json::Value, Refusal> {
    let user = user_id(user, dispatch)?;
    let devices = dispatch.auth.devices(Inviter::Operator, Some(user)).await?;
    let devices = devices.into_iter().map(|device| {
        serde_json::json!({
            "device": device.device.to_hex(),
            "enrolled_at_ms": device.enrolled_at,
            "certificate_expires_at_ms": device.expires_at,
            "last_seen_at_ms": device.last_seen_at,
            "revoked_at_ms": device.revoked_at,
        })
    });
    Ok(devices.collect())
}

async fn revoke(device: &str, dispatch: &Dispatch) -> Result<serde_json::Value, Refusal> {
    let device = DeviceId::from_hex(device)?;
    let user = dispatch.revoke(Inviter::Operator, device).await?;
    let devices = dispatch.auth.devices(Inviter::Operator, Some(user.clone())).await?;
    let left = devices.iter().filter(|device| device.revoked_at.is_none()).count();
    let mut answer = serde_json::json!({ "revoked": device.to_hex(), "devices_left": left });
    if left == 0 {
        let user = user.local();
        answer["note"] = format!(
            "It was the last device of {user}: members take {user} out of all groups, and have to invite {user} again. Who has only lost devices keeps the places with: invite {user} --lost-devices"
        )
        .into();
    }
    Ok(answer)
}

/// What is listed of a group.
#[derive(Serialize)]
struct GroupSummary {
    group: String,
    devices: usize,
    epoch: u64,
    entries: u64,
    entries_kept: u64,
}

/// Goes through the rosters of all devices, because a group is known by its members.
async fn groups(store: &dyn Store) -> Result<serde_json::Value, Refusal> {
    let mut groups = BTreeMap::<GroupId, GroupSummary>::new();
    let mut after = None;
    loop {
        let users = store.users(after.take(), limits::ADMIN_PAGE).await?;
        for user in &users {
            for device in store.devices_of(&user.user).await? {
                for membership in store.memberships(device.device).await? {
                    count_membership(&mut groups, &membership);
                }
            }
        }
        if users.len() < limits::ADMIN_PAGE {
            break;
        }
        after = users.into_iter().last().map(|user| user.user);
    }
    let rows = groups.into_values().map(serde_json::to_value).collect::<Result<_, _>>();
    Ok(rows.expect("a summary is made of JSON values"))
}

fn count_membership(groups: &mut BTreeMap<GroupId, GroupSummary>, membership: &Membership) {
    let Membership { group, epoch, head, floor, entry, .. } = membership;
    if groups.len() == limits::ADMIN_GROUPS_MAX && !groups.contains_key(group) {
        return;
    }
    let summary = groups.entry(*group).or_insert_with(|| GroupSummary {
        group: group.to_hex(),
        devices: 0,
        epoch: *epoch,
        entries: *head,
        entries_kept: head.saturating_sub(*floor),
    });
    summary.devices += usize::from(entry.removed_at.is_none());
}

async fn reachability(after: Option<String>, dispatch: &Dispatch) -> Result<serde_json::Value, Refusal> {
    let after = after.map(|user| user_id(&user, dispatch)).transpose()?;
    let (users, _) = dispatch.alerts.reachability_of_all(after).await?;
    let users = users.into_iter().map(|found| {
        serde_json::json!({
            "user": found.user.user.as_str(),
            "name": found.user.display_name,
            "profession": found.user.profession,
            "devices": found.devices,
            "devices_with_push": found.devices_with_push,
            "connected": found.connected,
            "last_seen_at_ms": found.last_seen_at,
        })
    });
    Ok(users.collect())
}

async fn status(dispatch: &Dispatch, store: &dyn Store) -> Result<serde_json::Value, Refusal> {
    let pending = store.revoked_members().await?;
    Ok(serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "domain": dispatch.auth.domain(),
        "healthy": store.is_healthy(),
        "engine": store.caps().name,
        "power_loss_durable": store.caps().power_loss_durable,
        "incarnation": to_hex(&store.incarnation()),
        "sessions": dispatch.fanout.sessions(),
        "groups_being_read": dispatch.fanout.live_groups(),
        "removals_pending": pending.len(),
    }))
}

async fn make_backup(
    repository: &Path,
    recipient: Option<String>,
    dispatch: &Dispatch,
    store: &Arc<dyn Store>,
    source: &backup::Source,
) -> Result<serde_json::Value, Refusal> {
    let failed = |error: backup::BackupError| {
        let why = Chain(&error).to_string();
        tracing::error!(cause = %why, "a backup failed");
        Refusal::new(ErrorCode::Unavailable, why)
    };
    let recipient = recipient.map(|key| key.parse()).transpose().map_err(failed)?;
    let now = dispatch.clock.now();
    let created = backup::create(source, store, repository, recipient, now).await.map_err(failed)?;
    tracing::info!(new_bytes = created.new_bytes, bytes = created.bytes, "a backup was made");
    Ok(serde_json::to_value(created).expect("a summary is made of JSON values"))
}

async fn list_audit(after: u64, store: &dyn Store) -> Result<serde_json::Value, Refusal> {
    let records = store.audit(after, limits::ADMIN_PAGE).await?;
    let records = records.into_iter().map(|record| {
        serde_json::json!({
            "number": record.number,
            "at_ms": record.entry.at,
            "actor": record.entry.actor,
            "action": record.entry.action,
            "object": record.entry.object,
            "hash": to_hex(&record.hash),
        })
    });
    Ok(records.collect())
}

fn user_id(user: &str, dispatch: &Dispatch) -> Result<UserId, Refusal> {
    if user.contains('@') {
        return Ok(UserId::parse(user)?);
    }
    Ok(UserId::new(user, dispatch.auth.domain())?)
}

fn role_name(role: Role) -> Option<HubRole> {
    match role {
        Role::Member => Some(HubRole::Member),
        Role::Moderator => Some(HubRole::Moderator),
        Role::Coordinator => Some(HubRole::Coordinator),
        Role::CrisisPublisher => Some(HubRole::CrisisPublisher),
        Role::DirectoryAdmin => Some(HubRole::DirectoryAdmin),
        Role::Bot => Some(HubRole::Bot),
        Role::Unspecified => None,
    }
}

impl From<Class> for MemberClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Professional => Self::Professional,
            Class::VerifiedOther => Self::VerifiedOther,
            Class::Relative => Self::Relative,
        }
    }
}

impl From<HubRole> for Role {
    fn from(role: HubRole) -> Self {
        match role {
            HubRole::Member => Self::Member,
            HubRole::Moderator => Self::Moderator,
            HubRole::Coordinator => Self::Coordinator,
            HubRole::CrisisPublisher => Self::CrisisPublisher,
            HubRole::DirectoryAdmin => Self::DirectoryAdmin,
            HubRole::Bot => Self::Bot,
        }
    }
}
