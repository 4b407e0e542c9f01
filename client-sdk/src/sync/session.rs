//! From the first frame of a connection to `Ready`; requests and their answers; pings.

use std::collections::{BTreeMap, BTreeSet};

use cercle_proto::{
    ErrorCode,
    certificate::read_device,
    frame,
    id::{DeviceId, GroupId, MessageId, Seq, TimestampMs},
    signing,
    v1::{self, client_frame::Body as Request, server_frame::Body as Answer},
};

use super::{Cx, Step};
use crate::{
    core::{DisconnectReason, Outcome},
    error::Error,
    event::Event,
    limits,
    message::RequestId,
};

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// There is none.
    #[default]
    Offline,
    /// `Hello` was sent.
    Greeting,
    /// `Enrol` was sent.
    Enrolling,
    /// `Authenticate` was sent.
    Authenticating,
    /// The certificate has expired; only its renewal is possible.
    Renewing,
    /// Everything is possible.
    Ready,
    /// The core has asked for the end.
    Closing,
}

/// What a request was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pending {
    Hello,
    Enrol,
    Authenticate,
    ListGroups,
    SiblingGroups,
    Subscribe { wave: u64 },
    Message { group: GroupId, message: MessageId, position: u64 },
    Change { group: GroupId, intent: u64, message: MessageId },
    Claim { group: GroupId, intent: u64 },
    ClaimOnce { request: RequestId },
    GroupInfo { group: GroupId },
    Rejoin { group: GroupId, message: MessageId },
    Publish,
    GroupRules,
    Owed { id: u64 },
    Renew { command: Option<u64> },
    Command { id: u64 },
}

/// The state of the present connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) phase: Phase,
    nonce: [u8; 32],
    last_request: u64,
    /// Requests that are not answered, with the time when they were sent.
    pub(crate) pending: BTreeMap<u64, (Pending, TimestampMs)>,
    pub(crate) last_wave: u64,
    /// Groups of each wave that is not complete.
    pub(crate) waves: BTreeMap<u64, Vec<GroupId>>,
    /// Waves of the start of the connection that are not complete.
    pub(crate) first_waves: BTreeSet<u64>,
    pub(crate) caught_up: bool,
    /// What became due for own requests while there was no connection is decided.
    pub(crate) requests_reviewed: bool,
    /// What is due in groups that follow the directory was asked for.
    pub(crate) rules_asked: bool,
    /// Which groups other devices of this user are in was asked for.
    pub(crate) siblings_asked: bool,
    /// Devices that this one has ended: it takes them out of its groups itself, at once.
    pub(crate) ended: BTreeSet<DeviceId>,
    last_frame: TimestampMs,
    ping_interval_ms: TimestampMs,
    pub(crate) publishing: bool,
    pub(crate) publish_not_before: TimestampMs,
    /// What the hub would not take at once (owed requests, key packages) is offered again at this time.
    pub(crate) retry_at: Option<TimestampMs>,
    /// How often an owed request about an alert that the hub does not know was offered.
    pub(crate) alerts_awaited: BTreeMap<u64, u32>,
    pub(crate) renewing: bool,
    /// A hub that does not know this device is shown its certificate.
    pub(crate) readmitting: bool,
    /// The certificate on the hub's record is older than the own: it was restored from a copy.
    record_is_older: bool,
    /// Incarnations of the hub, oldest first, up to the present one.
    pub(crate) lineage: Vec<Vec<u8>>,
    pub(crate) rollback_noted: bool,
    pub(crate) key_packages_left: Option<u32>,
    /// How far this device has read and the hub was not told.
    pub(crate) acknowledgements: super::acknowledging::Acknowledgements,
    /// Groups that the hub lists and this device does not know: (reading starts after, patience ends).
    pub(crate) orphans: BTreeMap<GroupId, (Seq, TimestampMs)>,
}

