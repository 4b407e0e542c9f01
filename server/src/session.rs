//! One connected device, as a pure state machine: `(event, now) -> actions`.
//!
//! [`actor`] drives it over a transport, with real time and real services. Phases:
//!
//! ```text
//! Fresh --Hello--> Greeted --Authenticate--> Open --+
//!                  ^     |Enrol                     |
//!                  +-----+          anything wrong, |
//!                                   replaced, idle  v
//!                                                 Ended
//! ```
//!
//! `now` is the age of the connection. After [`Action::Close`] nothing more comes.
//!
//! - [`actor`]: the loop that drives it. `alarm`: its timer. [`aborts`]: stops it.
//! - [`link`]: what a transport must offer.
//! - [`requests`]: requests on their way, in the right order. `under_way`: carries on those that wait.
//! - [`reading`]: what the device reads, from memory or from the log.

pub mod aborts;
pub mod actor;
mod alarm;
pub mod lanes;
pub mod link;
pub mod reading;
pub mod requests;
mod under_way;

use std::{sync::Arc, time::Duration};

use cercle_proto::{ErrorCode, frame, id::DeviceId};

use crate::{
    auth::Identity,
    dispatch::{
        reply::Reply,
        request::{Call, Enrol, Received, Recover, Request, Subscribe},
    },
    error::Refusal,
    limits,
};

/// What the operator may tune.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a connection may stay unauthenticated.
    pub authentication: Duration,
    /// How long the hub is silent before it pings; a device silent for twice as long is gone.
    pub ping_interval: Duration,
    /// How long a write to the device may take.
    pub write: Duration,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    timing: Timing,
    phase: Phase,
    /// Frames taken before authentication.
    frames_before: u32,
    /// Requests refused in a row because they came too fast.
    refused_in_a_row: u32,
    /// After a request came too fast, all are refused until then: a later one must not overtake it.
    patience_until: Duration,
    received_at: Duration,
    sent_at: Duration,
    pinged_at: Duration,
}

