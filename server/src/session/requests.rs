//! The requests of one session that are on their way.
//!
//! Owned by the session's [`super::actor`]. A request is handed to its service in the order in which it came
//! (it is begun at once, which queues a message in the store), then is carried on beside all that the session waits
//! for (`under_way`): a session that ends or is slow to read never stops a write halfway, and never delays the
//! wake-up of others.
//! Acknowledgements of entries are noted on the spot; those that need a service are merged: one is on its way,
//! the next holds the highest cursors that came meanwhile.

use std::{collections::HashMap, panic::AssertUnwindSafe, pin::Pin, sync::Arc, task::Context};

use cercle_proto::{
    ErrorCode,
    id::{GroupId, Seq},
};
use futures_util::FutureExt;

use super::{actor::Services, lanes::Lanes, under_way::UnderWay};
use crate::{
    auth::Identity,
    dispatch::{
        reply::Reply,
        request::{Call, Pipelining},
    },
    error::Refusal,
    limits,
};

/// Requests of one session.
#[derive(Debug)]
pub struct Requests {
    services: Arc<Services>,
    lanes: Lanes<Waiting>,
    /// Taken from the device and not yet answered.
    open: usize,
    /// Bytes of their frames.
    open_bytes: usize,
    under_way: UnderWay<Finished>,
    acknowledging: bool,
    acknowledged: Acknowledged,
}

/// A request that was carried out.
#[derive(Debug)]
pub struct Finished {
    /// Its number.
    pub number: u64,
    /// The answer.
    pub verdict: Result<Reply, Refusal>,
    /// What it was.
    pub purpose: Purpose,
    /// Bytes of its frame.
    bytes: usize,
}

/// What the session must do beside answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing.
    Answer,
    /// A write to a group: the next may start.
    Write(GroupId),
    /// An acknowledgement: the next may start; success is not answered.
    Acknowledge,
    /// The certificate was renewed, if the answer is one.
    Renew,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    identity: Arc<Identity>,
    call: Call,
    bytes: usize,
}

/// Acknowledgements that wait for the one that is on its way.
#[derive(Debug, Default)]
struct Acknowledged {
    groups: HashMap<GroupId, Seq>,
    inbox: u64,
    by: Option<Arc<Identity>>,
}

impl Requests {
    /// No requests yet.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            under_way: UnderWay::new(services.tracker.clone()),
            services,
            lanes: Lanes::default(),
            open: 0,
            open_bytes: 0,
            acknowledging: false,
            acknowledged: Acknowledged::default(),
        }
    }

    /// Whether another request may be read from the device.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open < limits::REQUESTS_PER_SESSION_MAX
            && self.open_bytes < limits::REQUEST_BYTES_PER_SESSION_MAX
    }

    /// Carries requests on and wakes the session when more can be done. Returns whether [`Requests::finished`] has
    /// something.
    pub fn carry_on(&mut self, cx: &mut Context<'_>) -> bool {
        self.under_way.carry_on(cx);
        self.under_way.has_done()
    }

    /// Waits for something else and carries requests on meanwhile.
    pub fn beside<F: Future>(&mut self, other: Pin<&mut F>) -> impl Future<Output = F::Output> {
        self.under_way.beside(other)
    }

    /// Takes a request whose frame had so many bytes. Must not be called without room.
    pub fn take(&mut self, number: u64, identity: Arc<Identity>, call: Call, bytes: usize) {
        debug_assert!(self.has_room(), "a request is taken without room");
        match call {
            Call::Acknowledge { groups, inbox } => {
                if inbox != 0 || !self.services.dispatch.note_cursors(&identity, &groups) {
                    self.acknowledge(identity, groups, inbox);
                }
            }
            call => {
                self.open += 1;
                self.open_bytes += bytes;
                let write = call.writes_to();
                let waiting = Waiting { number, identity, call, bytes };
                let ready = match write {
                    Some((group, pipelining)) => self.lanes.enter(group, pipelining, waiting),
                    None => Some(waiting),
                };
                if let Some(ready) = ready {
                    self.start(ready);
                }
            }
        }
    }

    /// Returns the requests that were finished since the last call.
    pub fn finished(&mut self) -> Vec<Finished> {
        let finished = self.under_way.take_done();
        for finished in &finished {
            self.settle(finished);
        }
        finished
    }

    fn settle(&mut self, finished: &Finished) {
        match finished.purpose {
            Purpose::Acknowledge => {
                self.acknowledging = false;
                self.acknowledge_more();
                return;
            }
            Purpose::Write(group) => {
                for next in self.lanes.leave(group) {
                    self.start(next);
                }
            }
            Purpose::Answer | Purpose::Renew => {}
        }
        self.open -= 1;
        self.open_bytes -= finished.bytes;
    }

    fn acknowledge(&mut self, by: Arc<Identity>, groups: Vec<(GroupId, Seq)>, inbox: u64) {
        let waiting = &mut self.acknowledged;
        for (group, seq) in groups {
            if waiting.groups.len() < limits::GROUPS_PER_SESSION_MAX || waiting.groups.contains_key(&group) {
                let highest = waiting.groups.entry(group).or_default();
                *highest = seq.max(*highest);
            }
        }
        waiting.inbox = inbox.max(waiting.inbox);
        waiting.by = Some(by);
        self.acknowledge_more();
    }

    fn acknowledge_more(&mut self) {
        if self.acknowledging {
            return;
        }
        let Acknowledged { groups, inbox, by } = std::mem::take(&mut self.acknowledged);
        let Some(identity) = by else { return };
        self.acknowledging = true;
        let call = Call::Acknowledge { groups: groups.into_iter().collect(), inbox };
        self.start(Waiting { number: 0, identity, call, bytes: 0 });
    }

    fn start(&mut self, Waiting { number, identity, call, bytes }: Waiting) {
        let purpose = match &call {
            Call::Acknowledge { .. } => Purpose::Acknowledge,
            Call::RenewCertificate => Purpose::Renew,
            call => {
                call.writes_to().map_or(Purpose::Answer, |(group, _): (_, Pipelining)| Purpose::Write(group))
            }
        };
        let services = self.services.clone();
        // Not subject to the session's share of its thread, or the first step might stop short of the store.
        self.under_way.start(Box::pin(tokio::task::unconstrained(async move {
            let verdict = AssertUnwindSafe(services.dispatch.call(&identity, call)).catch_unwind().await;
            // The others of the session go on, whatever went wrong with this one.
            let verdict = verdict.unwrap_or_else(|_| Err(Refusal::of(ErrorCode::Internal)));
            Finished { number, verdict, purpose, bytes }
        })));
    }
}
