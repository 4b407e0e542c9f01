//! Alerts of members who are no publishers: somebody asks the members of one group to acknowledge a message of his.
//!
//! It rings as any alert, with narrower bounds ([`limits`]): one group that he is in, everybody of it, no fallback
//! hook, nobody in line, no exercise. A second person is not asked for. He may watch and close it; so may
//! publishers. A relative opens none.

use cercle_proto::{id::TimestampMs, v1::MemberClass};

use super::{
    Alerts, Error, alert_note, decode, limits,
    opening::{Audience, OpenRequest},
    record::{AlertId, AlertRecord, Mode, Phase},
    require_publisher,
};
use crate::auth::Identity;

impl Alerts {
    /// Whether this user may open this alert. True: as a member.
    pub(super) async fn may_open(
        &self,
        by: &Identity,
        request: &OpenRequest,
        now: TimestampMs,
    ) -> Result<bool, Error> {
        if require_publisher(by).is_ok() {
            return Ok(false);
        }
        let OpenRequest { groups, mode, policy, audience, .. } = request;
        let is_plain = groups.len() == 1
            && *mode == Mode::Actual
            && matches!(audience, Audience::All)
            && (policy.fallback_after_ms, policy.escalate_after_ms, policy.needed) == (0, 0, 0)
            && policy.next_in_line.is_empty();
        let user = self.0.store.user(&by.user).await?;
        let is_relative = user.is_none_or(|user| user.class == MemberClass::Relative as u32);
        if !is_plain || is_relative {
            return Err(Error::NotAuthorised);
        }
        check(request, now)?;
        let own = self.0.live.iter().filter(|live| {
            let record = live.value().record();
            record.opened_by == by.user.as_str() && record.phase(now) == Phase::Ringing
        });
        if own.count() >= limits::MEMBER_ALERTS_MAX || self.0.live.len() >= limits::MEMBERS_OPEN_MAX {
            return Err(Error::TooMany("too many alerts are open: close some"));
        }
        Ok(true)
    }

    /// Publishers, and whoever opened it, may watch and close an alert; the others do not learn whether there is
    /// one.
    pub(super) async fn require_owner(&self, by: &Identity, id: AlertId) -> Result<(), Error> {
        if require_publisher(by).is_ok() {
            return Ok(());
        }
        let opened_by = match self.live(id) {
            Some(live) => Some(live.record().opened_by),
            None => match self.0.store.note(alert_note(id)).await? {
                Some(value) => Some(decode::<AlertRecord>(&value)?.opened_by),
                None => None,
            },
        };
        if opened_by.is_some_and(|user| user == by.user.as_str()) {
            Ok(())
        } else {
            Err(Error::NotAuthorised)
        }
    }
}

fn check(request: &OpenRequest, now: TimestampMs) -> Result<(), Error> {
    let OpenRequest { policy, expires_at, .. } = request;
    if *expires_at > now + limits::MEMBER_VALID_MAX_MS {
        return Err(Error::InvalidField("expires_at_ms of a member's alert must lie in the next 2 days"));
    }
    if policy.repeat_every_ms > 0 && policy.repeat_every_ms < limits::MEMBER_REPEAT_MIN_MS {
        return Err(Error::InvalidField(
            "repeat_every_ms of a member's alert must be 0 or at least 1 minute",
        ));
    }
    if policy.repeat_max > limits::MEMBER_REPEATS_MAX {
        return Err(Error::InvalidField("repeat_max of a member's alert must be at most 15"));
    }
    Ok(())
}
