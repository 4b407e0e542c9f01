//! What the operator sees in numbers: counted by sessions, dispatch and transport, printed on the loopback
//! listener in the text format of Prometheus.
//!
//! Labels are names of this program (kinds of requests, codes, reasons), never ids: their number is bounded
//! and nobody can be followed by them.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cercle_proto::ErrorCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The metrics of one hub.
pub struct Metrics {
    registry: Mutex<Registry>,
    sessions: Family<Transport, Gauge>,
    sessions_started: Family<Transport, Counter>,
    sessions_refused: Family<Code, Counter>,
    connections: Gauge,
    connections_refused: Family<Reason, Counter>,
    handshakes: Family<Outcome, Counter>,
    authentications: Family<Authentication, Counter>,
    requests: Family<Request, Counter>,
    /// The one of `requests` that is counted for nearly every delivery.
    acknowledgements: Counter,
    request_seconds: Family<Kind, Histogram>,
    deliveries: Counter,
    log_reads: Counter,
    pushes: Family<Outcome, Counter>,
    housekeeping_seconds: Histogram,
    attachment_bytes: Family<Transfer, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transfer {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transport {
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Authentication {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    kind: &'static str,
    /// 0: carried out.
    code: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that stand at zero.
    #[must_use]
    pub fn new() -> Self {
        let requests = Family::<Request, Counter>::default();
        let acknowledgements = requests.get_or_create(&Request { kind: "acknowledge", code: 0 }).clone();
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("cercle")),
            sessions: Family::default(),
            sessions_started: Family::default(),
            sessions_refused: Family::default(),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            handshakes: Family::default(),
            authentications: Family::default(),
            requests,
            acknowledgements,
            request_seconds: Family::new_with_constructor(seconds),
            deliveries: Counter::default(),
            log_reads: Counter::default(),
            pushes: Family::default(),
            housekeeping_seconds: seconds(),
            attachment_bytes: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let r = &mut *registry;
        r.register("connections", "Open TCP connections", self.connections.clone());
        r.register("connections_refused", "Connections refused, by reason", self.connections_refused.clone());
        r.register("tls_handshakes", "TLS handshakes, by outcome", self.handshakes.clone());
        r.register("sessions", "Open sessions, authenticated or not, by transport", self.sessions.clone());
        r.register("sessions_started", "Sessions started, by transport", self.sessions_started.clone());
        r.register(
            "sessions_ended",
            "Sessions that the hub ended, by error code",
            self.sessions_refused.clone(),
        );
        r.register(
            "authentications",
            "Enrolments and session proofs, by outcome",
            self.authentications.clone(),
        );
        r.register(
            "requests",
            "Requests of open sessions, by kind and error code (0: carried out)",
            self.requests.clone(),
        );
        r.register(
            "request_seconds",
            "Time from a request to its durable verdict, by kind; kind=\"commit\" includes the verification",
            self.request_seconds.clone(),
        );
        r.register("pushes", "Wake-ups handed to push services, by outcome", self.pushes.clone());
        r.register("deliveries", "Entries sent to devices", self.deliveries.clone());
        r.register(
            "log_reads",
            "Reads of the log by sessions: history, and live entries that memory no longer held",
            self.log_reads.clone(),
        );
        r.register(
            "housekeeping_seconds",
            "Time of one round of retention and pending removals",
            self.housekeeping_seconds.clone(),
        );
        r.register(
            "attachment_bytes",
            "Bytes of attachments that were stored or sent, by direction",
            self.attachment_bytes.clone(),
        );
    }

    /// Prints a counter that somebody else keeps: entries accepted into logs.
    pub fn register_appended(&self, counter: Counter) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register("appended_entries", "Entries accepted into logs", counter);
    }

    /// All metrics in the text format of Prometheus.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }

    /// A TCP connection was taken.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// A TCP connection has ended.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// A connection was refused.
    pub fn connection_refused(&self, reason: &'static str) {
        self.connections_refused.get_or_create(&Reason { reason }).inc();
    }

    /// A TLS handshake ended.
    pub fn handshake(&self, outcome: &'static str) {
        self.handshakes.get_or_create(&Outcome { outcome }).inc();
    }

    /// A session starts, not yet authenticated.
    pub fn session_started(&self, transport: &'static str) {
        self.sessions_started.get_or_create(&Transport { transport }).inc();
        self.sessions.get_or_create(&Transport { transport }).inc();
    }

    /// A session has ended.
    pub fn session_ended(&self, transport: &'static str) {
        self.sessions.get_or_create(&Transport { transport }).dec();
    }

    /// The hub ended a session.
    pub fn session_refused(&self, code: ErrorCode) {
        self.sessions_refused.get_or_create(&Code { code: code.number() }).inc();
    }

    /// Somebody tried to enrol, or to open a session.
    pub fn authentication(&self, kind: &'static str, succeeded: bool) {
        let outcome = if succeeded { "accepted" } else { "refused" };
        self.authentications.get_or_create(&Authentication { kind, outcome }).inc();
    }

    /// A request was carried out, or refused with a code.
    pub fn request(&self, kind: &'static str, code: Option<ErrorCode>, took: Duration) {
        let code = code.map_or(0, ErrorCode::number);
        self.requests.get_or_create(&Request { kind, code }).inc();
        self.request_seconds.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// An acknowledgement was noted.
    pub fn acknowledged(&self) {
        self.acknowledgements.inc();
    }

    /// Entries were put into frames for a device.
    pub fn delivered(&self, entries: usize) {
        self.deliveries.inc_by(entries as u64);
    }

    /// A session read the log.
    pub fn log_read(&self) {
        self.log_reads.inc();
    }

    /// A push service was handed a wake-up, or one was given up.
    pub fn push(&self, outcome: &'static str) {
        self.pushes.get_or_create(&Outcome { outcome }).inc();
    }

    /// Bytes of an attachment were stored or read to be sent.
    pub fn attachment_bytes(&self, direction: &'static str, bytes: usize) {
        self.attachment_bytes.get_or_create(&Transfer { direction }).inc_by(bytes as u64);
    }

    /// A round of housekeeping is done.
    pub fn housekeeping(&self, took: Duration) {
        self.housekeeping_seconds.observe(took.as_secs_f64());
    }
}

/// From 100 µs (an answer from memory) to 26 s (longer than any client waits), in steps of four.
fn seconds() -> Histogram {
    Histogram::new([0.0001, 0.0004, 0.0016, 0.0064, 0.0256, 0.1024, 0.4096, 1.6384, 6.5536, 26.2144])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_kind_and_code() {
        let metrics = Metrics::new();
        metrics.request("commit", Some(ErrorCode::EpochConflict), Duration::from_millis(3));
        metrics.request("commit", None, Duration::from_millis(3));
        let text = metrics.text();
        assert!(text.contains("cercle_requests_total{kind=\"commit\",code=\"303\"} 1"), "{text}");
        assert!(text.contains("cercle_requests_total{kind=\"commit\",code=\"0\"} 1"), "{text}");
        assert!(text.contains("cercle_request_seconds_count{kind=\"commit\"} 2"), "{text}");
    }
}
