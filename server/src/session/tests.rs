//! The life of a session, event by event.

use bytes::Bytes;
use cercle_proto::{id::UserId, v1::Role};

use super::*;

const TIMING: Timing = Timing {
    authentication: Duration::from_secs(10),
    ping_interval: Duration::from_secs(30),
    write: Duration::from_secs(5),
};
const DEVICE: DeviceId = DeviceId::new([7; 16]);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn received(request: Request) -> Event {
    Event::Received(Received { number: 1, request: Ok(request) }, Ok(()))
}

fn hello() -> Event {
    received(Request::Hello { version_min: 1, version_max: 3 })
}

fn identity(certificate_expired: bool) -> Arc<Identity> {
    let user = UserId::parse("a@b").unwrap();
    Arc::new(Identity { user, device: DEVICE, roles: vec![Role::Member], certificate_expired })
}

fn open_session(certificate_expired: bool) -> Session {
    let mut session = Session::new(TIMING);
    session.on(hello(), at(0));
    session.on(
        received(Request::Authenticate { device: DEVICE, proof: Bytes::new(), certificate: Bytes::new() }),
        at(0),
    );
    let proved = Event::Proved(1, Ok((Reply::Done, identity(certificate_expired))));
    let actions = session.on(proved, at(0));
    assert!(matches!(actions[..], [Action::Open(_), Action::Answer(1, Ok(_))]), "{actions:?}");
    session
}

/// The code that an action refuses a request or ends the session with.
fn code(actions: &[Action]) -> Option<ErrorCode> {
    actions.iter().find_map(|action| match action {
        Action::Answer(_, Err(refusal)) | Action::Close(Some(refusal)) => Some(refusal.code),
        _ => None,
    })
}

fn ends(actions: &[Action]) -> bool {
    matches!(actions.last(), Some(Action::Close(_)))
}

#[test]
fn hello_is_answered_with_the_greeting() {
    let mut session = Session::new(TIMING);
    assert!(matches!(session.on(hello(), at(0))[..], [Action::Greet(1)]));
}

#[test]
fn a_client_without_a_common_version_is_told_and_sent_away() {
    let mut session = Session::new(TIMING);
    let actions = session.on(received(Request::Hello { version_min: 2, version_max: 9 }), at(0));
    assert_eq!(code(&actions), Some(ErrorCode::UnsupportedVersion));
    assert!(ends(&actions));
}

#[test]
fn anything_before_hello_ends_the_session() {
    let mut session = Session::new(TIMING);
    let actions = session.on(received(Request::Ping), at(0));
    assert_eq!((code(&actions), ends(&actions)), (Some(ErrorCode::UnexpectedFrame), true));
    assert!(session.on(hello(), at(1)).is_empty(), "nothing more after the end");
}

#[test]
fn requests_wait_for_authentication() {
    let mut session = Session::new(TIMING);
    session.on(hello(), at(0));
    let actions = session.on(received(Request::Call(Call::ListGroups)), at(1));
    assert_eq!((code(&actions), ends(&actions)), (Some(ErrorCode::NotAuthenticated), false));
}

#[test]
fn an_unauthenticated_peer_has_few_frames_and_little_time() {
    let mut session = Session::new(TIMING);
    session.on(hello(), at(0));
    assert_eq!(session.wakes_at(), at(10));
    let last = (0..=limits::FRAMES_BEFORE_AUTHENTICATION_MAX)
        .map(|_| session.on(received(Request::Ping), at(1)))
        .last()
        .unwrap();
    assert!(ends(&last));

    let mut session = Session::new(TIMING);
    session.on(hello(), at(0));
    session.on(received(Request::Ping), at(9));
    let actions = session.on(Event::Tick, at(10));
    assert_eq!((code(&actions), ends(&actions)), (Some(ErrorCode::AuthenticationTimeout), true));
}

#[test]
fn a_wrong_proof_ends_the_session_and_an_unknown_device_may_still_enrol() {
    for (refusal, over) in
        [(ErrorCode::ProofInvalid, true), (ErrorCode::DeviceRevoked, true), (ErrorCode::DeviceUnknown, false)]
    {
        let mut session = Session::new(TIMING);
        session.on(hello(), at(0));
        let actions = session.on(Event::Proved(1, Err(Refusal::of(refusal))), at(0));
        assert_eq!((code(&actions), ends(&actions)), (Some(refusal), over));
    }
}

