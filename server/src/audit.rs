//! The audit log outside the store: pruned when its time is over, checked record by record, and written for people (CSV), programs (JSON lines)
//! and health information systems (FHIR R4 `AuditEvent`, one a line).

use cercle_proto::id::{from_hex, to_hex};
use cercle_storage::store::{AuditCut, AuditEntry, AuditRecord, Store, WriteError};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::limits::DAY_MS;

/// A record as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number, from 1, dense.
    pub number: u64,
    /// When.
    pub at_ms: u64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub object: String,
    /// Hash that chains it to the one before, hexadecimal.
    pub hash: String,
}

/// A form to export in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Comma separated values with a line of names.
    Csv,
    /// One JSON object a line.
    Json,
    /// One FHIR R4 `AuditEvent` a line.
    Fhir,
}

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Days for those about operations.
    pub operation_days: u64,
    /// Days for those about security.
    pub security_days: u64,
}

/// What [`prune`] took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Pruned {
    /// Records that are gone.
    pub removed: u64,
    /// Records of which number, time and hash are left.
    pub emptied: u64,
}

impl Keep {
    /// Nothing that is younger is taken away, whatever it says.
    fn shortest_ms(self) -> u64 {
        self.operation_days.min(self.security_days).saturating_mul(DAY_MS)
    }
}

/// Takes away what has outlived its time, and notes that among the rest.
///
/// # Errors
/// When the store fails; then less was taken away.
pub async fn prune(store: &dyn Store, keep: Keep, actor: &str, now: u64) -> Result<Pruned, WriteError> {
    let before = |days: u64| now.saturating_sub(days.saturating_mul(DAY_MS));
    let cut = AuditCut {
        operations_before: before(keep.operation_days),
        security_before: before(keep.security_days),
    };
    let mut pruned = Pruned::default();
    loop {
        let step = store.prune_audit(cut).await?;
        pruned.removed += step.removed;
        pruned.emptied += step.emptied;
        if !step.more {
            break;
        }
    }
    if pruned != Pruned::default() {
        let Pruned { removed, emptied } = pruned;
        let (actor, action) = (actor.to_owned(), "audit.pruned".to_owned());
        let object = format!("removed {removed}, emptied {emptied}");
        store.record(AuditEntry { at: now, actor, action, object }).await?;
    }
    Ok(pruned)
}

/// The chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the chain breaks at record {0}: it was changed, or records before it are missing")]
pub struct Broken(pub u64);

/// Follows a chain of records.
#[derive(Debug, Default)]
pub struct Chain {
    last: Option<AuditRecord>,
    /// Number of the first record: 1, until the beginning outlived its time.
    first: u64,
    emptied: u64,
    /// Time of the youngest record that was emptied, and its number.
    emptied_at: Option<(u64, u64)>,
}

/// A record was emptied that is too young for that: somebody else than the hub did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record {0} was emptied before its time was over")]
pub struct EmptiedEarly(pub u64);

impl Chain {
    /// Checks the next record.
    ///
    /// # Errors
    /// [`Broken`] when it does not follow.
    pub fn next(&mut self, line: &Line) -> Result<(), Broken> {
        let broken = || Broken(self.last.as_ref().map_or(0, |last| last.number) + 1);
        let hash = from_hex(&line.hash).and_then(|hash| hash.try_into().ok()).ok_or_else(broken)?;
        let entry = AuditEntry {
            at: line.at_ms,
            actor: line.actor.clone(),
            action: line.action.clone(),
            object: line.object.clone(),
        };
        let record = AuditRecord { number: line.number, entry, hash };
        if !record.follows(self.last.as_ref()) {
            return Err(broken());
        }
        if self.last.is_none() {
            self.first = record.number;
        }
        if record.is_emptied() {
            self.emptied += 1;
            self.emptied_at = self.emptied_at.max(Some((record.entry.at, record.number)));
        }
        self.last = Some(record);
        Ok(())
    }

    /// Number of the first record, and how many were emptied when their time was over.
    #[must_use]
    pub const fn pruned(&self) -> (u64, u64) {
        (self.first, self.emptied)
    }

