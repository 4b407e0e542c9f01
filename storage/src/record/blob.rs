//! Rows of blobs and of what each user's take.

use cercle_proto::id::BlobId;

use super::{Corrupt, Reader, Record, Writer};
use crate::{
    store::{BlobRecord, BlobUsage},
    table::Table,
};

impl Record for BlobRecord {
    const TABLE: Table = Table::Blobs;

    fn write(&self, out: &mut Writer) {
        out.fixed(self.blob.as_bytes());
        out.fixed(self.group.as_bytes());
        out.bytes(self.uploader.as_str().as_bytes());
        out.u64(self.size);
        out.u64(self.created_at);
        out.option(self.completed_at, Writer::u64);
        out.option(self.referenced_at, Writer::u64);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self {
            blob: BlobId::new(fields.array()?),
            group: fields.group()?,
            uploader: fields.user()?,
            size: fields.u64()?,
            created_at: fields.u64()?,
            completed_at: fields.option(Reader::u64)?,
            referenced_at: fields.option(Reader::u64)?,
        })
    }
}

impl Record for BlobUsage {
    const TABLE: Table = Table::BlobUsages;

    fn write(&self, out: &mut Writer) {
        out.u64(self.blobs);
        out.u64(self.bytes);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { blobs: fields.u64()?, bytes: fields.u64()? })
    }
}
