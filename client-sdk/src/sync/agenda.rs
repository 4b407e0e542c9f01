//! What this device does by itself when its time has come, connected or not: an appointment is taken and
//! carried out in one transaction, so it happens once.

use cercle_proto::id::{GroupId, TimestampMs};
use serde::{Deserialize, Serialize};

use super::{Cx, Step, history::Handover};
use crate::message::RequestId;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Appointment {
    /// Tell the members of a group how far this user has read.
    TellRead {
        /// The group.
        group: [u8; 16],
    },
    /// Ask more groups if nobody owns a request.
    WidenRequest { request: RequestId, step: u32 },
    /// The end of a request has come.
    RequestExpires { request: RequestId },
    /// Nothing more can come of a request.
    ForgetRequest { request: RequestId },
    /// Something owed for a request is to be tried again.
    SettleRequest { request: RequestId },
    /// A period in a circle ends; with `turn`, this device has waited for the others.
    CirclePeriods { group: [u8; 16], turn: bool },
    /// A part of a history is to be handed over.
    HandOver(Handover),
    /// Tell own devices what has changed here.
    TellOwnState,
}

impl Cx<'_, '_> {
    /// Makes an appointment.
    pub(crate) fn remind(&mut self, due_at: TimestampMs, appointment: &Appointment) -> Step {
        self.tx.add_appointment(due_at, appointment)?;
        self.m.next_appointment = self.tx.next_appointment()?;
        Ok(())
    }

    /// Carries out what is due.
    pub(crate) fn keep_appointments(&mut self) -> Step {
        while self.m.next_appointment.is_some_and(|due_at| due_at <= self.now) {
            if let Some(appointment) = self.tx.take_appointment::<Appointment>(self.now)? {
                match appointment {
                    Appointment::TellRead { group } => self.tell_read_later(GroupId::new(group))?,
                    Appointment::WidenRequest { request, step } => self.widening_due(request, step)?,
                    Appointment::RequestExpires { request } => self.request_expires(request)?,
                    Appointment::ForgetRequest { request } => self.forget_request(request)?,
                    Appointment::SettleRequest { request } => self.settle_due(request)?,
                    Appointment::CirclePeriods { group, turn } => {
                        self.periods_due(GroupId::new(group), turn)?;
                    }
                    Appointment::HandOver(handover) => self.hand_over(handover)?,
                    Appointment::TellOwnState => self.tell_own_due()?,
                }
            }
            self.m.next_appointment = self.tx.next_appointment()?;
        }
        Ok(())
    }
}