#[test]
fn an_expired_certificate_leaves_only_renewal_ping_and_acknowledgement() {
    let mut session = open_session(true);
    let refused = session.on(received(Request::Call(Call::ListGroups)), at(1));
    assert_eq!(code(&refused), Some(ErrorCode::CertificateExpired));
    let acknowledge = Call::Acknowledge { groups: Vec::new(), inbox: 1 };
    for allowed in [Request::Call(Call::RenewCertificate), Request::Ping, Request::Call(acknowledge)] {
        assert_eq!(code(&session.on(received(allowed), at(1))), None);
    }
    session.on(Event::Renewed, at(2));
    let actions = session.on(received(Request::Call(Call::ListGroups)), at(2));
    assert!(matches!(actions[..], [Action::Call(1, _, Call::ListGroups)]), "{actions:?}");
}

#[test]
fn a_silent_session_is_pinged_and_then_ended() {
    let mut session = open_session(false);
    session.on(Event::Sent, at(0));
    assert_eq!(session.wakes_at(), at(30));
    assert!(matches!(session.on(Event::Tick, at(30))[..], [Action::Ping]));
    session.on(Event::Sent, at(30));
    assert_eq!(session.wakes_at(), at(60), "one ping an interval");
    session.on(Event::Tick, at(60));
    session.on(Event::Sent, at(60));
    assert_eq!(session.wakes_at(), at(65));
    assert!(ends(&session.on(Event::Tick, at(65))));
}

#[test]
fn a_device_that_only_reads_is_pinged_and_lives_by_its_pongs() {
    let mut session = open_session(false);
    for _ in 0..10 {
        let now = session.wakes_at();
        assert!(matches!(session.on(Event::Tick, now)[..], [Action::Ping]));
        session.on(Event::Sent, now);
        session.on(received(Request::Pong), now + at(1));
    }
}

#[test]
fn requests_above_the_rate_are_refused_with_the_wait_and_a_deaf_client_is_sent_away() {
    let mut session = open_session(false);
    let too_fast = || {
        let request = Ok(Request::Call(Call::ListGroups));
        Event::Received(Received { number: 1, request }, Err(250))
    };
    let actions = session.on(too_fast(), at(1));
    let [Action::Answer(1, Err(refusal))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((refusal.code, refusal.retry_after_ms), (ErrorCode::RateLimited, limits::RATE_PATIENCE_MS));
    let last = (0..limits::REFUSED_IN_A_ROW_MAX).map(|_| session.on(too_fast(), at(1))).last().unwrap();
    assert!(ends(&last));
}

/// A message was refused for its rate; the next one, already on its way, found a token again and came first.
#[test]
fn after_a_refusal_for_its_rate_no_later_request_overtakes() {
    let mut session = open_session(false);
    let request = || Ok(Request::Call(Call::ListGroups));
    session.on(Event::Received(Received { number: 1, request: request() }, Err(5)), at(1));
    let overtaking = session.on(Event::Received(Received { number: 2, request: request() }, Ok(())), at(1));
    assert_eq!(code(&overtaking), Some(ErrorCode::RateLimited));
    let later = at(1) + Duration::from_millis(limits::RATE_PATIENCE_MS.into());
    let in_time = session.on(Event::Received(Received { number: 1, request: request() }, Ok(())), later);
    assert!(matches!(in_time[..], [Action::Call(1, _, Call::ListGroups)]), "{in_time:?}");
}

#[test]
fn a_frame_of_a_newer_client_does_not_end_an_open_session() {
    let mut session = open_session(false);
    let unknown = Received { number: 9, request: Err(Refusal::of(ErrorCode::UnknownRequest)) };
    let actions = session.on(Event::Received(unknown, Ok(())), at(1));
    assert_eq!((code(&actions), ends(&actions)), (Some(ErrorCode::UnknownRequest), false));
}

#[test]
fn a_replaced_session_ends_with_the_reason() {
    let mut session = open_session(false);
    let actions = session.on(Event::End(ErrorCode::SessionReplaced), at(1));
    assert_eq!((code(&actions), ends(&actions)), (Some(ErrorCode::SessionReplaced), true));
}
