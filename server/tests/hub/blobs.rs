//! Attachments through the port: tickets over the session, bytes over HTTP/1.1 and HTTP/2.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use cercle_proto::{
    ErrorCode,
    id::{BlobId, GroupId, to_hex},
    v1::{self, client_frame, server_frame},
};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{Device, Hub, Peer};

/// A ticket that the hub has given.
pub(crate) struct Pass {
    pub(crate) blob: BlobId,
    token: String,
    pub(crate) size: u64,
    pub(crate) stored: u64,
}

/// An answer of the hub.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Pass {
    fn of(ticket: v1::BlobTicket) -> Self {
        assert_eq!(ticket.ticket.len(), 32);
        Self {
            blob: BlobId::try_from(&ticket.blob).unwrap(),
            token: BASE64_URL_SAFE_NO_PAD.encode(ticket.ticket),
            size: ticket.size,
            stored: ticket.stored,
        }
    }

    pub(crate) fn request(&self, method: Method, headers: &[(&str, String)]) -> http::request::Builder {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("https://127.0.0.1/v1/blobs/{}", to_hex(self.blob.as_bytes())))
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request
    }
}

pub(crate) async fn create(peer: &mut Peer, blob: u8, group: GroupId, size: u64) -> Result<Pass, ErrorCode> {
    let create = v1::CreateBlob { blob: BlobId::new([blob; 16]).to_bytes(), group: group.to_bytes(), size };
    ticket(peer, client_frame::Body::CreateBlob(create)).await
}

pub(crate) async fn open(peer: &mut Peer, blob: u8) -> Result<Pass, ErrorCode> {
    let open = v1::OpenBlob { blob: BlobId::new([blob; 16]).to_bytes() };
    ticket(peer, client_frame::Body::OpenBlob(open)).await
}

async fn ticket(peer: &mut Peer, body: client_frame::Body) -> Result<Pass, ErrorCode> {
    peer.send(77, body).await;
    match peer.answer(77).await {
        server_frame::Body::BlobTicket(ticket) => Ok(Pass::of(ticket)),
        server_frame::Body::Error(error) => Err(ErrorCode::from_number(error.code).unwrap()),
        body => panic!("no ticket: {body:?}"),
    }
}

impl Hub {
    /// One request over a connection of its own, HTTP/2 if asked for.
    pub(crate) async fn http(&self, version2: bool, request: http::request::Builder, body: Bytes) -> Answer {
        let io = TokioIo::new(self.tls(if version2 { b"h2" } else { b"http/1.1" }).await);
        let mut request = request.body(Full::new(body)).unwrap();
        let response = if version2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            request.headers_mut().insert("host", "127.0.0.1".parse().unwrap());
            *request.uri_mut() = request.uri().path().parse().unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) async fn patch(&self, pass: &Pass, offset: u64, body: &[u8]) -> Answer {
        let request = pass.request(Method::PATCH, &[("upload-offset", offset.to_string())]);
        self.http(offset % 2 == 1, request, Bytes::copy_from_slice(body)).await
    }

    pub(crate) async fn get(&self, pass: &Pass, range: Option<&str>) -> Answer {
        let range: Vec<_> = range.map(|range| ("range", range.to_owned())).into_iter().collect();
        self.http(range.is_empty(), pass.request(Method::GET, &range), Bytes::new()).await
    }
}

/// Bytes that differ from place to place.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from(place * 31 % 251).unwrap()).collect()
}

/// A hub with a group of two devices, and their sessions.
pub(crate) struct Pair {
    pub(crate) hub: Hub,
    pub(crate) group: GroupId,
    pub(crate) anne: Device,
    pub(crate) bruno: Device,
    pub(crate) annes: Peer,
    pub(crate) brunos: Peer,
}

pub(crate) async fn pair() -> Pair {
    pair_at(Hub::start().await).await
}

pub(crate) async fn pair_at(hub: Hub) -> Pair {
    let (anne, bruno) = (hub.enrol("anne", 1).await, hub.enrol("bruno", 2).await);
    let group = hub.group(9, &[("anne", &anne), ("bruno", &bruno)]).await;
    let (annes, brunos) = (hub.session(&anne).await, hub.session(&bruno).await);
    Pair { hub, group, anne, bruno, annes, brunos }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_goes_up_in_pieces_and_down_whole_and_in_ranges() {
    let Pair { hub, group, mut annes, mut brunos, .. } = pair().await;
    // More than one part on disk.
    let bytes = content(5 << 20);
    let size = bytes.len() as u64;
    let pass = create(&mut annes, 1, group, size).await.unwrap();
    assert_eq!((pass.size, pass.stored), (size, 0));
    let first = hub.patch(&pass, 0, &bytes[..3_000_001]).await;
    assert_eq!((first.status, first.header("upload-offset")), (StatusCode::NO_CONTENT, "3000001"));

    let head = hub.http(true, pass.request(Method::HEAD, &[]), Bytes::new()).await;
    assert_eq!((head.status, head.header("upload-offset")), (StatusCode::OK, "3000001"));
    assert_eq!(head.header("upload-length"), size.to_string());
    assert_eq!(open(&mut brunos, 1).await.err(), Some(ErrorCode::BlobIncomplete));

    let again = create(&mut annes, 1, group, size).await.unwrap();
    assert_eq!(again.stored, 3_000_001);
    let rest = hub.patch(&again, again.stored, &bytes[3_000_001..]).await;
    assert_eq!((rest.status, rest.header("upload-offset")), (StatusCode::NO_CONTENT, &*size.to_string()));

    let pass = open(&mut brunos, 1).await.unwrap();
    assert_eq!((pass.size, pass.stored), (size, size));
    let whole = hub.get(&pass, None).await;
    assert_eq!(whole.status, StatusCode::OK);
    assert!(whole.body == bytes);
    let part = hub.get(&pass, Some("bytes=2097100-3000100")).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.header("content-range"), format!("bytes 2097100-3000100/{size}"));
    assert!(part.body == bytes[2_097_100..=3_000_100]);
    let tail = hub.get(&pass, Some("bytes=5242870-")).await;
    assert!(tail.body == bytes[5_242_870..]);
    let beyond = hub.get(&pass, Some("bytes=5242880-")).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
}
