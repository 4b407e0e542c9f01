//! Open, confirm, close: what publishers do, and members within their bounds.

use std::collections::{BTreeMap, BTreeSet};

use cercle_proto::id::{GroupId, Seq, TimestampMs, UserId};
use cercle_storage::store::{AuditEntry, Effect, Timer};

use super::{
    Alerts, Error, Status, alert_note, decode, encode,
    live::Live,
    recipient_note,
    record::{AlertId, AlertRecord, Mode, Phase, Policy, Priority, RecipientRecord},
    require_publisher,
    ringing::TIMER_PAYLOAD,
    step_note,
};
use crate::{auth::Identity, limits};

/// An alert to open.
#[derive(Debug, Clone)]
pub struct OpenRequest {
    /// Its number.
    pub alert: AlertId,
    /// Groups and the places of its messages.
    pub groups: Vec<(GroupId, Seq)>,
    /// Visible everywhere.
    pub mode: Mode,
    /// How much it matters.
    pub priority: Priority,
    /// Until when it rings.
    pub expires_at: TimestampMs,
    /// What happens meanwhile.
    pub policy: Policy,
    /// Who of the groups is meant.
    pub audience: Audience,
}

/// Who of its groups an alert is meant for. `Debug` shows no name.
#[derive(Clone, Default)]
pub enum Audience {
    /// Everybody.
    #[default]
    All,
    /// These.
    Only(BTreeSet<UserId>),
    /// The recipients of an earlier alert.
    As(AlertId),
}

impl std::fmt::Debug for Audience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::Only(_) => "Only",
            Self::As(_) => "As",
        })
    }
}

