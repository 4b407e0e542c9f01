//! Apple's push service: HTTP/2, one POST per wake-up, the hub named by a signed token (ES256) that is used
//! for three quarters of an hour. The payload is the same for every wake-up but for its id: the app's
//! notification extension fetches the news and writes the words.

use bytes::Bytes;
use cercle_proto::id::{TimestampMs, to_hex};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION};

use super::{
    address::Address,
    http_client::HttpClient,
    provider::{Outcome, Provider, Urgency, Wake, outcome_of_status},
    token::{Kept, SigningKey},
};

/// Where Apple takes wake-ups of apps from its store.
pub const ENDPOINT: &str = "https://api.push.apple.com";

/// What the operator has from Apple.
#[derive(Debug)]
pub struct Account {
    /// Id of the key.
    pub key_id: String,
    /// Id of the team.
    pub team_id: String,
    /// Bundle id of the app.
    pub topic: String,
    /// [`ENDPOINT`], or that of the sandbox.
    pub endpoint: String,
}

/// Apple's push service.
#[derive(Debug)]
pub struct Apns {
    http: HttpClient,
    key: SigningKey,
    account: Account,
    token: Kept,
}

impl Apns {
    /// With the operator's key.
    #[must_use]
    pub fn new(http: HttpClient, key: SigningKey, account: Account) -> Self {
        Self { http, key, account, token: Kept::default() }
    }

    fn token(&self, now: TimestampMs) -> String {
        self.token.get(now).unwrap_or_else(|| {
            let claims = serde_json::json!({ "iss": self.account.team_id, "iat": now / 1_000 });
            let token = self.key.token(Some(&self.account.key_id), &claims);
            self.token.keep(token.clone(), now);
            token
        })
    }

    fn headers(&self, wake: &Wake, now: TimestampMs) -> Option<HeaderMap> {
        let mut authorization = HeaderValue::try_from(format!("bearer {}", self.token(now))).ok()?;
        authorization.set_sensitive(true);
        let priority = match wake.urgency {
            Urgency::Normal => "5",
            Urgency::High => "10",
        };
        Some(HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (HeaderName::from_static("apns-topic"), HeaderValue::try_from(&self.account.topic).ok()?),
            (HeaderName::from_static("apns-push-type"), HeaderValue::from_static("alert")),
            (HeaderName::from_static("apns-priority"), HeaderValue::from_static(priority)),
            (HeaderName::from_static("apns-expiration"), (now / 1_000 + u64::from(wake.ttl_s)).into()),
            (HeaderName::from_static("apns-collapse-id"), HeaderValue::try_from(wake.collapse.text()).ok()?),
        ]))
    }
}

/// The payload of a wake-up: what Apple demands, and the id.
#[must_use]
pub fn payload(wake: &Wake) -> Bytes {
    let id = to_hex(&wake.id);
    format!(r#"{{"aps":{{"alert":{{"loc-key":"NEWS"}},"mutable-content":1}},"w":"{id}"}}"#).into()
}

#[async_trait::async_trait]
impl Provider for Apns {
    async fn send(&self, address: &Address, wake: &Wake, now: TimestampMs) -> Outcome {
        let Address::Apns(device) = address else { return Outcome::Refused };
        let uri = format!("{}/3/device/{device}", self.account.endpoint).parse::<Uri>();
        let (Ok(uri), Some(headers)) = (uri, self.headers(wake, now)) else { return Outcome::Refused };
        let answer = match self.http.post(&uri, headers, payload(wake)).await {
            Ok(answer) => answer,
            Err(error) => return error.outcome(),
        };
        match (answer.status, answer.json()["reason"].as_str()) {
            (400, Some("BadDeviceToken" | "DeviceTokenNotForTopic")) => Outcome::Gone,
            (403, Some("ExpiredProviderToken" | "InvalidProviderToken")) => {
                self.token.forget();
                Outcome::Later(None)
            }
            // A wrong path: a fault of the configuration, not of the device.
            (404, _) => Outcome::Refused,
            (status, _) => outcome_of_status(status, answer.retry_after),
        }
    }
}