    /// Checks that what was emptied was old enough.
    ///
    /// # Errors
    /// [`EmptiedEarly`] names the youngest that was not.
    pub fn check_times(&self, keep: Keep, now: u64) -> Result<(), EmptiedEarly> {
        match self.emptied_at {
            Some((at, number)) if at.saturating_add(keep.shortest_ms()) > now => Err(EmptiedEarly(number)),
            _ => Ok(()),
        }
    }

    /// How many records were followed, and the hash of the last: whoever keeps it elsewhere notices later if
    /// the log was replaced.
    #[must_use]
    pub fn head(&self) -> (u64, String) {
        self.last.as_ref().map_or_else(|| (0, to_hex(&[0; 32])), |last| (last.number, to_hex(&last.hash)))
    }
}

/// The line before the first record.
#[must_use]
pub const fn heading(form: Form) -> &'static str {
    match form {
        Form::Csv => "number,at,actor,action,object,hash\n",
        Form::Json | Form::Fhir => "",
    }
}

/// One record as one line.
#[must_use]
pub fn line(form: Form, line: &Line, domain: &str) -> String {
    match form {
        Form::Csv => {
            let fields = [&line.actor, &line.action, &line.object].map(|field| quoted(field)).join(",");
            format!("{},{},{fields},{}\n", line.number, time_text(line.at_ms), line.hash)
        }
        Form::Json => {
            format!("{}\n", serde_json::to_string(line).expect("a record is made of JSON values"))
        }
        Form::Fhir => format!("{}\n", fhir(line, domain)),
    }
}

/// A field of CSV (RFC 4180). One that a spreadsheet would take for a formula gets an apostrophe.
fn quoted(field: &str) -> String {
    let harmless = match field.chars().next() {
        Some('=' | '+' | '-' | '@') => format!("'{field}"),
        _ => field.to_owned(),
    };
    if harmless.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", harmless.replace('"', "\"\""));
    }
    harmless
}

/// FHIR R4 `AuditEvent`: codes of DICOM for the kind, the action's own name as subtype.
fn fhir(line: &Line, domain: &str) -> serde_json::Value {
    let (code, display) = match line.action.split('.').next() {
        Some("device" | "invitation" | "certificate") => ("110137", "User security Attributes Changed"),
        Some("commit" | "member") => ("110113", "Security Alert"),
        _ => ("110100", "Application Activity"),
    };
    let detail = |name: &str, value: &str| serde_json::json!({ "type": name, "valueString": value });
    serde_json::json!({
        "resourceType": "AuditEvent",
        "type": { "system": "http://dicom.nema.org/resources/ontology/DCM", "code": code, "display": display },
        "subtype": [{ "system": "urn:cercle:audit-action", "code": line.action }],
        "action": "E",
        "recorded": time_text(line.at_ms),
        "outcome": "0",
        "agent": [{
            "who": { "identifier": { "system": "urn:cercle:actor", "value": line.actor } },
            "requestor": true,
        }],
        "source": { "observer": { "display": domain } },
        "entity": [{
            "what": { "identifier": { "system": "urn:cercle:object", "value": object(&line.object) } },
            "detail": [detail("number", &line.number.to_string()), detail("hash", &line.hash)],
        }],
    })
}

/// FHIR allows no empty text.
fn object(object: &str) -> &str {
    if object.is_empty() { "-" } else { object }
}

/// A time as RFC 3339 has it, UTC.
fn time_text(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(0);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = time.to_hms();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", at_ms % 1000)
}