impl Session {
    /// When the connection counts as dead, an orphan's time is over, or the hub is to be told something.
    pub(crate) fn next_wake(&self) -> Option<TimestampMs> {
        if matches!(self.phase, Phase::Offline | Phase::Closing) {
            return None;
        }
        let orphans = self.orphans.values().map(|(_, due)| *due);
        let told = self.acknowledgements.due_at().filter(|_| self.phase == Phase::Ready);
        orphans.chain([self.dead_at()]).chain(self.retry_at).chain(told).min()
    }
}

impl Session {
    /// When the hub counts as gone: no frame for twice its ping interval, or a request without an answer.
    fn dead_at(&self) -> TimestampMs {
        let silent = self.last_frame + 2 * self.ping_interval_ms;
        let oldest = self.pending.values().map(|(_, sent)| sent + limits::ANSWER_PATIENCE_MS).min();
        oldest.map_or(silent, |unanswered| unanswered.min(silent))
    }
}

impl Cx<'_, '_> {
    /// A connection is up.
    pub(crate) fn connected(&mut self) {
        self.m.session = Session {
            phase: Phase::Greeting,
            ping_interval_ms: limits::PING_INTERVAL_MS,
            ..Session::default()
        };
        self.m.session.last_frame = self.now;
        self.m.groups.values_mut().for_each(super::Lane::disconnect);
        if self.m.identity.is_none() {
            return self.disconnect(DisconnectReason::NotEnrolled, false);
        }
        let client = concat!("cercle/", env!("CARGO_PKG_VERSION")).to_owned();
        let version = frame::VERSION;
        let hello = v1::Hello { version_min: version, version_max: version, client };
        self.request(Request::Hello(hello), Pending::Hello);
    }

    /// The connection is gone.
    pub(crate) fn disconnected(&mut self) {
        let was_ready = self.m.session.caught_up || self.m.session.phase == Phase::Ready;
        let pending = std::mem::take(&mut self.m.session).pending;
        self.m.groups.values_mut().for_each(super::Lane::disconnect);
        for (request, _) in pending.into_values() {
            if let Pending::Command { id } | Pending::Renew { command: Some(id) } = request {
                self.finish(id, Err(Error::Offline));
            }
        }
        if was_ready {
            self.emit(Event::Disconnected);
        }
    }

    /// Time has passed: is the connection still alive?
    pub(crate) fn check_alive(&mut self) {
        let session = &self.m.session;
        let open = !matches!(session.phase, Phase::Offline | Phase::Closing);
        if open && self.now >= session.dead_at() {
            self.disconnect(DisconnectReason::Silent, true);
        }
    }

    /// Sends a request and notes what it is for.
    pub(crate) fn request(&mut self, body: Request, pending: Pending) {
        self.m.session.last_request += 1;
        let number = self.m.session.last_request;
        self.m.session.pending.insert(number, (pending, self.now));
        self.actions.push(crate::core::Action::Send(frame::client(number, body)));
    }

    /// A frame came from the hub.
    pub(crate) fn frame(&mut self, frame: v1::ServerFrame) -> Step {
        if matches!(self.m.session.phase, Phase::Offline | Phase::Closing) {
            return Ok(());
        }
        self.m.session.last_frame = self.now;
        let Some(body) = frame.body else { return Ok(()) };
        match body {
            Answer::Ping(_) => {
                self.tell(Request::Pong(v1::Pong {}));
                Ok(())
            }
            Answer::Pong(_) => Ok(()),
            Answer::Ephemeral(whisper) => self.ephemeral(&whisper),
            Answer::Entries(entries) => {
                self.still_reading(entries.wave);
                self.entries(entries)
            }
            Answer::CatchupComplete(complete) => self.catchup_complete(complete),
            Answer::InboxItem(item) => self.inbox_item(item),
            Answer::KeyPackagesLow(low) => {
                self.m.session.key_packages_left = Some(low.left);
                Ok(())
            }
            Answer::MembershipDue(due) => self.membership_due(&due),
            Answer::MembershipEvent(event) => {
                self.membership_event(&event);
                Ok(())
            }
            Answer::AlertStatus(status) if frame.request == 0 => {
                self.emit(Event::AlertStatus(Box::new(crate::core::AlertTally(status))));
                Ok(())
            }
            Answer::JoinRequests(waiting) if frame.request == 0 => {
                self.emit(Event::WantToJoin(Box::new(crate::joining::WantToJoin(waiting.requests))));
                Ok(())
            }
            Answer::JoinDeclined(declined) if frame.request == 0 => {
                self.emit(Event::JoinDeclined(Box::new(crate::joining::Declined(declined))));
                Ok(())
            }
            Answer::Error(error) if frame.request == 0 => {
                self.session_error(&error);
                Ok(())
            }
            answer => match self.m.session.pending.remove(&frame.request) {
                Some((pending, _)) => self.answer(pending, answer),
                None => Ok(()),
            },
        }
    }