#[derive(Debug)]
enum Phase {
    Fresh,
    Greeted,
    Open(Arc<Identity>),
    Ended,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A frame came, and passed the rate limit or not (then: how long to wait, ms).
    Received(Received, Result<(), u32>),
    /// The transport got something that is no frame of ours but shows life.
    Alive,
    /// The bytes are no frame, or too many.
    Unreadable(Refusal),
    /// An enrolment was carried out or refused.
    Enrolled(u64, Result<Reply, Refusal>),
    /// A proof was accepted or refused.
    Proved(u64, Result<(Reply, Arc<Identity>), Refusal>),
    /// The certificate was renewed.
    Renewed,
    /// Frames were sent.
    Sent,
    /// The time of [`Session::wakes_at`] has come.
    Tick,
    /// Somebody else ends the session.
    End(ErrorCode),
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Action {
    /// Answer a request.
    Answer(u64, Result<Reply, Refusal>),
    /// Greet: the nonce goes out.
    Greet(u64),
    /// Send a ping.
    Ping,
    /// Carry out an enrolment, then report [`Event::Enrolled`].
    Enrol(u64, Box<Enrol>),
    /// Let a device in by a recovery code, then report [`Event::Enrolled`].
    Recover(u64, Box<Recover>),
    /// Check a proof, then report [`Event::Proved`].
    Prove {
        /// Request number.
        number: u64,
        /// The device.
        device: DeviceId,
        /// Its signature.
        proof: bytes::Bytes,
        /// What a restored hub had given it; else empty.
        certificate: bytes::Bytes,
    },
    /// The session is open: register it.
    Open(Arc<Identity>),
    /// Hand a request to its service.
    Call(u64, Arc<Identity>, Call),
    /// Read groups.
    Subscribe(u64, Subscribe),
    /// End the connection; with what to say first.
    Close(Option<Refusal>),
}

impl Session {
    /// A connection that was just made.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            phase: Phase::Fresh,
            frames_before: 0,
            refused_in_a_row: 0,
            patience_until: Duration::ZERO,
            received_at: Duration::ZERO,
            sent_at: Duration::ZERO,
            pinged_at: Duration::ZERO,
        }
    }

    /// When [`Event::Tick`] is wanted, if nothing else happens before.
    #[must_use]
    pub fn wakes_at(&self) -> Duration {
        match self.phase {
            Phase::Fresh | Phase::Greeted => self.timing.authentication,
            Phase::Open(_) => self.silent_at().min(self.ping_at()),
            Phase::Ended => Duration::MAX,
        }
    }

    /// Takes an event.
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Action> {
        if matches!(self.phase, Phase::Ended) {
            return Vec::new();
        }
        match event {
            Event::Received(received, within_rate) => {
                self.received_at = now;
                self.received(received, within_rate, now)
            }
            Event::Alive => {
                self.received_at = now;
                Vec::new()
            }
            Event::Unreadable(refusal) => self.close(Some(refusal)),
            Event::Enrolled(number, verdict) => self.enrolled(number, verdict),
            Event::Proved(number, verdict) => self.proved(number, verdict, now),
            Event::Renewed => self.renewed(),
            Event::Sent => {
                self.sent_at = now;
                Vec::new()
            }
            Event::Tick => self.tick(now),
            Event::End(code) => {
                let wait = if code == ErrorCode::ShuttingDown { limits::RETRY_AFTER_RESTART_MS } else { 0 };
                self.close(Some(Refusal::of(code).retry_after(wait)))
            }
        }
    }

    fn received(&mut self, received: Received, within_rate: Result<(), u32>, now: Duration) -> Vec<Action> {
        let Received { number, request } = received;
        let request = match request {
            Ok(request) => request,
            Err(refusal) => return self.unreadable_request(number, refusal),
        };
        match &self.phase {
            Phase::Fresh => self.fresh(number, &request),
            Phase::Greeted => self.greeted(number, request),
            Phase::Open(identity) => {
                let identity = identity.clone();
                self.open(number, &identity, request, self.patience(within_rate, now), now)
            }
            Phase::Ended => Vec::new(),
        }
    }

    /// A frame whose body is unknown or has a wrong field does not end the session, so that a newer client can
    /// go on; before authentication it counts against the few frames that are taken.
    fn unreadable_request(&mut self, number: u64, refusal: Refusal) -> Vec<Action> {
        let one_too_many = match self.phase {
            Phase::Fresh => true,
            Phase::Greeted => self.too_many_before(),
            Phase::Open(_) | Phase::Ended => false,
        };
        if one_too_many { self.unexpected() } else { vec![Action::Answer(number, Err(refusal))] }
    }

    fn fresh(&mut self, number: u64, request: &Request) -> Vec<Action> {
        let Request::Hello { version_min, version_max } = request else {
            return self.unexpected();
        };
        if !(*version_min..=*version_max).contains(&frame::VERSION) {
            let message = format!("this hub speaks version {}", frame::VERSION);
            let refusal = Refusal::new(ErrorCode::UnsupportedVersion, message);
            self.phase = Phase::Ended;
            return vec![Action::Answer(number, Err(refusal)), Action::Close(None)];
        }
        self.phase = Phase::Greeted;
        vec![Action::Greet(number)]
    }

    fn greeted(&mut self, number: u64, request: Request) -> Vec<Action> {
        if self.too_many_before() {
            return self.unexpected();
        }
        match request {
            Request::Enrol(enrol) => vec![Action::Enrol(number, enrol)],
            Request::Recover(recover) => vec![Action::Recover(number, recover)],
            Request::Authenticate { device, proof, certificate } => {
                vec![Action::Prove { number, device, proof, certificate }]
            }
            Request::Ping => vec![Action::Answer(number, Ok(Reply::Pong))],
            Request::Pong => Vec::new(),
            Request::Hello { .. } => self.unexpected(),
            Request::Subscribe(_) | Request::Call(_) => {
                vec![Action::Answer(number, Err(Refusal::of(ErrorCode::NotAuthenticated)))]
            }
        }
    }

    fn too_many_before(&mut self) -> bool {
        self.frames_before += 1;
        self.frames_before > limits::FRAMES_BEFORE_AUTHENTICATION_MAX
    }

    fn open(
        &mut self,
        number: u64,
        identity: &Arc<Identity>,
        request: Request,
        within_rate: Result<(), u32>,
        now: Duration,
    ) -> Vec<Action> {
        match request {
            Request::Hello { .. }
            | Request::Enrol(_)
            | Request::Recover(_)
            | Request::Authenticate { .. } => {
                return self.unexpected();
            }
            Request::Pong => return Vec::new(),
            Request::Ping => return vec![Action::Answer(number, Ok(Reply::Pong))],
            // Acknowledgements are merged before they cost anything, and free the log: never refused.
            Request::Call(call @ Call::Acknowledge { .. }) => {
                return vec![Action::Call(number, identity.clone(), call)];
            }
            Request::Subscribe(_) | Request::Call(_) => {}
        }
        if let Err(wait_ms) = within_rate {
            return self.too_fast(number, wait_ms, now);
        }
        self.refused_in_a_row = 0;
        match request {
            Request::Call(call @ Call::RenewCertificate) => {
                vec![Action::Call(number, identity.clone(), call)]
            }
            _ if identity.certificate_expired => {
                vec![Action::Answer(number, Err(Refusal::of(ErrorCode::CertificateExpired)))]
            }
            Request::Subscribe(subscribe) => vec![Action::Subscribe(number, subscribe)],
            Request::Call(call) => vec![Action::Call(number, identity.clone(), call)],
            _ => Vec::new(),
        }
    }

    /// How long a request must wait, given what the rate limit says now and what was said before.
    fn patience(&self, within_rate: Result<(), u32>, now: Duration) -> Result<(), u32> {
        let left_ms = self.patience_until.saturating_sub(now).as_millis();
        let left_ms = u32::try_from(left_ms).unwrap_or(u32::MAX);
        match within_rate {
            Ok(()) if left_ms == 0 => Ok(()),
            Ok(()) => Err(left_ms),
            Err(wait_ms) => Err(wait_ms.max(left_ms)),
        }
    }

    fn too_fast(&mut self, number: u64, wait_ms: u32, now: Duration) -> Vec<Action> {
        let fresh = self.patience_until <= now;
        let wait_ms = if fresh { wait_ms.max(limits::RATE_PATIENCE_MS) } else { wait_ms };
        self.patience_until = self.patience_until.max(now + Duration::from_millis(wait_ms.into()));
        let refusal = Refusal::of(ErrorCode::RateLimited).retry_after(wait_ms);
        self.refused_in_a_row += 1;
        if self.refused_in_a_row > limits::REFUSED_IN_A_ROW_MAX {
            return self.close(Some(refusal));
        }
        vec![Action::Answer(number, Err(refusal))]
    }

    fn enrolled(&mut self, number: u64, verdict: Result<Reply, Refusal>) -> Vec<Action> {
        let wrong = [ErrorCode::ProofInvalid, ErrorCode::RecoveryRefused];
        let ends = matches!(&verdict, Err(refusal) if wrong.contains(&refusal.code));
        let mut actions = vec![Action::Answer(number, verdict)];
        if ends {
            actions.extend(self.close(None));
        }
        actions
    }

    fn proved(
        &mut self,
        number: u64,
        verdict: Result<(Reply, Arc<Identity>), Refusal>,
        now: Duration,
    ) -> Vec<Action> {
        match verdict {
            Ok((reply, identity)) => {
                self.phase = Phase::Open(identity.clone());
                self.received_at = now;
                vec![Action::Open(identity), Action::Answer(number, Ok(reply))]
            }
            Err(refusal) => {
                let stays = refusal.code == ErrorCode::DeviceUnknown;
                let mut actions = vec![Action::Answer(number, Err(refusal))];
                if !stays {
                    actions.extend(self.close(None));
                }
                actions
            }
        }
    }

    fn renewed(&mut self) -> Vec<Action> {
        if let Phase::Open(identity) = &mut self.phase {
            *identity = Arc::new(Identity { certificate_expired: false, ..(**identity).clone() });
        }
        Vec::new()
    }

    fn tick(&mut self, now: Duration) -> Vec<Action> {
        match self.phase {
            Phase::Fresh | Phase::Greeted if now >= self.timing.authentication => {
                self.close(Some(Refusal::of(ErrorCode::AuthenticationTimeout)))
            }
            // A device that says nothing for so long does not read either.
            Phase::Open(_) if now >= self.silent_at() => self.close(None),
            Phase::Open(_) if now >= self.ping_at() => {
                self.pinged_at = now;
                vec![Action::Ping]
            }
            _ => Vec::new(),
        }
    }

    fn unexpected(&mut self) -> Vec<Action> {
        self.close(Some(Refusal::of(ErrorCode::UnexpectedFrame)))
    }

    fn close(&mut self, last_words: Option<Refusal>) -> Vec<Action> {
        self.phase = Phase::Ended;
        vec![Action::Close(last_words)]
    }

    fn silent_at(&self) -> Duration {
        self.received_at + 2 * self.timing.ping_interval + self.timing.write
    }

    /// A ping is due when either side has been silent for the interval, so that the device hears from the hub
    /// and the hub from the device; and not again before another interval.
    fn ping_at(&self) -> Duration {
        self.sent_at.min(self.received_at).max(self.pinged_at) + self.timing.ping_interval
    }
}

#[cfg(test)]
mod tests;
