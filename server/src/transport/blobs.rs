//! The bytes of attachments over HTTP: reads headers, hands bodies to [`crate::attachments`], names statuses
//! (docs/protocol.md, section 9). Called by [`super::http`] for every path below `/v1/blobs/`.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use cercle_proto::id::{BlobId, from_hex};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Status, body::Body};

use super::activity::Activity;
use crate::{
    attachments::{Chunks, Cut, Download, Range, Secret, TransferError},
    error::Chain,
    limits,
    session::actor::Services,
};

/// Where blobs are.
pub const BLOBS_PATH: &str = "/v1/blobs/";

/// Where an upload goes on.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// How many bytes a blob has.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// Answers a request for a blob. `activity` is that of its connection.
pub async fn handle(
    services: &Services,
    activity: &Arc<Activity>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (method, headers) = (request.method().clone(), request.headers());
    let Some((blob, secret)) = blob_of(request.uri().path()).zip(secret_of(headers)) else {
        return refusal(&TransferError::Unauthorised);
    };
    let now = services.dispatch.clock.now();
    let attachments = services.dispatch.attachments.clone();
    let verdict = match method {
        Method::HEAD => attachments.look(&secret, blob, now).await.map(|(stored, size)| {
            answer(StatusCode::OK, [(UPLOAD_OFFSET, stored.into()), (UPLOAD_LENGTH, size.into())])
        }),
        Method::GET => match attachments.download(&secret, blob, range_of(headers), now).await {
            Ok(download) => Ok(send(services, activity, download, headers.contains_key(header::RANGE))),
            Err(error) => Err(error),
        },
        Method::PATCH => {
            let Some(offset) = number_of(headers, &UPLOAD_OFFSET) else {
                return plain(StatusCode::BAD_REQUEST, "Upload-Offset is missing");
            };
            let mut body = IncomingChunks(request.into_body());
            // A task of its own: when the connection dies, hyper drops this future, and what has arrived is
            // still to be stored.
            let upload = services.tracker.spawn(async move {
                let verdict = attachments.upload(&secret, blob, offset, &mut body, now).await;
                if verdict.is_err() {
                    body.throw_away().await;
                }
                verdict
            });
            let Ok(verdict) = upload.await else {
                return plain(StatusCode::INTERNAL_SERVER_ERROR, "a fault of the hub");
            };
            verdict.map(|stored| answer(StatusCode::NO_CONTENT, [(UPLOAD_OFFSET, stored.into())]))
        }
        _ => return plain(StatusCode::METHOD_NOT_ALLOWED, "HEAD, GET or PATCH"),
    };
    verdict.unwrap_or_else(|error| refusal(&error))
}

/// A request body as the service takes it.
struct IncomingChunks(Incoming);

impl Chunks for IncomingChunks {
    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        loop {
            match self.0.frame().await? {
                Err(_) => return Some(Err(Cut)),
                Ok(frame) => match frame.into_data() {
                    Ok(bytes) => return Some(Ok(bytes)),
                    // Trailers: nothing that concerns a blob.
                    Err(_) => continue,
                },
            }
        }
    }
}

impl IncomingChunks {
    /// Reads what is on its way after a refusal: a socket closed with unread input is reset, which may destroy
    /// the answer on its way.
    async fn throw_away(&mut self) {
        let read = async {
            let mut bytes = 0;
            while let Some(Ok(chunk)) = self.next().await {
                bytes += chunk.len();
                if bytes > limits::GOODBYE_BYTES_MAX {
                    return;
                }
            }
        };
        let _ = timeout(limits::GOODBYE, read).await;
    }
}

