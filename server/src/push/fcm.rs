//! Firebase Cloud Messaging, HTTP v1: an access token for a signed assertion (RFC 7523, RS256), then one POST
//! per wake-up with a data message that holds the wake id and nothing else.

use bytes::Bytes;
use cercle_proto::id::{TimestampMs, to_hex};
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};

use super::{
    address::Address,
    http_client::HttpClient,
    provider::{Outcome, Provider, Urgency, Wake, outcome_of_status},
    token::{Kept, SigningKey},
};

/// Where Firebase takes wake-ups.
pub const ENDPOINT: &str = "https://fcm.googleapis.com";
/// What the access token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Validity of the assertion, s: the longest that is taken.
const ASSERTION_S: u64 = 60 * 60;

/// What the operator has from Firebase: parts of the service account's file.
#[derive(Debug)]
pub struct Account {
    /// Project.
    pub project_id: String,
    /// Name of the service account.
    pub client_email: String,
    /// Where access tokens are given.
    pub token_uri: String,
    /// [`ENDPOINT`].
    pub endpoint: String,
}

/// Firebase Cloud Messaging.
#[derive(Debug)]
pub struct Fcm {
    http: HttpClient,
    key: SigningKey,
    account: Account,
    token: Kept,
}

impl Fcm {
    /// With the key of the operator's service account.
    #[must_use]
    pub fn new(http: HttpClient, key: SigningKey, account: Account) -> Self {
        Self { http, key, account, token: Kept::default() }
    }

    /// An access token, the kept one if it is young.
    async fn token(&self, now: TimestampMs) -> Result<String, Outcome> {
        if let Some(token) = self.token.get(now) {
            return Ok(token);
        }
        let Account { client_email, token_uri, .. } = &self.account;
        let claims = serde_json::json!({
            "iss": client_email,
            "scope": SCOPE,
            "aud": token_uri,
            "iat": now / 1_000,
            "exp": now / 1_000 + ASSERTION_S,
        });
        let assertion = self.key.token(None, &claims);
        // Of a token, every character may stand in a form as it is.
        let form =
            format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, form_type)]);
        let uri: Uri = token_uri.parse().map_err(|_| Outcome::Refused)?;
        let answer = self.http.post(&uri, headers, form.into()).await.map_err(|error| error.outcome())?;
        let token = answer.json()["access_token"].as_str().map(str::to_owned);
        match (answer.status, token) {
            (200, Some(token)) => {
                self.token.keep(token.clone(), now);
                Ok(token)
            }
            (429 | 500..=599, _) => Err(Outcome::Later(answer.retry_after)),
            _ => Err(Outcome::Refused),
        }
    }
}

/// The body of a wake-up.
#[must_use]
pub fn body(registration: &str, wake: &Wake) -> Bytes {
    let priority = match wake.urgency {
        Urgency::Normal => "NORMAL",
        Urgency::High => "HIGH",
    };
    let message = serde_json::json!({ "message": {
        "token": registration,
        "data": { "w": to_hex(&wake.id) },
        "android": {
            "priority": priority,
            "ttl": format!("{}s", wake.ttl_s),
            "collapse_key": wake.collapse.text(),
        },
    }});
    message.to_string().into()
}

#[async_trait::async_trait]
impl Provider for Fcm {
    async fn send(&self, address: &Address, wake: &Wake, now: TimestampMs) -> Outcome {
        let Address::Fcm(registration) = address else { return Outcome::Refused };
        let token = match self.token(now).await {
            Ok(token) => token,
            Err(outcome) => return outcome,
        };
        let Account { endpoint, project_id, .. } = &self.account;
        let uri = format!("{endpoint}/v1/projects/{project_id}/messages:send").parse::<Uri>();
        let authorization = HeaderValue::try_from(format!("Bearer {token}"));
        let (Ok(uri), Ok(mut authorization)) = (uri, authorization) else { return Outcome::Refused };
        authorization.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization), (CONTENT_TYPE, json)]);
        let answer = match self.http.post(&uri, headers, body(registration, wake)).await {
            Ok(answer) => answer,
            Err(error) => return error.outcome(),
        };
        match answer.status {
            401 => {
                self.token.forget();
                Outcome::Later(None)
            }
            // Also said for a wrong project, which is no fault of the device.
            404 if !answer.says("UNREGISTERED") => Outcome::Refused,
            status => outcome_of_status(status, answer.retry_after),
        }
    }
}
