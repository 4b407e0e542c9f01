//! A push service on loopback that checks the wire rules of Web Push, Apple and Firebase, decrypts like a
//! browser, and answers as a test tells it to.

use std::{
    collections::VecDeque,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use cercle_proto::v1;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use p256::{
    SecretKey,
    elliptic_curve::{ecdh::diffie_hellman, sec1::ToEncodedPoint},
};
use ring::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;

/// What the hub sent.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) http2: bool,
}

/// A push service.
#[derive(Clone)]
pub(crate) struct PushService {
    pub(crate) port: u16,
    pub(crate) root: PathBuf,
    received: watch::Sender<Vec<Pushed>>,
    answers: Arc<Mutex<VecDeque<Response<Full<Bytes>>>>>,
}

/// A subscription as a browser holds it.
pub(crate) struct Subscription {
    key: SecretKey,
    auth: [u8; 16],
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl PushService {
    /// Listens; `alpn` is what it speaks.
    pub(crate) async fn start(directory: &Path, alpn: &[&str]) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let root = directory.join("push-root.pem");
        std::fs::write(&root, certified.cert.pem()).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = Self { port, root, received: watch::Sender::default(), answers: Arc::default() };
        tokio::spawn(service.clone().serve(listener, TlsAcceptor::from(Arc::new(config))));
        service
    }

    /// What the operator writes so that the hub reaches it.
    pub(crate) fn settings(&self, more: &str) -> String {
        let root = self.root.display();
        format!("contact = \"mailto:ops@cpts.example\"\nallow_private = true\nroots = \"{root}\"\n{more}")
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The next requests are answered like this; all others with 201.
    pub(crate) fn answer_next(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        self.answers.lock().unwrap().push_back(response.body(body).unwrap());
    }

    /// Everything that came, once it is at least so much.
    pub(crate) async fn received(&self, at_least: usize) -> Vec<Pushed> {
        let mut received = self.received.subscribe();
        let enough = received.wait_for(|all| all.len() >= at_least);
        let enough = tokio::time::timeout(super::support::PATIENCE, enough).await;
        enough.expect("the push service is asked in time").unwrap().clone()
    }

    async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (service, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(tcp).await else { return };
                let answer = service_fn(move |request| service.clone().answer(request));
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), answer).await);
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let http2 = request.version() == http::Version::HTTP_2;
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path().to_owned();
        self.received.send_modify(|all| all.push(Pushed { path, headers: parts.headers, body, http2 }));
        let answer = self.answers.lock().unwrap().pop_front();
        Ok(answer.unwrap_or_else(|| Response::builder().status(201).body(Full::default()).unwrap()))
    }
}

impl Pushed {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// Checks a token signed with ES256 by this public key; returns its claims.
    pub(crate) fn claims(token: &str, public_key: &[u8]) -> serde_json::Value {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key);
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap()).unwrap()
    }
}

impl Subscription {
    pub(crate) fn new(number: u8) -> Self {
        Self { key: SecretKey::from_slice(&[number; 32]).unwrap(), auth: [number; 16] }
    }

    pub(crate) fn address(&self, endpoint: String) -> v1::WebPushAddress {
        let p256dh = self.key.public_key().to_encoded_point(false);
        let auth = Bytes::copy_from_slice(&self.auth);
        v1::WebPushAddress { endpoint, p256dh: Bytes::copy_from_slice(p256dh.as_bytes()), auth }
    }

    /// Decrypts a payload as a browser does (RFC 8291 section 3, RFC 8188 section 2).
    pub(crate) fn decrypt(&self, body: &[u8]) -> Vec<u8> {
        let (salt, rest) = body.split_first_chunk::<16>().unwrap();
        let (record_size, rest) = rest.split_first_chunk::<4>().unwrap();
        assert!(u32::from_be_bytes(*record_size) >= 18);
        let (length, rest) = rest.split_first().unwrap();
        assert_eq!(*length, 65);
        let (sender, record) = rest.split_at(65);
        let public = p256::PublicKey::from_sec1_bytes(sender).unwrap();
        let shared = diffie_hellman(self.key.to_nonzero_scalar(), public.as_affine());
        let own = self.key.public_key().to_encoded_point(false);
        let info = [b"WebPush: info\0", own.as_bytes(), sender].concat();
        let input = derive::<32>(&self.auth, shared.raw_secret_bytes(), &info);
        let key = derive::<16>(salt, &input, b"Content-Encoding: aes128gcm\0");
        let nonce = derive::<12>(salt, &input, b"Content-Encoding: nonce\0");
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        let mut record = record.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = key.open_in_place(nonce, Aad::empty(), &mut record).unwrap().to_vec();
        let (payload, delimiter) = plain.split_at(plain.len() - 1);
        assert_eq!(delimiter, [2], "one record, no padding");
        payload.to_vec()
    }
}

fn derive<const N: usize>(salt: &[u8], input: &[u8], info: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    Salt::new(HKDF_SHA256, salt).extract(input).expand(&[info], Length(N)).unwrap().fill(&mut out).unwrap();
    out
}
