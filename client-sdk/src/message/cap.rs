//! The Common Alerting Protocol 1.2 (OASIS, 2010): an alert as other systems send and take it.
//!
//! [`Cap`] is the whole of an alert but for signatures; texts that CAP leaves to profiles (codes, parameters)
//! are kept as they are, so that an imported alert is exported again without loss. 1.1 is taken, 1.2 is
//! written. Times are kept as text, as they were written: [`time::to_ms`] reads them.
//!
//! - `read`, `write`: XML. `xml`: the part of XML that a CAP file may use. [`time`]: its times.

mod read;
pub mod time;
mod write;
mod xml;

use serde::{Deserialize, Serialize};

use super::kind::hidden;
pub use xml::{CapError, Position};

/// A code list of CAP: variants with their names in XML, and in JSON alike.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Its name in CAP.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The one of this name in CAP.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

codes! {
    /// How the alert is meant.
    Status {
        /// It happens.
        Actual = "Actual",
        /// An exercise.
        Exercise = "Exercise",
        /// For the systems that carry alerts.
        System = "System",
        /// A technical test.
        Test = "Test",
        /// A draft, not for action.
        Draft = "Draft",
    }
}
codes! {
    /// What the message does.
    MsgType {
        /// Says something new.
        Alert = "Alert",
        /// Replaces what it refers to.
        Update = "Update",
        /// Takes back what it refers to.
        Cancel = "Cancel",
        /// Says that a message was taken.
        Ack = "Ack",
        /// Says that a message was refused.
        Error = "Error",
    }
}
codes! {
    /// Who may read it.
    Scope {
        /// Everybody.
        Public = "Public",
        /// Those of the restriction.
        Restricted = "Restricted",
        /// Those of the addresses.
        Private = "Private",
    }
}
codes! {
    /// What kind of event it is about.
    Category {
        /// Geophysical.
        Geo = "Geo",
        /// Meteorological.
        Met = "Met",
        /// General safety.
        Safety = "Safety",
        /// Security.
        Security = "Security",
        /// Rescue.
        Rescue = "Rescue",
        /// Fire.
        Fire = "Fire",
        /// Health.
        Health = "Health",
        /// Environment.
        Env = "Env",
        /// Transport.
        Transport = "Transport",
        /// Infrastructure.
        Infra = "Infra",
        /// Chemical, biological, radiological, nuclear, explosive.
        Cbrne = "CBRNE",
        /// Other.
        Other = "Other",
    }
}
codes! {
    /// What recipients should do.
    ResponseType {
        /// Take shelter.
        Shelter = "Shelter",
        /// Leave.
        Evacuate = "Evacuate",
        /// Make ready.
        Prepare = "Prepare",
        /// Carry out the plan.
        Execute = "Execute",
        /// Avoid the event.
        Avoid = "Avoid",
        /// Watch.
        Monitor = "Monitor",
        /// Judge the information; 1.1 says so.
        Assess = "Assess",
        /// All clear.
        AllClear = "AllClear",
        /// Nothing.
        None = "None",
    }
}
codes! {
    /// How soon one should act.
    Urgency {
        /// At once.
        Immediate = "Immediate",
        /// Within the hour.
        Expected = "Expected",
        /// In the near future.
        Future = "Future",
        /// No longer.
        Past = "Past",
        /// Not known.
        Unknown = "Unknown",
    }
}
codes! {
    /// How grave it is.
    Severity {
        /// Extraordinary threat.
        Extreme = "Extreme",
        /// Significant threat.
        Severe = "Severe",
        /// Possible threat.
        Moderate = "Moderate",
        /// Little threat.
        Minor = "Minor",
        /// Not known.
        Unknown = "Unknown",
    }
}
codes! {
    /// How sure it is.
    Certainty {
        /// It has happened or happens.
        Observed = "Observed",
        /// More likely than not.
        Likely = "Likely",
        /// Not likely.
        Possible = "Possible",
        /// Not expected.
        Unlikely = "Unlikely",
        /// Not known.
        Unknown = "Unknown",
    }
}

