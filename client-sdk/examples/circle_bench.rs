//! How long a timeline of 10 000 messages and an export of 2 000 take.
//!
//! `cargo run -p cercle-sdk --example circle_bench` (with `--release` for the figures of an app). A hub and a
//! device in one process; the messages are on the disk and sealed. The export writes its folder without
//! documents, which come over the network. Leaves with 1 if something is missing.

#[path = "../tests/conversations/core_world.rs"]
#[expect(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr, reason = "made for tests")]
mod core_world;

use cercle_sdk::{
    core::{Command, NewCircle, Outcome},
    export::page,
    message::{
        Body, CircleBasis, CircleConsent, CircleMember, ConsentDecision, ConsentMode, GroupProfile, Language,
        Patient, patient::Gender,
    },
    thread::timeline::TimelineFilter,
};
use core_world::World;

const MESSAGES: usize = 10_000;
const EXPORTED: usize = 2_000;
/// One message in this many is an event of the timeline, the others are talk.
const EVENT_EVERY: usize = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut world = World::new();
    world.settings.messages_per_second = 1_000_000;
    world.settings.test_identities = true;
    world.enrol("anne").await;
    let small = circle(&mut world, EXPORTED).await;
    let exporting = start_watch();
    let now = world.clock.now();
    let (record, _) = world.devices[0].core().export(small, now).expect("enrolled");
    let json = serde_json::to_vec_pretty(&record).expect("text and numbers");
    let html = page::render(&record);
    let signed = world.devices[0].core().sign_export(&json).expect("enrolled");
    let export_ms = exporting.elapsed().as_millis();
    let whole = record.messages.len() >= EXPORTED && !signed.signature.is_empty();

    let large = circle(&mut world, MESSAGES).await;
    world.devices[0].crash();
    world.devices[0].open();
    let reducing = start_watch();
    let known = world.devices[0].core().circle(large).expect("known").is_some();
    let reducer_ms = reducing.elapsed().as_millis();
    let drawing = start_watch();
    let filter = TimelineFilter::default();
    let lines = world.devices[0].core().timeline(large, &filter, Language::French).expect("known").len();
    let timeline_ms = drawing.elapsed().as_millis();
    print(&format!(
        "{{\"export_messages\":{EXPORTED},\"export_ms\":{export_ms},\"json_bytes\":{},\"html_bytes\":{},\
         \"messages\":{MESSAGES},\"reducer_ms\":{reducer_ms},\"timeline_ms\":{timeline_ms},\"lines\":{lines}}}",
        json.len(),
        html.len(),
    ));
    if !whole || !known || lines < MESSAGES / EVENT_EVERY {
        std::process::exit(1);
    }
}

/// A circle with this many messages, all of them in the log.
async fn circle(world: &mut World, messages: usize) -> cercle_proto::id::GroupId {
    let patient = Patient {
        birth_name: "Imaginaire".into(),
        birth_given_names: vec!["Odette".into()],
        birth_date: "1941-03-17".into(),
        gender: Gender::Female,
        ..Patient::default()
    };
    let role = "médecin traitant".to_owned();
    let circle = NewCircle {
        profile: GroupProfile::titled("Cercle O. I."),
        patient,
        founder: CircleMember { role, basis: CircleBasis::SameTeam, ..CircleMember::default() },
        despite_duplicate: true,
        ..NewCircle::default()
    };
    let opened = world.run(0, Command::OpenCircle(Box::new(circle))).await;
    let Ok(Outcome::GroupCreated(group)) = opened else { std::process::exit(1) };
    for number in 0..messages {
        let body = if number % EVENT_EVERY == 0 {
            Body::CircleConsent(CircleConsent {
                decision: ConsentDecision::Consent,
                date_ms: world.clock.now(),
                collector: "Dr anne".into(),
                mode: ConsentMode::Oral,
                scope: format!("soins de plaie, visite {number}"),
                person: String::new(),
            })
        } else {
            Body::text(format!("Visite {number} faite, pansement refait, rien à signaler."))
        };
        world.start(0, Command::Send { group, draft: body.into() });
        if number % 500 == 499 {
            world.until(|world| world.devices[0].core().outbox().is_ok_and(|outbox| outbox.is_empty())).await;
        }
    }
    world.until(|world| world.devices[0].core().outbox().is_ok_and(|outbox| outbox.is_empty())).await;
    group
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn start_watch() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::print_stdout, reason = "the result of a benchmark")]
fn print(line: &str) {
    println!("{line}");
}
