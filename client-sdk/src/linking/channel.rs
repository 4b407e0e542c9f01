//! The key agreement of a linking: pure, docs/protocol.md section "Linking" has the bytes.
//!
//! The old device makes a pair of X25519 keys and a secret for one linking and shows both in a code. The new
//! device answers with a key of its own, and from the two keys and the secret both derive: a key for each
//! direction, the number that the user compares, and the key that seals the history which follows. Who has not
//! seen the code lacks the secret, and cannot pass for the old device without its private key; who has only
//! seen it cannot make the new device show a number.

use cercle_proto::{id::LaneId, link::LinkCode, signing::sha256};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use prost::Message as _;
use ring::{
    agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral},
    rand::{SecureRandom, SystemRandom},
};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::wire::{LinkMessage, link_message::Body};

const LABEL: &[u8] = b"cercle link v1\0";
const PUBLIC_KEY_BYTES: usize = 32;

/// Slot of the new device's hello.
pub(crate) const HELLO: u32 = 1;
/// Slot in which the old device says that it has read the hello.
pub(crate) const MET: u32 = 2;
/// Slot in which the old device grants or refuses.
pub(crate) const VERDICT: u32 = 3;

/// What is in a slot is not from the device that has seen, or shows, the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what came over the lane is not from the other device")]
pub struct Foreign;

/// Where the two devices meet: derived from the secret, so that the code alone says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lane: LaneId,
    pub(crate) token: [u8; 32],
}

impl Place {
    /// The place of a code.
    pub(crate) fn of(secret: &[u8; 32]) -> Self {
        let derive = Hkdf::<Sha256>::new(Some(LABEL), secret);
        let (mut lane, mut token) = ([0; 16], [0; 32]);
        for (label, out) in [("lane", lane.as_mut_slice()), ("token", token.as_mut_slice())] {
            derive.expand(label.as_bytes(), out).expect("HKDF-SHA256 gives up to 8160 bytes");
        }
        Self { lane: LaneId::new(lane), token }
    }

    /// What the hub is told of the token.
    pub(crate) fn token_sha256(&self) -> [u8; 32] {
        sha256(&self.token)
    }
}

/// The old device, until it has read a hello.
pub(crate) struct Old {
    private: EphemeralPrivateKey,
    code: LinkCode,
}

impl Old {
    /// Makes keys and code; `hub` says where the hub is and what to trust there.
    pub(crate) fn new(address: String, root_fingerprint: [u8; 32], web_certificate: bool) -> Self {
        let (private, public_key) = ephemeral();
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).expect("the operating system has randomness");
        Self { private, code: LinkCode { address, secret, public_key, root_fingerprint, web_certificate } }
    }

    /// What is shown.
    pub(crate) const fn code(&self) -> &LinkCode {
        &self.code
    }

    /// Reads the first slot.
    pub(crate) fn meet(self, slot: &[u8]) -> Result<(Channel, Body), Foreign> {
        let (theirs, sealed) = slot.split_at_checked(PUBLIC_KEY_BYTES).ok_or(Foreign)?;
        let theirs: [u8; PUBLIC_KEY_BYTES] = theirs.try_into().map_err(|_| Foreign)?;
        let channel = Channel::agree(self.private, theirs, &self.code, theirs, Side::Old)?;
        let hello = channel.open(HELLO, sealed)?;
        Ok((channel, hello))
    }
}