/// An alert (CAP 1.2 section 3.2.1). Texts that are empty are absent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// Unique for its sender; without space, comma, `<` and `&`.
    pub identifier: String,
    /// Globally unique name of who issues it; same rules.
    pub sender: String,
    /// When it was issued.
    pub sent: String,
    /// How it is meant.
    pub status: Status,
    /// What the message does.
    pub msg_type: MsgType,
    /// Who said so.
    #[serde(default)]
    pub source: String,
    /// Who may read it.
    pub scope: Scope,
    /// Rule for a restricted one.
    #[serde(default)]
    pub restriction: String,
    /// Whom a private one is for.
    #[serde(default)]
    pub addresses: String,
    /// Codes of profiles.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Why a message was taken back, or what an exercise is for.
    #[serde(default)]
    pub note: String,
    /// Earlier messages: `sender,identifier,sent`, separated by spaces.
    #[serde(default)]
    pub references: String,
    /// Incidents that it is about.
    #[serde(default)]
    pub incidents: String,
    /// What it says, once for each language or area.
    #[serde(default)]
    pub infos: Vec<Info>,
}

/// What an alert says (section 3.2.2).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// RFC 3066; empty: en-US.
    #[serde(default)]
    pub language: String,
    /// At least one.
    pub categories: Vec<Category>,
    /// What happens, in a few words.
    pub event: String,
    /// What recipients should do.
    #[serde(default)]
    pub response_types: Vec<ResponseType>,
    /// How soon.
    pub urgency: Urgency,
    /// How grave.
    pub severity: Severity,
    /// How sure.
    pub certainty: Certainty,
    /// Whom it is meant for.
    #[serde(default)]
    pub audience: String,
    /// Codes of the event.
    #[serde(default)]
    pub event_codes: Vec<Named>,
    /// From when the information holds.
    #[serde(default)]
    pub effective: String,
    /// From when the event is expected.
    #[serde(default)]
    pub onset: String,
    /// Until when the information holds.
    #[serde(default)]
    pub expires: String,
    /// Name of who issues it, for people.
    #[serde(default)]
    pub sender_name: String,
    /// One line.
    #[serde(default)]
    pub headline: String,
    /// The whole.
    #[serde(default)]
    pub description: String,
    /// What to do.
    #[serde(default)]
    pub instruction: String,
    /// Where to read more.
    #[serde(default)]
    pub web: String,
    /// Whom to ask.
    #[serde(default)]
    pub contact: String,
    /// Parameters of systems.
    #[serde(default)]
    pub parameters: Vec<Named>,
    /// Files.
    #[serde(default)]
    pub resources: Vec<Resource>,
    /// Where.
    #[serde(default)]
    pub areas: Vec<Area>,
}

/// A name and a value of a list that is kept elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Which list or parameter.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A file (section 3.2.3).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resource {
    /// What it is; required.
    pub description: String,
    /// Media type; required in 1.2.
    pub mime_type: String,
    /// Bytes.
    pub size: String,
    /// Where it is.
    pub uri: String,
    /// Its content in base64.
    pub deref_uri: String,
    /// SHA-1 of the content.
    pub digest: String,
}

/// A place (section 3.2.4).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Area {
    /// For people; required.
    pub description: String,
    /// Closed rings of `lat,lon` pairs, separated by spaces (WGS 84).
    pub polygons: Vec<String>,
    /// `lat,lon radius`, km.
    pub circles: Vec<String>,
    /// Codes: `INSEE` for French communes.
    pub geocodes: Vec<Named>,
    /// Feet above mean sea level.
    pub altitude: String,
    /// Highest altitude.
    pub ceiling: String,
}

hidden!(Cap, Info, Named, Resource, Area);

impl Cap {
    /// Reads CAP 1.2 or 1.1 in XML, UTF-8.
    ///
    /// # Errors
    /// With the place of the first fault: what is no XML, has a document type or entities of its own, is in
    /// another encoding, or breaks a rule of CAP.
    pub fn from_xml(bytes: &[u8]) -> Result<Self, CapError> {
        read::read(bytes)
    }

    /// Writes CAP 1.2 in XML.
    #[must_use]
    pub fn to_xml(&self) -> String {
        write::write(self)
    }

    /// How other messages refer to this one.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{},{},{}", self.sender, self.identifier, self.sent)
    }

    /// The messages that it refers to: sender, identifier, sent.
    pub fn referred(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.references.split_whitespace().filter_map(|reference| {
            let mut parts = reference.splitn(3, ',');
            Some((parts.next()?, parts.next()?, parts.next()?))
        })
    }
}

#[cfg(test)]
mod tests;