    /// A catch-up may take long: what counts is that it goes on.
    fn still_reading(&mut self, wave: u64) {
        let now = self.now;
        let mut pending = self.m.session.pending.values_mut();
        if let Some((_, sent)) = pending.find(|(pending, _)| *pending == Pending::Subscribe { wave }) {
            *sent = now;
        }
    }

    fn answer(&mut self, pending: Pending, answer: Answer) -> Step {
        match (pending, answer) {
            (pending, Answer::Error(error)) => self.refused(pending, &error),
            (Pending::Hello, Answer::HelloOk(hello)) => self.hello_ok(&hello),
            (Pending::Enrol, Answer::CertificateIssued(issued)) => self.enrolled(&issued),
            (Pending::Authenticate, Answer::Authenticated(session)) => self.authenticated(session),
            (Pending::Renew { command }, Answer::CertificateIssued(issued)) => self.renewed(&issued, command),
            (Pending::ListGroups, Answer::Groups(groups)) => self.groups_listed(groups.groups),
            (Pending::SiblingGroups, Answer::Groups(groups)) => self.sibling_groups(groups.groups),
            (Pending::Message { group, message, .. }, Answer::Accepted(accepted)) => {
                self.message_accepted(group, message, &accepted)
            }
            (Pending::Change { group, intent, message }, Answer::Accepted(accepted)) => {
                self.change_accepted(group, intent, message, &accepted)
            }
            (Pending::Claim { group, intent }, Answer::KeyPackages(packages)) => {
                self.claimed(group, intent, packages)
            }
            (Pending::ClaimOnce { request }, Answer::RegisterClaimed(decided)) => {
                self.claim_decided(request, &decided)
            }
            (Pending::GroupInfo { group }, Answer::GroupInfo(info)) => self.group_info(group, &info),
            (Pending::Rejoin { group, message }, Answer::Accepted(accepted)) => {
                self.rejoin_accepted(group, message, accepted.seq)
            }
            (Pending::Publish, Answer::KeyPackagesPublished(published)) => self.published(published.left),
            (Pending::GroupRules, Answer::GroupRules(rules)) => self.memberships_due(rules.groups),
            (Pending::Owed { id }, Answer::Done(_) | Answer::AlertStatus(_)) => self.tx.delete_owed(id),
            (Pending::Command { id }, answer) => {
                let result = super::commands::outcome(answer);
                self.finish(id, result);
                Ok(())
            }
            _ => {
                self.disconnect(DisconnectReason::Fault("an answer of another kind than its request"), true);
                Ok(())
            }
        }
    }

