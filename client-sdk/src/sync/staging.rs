//! Making the commit, proposal or group of an intent, and storing it before it is sent.

use cercle_proto::{
    certificate::CertificateError,
    frame,
    id::{Epoch, GroupId, UserId},
    v1::{self, client_frame::Body as Request},
};
use prost::Message as _;

use super::{Cx, Step, user_ids};
use crate::{
    core::{GroupState, Outcome},
    error::Error,
    mls::{
        MlsError, MlsGroup,
        commit::{self, Author, Bundle, Plan},
        group, key_packages,
        provider::Provider,
    },
    store::{
        Tx,
        intents::{Change, Intent, IntentRow, Staged},
    },
};

/// What came of staging.
enum Made {
    /// A commit, in this epoch.
    Commit(Bundle, Epoch),
    /// A proposal, in this epoch.
    Proposal(Vec<u8>, Epoch),
    /// The group is as wanted already.
    Nothing,
    /// It can never be.
    Impossible(Error),
}

impl Cx<'_, '_> {
    /// Stages an intent and sends it; true if it has ended instead.
    pub(crate) fn stage(&mut self, row: IntentRow) -> Step<bool> {
        let group = row.group;
        if let Some(error) = self.admission_refused(&row)? {
            self.finish_intent(&row, Err(error))?;
            return Ok(true);
        }
        let made = self.with_group(group, |provider, tx, loaded, author| {
            make(provider, tx, loaded, author, &row.intent)
        })?;
        match made {
            Ok(Made::Commit(bundle, epoch)) => {
                let message_id = self.message_id();
                let body = Request::CommitBundle(v1::CommitBundle {
                    group: group.to_bytes(),
                    message_id: message_id.to_bytes(),
                    commit: bundle.commit.into(),
                    welcome: bundle.welcome.into(),
                    group_info: bundle.group_info.into(),
                    application: None,
                });
                self.staged(row, message_id, epoch, body)
            }
            Ok(Made::Proposal(mls, epoch)) => {
                let message_id = self.message_id();
                let body = Request::SendProposal(v1::SendProposal {
                    group: group.to_bytes(),
                    message_id: message_id.to_bytes(),
                    mls: mls.into(),
                });
                if let Some(lane) = self.lane(group) {
                    lane.row.record.state = GroupState::Leaving;
                }
                self.save(group)?;
                self.staged(row, message_id, epoch, body)
            }
            Ok(Made::Nothing) => {
                let result = nothing_to_do(&row.intent);
                self.finish_intent(&row, result)?;
                Ok(true)
            }
            Ok(Made::Impossible(error)) => {
                self.finish_intent(&row, Err(error))?;
                Ok(true)
            }
            Err(error) => {
                self.finish_intent(&row, Err(app_error(error)))?;
                Ok(true)
            }
        }
    }

    fn staged(
        &mut self,
        mut row: IntentRow,
        message: cercle_proto::id::MessageId,
        epoch: Epoch,
        body: Request,
    ) -> Step<bool> {
        let encoded = frame::encode(&frame::client(0, body)).to_vec();
        row.intent.staged = Some(Staged { message: *message.as_bytes(), epoch, frame: encoded.clone() });
        self.tx.write_intent(&row)?;
        self.send_staged(&row, message, &encoded)?;
        Ok(false)
    }
}

/// What an MLS error means to an app.
pub(crate) fn app_error(error: MlsError) -> Error {
    match error {
        MlsError::Policy(policy) => Error::Denied(policy),
        MlsError::Certificate(certificate) => Error::KeyPackageRefused(certificate),
        other => Error::Mls(other.to_string()),
    }
}

fn nothing_to_do(intent: &Intent) -> Result<Outcome, Error> {
    match (&intent.change, &intent.claimed) {
        (Change::Invite { users, .. }, Some(claimed)) => {
            let missing = user_ids(&claimed.missing);
            if missing.len() == users.len() {
                Err(Error::NoDevice { users: missing })
            } else {
                Ok(Outcome::Invited { devices: Vec::new(), missing })
            }
        }
        _ => Ok(Outcome::Done),
    }
}

