//! The bytes of every frame, kept as hexadecimal fixtures: `fixtures/frames.txt` holds one `name hex` a line.
//!
//! A changed fixture is a changed protocol: devices in the field speak the old one. Fields may be added (a
//! new fixture beside the old), never changed.

#[path = "wire_snapshots/alerts.rs"]
mod alerts;
#[path = "wire_snapshots/devices.rs"]
mod devices;
#[path = "wire_snapshots/joining.rs"]
mod joining;

use std::collections::BTreeMap;

use bytes::Bytes;
use cercle_proto::{
    frame,
    id::{from_hex, to_hex},
    v1::{self, client_frame::Body as C, server_frame::Body as S},
};

const FIXTURES: &str = include_str!("fixtures/frames.txt");

/// A value that is not the default, so that the field is on the wire.
fn id(byte: u8) -> Bytes {
    Bytes::copy_from_slice(&[byte; 16])
}

fn key(byte: u8) -> Bytes {
    Bytes::copy_from_slice(&[byte; 32])
}

fn blob(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn application() -> v1::SendApplication {
    v1::SendApplication { group: id(1), message_id: id(2), mls: blob("private message"), blobs: Vec::new() }
}

fn client_session_bodies() -> Vec<(&'static str, C)> {
    vec![
        ("hello", C::Hello(v1::Hello { version_min: 1, version_max: 2, client: "cercle/0.1.0".into() })),
        (
            "enrol",
            C::Enrol(v1::Enrol {
                invitation: key(1),
                device: id(2),
                public_key: key(3),
                proof: Bytes::copy_from_slice(&[4; 64]),
            }),
        ),
        (
            "authenticate",
            C::Authenticate(v1::Authenticate {
                device: id(2),
                proof: Bytes::copy_from_slice(&[4; 64]),
                certificate: Bytes::new(),
            }),
        ),
        (
            "authenticate_readmission",
            C::Authenticate(v1::Authenticate {
                device: id(2),
                proof: Bytes::copy_from_slice(&[4; 64]),
                certificate: blob("certificate"),
            }),
        ),
        ("ping", C::Ping(v1::Ping {})),
        ("pong", C::Pong(v1::Pong {})),
        ("renew_certificate", C::RenewCertificate(v1::RenewCertificate {})),
        (
            "create_invitation",
            C::CreateInvitation(v1::CreateInvitation {
                user: "810001234567".into(),
                display_name: "Dr Éléonore Exemple".into(),
                profession: "10".into(),
                class: v1::MemberClass::Professional.into(),
                roles: vec![v1::Role::Member.into(), v1::Role::Coordinator.into()],
                valid_for_ms: 86_400_000,
                lost_devices: false,
            }),
        ),
        (
            "create_invitation_lost_devices",
            C::CreateInvitation(v1::CreateInvitation {
                user: "810001234567".into(),
                lost_devices: true,
                ..v1::CreateInvitation::default()
            }),
        ),
        ("revoke_device", C::RevokeDevice(v1::RevokeDevice { device: id(2) })),
        ("list_devices", C::ListDevices(v1::ListDevices { user: "a@cpts.example".into() })),
    ]
}

fn client_reading_bodies() -> Vec<(&'static str, C)> {
    let cursor = |group, seq| v1::Cursor { group: id(group), seq };
    vec![
        ("list_groups", C::ListGroups(v1::ListGroups {})),
        (
            "subscribe",
            C::Subscribe(v1::Subscribe {
                wave: 3,
                groups: vec![cursor(1, 7), cursor(2, 300)],
                inbox_after: 5,
                remove: vec![id(9)],
            }),
        ),
        ("ack", C::Ack(v1::Ack { groups: vec![cursor(1, 8)], inbox: 6 })),
        (
            "welcome_ack",
            C::WelcomeAck(v1::WelcomeAck { group: id(1), outcome: v1::welcome_ack::Outcome::Invalid.into() }),
        ),
        ("get_group_info", C::GetGroupInfo(v1::GetGroupInfo { group: id(1) })),
        ("get_delivery_status", C::GetDeliveryStatus(v1::GetDeliveryStatus { group: id(1) })),
    ]
}

fn client_writing_bodies() -> Vec<(&'static str, C)> {
    vec![
        (
            "create_group",
            C::CreateGroup(v1::CreateGroup {
                group: id(1),
                message_id: id(2),
                group_info: blob("group info"),
                ratchet_tree: blob("tree"),
            }),
        ),
        (
            "commit_bundle",
            C::CommitBundle(v1::CommitBundle {
                group: id(1),
                message_id: id(3),
                commit: blob("commit"),
                welcome: blob("welcome"),
                group_info: blob("group info"),
                application: Some(application()),
            }),
        ),
        ("send_application", C::SendApplication(application())),
        (
            "send_application_blobs",
            C::SendApplication(v1::SendApplication { blobs: vec![id(7), id(8)], ..application() }),
        ),
        (
            "send_proposal",
            C::SendProposal(v1::SendProposal { group: id(1), message_id: id(2), mls: blob("proposal") }),
        ),
        ("report_invalid_commit", C::ReportInvalidCommit(v1::ReportInvalidCommit { group: id(1), seq: 9 })),
        ("request_re_add", C::RequestReAdd(v1::RequestReAdd { group: id(1) })),
        (
            "publish_key_packages",
            C::PublishKeyPackages(v1::PublishKeyPackages {
                generation: 2,
                key_packages: vec![blob("one"), blob("two")],
                last_resort: blob("last"),
            }),
        ),
        (
            "claim_key_packages",
            C::ClaimKeyPackages(v1::ClaimKeyPackages {
                claim_id: id(5),
                users: vec!["a@cpts.example".into()],
                group: id(1),
                device: id(2),
            }),
        ),
        (
            "ephemeral",
            C::Ephemeral(v1::Ephemeral { group: id(1), sender: Bytes::new(), mls: blob("typing") }),
        ),
    ]
}

fn client_register_and_blob_bodies() -> Vec<(&'static str, C)> {
    vec![
        ("claim_once", C::ClaimOnce(v1::ClaimOnce { register: id(6) })),
        ("create_blob", C::CreateBlob(v1::CreateBlob { blob: id(7), group: id(1), size: 104_857_600 })),
        ("open_blob", C::OpenBlob(v1::OpenBlob { blob: id(7) })),
        ("release_blob", C::ReleaseBlob(v1::ReleaseBlob { blob: id(7) })),
    ]
}

fn register_and_blob_bodies() -> Vec<(&'static str, S)> {
    let receipt = v1::ClaimReceipt {
        register: id(6),
        user: "a@cpts.example".into(),
        device: id(2),
        at_ms: 1_795_000_000_000,
        hub_certificate: blob("hub"),
        signature: Bytes::copy_from_slice(&[4; 64]),
    };
    let ticket = v1::BlobTicket {
        blob: id(7),
        ticket: key(9),
        expires_at_ms: 1_795_000_600_000,
        size: 104_857_600,
        stored: 2_097_152,
    };
    vec![
        ("register_claimed", S::RegisterClaimed(v1::RegisterClaimed { won: true, receipt: Some(receipt) })),
        ("blob_ticket", S::BlobTicket(ticket)),
    ]
}

fn entry() -> v1::Entry {
    v1::Entry {
        seq: 8,
        kind: v1::EntryKind::Application.into(),
        epoch: 4,
        sender: id(2),
        message_id: id(3),
        at_ms: 1_795_000_000_000,
        mls: blob("private message"),
    }
}

fn error(details: v1::error::Details) -> S {
    S::Error(v1::Error {
        code: 303,
        message: "the group is in epoch 5".into(),
        retry_after_ms: 250,
        details: Some(details),
    })
}

fn authenticated() -> S {
    S::Authenticated(v1::Authenticated {
        user: "a@cpts.example".into(),
        certificate: blob("certificate"),
        key_packages_left: 20,
        hub_certificate: blob("hub"),
        incarnation: id(6),
        roles: vec![1, 3],
        past_incarnations: Vec::new(),
    })
}

fn session_bodies() -> Vec<(&'static str, S)> {
    vec![
        (
            "hello_ok",
            S::HelloOk(v1::HelloOk {
                version: 1,
                nonce: key(7),
                now_ms: 1_795_000_000_000,
                domain: "cpts.example".into(),
                ping_interval_ms: 30_000,
                frame_bytes_max: 1 << 20,
            }),
        ),
        (
            "certificate_issued",
            S::CertificateIssued(v1::CertificateIssued {
                user: "a@cpts.example".into(),
                certificate: blob("certificate"),
                root: blob("root"),
            }),
        ),
        ("authenticated", authenticated()),
        (
            "authenticated_restored",
            S::Authenticated(v1::Authenticated {
                incarnation: id(6),
                past_incarnations: vec![id(4), id(5)],
                ..Default::default()
            }),
        ),
        ("server_ping", S::Ping(v1::Ping {})),
        ("server_pong", S::Pong(v1::Pong {})),
        (
            "invitation_created",
            S::InvitationCreated(v1::InvitationCreated {
                user: "a@cpts.example".into(),
                secret: key(8),
                expires_at_ms: 1_795_000_000_000,
                link: "cercle://hub.example:8443/join#a.b".into(),
            }),
        ),
        (
            "devices",
            S::Devices(v1::Devices {
                devices: vec![v1::Device {
                    device: id(2),
                    enrolled_at_ms: 1,
                    expires_at_ms: 2,
                    last_seen_at_ms: 3,
                    revoked: true,
                }],
            }),
        ),
        ("done", S::Done(v1::Done {})),
        (
            "error_epoch_conflict",
            error(v1::error::Details::EpochConflict(v1::EpochConflict { current_epoch: 5, winner_seq: 12 })),
        ),
        (
            "error_resync_required",
            error(v1::error::Details::ResyncRequired(v1::ResyncRequired { group: id(1), floor: 40 })),
        ),
    ]
}

fn log_bodies() -> Vec<(&'static str, S)> {
    vec![
        (
            "groups",
            S::Groups(v1::Groups {
                groups: vec![v1::GroupState {
                    group: id(1),
                    epoch: 4,
                    head: 9,
                    floor: 2,
                    acked: 8,
                    joined_at: 1,
                    removed_at: 9,
                    needs_re_add: vec![id(3)],
                    forks: Vec::new(),
                }],
            }),
        ),
        (
            "groups_restored",
            S::Groups(v1::Groups {
                groups: vec![v1::GroupState {
                    group: id(1),
                    head: 9,
                    forks: vec![v1::Fork { incarnation: id(6), head: 7, epoch: 3 }],
                    ..Default::default()
                }],
            }),
        ),
        ("entries", S::Entries(v1::Entries { group: id(1), wave: 3, entries: vec![entry()] })),
        (
            "entries_live_echo",
            S::Entries(v1::Entries {
                group: id(1),
                wave: 0,
                entries: vec![v1::Entry { mls: Bytes::new(), ..entry() }],
            }),
        ),
        (
            "catchup_complete",
            S::CatchupComplete(v1::CatchupComplete {
                wave: 3,
                refused: vec![v1::GroupRefused { group: id(1), code: 305, floor: 40 }],
            }),
        ),
    ]
}

fn reading_bodies() -> Vec<(&'static str, S)> {
    let welcome = v1::Welcome { group: id(1), epoch: 4, joined_at: 7, welcome: blob("welcome") };
    let report = v1::InvalidCommitReported { group: id(1), seq: 9, reporter: id(2) };
    vec![
        (
            "inbox_welcome",
            S::InboxItem(v1::InboxItem { number: 1, item: Some(v1::inbox_item::Item::Welcome(welcome)) }),
        ),
        (
            "inbox_invalid_commit_reported",
            S::InboxItem(v1::InboxItem {
                number: 2,
                item: Some(v1::inbox_item::Item::InvalidCommitReported(report)),
            }),
        ),
        (
            "group_info",
            S::GroupInfo(v1::GroupInfo {
                group: id(1),
                epoch: 4,
                head: 9,
                group_info: blob("group info"),
                ratchet_tree: blob("tree"),
            }),
        ),
        (
            "delivery_status",
            S::DeliveryStatus(v1::DeliveryStatus {
                group: id(1),
                devices: vec![v1::DeviceCursor { user: "a@cpts.example".into(), device: id(2), acked: 8 }],
            }),
        ),
        (
            "membership_event",
            S::MembershipEvent(v1::MembershipEvent {
                group: id(1),
                user: "a@cpts.example".into(),
                device: id(2),
                kind: v1::membership_event::Kind::Revoked.into(),
            }),
        ),
        (
            "server_ephemeral",
            S::Ephemeral(v1::Ephemeral { group: id(1), sender: id(2), mls: blob("typing") }),
        ),
    ]
}

fn writing_bodies() -> Vec<(&'static str, S)> {
    vec![
        (
            "accepted",
            S::Accepted(v1::Accepted {
                group: id(1),
                message_id: id(2),
                seq: 9,
                epoch: 4,
                at_ms: 1_795_000_000_000,
                repeated: true,
            }),
        ),
        ("key_packages_published", S::KeyPackagesPublished(v1::KeyPackagesPublished { left: 20 })),
        (
            "key_packages",
            S::KeyPackages(v1::KeyPackages {
                key_packages: vec![v1::ClaimedKeyPackage {
                    user: "a@cpts.example".into(),
                    device: id(2),
                    key_package: blob("one"),
                    last_resort: true,
                }],
                missing: vec!["b@cpts.example".into()],
            }),
        ),
        ("key_packages_low", S::KeyPackagesLow(v1::KeyPackagesLow { left: 3 })),
    ]
}

fn directory_questions() -> Vec<(&'static str, C)> {
    vec![
        (
            "directory_search",
            C::DirectorySearch(v1::DirectorySearch {
                text: "le goff".into(),
                professions: vec!["60".into()],
                skills: vec!["SM04".into()],
                structure: "st:F990000017".into(),
                communes: vec!["31555".into()],
                radius_km: 15,
                accepting: true,
                on_duty: true,
                membership: v1::directory_search::Membership::Members.into(),
                kind: v1::directory_entry::Kind::Professional.into(),
                offset: 50,
                limit: 10,
                facets: true,
            }),
        ),
        ("set_group_rule", C::SetGroupRule(v1::SetGroupRule { group: id(1), rule: Some(group_rule()) })),
        ("get_group_rules", C::GetGroupRules(v1::GetGroupRules { group: id(1) })),
        ("directory_get", C::DirectoryGet(v1::DirectoryGet { key: "ps:899700000005".into() })),
        ("update_card", C::UpdateCard(v1::UpdateCard { what: Some(v1::update_card::What::Card(card())) })),
        (
            "update_inbox",
            C::UpdateCard(v1::UpdateCard {
                what: Some(v1::update_card::What::Inbox(v1::SharedInbox {
                    id: id(1),
                    name: "Secrétariat".into(),
                    users: vec!["a@cpts.example".into()],
                    commune: "31555".into(),
                })),
            }),
        ),
    ]
}

fn directory_answers() -> Vec<(&'static str, S)> {
    let coded = |code: &str, label: &str| v1::Coded { code: code.into(), label: label.into() };
    let entry = v1::DirectoryEntry {
        key: "ps:899700000005".into(),
        kind: v1::directory_entry::Kind::Professional.into(),
        title: "DR".into(),
        family: "LE GOFF".into(),
        given: "YANN".into(),
        professions: vec![coded("10", "Médecin")],
        skills: vec![coded("SM04", "Cardiologie")],
        activities: vec![v1::Activity {
            structure: "st:F990000017".into(),
            name: "CABINET".into(),
            mode: "L".into(),
            sector: Some(coded("SA07", "Cabinet individuel")),
            street: "1 Rue DES ESSAIS".into(),
            postal_code: "31000".into(),
            commune: Some(coded("31555", "TOULOUSE")),
            phone: "0500000000".into(),
        }],
        mailboxes: vec!["yann@mail.example".into()],
        users: vec!["899700000005@cpts.example".into()],
        card: Some(card()),
        accepting: true,
        on_duty: true,
        distance_km: Some(3),
    };
    let facet = |code: &str| v1::DirectoryFacet { code: code.into(), label: "label".into(), count: 7 };
    let page = v1::DirectoryPage {
        entries: vec![v1::DirectoryEntry { key: "st:x".into(), ..v1::DirectoryEntry::default() }],
        total: 9,
        professions: vec![facet("10")],
        communes: vec![facet("31555")],
        imported_at_ms: 1_700_000_000_000,
    };
    let due = v1::MembershipDue {
        group: id(1),
        rule: Some(group_rule()),
        add: vec!["a@cpts.example".into()],
        remove: vec!["b@cpts.example".into()],
    };
    vec![
        ("directory_page", S::DirectoryPage(page)),
        ("directory_entry", S::DirectoryEntry(entry)),
        ("group_rules", S::GroupRules(v1::GroupRules { groups: vec![due.clone()] })),
        ("membership_due", S::MembershipDue(due)),
    ]
}

fn group_rule() -> v1::GroupRule {
    v1::GroupRule {
        professions: vec!["60".into()],
        communes: vec!["31555".into()],
        structures: vec!["st:F990000017".into()],
        skills: vec!["SM04".into()],
        tags: vec!["bureau".into()],
    }
}

fn card() -> v1::Card {
    v1::Card {
        note: "Pansements".into(),
        hide_phone: true,
        hide_street: true,
        hide_mailboxes: true,
        unlisted: true,
        accepting_until_ms: 1_700_000_000_000,
        quiet_hours: vec![v1::QuietHours { weekdays: 127, from_minute: 1200, to_minute: 420 }],
        delegate: "b@cpts.example".into(),
        on_duty: vec![v1::DutyPeriod { from_ms: 1, to_ms: 2 }],
    }
}

/// Every frame with the request number 42, by name.
fn client_frames() -> Vec<(&'static str, v1::ClientFrame)> {
    let bodies = [
        client_session_bodies(),
        client_reading_bodies(),
        client_writing_bodies(),
        client_register_and_blob_bodies(),
        directory_questions(),
    ]
    .concat();
    bodies.into_iter().map(|(name, body)| (name, frame::client(42, body))).collect()
}

fn server_frames() -> Vec<(&'static str, v1::ServerFrame)> {
    let bodies = [
        session_bodies(),
        log_bodies(),
        reading_bodies(),
        writing_bodies(),
        register_and_blob_bodies(),
        directory_answers(),
    ]
    .concat();
    bodies.into_iter().map(|(name, body)| (name, frame::server(42, body))).collect()
}

fn fixtures() -> BTreeMap<&'static str, Bytes> {
    let line = |line: &'static str| {
        let (name, hex) = line.split_once(' ').expect("a fixture is `name hex`");
        (name, Bytes::from(from_hex(hex).expect("a fixture is hexadecimal")))
    };
    FIXTURES.lines().map(line).collect()
}

