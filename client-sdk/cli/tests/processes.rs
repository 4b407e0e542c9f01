//! Real processes: the `cercle-server` and `cercle` binaries over loopback, with real files, killed and
//! restarted as machines are.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what fails here fails the test that asked for it; what is skipped is said"
)]

#[path = "processes/world.rs"]
mod world;

#[path = "processes/alerts.rs"]
mod alerts;
#[path = "processes/at_rest.rs"]
mod at_rest;
#[path = "processes/chaos.rs"]
mod chaos;
#[path = "processes/chaos_clock.rs"]
mod chaos_clock;
#[path = "processes/chaos_slow.rs"]
mod chaos_slow;
#[path = "processes/circle.rs"]
mod circle;
#[path = "processes/circle_standing.rs"]
mod circle_standing;
#[path = "processes/client_crash.rs"]
mod client_crash;
#[path = "processes/confidentiality.rs"]
mod confidentiality;
#[path = "processes/conversation.rs"]
mod conversation;
#[path = "processes/demo.rs"]
mod demo;
#[path = "processes/directory.rs"]
mod directory;
#[path = "processes/documents.rs"]
mod documents;
#[path = "processes/every_kind.rs"]
mod every_kind;
#[path = "processes/exit_codes.rs"]
mod exit_codes;
#[path = "processes/fhir.rs"]
mod fhir;
#[path = "processes/hub_crash.rs"]
mod hub_crash;
#[path = "processes/joining.rs"]
mod joining;
#[path = "processes/json.rs"]
mod json;
#[path = "processes/kinds.rs"]
mod kinds;
#[path = "../../tests/conversations/link.rs"]
#[expect(dead_code, reason = "made for transfers, which cut lines; here they are held")]
mod link;
#[path = "processes/linking.rs"]
mod linking;
#[path = "processes/lives.rs"]
mod lives;
#[path = "../../tests/conversations/numbers.rs"]
#[expect(dead_code, reason = "the simulation asks for more kinds of numbers")]
mod numbers;
#[path = "processes/offline.rs"]
mod offline;
#[path = "processes/profiles.rs"]
mod profiles;
#[path = "processes/recovery.rs"]
mod recovery;
#[path = "processes/request_steps.rs"]
mod request_steps;
#[path = "processes/requests.rs"]
mod requests;
#[path = "processes/restored.rs"]
mod restored;
#[path = "processes/revoked.rs"]
mod revoked;
#[path = "processes/talk.rs"]
mod talk;
#[path = "processes/tap.rs"]
mod tap;
