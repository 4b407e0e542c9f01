//! Web Push (RFC 8030) and UnifiedPush: one POST to the address that the device gave, payload encrypted for
//! the device (RFC 8291), the hub named by a signed token (RFC 8292).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cercle_proto::id::TimestampMs;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};
use p256::SecretKey;
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    address::Address,
    encryption::{self, Fresh},
    http_client::HttpClient,
    provider::{Outcome, Provider, Urgency, Wake, outcome_of_status},
    token::SigningKey,
};

/// Longest validity of a token (RFC 8292 section 2: at most 24 hours), s.
const TOKEN_S: u64 = 12 * 60 * 60;

/// Web Push and UnifiedPush.
#[derive(Debug)]
pub struct WebPush {
    http: HttpClient,
    key: SigningKey,
    contact: String,
}

impl WebPush {
    /// Known to push services by this key; `contact` is a `mailto:` or `https:` URL of the operator.
    #[must_use]
    pub fn new(http: HttpClient, key: SigningKey, contact: String) -> Self {
        Self { http, key, contact }
    }

    fn headers(&self, endpoint: &Uri, wake: &Wake, now: TimestampMs) -> Option<HeaderMap> {
        let origin = format!("https://{}", endpoint.authority()?);
        let mut claims = serde_json::json!({ "aud": origin, "exp": now / 1_000 + TOKEN_S });
        if !self.contact.is_empty() {
            claims["sub"] = self.contact.clone().into();
        }
        let token = self.key.token(None, &claims);
        let public = URL_SAFE_NO_PAD.encode(self.key.public());
        let urgency = match wake.urgency {
            Urgency::Normal => "normal",
            Urgency::High => "high",
        };
        let mut authorization = HeaderValue::try_from(format!("vapid t={token}, k={public}")).ok()?;
        authorization.set_sensitive(true);
        Some(HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (HeaderName::from_static("ttl"), wake.ttl_s.into()),
            (HeaderName::from_static("urgency"), HeaderValue::from_static(urgency)),
            (HeaderName::from_static("topic"), HeaderValue::try_from(wake.collapse.text()).ok()?),
            (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        ]))
    }
}

#[async_trait::async_trait]
impl Provider for WebPush {
    async fn send(&self, address: &Address, wake: &Wake, now: TimestampMs) -> Outcome {
        let (endpoint, body) = match address {
            Address::Web { endpoint, p256dh, auth } => {
                let Ok(body) = encryption::encrypt(&wake.id, p256dh, auth, &fresh()) else {
                    return Outcome::Gone;
                };
                (endpoint, body)
            }
            Address::Unified { endpoint } => (endpoint, wake.id.to_vec()),
            Address::Apns(_) | Address::Fcm(_) => return Outcome::Refused,
        };
        let Ok(uri) = endpoint.parse::<Uri>() else { return Outcome::Gone };
        let Some(mut headers) = self.headers(&uri, wake, now) else { return Outcome::Refused };
        if matches!(address, Address::Web { .. }) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        }
        match self.http.post(&uri, headers, body.into()).await {
            Ok(answer) => outcome_of_status(answer.status, answer.retry_after),
            Err(error) => error.outcome(),
        }
    }
}

/// Randomness of one message.
fn fresh() -> Fresh {
    let random = SystemRandom::new();
    let fill = |bytes: &mut [u8]| random.fill(bytes).expect("the system gives randomness");
    let mut salt = [0; 16];
    fill(&mut salt);
    loop {
        let mut key = [0; 32];
        fill(&mut key);
        // Fails once in 2^32 times, for numbers beyond the order of the curve.
        if let Ok(key) = SecretKey::from_slice(&key) {
            return Fresh { salt, key };
        }
    }
}
