//! Slots of lanes over HTTP (docs/protocol.md, section "Linking"): `PUT` and `GET /v1/lanes/<lane>/<slot>`.
//! Called by [`super::http`]; [`crate::lane`] decides.

use bytes::Bytes;
use cercle_proto::id::LaneId;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;
use tonic::body::Body;

use super::blobs::bearer;
use crate::{lane::SlotError, limits, session::actor::Services};

/// Where lanes are.
pub const LANES_PATH: &str = "/v1/lanes/";

/// Answers a request for a slot.
pub async fn handle(services: &Services, request: Request<Incoming>) -> Response<Body> {
    let place = slot_of(request.uri().path()).zip(bearer(request.headers()));
    let Some(((lane, slot), token)) = place else { return refusal(SlotError::Unauthorised) };
    let (lanes, now) = (&services.dispatch.lanes, services.dispatch.clock.now());
    match *request.method() {
        Method::GET => match lanes.read(lane, &token, slot, now) {
            Ok(Some(content)) => answer(StatusCode::OK, content),
            Ok(None) => answer(StatusCode::NO_CONTENT, Bytes::new()),
            Err(error) => refusal(error),
        },
        Method::PUT => {
            let body = Limited::new(request.into_body(), limits::LANE_SLOT_BYTES_MAX);
            match timeout(limits::LANE_BODY, body.collect()).await {
                Ok(Ok(content)) => match lanes.write(lane, &token, slot, content.to_bytes(), now) {
                    Ok(()) => answer(StatusCode::NO_CONTENT, Bytes::new()),
                    Err(error) => refusal(error),
                },
                Ok(Err(_)) => refusal(SlotError::TooLarge),
                Err(_) => answer(StatusCode::REQUEST_TIMEOUT, Bytes::new()),
            }
        }
        _ => answer(StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
    }
}

/// The slot that a path names: 32 hexadecimal digits, a slash, a number.
fn slot_of(path: &str) -> Option<(LaneId, u32)> {
    let (lane, slot) = path.strip_prefix(LANES_PATH)?.split_once('/')?;
    let number = slot.parse().ok().filter(|number: &u32| number.to_string() == slot)?;
    Some((LaneId::from_hex(lane).ok()?, number))
}

fn refusal(error: SlotError) -> Response<Body> {
    let status = match error {
        SlotError::Unauthorised => StatusCode::UNAUTHORIZED,
        SlotError::Taken => StatusCode::CONFLICT,
        SlotError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
    };
    answer(status, Bytes::new())
}

fn answer(status: StatusCode, content: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(content)));
    *response.status_mut() = status;
    let no_store = header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_slot_or_nothing() {
        let lane = "0123456789abcdef0123456789abcdef";
        assert_eq!(slot_of(&format!("/v1/lanes/{lane}/3")).map(|(_, slot)| slot), Some(3));
        for path in [lane, "x/3", &format!("{lane}/"), &format!("{lane}/+3"), &format!("{lane}/03")] {
            assert_eq!(slot_of(&format!("/v1/lanes/{path}")), None, "{path}");
        }
    }
}
