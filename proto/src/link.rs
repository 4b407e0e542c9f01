//! The code that a device shows so that another one of the same user can be linked to it.
//!
//! `cercle://<host>:<port>/link#<secret>.<public key>.<fingerprint>[.web]`, each as base64url without padding
//! (32 bytes each). It goes from screen to camera or by copy and paste, never through the hub: who has not
//! seen it can neither take part in the linking nor stand between the two devices. What is derived from it is
//! in docs/protocol.md, section "Linking".

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// A linking code. `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkCode {
    /// `host:port` of the hub.
    pub address: String,
    /// Known to who has seen the code, and to nobody else.
    pub secret: [u8; 32],
    /// X25519 public key of the old device, for this linking only.
    pub public_key: [u8; 32],
    /// SHA-256 of the CPTS root certificate (DER).
    pub root_fingerprint: [u8; 32],
    /// The hub's TLS certificate is one of the public web, not one under the CPTS root.
    pub web_certificate: bool,
}

/// What is wrong with a linking code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a linking code: {0}; copy the whole line that starts with cercle://")]
pub struct LinkCodeError(&'static str);

const SCHEME: &str = "cercle://";
const PATH: &str = "/link#";

impl LinkCode {
    /// Whether a text is meant as a linking code, be it damaged or not.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.trim().starts_with(SCHEME) && text.contains(PATH)
    }

    /// Writes the code.
    #[must_use]
    pub fn to_text(&self) -> String {
        let web = if self.web_certificate { ".web" } else { "" };
        let [secret, key, root] =
            [&self.secret, &self.public_key, &self.root_fingerprint].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{SCHEME}{}{PATH}{secret}.{key}.{root}{web}", self.address)
    }

    /// Reads a code; white space around and within it does not matter.
    ///
    /// # Errors
    /// Says which part is missing or damaged.
    pub fn parse(text: &str) -> Result<Self, LinkCodeError> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let rest = text.strip_prefix(SCHEME).ok_or(LinkCodeError("it must start with cercle://"))?;
        let (address, fragment) = rest.split_once(PATH).ok_or(LinkCodeError("no /link# in it"))?;
        let (host, port) = address.rsplit_once(':').ok_or(LinkCodeError("no port after the host"))?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(LinkCodeError("the host or port is not valid"));
        }
        let mut parts = fragment.split('.');
        let mut next = |wrong| {
            let bytes = parts.next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(LinkCodeError(wrong))
        };
        let secret = next("its first part is damaged")?;
        let public_key = next("its second part is damaged")?;
        let root_fingerprint = next("the fingerprint is damaged")?;
        let web_certificate = match (parts.next(), parts.next()) {
            (None, _) => false,
            (Some("web"), None) => true,
            _ => return Err(LinkCodeError("something follows the fingerprint")),
        };
        Ok(Self { address: address.to_owned(), secret, public_key, root_fingerprint, web_certificate })
    }
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkCode").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(web_certificate: bool) -> LinkCode {
        LinkCode {
            address: "[::1]:8443".into(),
            secret: [7; 32],
            public_key: [200; 32],
            root_fingerprint: [0xfe; 32],
            web_certificate,
        }
    }

    #[test]
    fn a_code_round_trips_even_when_it_was_broken_into_lines() {
        for web in [false, true] {
            let text = sample(web).to_text();
            let (start, end) = text.split_at(60);
            assert_eq!(LinkCode::parse(&format!(" {start}\n  {end}\n")), Ok(sample(web)));
        }
    }

    #[test]
    fn a_damaged_code_is_refused_and_no_invitation_is_taken_for_one() {
        let text = sample(false).to_text();
        for damaged in
            [&text[1..], &text[..text.len() - 1], &text.replace("/link", "/lin"), &format!("{text}.x")]
        {
            assert!(LinkCode::parse(damaged).is_err(), "{damaged}");
        }
        assert!(LinkCode::is_meant(&text) && !LinkCode::is_meant("cercle://h:1/join#a.b"));
    }
}
