//! The certificates that the hub issues to this device: what is taken, and what is not.

use cercle_proto::{
    certificate::{CertificateError, Root, Validity, read_device},
    v1,
};

use super::{Cx, Step, enrolled};
use crate::{
    mls::identity::DeviceKeys,
    store::identity::{CertificateRecord, IdentityRecord},
};

impl Cx<'_, '_> {
    /// Stores a certificate that the hub issued, if it is what this device must have: under the root of
    /// the invitation, for the own key, device and (at a renewal) user.
    pub(crate) fn store_certificate(
        &mut self,
        issued: &v1::CertificateIssued,
    ) -> Step<Result<(), CertificateError>> {
        let Some(identity) = self.m.identity.clone() else {
            return Ok(Err(CertificateError::Malformed("nobody asked for it")));
        };
        if let Err(error) = self.check_certificate(&identity, issued) {
            return Ok(Err(error));
        }
        let (certificate, root) = (issued.certificate.to_vec(), issued.root.to_vec());
        let record = CertificateRecord { certificate, root };
        self.tx.write_certificate(&record)?;
        self.tx.write_invitation(None)?;
        self.m.me = Some(enrolled(&identity, &record)?);
        Ok(Ok(()))
    }

    fn check_certificate(
        &self,
        identity: &IdentityRecord<DeviceKeys>,
        issued: &v1::CertificateIssued,
    ) -> Result<(), CertificateError> {
        let malformed = CertificateError::Malformed;
        let root = Root::from_der(&issued.root)?;
        if root.fingerprint() != identity.root_fingerprint {
            return Err(CertificateError::UnknownIssuer);
        }
        let chain = [issued.certificate.to_vec()];
        root.verify(&chain, &identity.keys.public(), Validity::At(self.now))?;
        let named = read_device(&issued.certificate)?;
        if named.device.as_bytes() != &identity.device || named.user.as_str() != issued.user {
            return Err(malformed("it names another device or user"));
        }
        match &self.m.me {
            Some(me) if me.identity.user != named.user => Err(malformed("it names another user")),
            _ => Ok(()),
        }
    }
}
