//! Archives of earlier messages, as one member hands them to another: made, signed, verified, opened.
//!
//! An archive is compressed, and signed with the exporter's device key over a label of its own, so that the
//! exporter cannot deny it and no other signature can stand in for it. It is sealed by what carries it: the
//! MLS message itself, or the key of its document. What is in it is the exporter's word: MLS signatures end
//! with the epoch that they were checked in.

use cercle_proto::{
    certificate::{CertificateError, Root, Subject, Validity, read_device},
    id::{DeviceId, GroupId, MessageId, Seq, UserId},
    signing,
};
use miniz_oxide::{deflate::compress_to_vec_zlib, inflate::decompress_to_vec_zlib_with_limit};
use prost::Message as _;

use crate::{
    limits,
    message::archive::{ArchivedMessage, HistoryArchive, SignedArchive},
    mls::{MlsError, identity::DeviceKeys},
    store::messages::{MessageRecord, MessageRow},
};

/// What the signature of an archive begins with.
const LABEL: &[u8] = b"cercle history v1\0";
/// Compression level of zlib: texts of one kind shrink to a third, more effort gains little.
const LEVEL: u8 = 6;

/// Why an archive is refused. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// It cannot be read, or is larger than an archive may be.
    #[error("the archive is damaged")]
    Damaged,
    /// The exporter's certificate was not issued under the pinned root.
    #[error("the archive's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// It was signed with the device of somebody else than the sender of its message.
    #[error("the archive was not signed by the member who sent it")]
    OtherSigner,
    /// The signature does not fit.
    #[error("the archive's signature does not verify")]
    Signature,
    /// It is of another group, or goes beyond what its message announces.
    #[error("the archive is not the one that its message announces")]
    OtherContent,
}

/// Makes a signed archive of messages of a group that stand before a place of its log.
///
/// # Errors
/// When the device key is damaged.
pub(crate) fn seal(
    group: GroupId,
    before_seq: Seq,
    rows: &[MessageRow],
    keys: &DeviceKeys,
    certificate: &[u8],
) -> Result<Vec<u8>, MlsError> {
    let messages = rows.iter().map(archived);
    let archive =
        HistoryArchive { group: group.as_bytes().to_vec(), before_seq, messages: messages.collect() };
    let archive = compress_to_vec_zlib(&archive.encode_to_vec(), LEVEL);
    let signature = keys.sign(&to_be_signed(&archive))?;
    Ok(SignedArchive { archive, certificate: certificate.to_vec(), signature }.encode_to_vec())
}

/// A message as archives hold it.
pub(crate) fn archived(row: &MessageRow) -> ArchivedMessage {
    ArchivedMessage {
        seq: row.seq,
        id: row.id.as_bytes().to_vec(),
        sender: row.record.sender.clone(),
        device: row.record.device.to_vec(),
        display_name: row.record.display_name.clone(),
        expired_certificate: row.record.expired_certificate,
        at_ms: row.record.at_ms,
        envelope: row.record.envelope.clone(),
        by_administrator: row.record.by_administrator,
        exported_by: row.record.exported_by.clone().unwrap_or_default(),
    }
}

/// Opens an archive that this device of a member sent, and gives the messages in it, oldest first.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn open(
    sealed: &[u8],
    group: GroupId,
    before_seq: Seq,
    sender: DeviceId,
    root: &Root,
) -> Result<Vec<MessageRow>, HistoryError> {
    let signed = SignedArchive::decode(sealed).map_err(|_| HistoryError::Damaged)?;
    let claimed = read_device(&signed.certificate)?;
    let chain = [signed.certificate];
    let Subject::Device(exporter) = root.verify(&chain, &claimed.public_key, Validity::Ignore)? else {
        return Err(HistoryError::OtherSigner);
    };
    if exporter.device != sender {
        return Err(HistoryError::OtherSigner);
    }
    if !signing::verify(&exporter.public_key, &to_be_signed(&signed.archive), &signed.signature) {
        return Err(HistoryError::Signature);
    }
    unpack(&signed.archive, group, before_seq)
}

/// Reads what the signature of an archive covers.
///
/// # Errors
/// As [`open`].
pub(crate) fn unpack(
    archive: &[u8],
    group: GroupId,
    before_seq: Seq,
) -> Result<Vec<MessageRow>, HistoryError> {
    let open = decompress_to_vec_zlib_with_limit(archive, limits::HISTORY_OPEN_BYTES_MAX)
        .map_err(|_| HistoryError::Damaged)?;
    let archive = HistoryArchive::decode(open.as_slice()).map_err(|_| HistoryError::Damaged)?;
    if archive.group != group.as_bytes() || archive.before_seq != before_seq {
        return Err(HistoryError::OtherContent);
    }
    let rows: Result<Vec<MessageRow>, HistoryError> = archive.messages.into_iter().map(read).collect();
    let mut rows = rows?;
    if rows.iter().any(|row| row.seq == 0 || row.seq >= before_seq) {
        return Err(HistoryError::OtherContent);
    }
    rows.sort_by_key(|row| row.seq);
    Ok(rows)
}

/// A message from an archive.
///
/// # Errors
/// [`HistoryError::Damaged`].
pub(crate) fn read(message: ArchivedMessage) -> Result<MessageRow, HistoryError> {
    let sender = UserId::parse(&message.sender).map_err(|_| HistoryError::Damaged)?;
    if !message.exported_by.is_empty() && UserId::parse(&message.exported_by).is_err() {
        return Err(HistoryError::Damaged);
    }
    if message.envelope.len() > limits::ENVELOPE_BYTES_MAX
        || message.display_name.len() > limits::NAME_BYTES_MAX
    {
        return Err(HistoryError::Damaged);
    }
    let record = MessageRecord {
        sender: sender.as_str().to_owned(),
        device: message.device.try_into().map_err(|_| HistoryError::Damaged)?,
        display_name: message.display_name,
        own: false,
        expired_certificate: message.expired_certificate,
        at_ms: message.at_ms,
        envelope: message.envelope,
        by_administrator: message.by_administrator,
        exported_by: Some(message.exported_by).filter(|user| !user.is_empty()),
    };
    let id = MessageId::try_from(message.id.as_slice()).map_err(|_| HistoryError::Damaged)?;
    Ok(MessageRow { seq: message.seq, id, record })
}

fn to_be_signed(archive: &[u8]) -> Vec<u8> {
    [LABEL, &signing::sha256(archive)].concat()
}