    fn hello_ok(&mut self, hello: &v1::HelloOk) -> Step {
        let Ok(nonce) = <[u8; 32]>::try_from(hello.nonce.as_ref()) else {
            self.disconnect(DisconnectReason::Fault("the nonce is not 32 bytes"), true);
            return Ok(());
        };
        self.m.session.nonce = nonce;
        if hello.ping_interval_ms > 0 {
            self.m.session.ping_interval_ms = u64::from(hello.ping_interval_ms);
        }
        if self.now.abs_diff(hello.now_ms) > limits::CLOCK_SKEW_MS_MAX {
            let difference = i128::from(hello.now_ms) - i128::from(self.now);
            let hub_ahead_ms = i64::try_from(difference).unwrap_or(i64::MAX);
            self.emit(Event::ClockSkew { hub_ahead_ms });
        }
        let Some(identity) = self.m.identity.clone() else { return Ok(()) };
        match (&self.m.me, self.tx.invitation()?) {
            (None, Some(secret)) => {
                let (device, public_key) = (DeviceId::new(identity.device), identity.keys.public());
                let message = signing::enrol_message(&nonce, &secret, device, &public_key);
                let enrol = v1::Enrol {
                    invitation: secret.to_vec().into(),
                    device: device.to_bytes(),
                    public_key: public_key.to_vec().into(),
                    proof: identity.keys.sign(&message).unwrap_or_default().into(),
                };
                self.m.session.phase = Phase::Enrolling;
                self.request(Request::Enrol(enrol), Pending::Enrol);
            }
            (Some(_), _) => self.authenticate(),
            (None, None) => {
                if !self.ask_to_return(&nonce, &identity)? {
                    self.disconnect(DisconnectReason::NotEnrolled, false);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn authenticate(&mut self) {
        let Some(identity) = self.m.identity.clone() else { return };
        let device = DeviceId::new(identity.device);
        let message = signing::session_message(&self.m.session.nonce, device);
        let proof = identity.keys.sign(&message).unwrap_or_default().into();
        self.m.session.phase = Phase::Authenticating;
        let certificate = match &self.m.me {
            Some(me) if self.m.session.readmitting => me.certificate.clone().into(),
            _ => bytes::Bytes::new(),
        };
        let authenticate = v1::Authenticate { device: device.to_bytes(), proof, certificate };
        self.request(Request::Authenticate(authenticate), Pending::Authenticate);
    }

    fn enrolled(&mut self, issued: &v1::CertificateIssued) -> Step {
        if self.store_certificate(issued)?.is_err() {
            self.disconnect(DisconnectReason::Untrusted, false);
            return Ok(());
        }
        if let Some(me) = self.m.me.clone() {
            self.emit(Event::Enrolled { user: me.identity.user.clone() });
        }
        self.authenticate();
        Ok(())
    }

    fn renewed(&mut self, issued: &v1::CertificateIssued, command: Option<u64>) -> Step {
        self.m.session.renewing = false;
        let result = match self.store_certificate(issued)? {
            Ok(()) => {
                self.certificate_renewed()?;
                Ok(Outcome::Done)
            }
            Err(error) => Err(Error::Untrusted(error)),
        };
        if let Some(command) = command {
            self.finish(command, result);
        }
        if self.m.session.phase == Phase::Renewing {
            self.ready()?;
        }
        Ok(())
    }

    fn authenticated(&mut self, session: v1::Authenticated) -> Step {
        let Some(me) = self.m.me.clone() else { return Ok(()) };
        if me.verifier.hub(&session.hub_certificate).is_err() {
            self.disconnect(DisconnectReason::Untrusted, false);
            return Ok(());
        }
        let on_record = read_device(&session.certificate).map_or(0, |record| record.not_before_ms);
        self.m.session.record_is_older = on_record > 0 && on_record < me.identity.not_before_ms;
        if session.certificate.as_ref() != me.certificate
            && !session.certificate.is_empty()
            && !self.m.session.record_is_older
        {
            // A renewal whose answer was lost. What does not verify changes nothing.
            let root = me.verifier.root().der().to_vec().into();
            let certificate = session.certificate.clone();
            let issued = v1::CertificateIssued { user: session.user.clone(), certificate, root };
            if self.store_certificate(&issued)?.is_ok() {
                self.certificate_renewed()?;
            }
        }
        self.session_open(session)
    }

    /// The session is authenticated on both sides.
    fn session_open(&mut self, session: v1::Authenticated) -> Step {
        let Some(me) = self.m.me.clone() else { return Ok(()) };
        let hub_certificate = session.hub_certificate.to_vec();
        let restored = !self.m.standing.incarnation.is_empty()
            && self.m.standing.incarnation != session.incarnation.as_ref();
        let changed = self.m.standing.incarnation != session.incarnation.as_ref()
            || self.m.standing.hub_certificate.as_ref() != Some(&hub_certificate);
        let lineage = session.past_incarnations.iter().chain([&session.incarnation]);
        self.m.session.lineage = lineage.map(|incarnation| incarnation.to_vec()).collect();
        if changed {
            let before = std::mem::replace(&mut self.m.standing.incarnation, session.incarnation.to_vec());
            self.m.standing.hub_certificate = Some(hub_certificate);
            if restored {
                self.hub_restored(&before)?;
            }
            self.tx.write_standing(&self.m.standing)?;
        }
        self.m.session.key_packages_left = Some(session.key_packages_left);
        self.emit(Event::Connected);
        if me.identity.not_after_ms <= self.now || self.m.session.record_is_older {
            // Until the hub has a certificate that is valid it answers nothing else.
            self.m.session.phase = Phase::Renewing;
            self.renew(None);
            return Ok(());
        }
        self.ready()
    }

    /// Everything is possible: first of all, which groups are there?
    fn ready(&mut self) -> Step {
        self.m.session.phase = Phase::Ready;
        self.request(Request::ListGroups(v1::ListGroups {}), Pending::ListGroups);
        self.send_claims()?;
        self.send_all_owed()
    }

    /// Sends every owed request that is not on its way.
    pub(crate) fn send_all_owed(&mut self) -> Step {
        for (id, encoded) in self.tx.owed()? {
            let mut pending = self.m.session.pending.values();
            if !pending.any(|(pending, _)| *pending == Pending::Owed { id }) {
                self.send_owed(id, &encoded)?;
            }
        }
        Ok(())
    }

    /// Something is to be offered to the hub again after a while.
    pub(crate) fn retry_after(&mut self, delay: u64) {
        let at = self.now + delay;
        let session = &mut self.m.session;
        session.retry_at = Some(session.retry_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Notes a request that must reach the hub, and sends it.
    pub(crate) fn owe(&mut self, body: Request) -> Step {
        let encoded = frame::encode(&frame::client(0, body));
        let id = self.tx.add_owed(&encoded)?;
        self.send_owed(id, &encoded)
    }

    fn send_owed(&mut self, id: u64, encoded: &[u8]) -> Step {
        match frame::decode_client(encoded.to_vec().into()).ok().and_then(|frame| frame.body) {
            Some(body) => {
                self.request(body, Pending::Owed { id });
                Ok(())
            }
            None => self.tx.delete_owed(id),
        }
    }

    /// The hub is about to end the session, or refuses a frame that has no answer.
    fn session_error(&mut self, error: &v1::Error) {
        use ErrorCode as Code;
        let code = Code::from_number(error.code);
        let retry = match code {
            Some(Code::SessionReplaced) => self.retry_after_replacement(),
            Some(
                Code::DeviceRevoked | Code::DeviceUnknown | Code::ProofInvalid | Code::UnsupportedVersion,
            ) => false,
            Some(
                Code::MalformedFrame
                | Code::FrameTooLarge
                | Code::UnexpectedFrame
                | Code::AuthenticationTimeout
                | Code::TooManyConnections
                | Code::ReadTooSlow
                | Code::ShuttingDown,
            ) => true,
            _ => return,
        };
        let retry_after_ms = error.retry_after_ms;
        self.disconnect(DisconnectReason::Refused { code, retry_after_ms }, retry);
    }

    /// Another session of this device replaced this one. Once, that may be an older connection of this
    /// very program whose authentication came late; twice in a row, another program holds the same store.
    fn retry_after_replacement(&mut self) -> bool {
        let last = self.m.replaced_at.replace(self.now);
        last.is_none_or(|at| self.now > at + limits::REPLACED_TWICE_MS)
    }
}