/// Requires that these frames have the bytes of a file of fixtures, and that each is read back.
fn has_its_bytes(file: &str, fixtures: &str, client: Vec<(&str, C)>, server: Vec<(&str, S)>) {
    let mut written = String::new();
    for (name, body) in client {
        let frame = frame::client(42, body);
        let bytes = frame::encode(&frame);
        written.push_str(&format!("{name} {}\n", to_hex(&bytes)));
        assert_eq!(frame::decode_client(bytes).expect("what was written is read"), frame, "{name}");
    }
    for (name, body) in server {
        let frame = frame::server(42, body);
        let bytes = frame::encode(&frame);
        written.push_str(&format!("{name} {}\n", to_hex(&bytes)));
        assert_eq!(frame::decode_server(bytes).expect("what was written is read"), frame, "{name}");
    }
    assert!(written == fixtures, "the wire has changed; fixtures/{file} would have to be:\n{written}");
}

/// The field number of the body, which follows the request number (two bytes).
fn body_number(bytes: &[u8]) -> u32 {
    let (first, second) = (u32::from(bytes[2]), u32::from(bytes[3]));
    let key = if first < 0x80 { first } else { first & 0x7f | second << 7 };
    key >> 3
}

#[test]
fn every_frame_has_the_bytes_of_its_fixture() {
    let mut written = String::new();
    for (name, bytes) in client_frames()
        .iter()
        .map(|(name, body)| (*name, frame::encode(body)))
        .chain(server_frames().iter().map(|(name, body)| (*name, frame::encode(body))))
    {
        written.push_str(&format!("{name} {}\n", to_hex(&bytes)));
    }
    assert!(written == FIXTURES, "the wire has changed; fixtures/frames.txt would have to be:\n{written}");
}

