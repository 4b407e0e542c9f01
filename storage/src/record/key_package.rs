//! Rows of the key package stock and of claims.

use bytes::Bytes;
use cercle_proto::id::TimestampMs;

use super::{Corrupt, Reader, Record, Writer};
use crate::{store::ClaimedPackage, table::Table};

/// What is known of a device's stock without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StockRow {
    pub(crate) generation: u64,
    /// One-time packages that are left.
    pub(crate) left: u32,
}

impl Record for StockRow {
    const TABLE: Table = Table::KeyPackageStocks;

    fn write(&self, out: &mut Writer) {
        out.u64(self.generation);
        out.u32(self.left);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { generation: fields.u64()?, left: fields.u32()? })
    }
}

/// A one-time key package; the key holds its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPackageRow {
    pub(crate) expires_at: TimestampMs,
    pub(crate) body: Bytes,
}

impl Record for KeyPackageRow {
    const TABLE: Table = Table::KeyPackages;

    fn write(&self, out: &mut Writer) {
        out.u64(self.expires_at);
        out.fixed(&self.body);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { expires_at: fields.u64()?, body: fields.rest() })
    }
}

/// A last resort key package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastResortRow {
    pub(crate) expires_at: TimestampMs,
    pub(crate) body: Bytes,
}

impl Record for LastResortRow {
    const TABLE: Table = Table::LastResorts;

    fn write(&self, out: &mut Writer) {
        out.u64(self.expires_at);
        out.fixed(&self.body);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { expires_at: fields.u64()?, body: fields.rest() })
    }
}

/// That a one-time key package was handed out, so that a repeated publication does not bring it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpentRow {
    pub(crate) at: TimestampMs,
}

impl Record for SpentRow {
    const TABLE: Table = Table::SpentKeyPackages;

    fn write(&self, out: &mut Writer) {
        out.u64(self.at);
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { at: fields.u64()? })
    }
}

/// The first answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimRow {
    pub(crate) at: TimestampMs,
    pub(crate) answer: Vec<ClaimedPackage>,
}

impl Record for ClaimRow {
    const TABLE: Table = Table::Claims;

    fn write(&self, out: &mut Writer) {
        out.u64(self.at);
        out.list(&self.answer, |out, package| {
            out.bytes(package.user.as_str().as_bytes());
            out.fixed(package.device.as_bytes());
            out.bool(package.last_resort);
            out.bytes(&package.body);
        });
    }

    fn read(_version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self {
            at: fields.u64()?,
            answer: fields.list(|fields| {
                Ok(ClaimedPackage {
                    user: fields.user()?,
                    device: fields.device()?,
                    last_resort: fields.bool()?,
                    body: fields.bytes()?,
                })
            })?,
        })
    }
}