/// Sends a blob from a task of its own, which notices a device that takes nothing: hyper does not ask for
/// more while the socket is full, so nobody else would.
fn send(
    services: &Services,
    activity: &Arc<Activity>,
    mut download: Download,
    partial: bool,
) -> Response<Body> {
    let (range, size) = (download.range(), download.size());
    let (pieces, queue) = mpsc::channel(1);
    let (activity, silence_max) = (activity.clone(), services.timing.write);
    services.tracker.spawn(async move {
        loop {
            let piece = match download.next().await {
                Ok(None) => return,
                Ok(Some(bytes)) => Ok(Frame::data(bytes)),
                Err(error) => {
                    log_fault(&error);
                    Err(Status::aborted("the transfer was ended"))
                }
            };
            let last = piece.is_err();
            match timeout(silence_max, pieces.send(piece)).await {
                Ok(Ok(())) if !last => {}
                Ok(_) => return,
                Err(_) => return activity.give_up(),
            }
        }
    });
    let frames = stream::unfold(queue, |mut queue| async move { Some((queue.recv().await?, queue)) });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if partial {
        let content = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, visible(&content));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

fn refusal(error: &TransferError) -> Response<Body> {
    log_fault(error);
    let offset = |status, stored: u64| answer(status, [(UPLOAD_OFFSET, stored.into())]);
    match error {
        TransferError::Unauthorised => {
            let bearer = HeaderValue::from_static("Bearer");
            answer(StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, bearer)])
        }
        TransferError::WrongOffset { stored } => offset(StatusCode::CONFLICT, *stored),
        TransferError::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "more bytes than announced"),
        TransferError::RangeNotSatisfiable { size } => {
            let content = visible(&format!("bytes */{size}"));
            answer(StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, content)])
        }
        TransferError::TooManyParts => {
            plain(StatusCode::UNPROCESSABLE_ENTITY, "in too many pieces: release it and begin again")
        }
        TransferError::Cut { stored } => offset(StatusCode::REQUEST_TIMEOUT, *stored),
        TransferError::Busy => {
            let wait = limits::RETRY_AFTER_BUSY.as_secs();
            answer(StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, wait.into())])
        }
        TransferError::Unreadable(_) | TransferError::Unwritable(_) | TransferError::Files(_) => {
            let wait = limits::RETRY_AFTER_BUSY.as_secs();
            answer(StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, wait.into())])
        }
    }
}

/// Faults of the hub are logged here, once; a device is told no more than to come back.
fn log_fault(error: &TransferError) {
    if let TransferError::Unreadable(_) | TransferError::Unwritable(_) | TransferError::Files(_) = error {
        tracing::error!(cause = %Chain(error), "a transfer failed for a fault of the hub");
    }
}

/// The blob that a path names: 32 hexadecimal digits and nothing else.
fn blob_of(path: &str) -> Option<BlobId> {
    let bytes: [u8; 16] = from_hex(path.strip_prefix(BLOBS_PATH)?)?.try_into().ok()?;
    Some(BlobId::new(bytes))
}

fn secret_of(headers: &HeaderMap) -> Option<Secret> {
    bearer(headers).map(Secret::new)
}

/// The bearer token of a request: 32 bytes as base64url.
pub(super) fn bearer(headers: &HeaderMap) -> Option<[u8; 32]> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(secret.trim()).ok()?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(bytes.try_into().ok()?)
}

fn number_of(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// One range with a first byte; what is anything else is answered with the whole (RFC 9110 section 14.2).
fn range_of(headers: &HeaderMap) -> Option<Range> {
    let value = headers.get(header::RANGE)?.to_str().ok()?;
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some(Range { first, last })
}

fn answer<const N: usize>(status: StatusCode, headers: [(HeaderName, HeaderValue); N]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    response
}

fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("numbers and separators are visible characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(value: &'static str) -> Option<Range> {
        range_of(&[(header::RANGE, HeaderValue::from_static(value))].into_iter().collect())
    }

    #[test]
    fn a_path_names_a_blob_or_nothing() {
        let digits = "0123456789abcdef0123456789abcdef";
        assert!(blob_of(&format!("/v1/blobs/{digits}")).is_some());
        for path in ["", "..", "../../etc/passwd", &digits[2..], "0123456789abcdef0123456789abcdeg"] {
            assert_eq!(blob_of(&format!("/v1/blobs/{path}")), None, "{path}");
        }
        assert_eq!(blob_of(&format!("/v1/blobs/{digits}/x")), None);
    }

    #[test]
    fn a_range_begins_at_a_byte() {
        assert_eq!(range("bytes=5-"), Some(Range { first: 5, last: None }));
        assert_eq!(range("bytes=5-9"), Some(Range { first: 5, last: Some(9) }));
        for other in ["bytes=-5", "bytes=1-2,4-5", "lines=1-2", "bytes=x-"] {
            assert_eq!(range(other), None, "{other}");
        }
    }

    #[test]
    fn a_ticket_is_a_bearer_token_of_32_bytes() {
        let secret = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            secret_of(&[(header::AUTHORIZATION, value)].into_iter().collect())
        };
        let token = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(secret(&format!("bearer {token}")).unwrap().as_bytes(), &[7; 32]);
        for wrong in [token.clone(), format!("Basic {token}"), format!("Bearer {token}AA"), "Bearer ".into()]
        {
            assert!(secret(&wrong).is_none(), "{wrong}");
        }
    }
}