impl From<&AuditRecord> for Line {
    fn from(record: &AuditRecord) -> Self {
        Self {
            number: record.number,
            at_ms: record.entry.at,
            actor: record.entry.actor.clone(),
            action: record.entry.action.clone(),
            object: record.entry.object.clone(),
            hash: to_hex(&record.hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_outlived_its_class_goes_and_the_chain_holds_across_it() {
        let store = cercle_storage::open_memory();
        for (day, action) in (0..).zip(["alert.opened", "device.enrolled", "alert.closed", "device.revoked"])
        {
            let (actor, action) = ("a@b.example".to_owned(), action.to_owned());
            let entry = AuditEntry { at: day * DAY_MS, actor, action, object: "planted".into() };
            store.record(entry).await.unwrap();
        }
        let keep = Keep { operation_days: 10, security_days: 100 };
        let now = 12 * DAY_MS + 1;
        let pruned = prune(&*store, keep, "operator", now).await.unwrap();
        assert_eq!(pruned, Pruned { removed: 0, emptied: 2 });
        assert_eq!(prune(&*store, keep, "operator", now).await.unwrap(), Pruned::default());
        let lines: Vec<Line> = store.audit(0, 10).await.unwrap().iter().map(Line::from).collect();
        let actions: Vec<&str> = lines.iter().map(|line| line.action.as_str()).collect();
        let expected =
            ["audit.emptied", "device.enrolled", "audit.emptied", "device.revoked", "audit.pruned"];
        assert_eq!(actions, expected);
        let mut chain = Chain::default();
        lines.iter().for_each(|line| chain.next(line).unwrap());
        assert_eq!(chain.pruned(), (1, 2));
        assert_eq!(chain.check_times(keep, now), Ok(()));
        assert_eq!(chain.check_times(keep, 11 * DAY_MS), Err(EmptiedEarly(3)));
        // Of security too: what is left begins with one that was emptied.
        let later = 102 * DAY_MS;
        assert_eq!(prune(&*store, keep, "hub", later).await.unwrap(), Pruned { removed: 2, emptied: 0 });
        let lines: Vec<Line> = store.audit(0, 10).await.unwrap().iter().map(Line::from).collect();
        let mut chain = Chain::default();
        lines.iter().for_each(|line| chain.next(line).unwrap());
        assert_eq!(chain.pruned(), (3, 1));
        let mut changed = lines;
        changed[1].object = "changed".into();
        let mut chain = Chain::default();
        chain.next(&changed[0]).unwrap();
        assert_eq!(chain.next(&changed[1]), Err(Broken(4)));
    }

    fn lines() -> Vec<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = cercle_storage::open_memory();
            for (action, object) in
                [("device.enrolled", "ab"), ("invitation.created", ""), ("device.revoked", "a,\"b")]
            {
                let (action, object) = (action.to_owned(), object.to_owned());
                let entry = AuditEntry { at: 1_795_000_000_123, actor: "a@b.example".into(), action, object };
                store.record(entry).await.unwrap();
            }
            store.audit(0, 10).await.unwrap().iter().map(Line::from).collect()
        })
    }

    #[test]
    fn a_chain_holds_until_something_is_changed_left_out_or_moved() {
        let good = lines();
        let mut chain = Chain::default();
        good.iter().for_each(|line| chain.next(line).unwrap());
        assert_eq!(chain.head(), (3, good[2].hash.clone()));
        let follow = |lines: &[Line]| {
            let mut chain = Chain::default();
            lines.iter().try_for_each(|line| chain.next(line))
        };
        let mut changed = good.clone();
        changed[1].actor = "c@b.example".into();
        assert_eq!(follow(&changed), Err(Broken(2)));
        assert_eq!(follow(&[good[0].clone(), good[2].clone()]), Err(Broken(2)));
        assert_eq!(follow(&good[1..]), Err(Broken(1)));
        let mut damaged = good;
        damaged[2].hash.pop();
        assert_eq!(follow(&damaged), Err(Broken(3)));
    }

    #[test]
    fn every_form_says_who_did_what_when() {
        let lines = lines();
        let csv = line(Form::Csv, &lines[2], "b.example");
        let begin = "3,2026-11-18T11:06:40.123Z,a@b.example,device.revoked,\"a,\"\"b\",";
        assert!(csv.starts_with(begin), "{csv}");
        let json: Line = serde_json::from_str(&line(Form::Json, &lines[0], "b.example")).unwrap();
        assert_eq!(json, lines[0]);
        let fhir: serde_json::Value =
            serde_json::from_str(&line(Form::Fhir, &lines[1], "b.example")).unwrap();
        assert_eq!(fhir["resourceType"], "AuditEvent");
        assert_eq!(fhir["recorded"], "2026-11-18T11:06:40.123Z");
        assert_eq!(fhir["agent"][0]["who"]["identifier"]["value"], "a@b.example");
        assert_eq!(fhir["subtype"][0]["code"], "invitation.created");
        assert_eq!(fhir["entity"][0]["detail"][0]["valueString"], "2");
        assert_eq!(quoted("=1+1"), "'=1+1");
    }
}
