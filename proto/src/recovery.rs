//! What is printed beside a recovery code: where the hub is, who the user is, and what to trust. Not secret.
//!
//! `cercle://<host>:<port>/recover#<user>.<fingerprint>[.web]`: the user id as base64url of its text, the
//! fingerprint as base64url of 32 bytes, both without padding.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::id::UserId;

/// Where to come back to, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryAddress {
    /// `host:port` of the hub.
    pub address: String,
    /// The user.
    pub user: UserId,
    /// SHA-256 of the CPTS root certificate (DER).
    pub root_fingerprint: [u8; 32],
    /// The hub's TLS certificate is one of the public web, not one under the CPTS root.
    pub web_certificate: bool,
}

/// What is wrong with a recovery address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a recovery address: {0}; copy the whole line that starts with cercle://")]
pub struct RecoveryAddressError(&'static str);

const SCHEME: &str = "cercle://";
const PATH: &str = "/recover#";
const WEB: &str = ".web";
/// 32 bytes in base64url without padding.
const FINGERPRINT_CHARS: usize = 43;

impl RecoveryAddress {
    /// Writes the address.
    #[must_use]
    pub fn to_text(&self) -> String {
        let web = if self.web_certificate { WEB } else { "" };
        let user = URL_SAFE_NO_PAD.encode(self.user.as_str());
        let root = URL_SAFE_NO_PAD.encode(self.root_fingerprint);
        format!("{SCHEME}{}{PATH}{user}.{root}{web}", self.address)
    }

    /// Reads an address; white space around and within it does not matter.
    ///
    /// # Errors
    /// Says which part is missing or damaged.
    pub fn parse(text: &str) -> Result<Self, RecoveryAddressError> {
        match Self::parse_with_rest(text)? {
            (address, rest) if rest.is_empty() => Ok(address),
            _ => Err(RecoveryAddressError("something follows the fingerprint")),
        }
    }

    /// Reads an address and gives back what follows it, as where a code is written behind it; white space is
    /// left out.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with_rest(text: &str) -> Result<(Self, String), RecoveryAddressError> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let rest = text.strip_prefix(SCHEME).ok_or(RecoveryAddressError("it must start with cercle://"))?;
        let (address, fragment) = rest.split_once(PATH).ok_or(RecoveryAddressError("no /recover# in it"))?;
        let (host, port) = address.rsplit_once(':').ok_or(RecoveryAddressError("no port after the host"))?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(RecoveryAddressError("the host or port is not valid"));
        }
        let (user, rest) = fragment.split_once('.').ok_or(RecoveryAddressError("no fingerprint in it"))?;
        let user = URL_SAFE_NO_PAD.decode(user).ok().and_then(|user| String::from_utf8(user).ok());
        let user = user.and_then(|user| UserId::parse(&user).ok());
        let user = user.ok_or(RecoveryAddressError("the user is damaged"))?;
        let damaged = RecoveryAddressError("the fingerprint is damaged");
        let (root, rest) = rest.split_at_checked(FINGERPRINT_CHARS).ok_or(damaged)?;
        let root = URL_SAFE_NO_PAD.decode(root).ok().and_then(|root| root.try_into().ok());
        let root_fingerprint = root.ok_or(damaged)?;
        let (web_certificate, rest) = rest.strip_prefix(WEB).map_or((false, rest), |rest| (true, rest));
        let address = address.to_owned();
        Ok((Self { address, user, root_fingerprint, web_certificate }, rest.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_round_trips_and_damage_is_named() {
        let user = UserId::parse("810001234567@cpts.example").unwrap();
        for web_certificate in [false, true] {
            let address = "hub.example:8443".to_owned();
            let sample =
                RecoveryAddress { address, user: user.clone(), root_fingerprint: [3; 32], web_certificate };
            let text = sample.to_text();
            assert_eq!(RecoveryAddress::parse(&format!(" {text}\n")), Ok(sample.clone()));
            let line = format!("{} {} 7Q2K-9MPX\n", &text[..30], &text[30..]);
            assert_eq!(RecoveryAddress::parse_with_rest(&line), Ok((sample, "7Q2K-9MPX".to_owned())));
            assert!(RecoveryAddress::parse(&line).is_err(), "an address alone is asked for");
            assert!(RecoveryAddress::parse(&text[..60]).is_err(), "cut off");
            assert!(RecoveryAddress::parse(&text[1..]).is_err());
            assert!(RecoveryAddress::parse(&format!("{text}.x")).is_err());
            assert!(RecoveryAddress::parse(&text.replace("recover", "join")).is_err());
        }
    }
}