fn make(
    provider: &Provider<'_>,
    tx: &Tx<'_>,
    loaded: &mut MlsGroup,
    author: Author<'_>,
    intent: &Intent,
) -> Result<Made, MlsError> {
    if loaded.pending_commit().is_some() {
        // Left over from an intent that was given up.
        crate::mls::application::drop_own(provider, loaded)?;
    }
    let epoch = loaded.epoch().as_u64();
    if intent.change == Change::Leave {
        return Ok(Made::Proposal(commit::leave(provider, loaded, author.keys)?, epoch));
    }
    if loaded.has_pending_proposals() && !commit::can_commit_pending(loaded) {
        // This device is leaving or revoked: the only commit it could make would remove itself.
        return Ok(Made::Impossible(Error::Invalid("this device is about to leave the group")));
    }
    let plan = match plan(provider, loaded, author, intent)? {
        Ok(Some(plan)) => plan,
        Ok(None) => return Ok(Made::Nothing),
        Err(error) => return Ok(Made::Impossible(error)),
    };
    let bundle = commit::stage(provider, tx, loaded, author, plan)?;
    Ok(Made::Commit(bundle, epoch))
}

/// What a commit must do for an intent: `Ok(None)` if nothing, `Err` if it can never be.
fn plan(
    provider: &Provider<'_>,
    loaded: &MlsGroup,
    author: Author<'_>,
    intent: &Intent,
) -> Result<Result<Option<Plan>, Error>, MlsError> {
    let mut plan = Plan::default();
    match &intent.change {
        Change::Invite { .. } => {
            let members = group::members(loaded, author.me)?;
            for (package, identity) in claimed(provider, author, intent)? {
                if !members.iter().any(|(_, member)| member.device == identity) {
                    plan.add.push(package);
                }
            }
            Ok(Ok((!plan.add.is_empty()).then_some(plan)))
        }
        Change::ReAdd { device, .. } => {
            let packages = claimed(provider, author, intent)?;
            plan.add = packages.into_iter().map(|(package, _)| package).collect();
            plan.remove = group::leaves_of(loaded, author.me, |one| one.device.as_bytes() == device)?;
            Ok(Ok((!plan.add.is_empty() && !plan.remove.is_empty()).then_some(plan)))
        }
        Change::Remove { users } => {
            let users = user_ids(users);
            let own = loaded.own_leaf_index();
            plan.remove = group::leaves_of(loaded, author.me, |one| users.contains(&one.user))?;
            plan.remove.retain(|index| *index != own);
            if plan.remove.is_empty() {
                return Ok(Err(Error::NotInGroup { users }));
            }
            Ok(Ok(Some(plan)))
        }
        Change::Administrators { users } => {
            let policy = group::policy(loaded)?;
            let users: Vec<UserId> = user_ids(users);
            if policy.administrators() == users {
                return Ok(Ok(None));
            }
            plan.policy = Some(policy.with_administrators(users));
            Ok(Ok(Some(plan)))
        }
        Change::Pending => Ok(Ok(loaded.has_pending_proposals().then_some(plan))),
        Change::Update => Ok(Ok(Some(plan))),
        Change::Create { .. } | Change::Leave => Ok(Ok(None)),
    }
}

type Verified = (key_packages::KeyPackage, cercle_proto::id::DeviceId);

/// The claimed key packages, each verified and of somebody who was asked for. One that is refused stops the
/// intent: the hub should not have given it out, and adding some of a user's devices only would look as if
/// all were there.
fn claimed(provider: &Provider<'_>, author: Author<'_>, intent: &Intent) -> Result<Vec<Verified>, MlsError> {
    let packages = intent.claimed.as_ref().map_or(&[][..], |claimed| &claimed.packages);
    let mut verified = Vec::new();
    for encoded in packages {
        let package = v1::ClaimedKeyPackage::decode(encoded.as_slice())
            .map_err(|_| MlsError::Refused("claim", "a stored key package is damaged".into()))?;
        let verifier = &author.me.verifier;
        let (package, identity) = key_packages::verify(provider, verifier, &package, author.now)?;
        let asked_for = match &intent.change {
            Change::Invite { users, .. } => users.iter().any(|user| user == identity.user.as_str()),
            Change::ReAdd { user, device, .. } => {
                user == identity.user.as_str() && device == identity.device.as_bytes()
            }
            _ => false,
        };
        if !asked_for {
            let error = CertificateError::Malformed("it is of somebody who was not asked for");
            return Err(MlsError::Certificate(error));
        }
        verified.push((package, identity.device));
    }
    Ok(verified)
}

/// The frame that registers a new group.
pub(crate) fn create_frame(
    group: GroupId,
    message: cercle_proto::id::MessageId,
    group_info: Vec<u8>,
    ratchet_tree: Vec<u8>,
) -> Vec<u8> {
    let create = v1::CreateGroup {
        group: group.to_bytes(),
        message_id: message.to_bytes(),
        group_info: group_info.into(),
        ratchet_tree: ratchet_tree.into(),
    };
    frame::encode(&frame::client(0, Request::CreateGroup(create))).to_vec()
}
