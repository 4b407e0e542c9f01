//! Where a device is woken: validated when it registers, kept as a note, never logged.

use cercle_proto::v1::{self, register_push::Address as Wire};
use serde::{Deserialize, Serialize};

use super::encryption::{AUTH_BYTES, check_public_key};
use crate::limits;

/// Where a device is woken. `Debug` shows the kind only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Address {
    /// Web Push with an encrypted payload (RFC 8291); UnifiedPush with keys is the same.
    Web {
        /// https URL of the push service.
        endpoint: String,
        /// Public key of the subscription.
        p256dh: Vec<u8>,
        /// Authentication secret of the subscription.
        auth: [u8; AUTH_BYTES],
    },
    /// UnifiedPush without keys: the wake id as it is.
    Unified {
        /// https URL of the distributor's server.
        endpoint: String,
    },
    /// Apple: device token, hexadecimal.
    Apns(String),
    /// Firebase: registration token.
    Fcm(String),
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Web { .. } => "Web",
            Self::Unified { .. } => "Unified",
            Self::Apns(_) => "Apns",
            Self::Fcm(_) => "Fcm",
        })
    }
}

/// Why an address cannot be used; the sentence names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(&'static str);

impl TryFrom<Wire> for Address {
    type Error = InvalidAddress;

    fn try_from(address: Wire) -> Result<Self, InvalidAddress> {
        match address {
            Wire::Web(web) => with_keys(web),
            Wire::Unified(unified) if unified.p256dh.is_empty() && unified.auth.is_empty() => {
                Ok(Self::Unified { endpoint: endpoint(unified.endpoint)? })
            }
            Wire::Unified(unified) => with_keys(unified),
            Wire::Apns(token) => {
                let hexadecimal = token.bytes().all(|byte| byte.is_ascii_hexdigit());
                Ok(Self::Apns(
                    self::token(token)
                        .filter(|_| hexadecimal)
                        .ok_or(InvalidAddress("apns must be a device token in hexadecimal"))?,
                ))
            }
            Wire::Fcm(token) => {
                Ok(Self::Fcm(self::token(token).ok_or(InvalidAddress("fcm must be a registration token"))?))
            }
        }
    }
}

fn with_keys(web: v1::WebPushAddress) -> Result<Address, InvalidAddress> {
    check_public_key(&web.p256dh)
        .map_err(|_| InvalidAddress("p256dh must be an uncompressed point of P-256, 65 bytes"))?;
    let auth = web.auth.as_ref().try_into().map_err(|_| InvalidAddress("auth must be 16 bytes"))?;
    Ok(Address::Web { endpoint: endpoint(web.endpoint)?, p256dh: web.p256dh.to_vec(), auth })
}

/// An https URL without user information: the host is judged when it is resolved.
fn endpoint(text: String) -> Result<String, InvalidAddress> {
    let invalid = InvalidAddress("endpoint must be an https URL of at most 1024 bytes");
    if text.len() > limits::PUSH_ENDPOINT_BYTES_MAX {
        return Err(invalid);
    }
    let uri: http::Uri = text.parse().map_err(|_| invalid)?;
    let plain = |authority: &http::uri::Authority| !authority.as_str().contains('@');
    if uri.scheme_str() != Some("https") || !uri.authority().is_some_and(plain) {
        return Err(invalid);
    }
    Ok(text)
}

fn token(text: String) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
    let fits = (1..=limits::PUSH_TOKEN_BYTES_MAX).contains(&text.len());
    (fits && text.bytes().all(allowed)).then_some(text)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn unified(endpoint: &str) -> Result<Address, InvalidAddress> {
        let endpoint = endpoint.to_owned();
        Address::try_from(Wire::Unified(v1::WebPushAddress { endpoint, ..v1::WebPushAddress::default() }))
    }

    #[test]
    fn only_https_without_user_information_is_an_endpoint() {
        assert!(unified("https://push.example/abc?x=1").is_ok());
        for endpoint in ["http://push.example/a", "https://user@push.example/", "push", "", "file:///etc/x"] {
            assert!(unified(endpoint).is_err(), "{endpoint}");
        }
        assert!(unified(&format!("https://push.example/{}", "a".repeat(1_024))).is_err());
    }

    #[test]
    fn tokens_that_could_change_a_url_are_refused() {
        assert!(Address::try_from(Wire::Apns("00ff".into())).is_ok());
        assert!(Address::try_from(Wire::Apns("../device".into())).is_err());
        assert!(Address::try_from(Wire::Fcm("abc:DEF-_1.x".into())).is_ok());
        assert!(Address::try_from(Wire::Fcm("a/b".into())).is_err());
        assert!(Address::try_from(Wire::Fcm(String::new())).is_err());
    }

    #[test]
    fn a_web_push_address_needs_its_keys() {
        let web = v1::WebPushAddress {
            endpoint: "https://push.example/".into(),
            p256dh: Bytes::from_static(&[4; 65]),
            auth: Bytes::from_static(&[1; 16]),
        };
        assert!(Address::try_from(Wire::Web(web)).is_err(), "the key is no point");
    }
}
