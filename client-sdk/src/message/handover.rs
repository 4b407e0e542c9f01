//! Whom a request is about, said to its owner alone, or in the circle of the patient.
//!
//! A request to a wide audience carries no identity; the requester's device sends this once somebody owns
//! the request.

use serde::{Deserialize, Serialize};

use super::{
    Kind, Language, Patient, RequestId,
    kind::{Wire, hidden},
    wire,
};
use crate::error::Error;

/// Whom a request is about.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The request.
    pub request: RequestId,
    /// The patient.
    pub patient: Patient,
}

hidden!(Handover);

impl Kind for Handover {
    fn check(&self) -> Result<(), Error> {
        self.patient.check()
    }

    fn render(&self, language: Language) -> String {
        let Patient { birth_name, birth_given_names, birth_date, .. } = &self.patient;
        let given = birth_given_names.join(" ");
        let what = language.pick("Patient de la demande", "Patient of the request");
        format!("{what} : {birth_name} {given}, {birth_date}")
    }

    fn patients(&self) -> Vec<&Patient> {
        vec![&self.patient]
    }
}

impl Wire for Handover {
    type Message = wire::Handover;

    fn to_wire(&self) -> wire::Handover {
        wire::Handover { request: self.request.as_bytes().to_vec(), patient: Some(self.patient.to_wire()) }
    }

    fn from_wire(message: wire::Handover) -> Option<Self> {
        Some(Self {
            request: RequestId::from_slice(&message.request)?,
            patient: Patient::from_wire(message.patient?),
        })
    }
}
