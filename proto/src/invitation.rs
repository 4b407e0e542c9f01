//! The link that enrols a device: where the hub is, a one-time secret, and what to trust.
//!
//! `cercle://<host>:<port>/join#<secret>.<fingerprint>[.web]`, secret and fingerprint as base64url
//! without padding (32 bytes each). Everything secret is in the fragment, which no client sends anywhere.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// An invitation as its link carries it. `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// `host:port` of the hub.
    pub address: String,
    /// One-time secret.
    pub secret: [u8; 32],
    /// SHA-256 of the CPTS root certificate (DER).
    pub root_fingerprint: [u8; 32],
    /// The hub's TLS certificate is one of the public web, not one under the CPTS root.
    pub web_certificate: bool,
}

/// What is wrong with an invitation link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an invitation link: {0}; copy the whole line that starts with cercle://")]
pub struct InvitationError(&'static str);

const SCHEME: &str = "cercle://";
const PATH: &str = "/join#";

impl Invitation {
    /// Writes the link.
    #[must_use]
    pub fn to_link(&self) -> String {
        let web = if self.web_certificate { ".web" } else { "" };
        let (secret, root) = (to_base64url(&self.secret), to_base64url(&self.root_fingerprint));
        format!("{SCHEME}{}{PATH}{secret}.{root}{web}", self.address)
    }

    /// Reads a link; spaces and line ends around it do not matter.
    ///
    /// # Errors
    /// Says which part is missing or damaged.
    pub fn parse(link: &str) -> Result<Self, InvitationError> {
        let rest = link.trim().strip_prefix(SCHEME).ok_or(InvitationError("it must start with cercle://"))?;
        let (address, fragment) = rest.split_once(PATH).ok_or(InvitationError("no /join# in it"))?;
        let (host, port) = address.rsplit_once(':').ok_or(InvitationError("no port after the host"))?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(InvitationError("the host or port is not valid"));
        }
        let mut parts = fragment.split('.');
        let secret = parts.next().and_then(from_base64url).ok_or(InvitationError("the secret is damaged"))?;
        let root =
            parts.next().and_then(from_base64url).ok_or(InvitationError("the fingerprint is damaged"))?;
        let web_certificate = match (parts.next(), parts.next()) {
            (None, _) => false,
            (Some("web"), None) => true,
            _ => return Err(InvitationError("something follows the fingerprint")),
        };
        Ok(Self { address: address.to_owned(), secret, root_fingerprint: root, web_certificate })
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("address", &self.address).finish_non_exhaustive()
    }
}

fn to_base64url(bytes: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_base64url(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(web_certificate: bool) -> Invitation {
        let secret = std::array::from_fn(|i| u8::try_from(i * 7 % 251).unwrap());
        Invitation { address: "[::1]:8443".into(), secret, root_fingerprint: [0xfe; 32], web_certificate }
    }

    #[test]
    fn a_link_round_trips() {
        for web in [false, true] {
            let link = sample(web).to_link();
            assert_eq!(Invitation::parse(&format!("  {link}\n")), Ok(sample(web)));
        }
    }

    #[test]
    fn a_damaged_link_is_refused_with_the_part_named() {
        let link = sample(false).to_link();
        for damaged in
            [&link[1..], &link[..link.len() - 1], &link.replace("/join", "/joi"), &format!("{link}.x")]
        {
            assert!(Invitation::parse(damaged).is_err(), "{damaged}");
        }
    }

    proptest! {
        #[test]
        fn any_invitation_comes_back_from_its_link(
            host in "[a-z0-9.-]{1,40}",
            port: u16,
            secret: [u8; 32],
            root_fingerprint: [u8; 32],
            web_certificate: bool,
        ) {
            let invitation =
                Invitation { address: format!("{host}:{port}"), secret, root_fingerprint, web_certificate };
            prop_assert_eq!(Invitation::parse(&invitation.to_link()), Ok(invitation));
        }

        #[test]
        fn no_text_panics_and_what_is_read_is_written_in_one_way(text in ".{0,200}") {
            if let Ok(read) = Invitation::parse(&text) {
                prop_assert_eq!(Invitation::parse(&read.to_link()), Ok(read));
            }
        }
    }
}