#[test]
fn every_fixture_is_read_back_as_it_was_meant() {
    let fixtures = fixtures();
    for (name, expected) in client_frames() {
        assert_eq!(frame::decode_client(fixtures[name].clone()).unwrap(), expected, "{name}");
    }
    for (name, expected) in server_frames() {
        assert_eq!(frame::decode_server(fixtures[name].clone()).unwrap(), expected, "{name}");
    }
}

#[test]
fn no_frame_is_without_a_fixture() {
    let numbers = |frames: Vec<Bytes>| {
        let mut numbers: Vec<u32> = frames.iter().map(|bytes| body_number(bytes)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let client = client_frames().into_iter().map(|(_, body)| body);
    let client = client.chain(alerts::client_bodies().into_iter().map(|(_, body)| frame::client(42, body)));
    let client = client.chain(joining::client_bodies().into_iter().map(|(_, body)| frame::client(42, body)));
    let client = client.chain(devices::client_bodies().into_iter().map(|(_, body)| frame::client(42, body)));
    let server = server_frames().into_iter().map(|(_, body)| body);
    let server = server.chain(alerts::server_bodies().into_iter().map(|(_, body)| frame::server(42, body)));
    let server = server.chain(joining::server_bodies().into_iter().map(|(_, body)| frame::server(42, body)));
    let server = server.chain(devices::server_bodies().into_iter().map(|(_, body)| frame::server(42, body)));
    let asked: Vec<u32> = (2..=40).chain(50..=54).chain(70..=77).collect();
    assert_eq!(numbers(client.map(|body| frame::encode(&body)).collect()), asked);
    let known: Vec<u32> = (2..=26).chain(28..=31).chain(33..=34).chain(50..=52).chain(70..=72).collect();
    assert_eq!(numbers(server.map(|body| frame::encode(&body)).collect()), known);
}

#[test]
fn a_truncated_fixture_never_reads_as_the_whole() {
    let fixtures = fixtures();
    for (name, expected) in server_frames() {
        let whole = &fixtures[name];
        for length in 0..whole.len() {
            assert_ne!(frame::decode_server(whole.slice(..length)).ok(), Some(expected.clone()), "{name}");
        }
    }
}
