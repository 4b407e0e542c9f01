//! How values are written: a version byte, then fields of fixed width, texts and bodies with a length.
//!
//! Each record knows its table, its encoding and how to read every version ever written. Reading never
//! panics: what does not decode is reported as [`Corrupt`] with the table's name, and never served.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod blob;
pub(crate) mod copies;
pub(crate) mod expiry;
pub(crate) mod group;
pub(crate) mod inbox;
pub(crate) mod key_package;
pub(crate) mod log;
pub(crate) mod register;
#[cfg(test)]
mod tests;
pub(crate) mod timer;

use bytes::Bytes;
use cercle_proto::id::{DeviceId, GroupId, MessageId, UserId};

use crate::{store::ReadError, table::Table};

/// A value of one table.
pub(crate) trait Record: Sized {
    /// The table it lies in.
    const TABLE: Table;
    /// The version that is written.
    const VERSION: u8 = 1;

    /// Writes the fields, without the version byte.
    fn write(&self, out: &mut Writer);

    /// Reads the fields of a version.
    fn read(version: u8, fields: &mut Reader<'_>) -> Result<Self, Corrupt>;

    /// About how long the value is: enough that writing it rarely moves it.
    fn bytes_about(&self) -> usize {
        128
    }

    /// The whole value.
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(self.bytes_about()));
        out.u8(Self::VERSION);
        self.write(&mut out);
        out.0
    }

    /// Reads a whole value.
    fn decode(value: &[u8]) -> Result<Self, Corrupt> {
        let (version, fields) =
            value.split_first().ok_or_else(|| corrupt(Self::TABLE, "an empty value".into()))?;
        if *version == 0 || *version > Self::VERSION {
            return Err(corrupt(Self::TABLE, format!("record version {version}")));
        }
        let mut fields = Reader { table: Self::TABLE, left: fields };
        let record = Self::read(*version, &mut fields)?;
        if !fields.left.is_empty() {
            return Err(fields.corrupt("bytes after the last field"));
        }
        Ok(record)
    }
}

/// A value that does not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {table}: {what}")]
pub(crate) struct Corrupt {
    table: &'static str,
    what: String,
}

impl From<Corrupt> for ReadError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt.to_string())
    }
}

/// Says what is wrong in a table.
pub(crate) const fn corrupt(table: Table, what: String) -> Corrupt {
    Corrupt { table: table.name(), what }
}

/// Writes fields one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Bytes whose length the reader knows.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes with their length before them.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).expect("a body is far below 4 GiB: frames are at most 1 MiB"));
        self.fixed(bytes);
    }

    /// A flag, then the value if there is one.
    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// How many, then each.
    pub(crate) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.u32(u32::try_from(items.len()).expect("a list of rows is far below 2^32 items"));
        for item in items {
            write(self, item);
        }
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads fields one after the other.
pub(crate) struct Reader<'a> {
    table: Table,
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn corrupt(&self, what: &str) -> Corrupt {
        corrupt(self.table, what.to_owned())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, left) =
            self.left.split_at_checked(count).ok_or_else(|| self.corrupt("a value cut short"))?;
        self.left = left;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, left) =
            self.left.split_first_chunk::<N>().ok_or_else(|| self.corrupt("a value cut short"))?;
        self.left = left;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Corrupt> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Corrupt> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt("a flag that is neither 0 nor 1")),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Corrupt> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Corrupt> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, Corrupt> {
        let length = self.u32()? as usize;
        Ok(Bytes::copy_from_slice(self.take(length)?))
    }

    pub(crate) fn text(&mut self) -> Result<String, Corrupt> {
        let length = self.u32()? as usize;
        let text =
            std::str::from_utf8(self.take(length)?).map_err(|_| self.corrupt("text that is no UTF-8"))?;
        Ok(text.to_owned())
    }

    /// All bytes that are left.
    pub(crate) fn rest(&mut self) -> Bytes {
        Bytes::copy_from_slice(std::mem::take(&mut self.left))
    }

    pub(crate) fn device(&mut self) -> Result<DeviceId, Corrupt> {
        Ok(DeviceId::new(self.array()?))
    }

    pub(crate) fn group(&mut self) -> Result<GroupId, Corrupt> {
        Ok(GroupId::new(self.array()?))
    }

    pub(crate) fn message_id(&mut self) -> Result<MessageId, Corrupt> {
        Ok(MessageId::new(self.array()?))
    }

    pub(crate) fn user(&mut self) -> Result<UserId, Corrupt> {
        let text = self.text()?;
        UserId::parse(&text).map_err(|_| self.corrupt("a user id that breaks the rules"))
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Corrupt>,
    ) -> Result<Option<T>, Corrupt> {
        Ok(if self.bool()? { Some(read(self)?) } else { None })
    }

    /// A list; a length that cannot be true ends with the bytes, so it costs no memory.
    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Corrupt>,
    ) -> Result<Vec<T>, Corrupt> {
        let count = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }
}

/// A value that is bytes and nothing else: group infos, group states, welcomes.
pub(crate) fn encode_blob(bytes: &[u8]) -> Vec<u8> {
    [&[1], bytes].concat()
}

/// Reads what [`encode_blob`] wrote.
pub(crate) fn decode_blob(table: Table, value: &[u8]) -> Result<Bytes, Corrupt> {
    match value.split_first() {
        Some((1, bytes)) => Ok(Bytes::copy_from_slice(bytes)),
        Some((version, _)) => Err(corrupt(table, format!("record version {version}"))),
        None => Err(corrupt(table, "an empty value".into())),
    }
}

/// The value of an index row, which says all it has to say in its key.
pub(crate) fn encode_mark() -> Vec<u8> {
    vec![1]
}
