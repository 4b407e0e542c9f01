//! Rows of users, devices and invitations.

use super::{Corrupt, Reader, Record, Writer};
use crate::{
    store::{DeviceRecord, InvitationRecord, UserRecord},
    table::Table,
};

impl Record for UserRecord {
    const TABLE: Table = Table::Users;

    fn write(&self, out: &mut Writer) {
        out.bytes(self.user.as_str().as_bytes());
        out.bytes(self.display_name.as_bytes());
        out.bytes(self.profession.as_bytes());
        out.u32(self.class);
        out.list(&self.roles, |out, role| out.u32(*role));
        out.u64(self.created_at);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self {
            user: fields.user()?,
            display_name: fields.text()?,
            profession: fields.text()?,
            class: fields.u32()?,
            roles: fields.list(Reader::u32)?,
            created_at: fields.u64()?,
        })
    }
}

impl Record for DeviceRecord {
    const TABLE: Table = Table::Devices;

    fn write(&self, out: &mut Writer) {
        out.fixed(self.device.as_bytes());
        out.bytes(self.user.as_str().as_bytes());
        out.fixed(&self.public_key);
        out.bytes(&self.certificate);
        out.u64(self.expires_at);
        out.u64(self.enrolled_at);
        out.u64(self.last_seen_at);
        out.option(self.revoked_at, Writer::u64);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self {
            device: fields.device()?,
            user: fields.user()?,
            public_key: fields.array()?,
            certificate: fields.bytes()?,
            expires_at: fields.u64()?,
            enrolled_at: fields.u64()?,
            last_seen_at: fields.u64()?,
            revoked_at: fields.option(Reader::u64)?,
        })
    }
}

impl Record for InvitationRecord {
    const TABLE: Table = Table::Invitations;
    /// 2: `by_user` was added; earlier ones may be anybody's.
    const VERSION: u8 = 2;

    fn write(&self, out: &mut Writer) {
        out.fixed(&self.secret_hash);
        out.bytes(self.user.as_str().as_bytes());
        out.option(self.new_user.as_ref(), |out, user| user.write(out));
        out.u64(self.expires_at);
        out.u64(self.created_at);
        out.option(self.used_by, |out, device| out.fixed(device.as_bytes()));
        out.bool(self.by_user);
    }

    fn read(version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self {
            secret_hash: fields.array()?,
            user: fields.user()?,
            new_user: fields.option(|fields| UserRecord::read(version, fields))?,
            expires_at: fields.u64()?,
            created_at: fields.u64()?,
            used_by: fields.option(Reader::device)?,
            by_user: version >= 2 && fields.bool()?,
        })
    }
}
