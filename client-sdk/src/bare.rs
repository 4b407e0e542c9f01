//! A device without a store and without MLS state: enough to be a member that the hub cannot tell from
//! any other, and nothing that could read a message.
//!
//! For load generators, which need thousands of connections that cost them little. A person's device is a
//! [`Client`](crate::client::Client).

use cercle_proto::{
    certificate,
    id::{DeviceId, GroupId, MessageId, TimestampMs, UserId},
    signing, v1,
};
use openmls_rust_crypto::OpenMlsRustCrypto;

use crate::{
    error::Error,
    mls::{
        MlsError, founding, group,
        identity::{DeviceKeys, Myself},
        key_packages,
    },
};

/// The keys of one device, and its certificate once the hub has issued it.
#[derive(Debug)]
pub struct BareDevice {
    device: DeviceId,
    keys: DeviceKeys,
    me: Option<Myself>,
}

impl BareDevice {
    /// Makes the keys of a device with this id, which must be random.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn new(device: DeviceId) -> Result<Self, Error> {
        let keys = DeviceKeys::generate().map_err(failed)?;
        Ok(Self { device, keys, me: None })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> DeviceId {
        self.device
    }

    /// Its user, once it has a certificate.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.me.as_ref().map(|me| &me.identity.user)
    }

    /// The frame that redeems an invitation on the connection that gave this nonce.
    ///
    /// # Errors
    /// When the key is damaged.
    pub fn enrol(&self, nonce: &[u8; signing::NONCE_BYTES], secret: &[u8; 32]) -> Result<v1::Enrol, Error> {
        let public_key = self.keys.public();
        let signed = signing::enrol_message(nonce, secret, self.device, &public_key);
        Ok(v1::Enrol {
            invitation: secret.to_vec().into(),
            device: self.device.to_bytes(),
            public_key: public_key.to_vec().into(),
            proof: self.keys.sign(&signed).map_err(failed)?.into(),
        })
    }

    /// Takes the certificate.
    ///
    /// # Errors
    /// When it is not for this device's key.
    pub fn certified(&mut self, issued: &v1::CertificateIssued) -> Result<(), Error> {
        let me = Myself::new(&issued.certificate, &issued.root, &self.keys).map_err(Error::Untrusted)?;
        if certificate::read_device(&issued.certificate).map_err(Error::Untrusted)?.device != self.device {
            return Err(Error::Invalid("the certificate is for another device"));
        }
        self.me = Some(me);
        Ok(())
    }

    /// The frame that opens a session on the connection that gave this nonce.
    ///
    /// # Errors
    /// When the key is damaged.
    pub fn authenticate(&self, nonce: &[u8; signing::NONCE_BYTES]) -> Result<v1::Authenticate, Error> {
        let proof = self.keys.sign(&signing::session_message(nonce, self.device)).map_err(failed)?;
        Ok(v1::Authenticate { device: self.device.to_bytes(), proof: proof.into(), ..Default::default() })
    }

    /// The frame that publishes `count` key packages. Their private keys are thrown away: nobody will ever
    /// open the welcomes made for them.
    ///
    /// # Errors
    /// When the device has no certificate yet.
    pub fn key_packages(&self, count: usize, now: TimestampMs) -> Result<v1::PublishKeyPackages, Error> {
        let me = self.me.as_ref().ok_or(Error::NotEnrolled)?;
        let packages: Result<Vec<_>, MlsError> = (0..count).map(|_| self.key_package(me, now)).collect();
        let key_packages = packages.map_err(failed)?.into_iter().map(Into::into).collect();
        Ok(v1::PublishKeyPackages { generation: 1, key_packages, ..Default::default() })
    }

    /// The frames that make a group of this device and others, to be sent in their order: one that registers
    /// it, and a commit for each `per_commit` of the others. No key package is claimed for it: they are made
    /// here, and their private keys are thrown away with the group's.
    ///
    /// # Errors
    /// When one of the devices has no certificate yet, or the hub's is not trusted.
    pub fn found_group(
        &self,
        group: GroupId,
        others: &[&Self],
        per_commit: usize,
        hub_certificate: &[u8],
        now: TimestampMs,
    ) -> Result<(v1::CreateGroup, Vec<v1::CommitBundle>), Error> {
        let me = self.me.as_ref().ok_or(Error::NotEnrolled)?;
        let forgetful = OpenMlsRustCrypto::default();
        let package = |other: &&Self| {
            let me = other.me.as_ref().ok_or(Error::NotEnrolled)?;
            Ok(key_packages::build(&forgetful, &other.keys, me, false, now).map_err(failed)?.0)
        };
        let additions: Result<Vec<Vec<_>>, Error> =
            others.chunks(per_commit).map(|chunk| chunk.iter().map(package).collect()).collect();
        let founded = founding::found(&self.keys, me, group, hub_certificate, additions?).map_err(failed)?;
        let message_id = || random().map(|random| MessageId::from_time(now, &random).to_bytes());
        let create = v1::CreateGroup {
            group: group.to_bytes(),
            message_id: message_id()?,
            group_info: founded.group_info.into(),
            ratchet_tree: founded.ratchet_tree.into(),
        };
        let commits: Result<Vec<_>, Error> = founded
            .commits
            .into_iter()
            .map(|bundle| {
                Ok(v1::CommitBundle {
                    group: group.to_bytes(),
                    message_id: message_id()?,
                    commit: bundle.commit.into(),
                    welcome: bundle.welcome.into(),
                    group_info: bundle.group_info.into(),
                    application: None,
                })
            })
            .collect();
        Ok((create, commits?))
    }

    fn key_package(&self, me: &Myself, now: TimestampMs) -> Result<Vec<u8>, MlsError> {
        let forgetful = OpenMlsRustCrypto::default();
        let (package, _) = key_packages::build(&forgetful, &self.keys, me, false, now)?;
        group::to_bytes(&package.into())
    }
}

fn random() -> Result<[u8; 10], Error> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).map_err(|_| Error::Invalid("the operating system has no randomness"))?;
    Ok(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn failed(error: MlsError) -> Error {
    Error::Mls(error.to_string())
}
