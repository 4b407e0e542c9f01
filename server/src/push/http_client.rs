//! The hub's way out: POST over TLS 1.3 to push services and to the fallback hook, and to nowhere else.
//!
//! A device chooses the host that its wake-ups go to, so the host is judged after it is resolved, and the
//! connection goes to the very address that was judged: nothing inside the operator's network can be reached
//! through it. Redirects are not followed.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lru::LruCache;
use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider, version::TLS13};
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::provider::Outcome;
use crate::limits;

/// Sends requests. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    tls: TlsConnector,
    allow_private: bool,
    /// HTTP/2 connections by authority; HTTP/1.1 is used once.
    open: Mutex<LruCache<String, http2::SendRequest<Full<Bytes>>>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// How long to wait, if it said so in seconds.
    pub retry_after: Option<Duration>,
    body: Bytes,
}

/// Why nothing came back. Says neither host nor path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not https, or no host.
    #[error("no https URL")]
    NotHttps,
    /// The host is inside the operator's network.
    #[error("the host has no public address")]
    Private,
    /// It cannot be reached, or does not speak HTTP over TLS 1.3 with a certificate that is trusted.
    #[error("no answer")]
    Unreachable,
}

impl HttpError {
    /// What it means for a wake-up.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::NotHttps | Self::Private => Outcome::Refused,
            Self::Unreachable => Outcome::Later(None),
        }
    }
}

impl Answer {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the body has this word.
    #[must_use]
    pub fn says(&self, word: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(word)
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("allow_private", &self.0.allow_private).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Trusts the roots of the public web and `roots`; connects to private addresses only if allowed.
    ///
    /// # Panics
    /// Never: ring supports TLS 1.3.
    #[must_use]
    pub fn new(roots: Vec<rustls_pki_types::CertificateDer<'static>>, allow_private: bool) -> Self {
        let mut trusted: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        trusted.add_parsable_certificates(roots);
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .expect("ring supports TLS 1.3")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connections = NonZeroUsize::new(limits::PUSH_CONNECTIONS_MAX).expect("the limit is not 0");
        Self(Arc::new(Inner {
            tls: TlsConnector::from(Arc::new(config)),
            allow_private,
            open: Mutex::new(LruCache::new(connections)),
        }))
    }

    /// One POST and its answer.
    ///
    /// # Errors
    /// As [`HttpError`] says.
    pub async fn post(&self, uri: &Uri, headers: HeaderMap, body: Bytes) -> Result<Answer, HttpError> {
        // Boxed: the TLS handshake would make every future around it large.
        let exchange = timeout(limits::PUSH_EXCHANGE, Box::pin(self.exchange(uri, headers, body)));
        exchange.await.unwrap_or(Err(HttpError::Unreachable))
    }

    async fn exchange(&self, uri: &Uri, headers: HeaderMap, body: Bytes) -> Result<Answer, HttpError> {
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
        let authority = authority.ok_or(HttpError::NotHttps)?;
        let kept = self.open().get(authority.as_str()).cloned();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
            && let Ok(response) = sender.send_request(over_h2(uri, &headers, &body)).await
        {
            return read(response).await;
        }
        self.open().pop(authority.as_str());
        let stream = self.connect(authority).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(unreachable)?;
            // Ends by itself when the last sender is gone or the peer closes.
            tokio::spawn(connection);
            self.open().put(authority.as_str().to_owned(), sender.clone());
            return read(sender.send_request(over_h2(uri, &headers, &body)).await.map_err(unreachable)?)
                .await;
        }
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        // Ends by itself when the sender is dropped.
        tokio::spawn(connection);
        read(sender.send_request(over_h1(uri, &headers, body)).await.map_err(unreachable)?).await
    }

    async fn connect(&self, authority: &http::uri::Authority) -> Result<TlsStream<TcpStream>, HttpError> {
        // An IPv6 address stands in brackets.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(443);
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((host, port)).await.map_err(|_| HttpError::Unreachable)?.collect();
        let judged = addresses.into_iter().find(|address| self.0.allow_private || is_public(address.ip()));
        let tcp = TcpStream::connect(judged.ok_or(HttpError::Private)?).await;
        let tcp = tcp.map_err(|_| HttpError::Unreachable)?;
        let _ = tcp.set_nodelay(true);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| HttpError::NotHttps)?;
        self.0.tls.connect(name, tcp).await.map_err(|_| HttpError::Unreachable)
    }

    fn open(&self) -> std::sync::MutexGuard<'_, LruCache<String, http2::SendRequest<Full<Bytes>>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable(_: hyper::Error) -> HttpError {
    HttpError::Unreachable
}

fn over_h2(uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers.clone();
    request
}

fn over_h1(uri: &Uri, headers: &HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = over_h2(uri, headers, &body);
    if let Some(host) = uri.authority().and_then(|host| host.as_str().parse().ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    if let Ok(path) = path.parse() {
        *request.uri_mut() = path;
    }
    request
}

async fn read(response: http::Response<Incoming>) -> Result<Answer, HttpError> {
    let status = response.status().as_u16();
    let seconds =
        response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = Limited::new(response.into_body(), limits::PUSH_ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|_| HttpError::Unreachable)?.to_bytes();
    Ok(Answer { status, retry_after: seconds.map(Duration::from_secs), body })
}

/// Whether an address belongs to the public network (the special-purpose registries of RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

/// Global unicast is `2000::/3`; of it, what embeds or tunnels an IPv4 address is left out.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let tunnel = first == 0x2002 || (first == 0x2001 && second < 0x0200);
    let documentation = (first == 0x2001 && second == 0x0db8) || first == 0x3fff;
    first & 0xe000 == 0x2000 && !tunnel && !documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_network_are_public() {
        for public in ["9.9.9.9", "193.0.6.139", "2a00:1450:4007::200e", "2620:fe::fe"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[tokio::test]
    async fn nothing_inside_the_network_is_connected_to() {
        let client = HttpClient::new(Vec::new(), false);
        for (uri, error) in [
            ("https://127.0.0.1:1/x", HttpError::Private),
            ("https://[::1]:1/x", HttpError::Private),
            ("https://localhost:1/x", HttpError::Private),
            ("http://push.example/x", HttpError::NotHttps),
        ] {
            let answer = client.post(&uri.parse().unwrap(), HeaderMap::new(), Bytes::new()).await;
            assert_eq!(answer.unwrap_err(), error, "{uri}");
        }
    }
}