/// The new device's side: the channel, and what goes before its first sealed message.
pub(crate) fn join(code: &LinkCode) -> Result<(Channel, [u8; PUBLIC_KEY_BYTES]), Foreign> {
    let (private, public) = ephemeral();
    let channel = Channel::agree(private, code.public_key, code, public, Side::New)?;
    Ok((channel, public))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

/// What both sides know once they have met.
pub(crate) struct Channel {
    side: Side,
    to_old: ChaCha20Poly1305,
    to_new: ChaCha20Poly1305,
    number: u32,
    history: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

impl Channel {
    fn agree(
        own: EphemeralPrivateKey,
        theirs: [u8; PUBLIC_KEY_BYTES],
        code: &LinkCode,
        of_new: [u8; PUBLIC_KEY_BYTES],
        side: Side,
    ) -> Result<Self, Foreign> {
        let input = agree_ephemeral(own, &UnparsedPublicKey::new(&X25519, theirs), |shared| {
            Zeroizing::new([shared, &code.secret].concat())
        });
        let input = input.map_err(|_| Foreign)?;
        let place = Place::of(&code.secret);
        let transcript = [LABEL, place.lane.as_bytes(), &code.public_key, &of_new, &code.root_fingerprint];
        let derive = Hkdf::<Sha256>::new(Some(&sha256(&transcript.concat())), &input);
        let (mut to_old, mut to_new) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        let (mut number, mut history) = ([0; 4], Zeroizing::new([0; 32]));
        for (label, out) in [
            ("to old", to_old.as_mut_slice()),
            ("to new", to_new.as_mut_slice()),
            ("number", number.as_mut_slice()),
            ("history", history.as_mut_slice()),
        ] {
            derive.expand(label.as_bytes(), out).expect("HKDF-SHA256 gives up to 8160 bytes");
        }
        let cipher = |key: &Zeroizing<[u8; 32]>| ChaCha20Poly1305::new(key.as_slice().into());
        let (to_old, to_new) = (cipher(&to_old), cipher(&to_new));
        Ok(Self { side, to_old, to_new, number: u32::from_be_bytes(number) % 1_000_000, history })
    }

    /// The number that the new device shows and the user types on the old one: six digits.
    pub(crate) fn number(&self) -> String {
        format!("{:06}", self.number)
    }

    /// Seals what the history is handed over in.
    pub(crate) fn history_key(&self) -> [u8; 32] {
        *self.history
    }

    /// Seals a message for a slot. Each slot is written once, so no nonce is used twice.
    pub(crate) fn seal(&self, slot: u32, body: Body) -> Vec<u8> {
        let cipher = if self.side == Side::Old { &self.to_new } else { &self.to_old };
        let plain = Zeroizing::new(LinkMessage { body: Some(body) }.encode_to_vec());
        let payload = Payload { msg: plain.as_slice(), aad: LABEL };
        cipher.encrypt(&nonce(slot).into(), payload).expect("a slot is short")
    }

    /// Opens what the other side has put into a slot.
    pub(crate) fn open(&self, slot: u32, sealed: &[u8]) -> Result<Body, Foreign> {
        let cipher = if self.side == Side::Old { &self.to_old } else { &self.to_new };
        let payload = Payload { msg: sealed, aad: LABEL };
        let plain = Zeroizing::new(cipher.decrypt(&nonce(slot).into(), payload).map_err(|_| Foreign)?);
        LinkMessage::decode(plain.as_slice()).ok().and_then(|message| message.body).ok_or(Foreign)
    }
}

fn nonce(slot: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&slot.to_be_bytes());
    nonce
}

fn ephemeral() -> (EphemeralPrivateKey, [u8; PUBLIC_KEY_BYTES]) {
    let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())
        .expect("the operating system has randomness");
    let public = private.compute_public_key().expect("X25519 keys have public keys");
    (private, public.as_ref().try_into().expect("an X25519 public key has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::wire::{LinkGrant, LinkHello, LinkMet},
        *,
    };

    fn old() -> Old {
        Old::new("127.0.0.1:8443".into(), [9; 32], false)
    }

    fn hello() -> Body {
        Body::Hello(LinkHello { device: vec![1; 16], public_key: vec![2; 32] })
    }

    fn first_slot(code: &LinkCode) -> (Channel, Vec<u8>) {
        let (channel, public) = join(code).unwrap();
        let slot = [public.as_slice(), &channel.seal(HELLO, hello())].concat();
        (channel, slot)
    }

    #[test]
    fn both_sides_agree_on_number_and_keys_and_read_each_other() {
        let old = old();
        let (new, slot) = first_slot(&old.code().clone());
        let (old, said) = old.meet(&slot).unwrap();
        assert_eq!(said, hello());
        assert_eq!(new.number(), old.number());
        assert_eq!(new.number().len(), 6);
        assert_eq!(new.history_key(), old.history_key());
        let grant = Body::Grant(LinkGrant { invitation: "cercle://…".into(), vault_keys: Vec::new() });
        assert_eq!(new.open(VERDICT, &old.seal(VERDICT, grant.clone())), Ok(grant));
    }

    #[test]
    fn who_stands_between_without_the_code_is_noticed_by_both() {
        let real = old();
        let mut guessed = real.code().clone();
        guessed.secret = [0; 32];
        // Towards the old device: another secret.
        let (_, slot) = first_slot(&guessed);
        assert!(matches!(real.meet(&slot), Err(Foreign)));
        // Towards the new device: another private key, even with the secret known.
        let real = old();
        let code = real.code().clone();
        let (new, slot) = first_slot(&code);
        let mut fake = old();
        fake.code.secret = code.secret;
        fake.code.public_key = code.public_key;
        assert!(matches!(fake.meet(&slot), Err(Foreign)));
        let (stranger, _) = first_slot(&code);
        assert_eq!(new.open(MET, &stranger.seal(MET, Body::Met(LinkMet {}))), Err(Foreign));
    }

    #[test]
    fn who_has_copied_the_code_comes_to_another_number() {
        let one = old();
        let (thief, slot) = first_slot(&one.code().clone());
        let (channel, _) = one.meet(&slot).unwrap();
        let (owner, _) = first_slot(&LinkCode { public_key: ephemeral().1, ..old().code().clone() });
        assert_eq!(thief.number(), channel.number());
        assert_ne!(owner.history_key(), channel.history_key());
    }

    #[test]
    fn a_slot_opens_in_its_place_and_direction_only() {
        let old = old();
        let (new, slot) = first_slot(&old.code().clone());
        let (old, _) = old.meet(&slot).unwrap();
        let met = old.seal(MET, Body::Met(LinkMet {}));
        assert_eq!(new.open(VERDICT, &met), Err(Foreign));
        assert_eq!(old.open(MET, &met), Err(Foreign));
        let mut changed = met.clone();
        changed[0] ^= 1;
        assert_eq!(new.open(MET, &changed), Err(Foreign));
        assert!(matches!(self::old().meet(&slot[..31]), Err(Foreign)));
    }

    #[test]
    fn the_place_is_that_of_the_secret() {
        let place = Place::of(&[1; 32]);
        assert!(place == Place::of(&[1; 32]) && place != Place::of(&[2; 32]));
        assert_ne!(place.token, [1; 32]);
    }
}