impl Alerts {
    /// Opens an alert; one that is open already is left as it is.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn open(&self, by: &Identity, request: OpenRequest, now: TimestampMs) -> Result<Status, Error> {
        let id = request.alert;
        if let Some(status) = self.status(id, now).await? {
            self.require_owner(by, id).await?;
            return Ok(status);
        }
        let as_member = self.may_open(by, &request, now).await?;
        check(&request, now)?;
        if self.0.live.len() >= limits::ALERTS_OPEN_MAX {
            return Err(Error::TooMany("too many alerts are open: close some"));
        }
        let recipients = self.audience(by, &request).await?;
        let record = AlertRecord {
            groups: request.groups.iter().map(|(group, seq)| (*group.as_bytes(), *seq)).collect(),
            mode: request.mode,
            priority: request.priority,
            expires_at: request.expires_at,
            policy: request.policy,
            opened_by: by.user.as_str().to_owned(),
            opened_at: now,
            confirmed_by: None,
            ringing_since: (as_member || !self.0.two_persons).then_some(now),
            closed_at: None,
            rounds: 0,
            fell_back: false,
            in_line: 0,
        };
        let mut effects =
            vec![Effect::Put(alert_note(id), encode(&record)), audit(by, "alert.opened", id, now)];
        effects.extend(timer(id, &record).map(Effect::Arm));
        let row =
            |(user, known): (&UserId, &RecipientRecord)| Effect::Put(recipient_note(id, user), encode(known));
        effects.extend(recipients.iter().map(row));
        let first = Box::new(move |found: &[Option<bytes::Bytes>]| match found {
            [None] => effects,
            // Opened by a request that overtook this one.
            _ => Vec::new(),
        });
        self.0.store.change(vec![alert_note(id)], first).await?;
        let live = match self.live(id) {
            Some(live) => live,
            None => self.keep(Live::new(id, record, recipients)),
        };
        self.sweep(&live, now).await?;
        self.0.armed.notify_one();
        Ok(live.status(now))
    }

    /// Confirms an alert that another publisher opened: it begins to ring.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn confirm(&self, by: &Identity, id: AlertId, now: TimestampMs) -> Result<Status, Error> {
        require_publisher(by)?;
        let live = self.live(id).ok_or(Error::Unknown)?;
        let record = live.record();
        match record.phase(now) {
            Phase::Ringing => return Ok(live.status(now)),
            Phase::Closed | Phase::Expired => return Err(Error::Over),
            Phase::Awaiting if record.opened_by == by.user.as_str() => return Err(Error::SecondPerson),
            Phase::Awaiting => {}
        }
        let user = by.user.as_str().to_owned();
        let confirm = move |record: AlertRecord| match record.phase(now) {
            Phase::Awaiting => {
                Some(AlertRecord { confirmed_by: Some(user), ringing_since: Some(now), ..record })
            }
            _ => None,
        };
        self.change_record(&live, audit(by, "alert.confirmed", id, now), confirm).await?;
        self.0.armed.notify_one();
        self.tell(&live);
        Ok(live.status(now))
    }

    /// Ends an alert: nobody is rung any more.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn close(&self, by: &Identity, id: AlertId, now: TimestampMs) -> Result<Status, Error> {
        self.require_owner(by, id).await?;
        let Some(live) = self.live(id) else {
            return self.status(id, now).await?.ok_or(Error::Unknown);
        };
        let close = move |record: AlertRecord| {
            (record.closed_at.is_none()).then_some(AlertRecord { closed_at: Some(now), ..record })
        };
        self.change_record(&live, audit(by, "alert.closed", id, now), close).await?;
        let status = live.status(now);
        self.tell(&live);
        self.let_go(id);
        Ok(status)
    }

    /// Changes the record where it is stored, arms or disarms its timer, and takes the result over.
    pub(super) async fn change_record(
        &self,
        live: &Live,
        audit: impl Into<Option<Effect>>,
        change: impl FnOnce(AlertRecord) -> Option<AlertRecord> + Send + 'static,
    ) -> Result<(), Error> {
        let id = live.id;
        let audit = audit.into();
        let (told, result) = std::sync::mpsc::sync_channel(1);
        let decide = move |found: &[Option<bytes::Bytes>]| {
            let stored = found.first().and_then(Option::as_ref).and_then(|value| decode(value).ok());
            let Some(record) = stored.and_then(change) else { return Vec::new() };
            let mut effects =
                vec![Effect::Put(alert_note(id), encode(&record)), Effect::Erase(step_note(id))];
            effects.push(timer(id, &record).map_or(Effect::Disarm(id.0), Effect::Arm));
            effects.extend(audit);
            // The receiver waits for this write; a result that nobody takes is none the less stored.
            let _ = told.try_send(record);
            effects
        };
        self.0.store.change(vec![alert_note(id)], Box::new(decide)).await?;
        if let Ok(record) = result.try_recv() {
            live.set_record(record);
        }
        Ok(())
    }

    /// Everybody in the groups whom the alert is meant for, but the publisher himself; who is in line is meant.
    async fn audience(
        &self,
        by: &Identity,
        request: &OpenRequest,
    ) -> Result<BTreeMap<UserId, RecipientRecord>, Error> {
        let mut users = BTreeMap::new();
        for (group, seq) in &request.groups {
            let head = self.0.store.group(*group).await?.map(|group| group.head);
            let own = self.0.store.roster_entry(*group, by.device).await?;
            if own.is_none_or(|row| row.removed_at.is_some()) || head.is_none_or(|head| *seq > head) {
                return Err(Error::NotMember);
            }
            for member in self.0.store.roster(*group).await? {
                if member.removed_at.is_none() && member.user != by.user {
                    users.insert(member.user, RecipientRecord::default());
                }
            }
        }
        let meant = match &request.audience {
            Audience::All => None,
            Audience::Only(meant) => Some(meant.clone()),
            Audience::As(earlier) => Some(self.recipients_of(*earlier).await?),
        };
        if let Some(meant) = meant {
            let in_line =
                |user: &UserId| request.policy.next_in_line.iter().any(|name| name == user.as_str());
            users.retain(|user, _| meant.contains(user) || in_line(user));
            if users.is_empty() {
                return Err(Error::InvalidField("target fits nobody of the groups"));
            }
        }
        if users.len() > limits::ALERT_RECIPIENTS_MAX {
            return Err(Error::TooMany("too many recipients: send several alerts"));
        }
        for (place, name) in request.policy.next_in_line.iter().enumerate() {
            let user =
                UserId::parse(name).map_err(|_| Error::InvalidField("next_in_line holds no user id"))?;
            let known =
                users.get_mut(&user).ok_or(Error::InvalidField("next_in_line names nobody of the groups"))?;
            known.in_line = u32::try_from(place + 1).unwrap_or(u32::MAX);
        }
        Ok(users)
    }

    /// Whom an earlier alert rang.
    async fn recipients_of(&self, earlier: AlertId) -> Result<BTreeSet<UserId>, Error> {
        if self.0.store.note(alert_note(earlier)).await?.is_none() {
            return Err(Error::Unknown);
        }
        Ok(self.recipients(earlier).await?.into_keys().collect())
    }
}

/// The timer of the next step.
fn timer(id: AlertId, record: &AlertRecord) -> Option<Timer> {
    let due = record.next_due()?;
    Some(Timer { id: id.0, due, payload: bytes::Bytes::from_static(TIMER_PAYLOAD) })
}

fn audit(by: &Identity, action: &str, id: AlertId, now: TimestampMs) -> Effect {
    let actor = by.user.as_str().to_owned();
    Effect::Audit(AuditEntry { at: now, actor, action: action.to_owned(), object: id.to_hex() })
}

fn check(request: &OpenRequest, now: TimestampMs) -> Result<(), Error> {
    let OpenRequest { groups, policy, expires_at, .. } = request;
    if groups.is_empty() || groups.len() > limits::ALERT_GROUPS_MAX {
        return Err(Error::InvalidField("groups must be 1 to 64"));
    }
    if *expires_at <= now || *expires_at > now + limits::ALERT_VALID_MAX_MS {
        return Err(Error::InvalidField("expires_at_ms must lie in the next 30 days"));
    }
    if policy.repeat_every_ms > 0 && policy.repeat_every_ms < limits::ALERT_REPEAT_MIN_MS {
        return Err(Error::InvalidField("repeat_every_ms must be 0 or at least 10 s"));
    }
    if policy.repeat_max > limits::ALERT_REPEATS_MAX {
        return Err(Error::InvalidField("repeat_max must be at most 1000"));
    }
    if policy.next_in_line.len() > limits::ALERT_LINE_MAX {
        return Err(Error::InvalidField("next_in_line has at most 32 users"));
    }
    Ok(())
}
