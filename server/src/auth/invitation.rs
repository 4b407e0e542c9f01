//! Who may invite whom: the operator anybody, a coordinator anybody, every user further devices of himself.

use cercle_proto::{
    id::{TimestampMs, UserId},
    signing::sha256,
    v1::{MemberClass, Role},
};
use cercle_storage::store::{InvitationRecord, UserRecord};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    AuthenticationService, CreatedInvitation, Error, InvitationRequest, Inviter, authority::AuthorityError,
};
use crate::limits;

impl AuthenticationService {
    /// Creates a one-time invitation. Only the hash of its secret is stored. Name, profession, class and
    /// roles count for a user who does not exist yet; they become his record when he enrols.
    ///
    /// # Errors
    /// [`Error::NotAuthorised`], [`Error::InvalidField`], [`Error::RateLimited`], or a store failure.
    pub async fn create_invitation(
        &self,
        by: Inviter<'_>,
        request: InvitationRequest,
        now: TimestampMs,
    ) -> Result<CreatedInvitation, Error> {
        let user = self.invitee(by, request.user.as_deref())?;
        if !by.may_manage(&user) {
            return Err(Error::NotAuthorised);
        }
        if request.lost_devices && matches!(by, Inviter::User(identity) if identity.user == user) {
            return Err(Error::InvalidField("lost_devices is for another user"));
        }
        if let Inviter::User(identity) = by {
            let limited = self.inner.invitations.check(identity.user.clone(), now);
            limited.map_err(|retry_after_ms| Error::RateLimited { retry_after_ms })?;
        }
        let valid_for = request.valid_for_ms.unwrap_or(self.inner.settings.invitation_valid_ms);
        if valid_for == 0 || valid_for > limits::INVITATION_VALID_MAX_MS {
            return Err(Error::InvalidField("valid_for_ms is longer than an invitation may wait"));
        }
        let new_user = match self.inner.store.user(&user).await? {
            Some(_) => None,
            None => Some(new_user(user.clone(), &request, now)?),
        };
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| AuthorityError::Randomness)?;
        let expires_at = now + valid_for;
        let secret_hash = sha256(&secret);
        let invitation = InvitationRecord {
            secret_hash,
            user: user.clone(),
            new_user,
            expires_at,
            created_at: now,
            used_by: None,
            by_user: matches!(by, Inviter::User(identity) if identity.user == user),
        };
        self.inner.store.put_invitation(invitation).await?;
        self.audit(now, by.actor(), "invitation.created", user.as_str()).await;
        Ok(CreatedInvitation { user, secret, expires_at })
    }

    fn invitee(&self, by: Inviter<'_>, local: Option<&str>) -> Result<UserId, Error> {
        match (local, by) {
            (Some(local), _) => UserId::new(local, self.domain())
                .map_err(|_| Error::InvalidField("user must be 1 to 64 of A-Z a-z 0-9 . _ -")),
            (None, Inviter::User(identity)) => Ok(identity.user.clone()),
            (None, Inviter::Operator) => Err(Error::InvalidField("user is missing")),
        }
    }
}

impl Inviter<'_> {
    /// Whether devices of this user are his to invite, list and revoke.
    pub(super) fn may_manage(&self, user: &UserId) -> bool {
        match self {
            Self::Operator => true,
            Self::User(identity) => identity.user == *user || identity.has_role(Role::Coordinator),
        }
    }

    /// Name for the audit log.
    pub(super) fn actor(&self) -> &str {
        match self {
            Self::Operator => "operator",
            Self::User(identity) => identity.user.as_str(),
        }
    }
}

fn new_user(user: UserId, request: &InvitationRequest, now: TimestampMs) -> Result<UserRecord, Error> {
    let name = request.display_name.trim();
    if name.is_empty()
        || name.chars().count() > limits::DISPLAY_NAME_CHARS_MAX
        || name.chars().any(char::is_control)
    {
        return Err(Error::InvalidField("display_name is empty, too long or holds control characters"));
    }
    let profession = request.profession.trim();
    if profession.len() > limits::PROFESSION_BYTES_MAX
        || !profession.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Err(Error::InvalidField("profession is not a code of letters and digits"));
    }
    let class = match request.class {
        MemberClass::Unspecified => MemberClass::Professional,
        class => class,
    };
    let mut roles: Vec<u32> =
        request.roles.iter().filter(|role| **role != Role::Unspecified).map(|role| *role as u32).collect();
    if roles.is_empty() {
        roles.push(Role::Member as u32);
    }
    roles.sort_unstable();
    roles.dedup();
    Ok(UserRecord {
        user,
        display_name: name.to_owned(),
        profession: profession.to_owned(),
        class: class as u32,
        roles,
        created_at: now,
    })
}
