//! The stock of key packages: published, claimed once, counted.

use std::collections::BTreeMap;

use cercle_proto::id::{DeviceId, TimestampMs, UserId};

use super::{Embedded, rows, transaction::Transaction};
use crate::{
    engine::Snapshot,
    record::{
        expiry,
        key_package::{ClaimRow, KeyPackageRow, LastResortRow, SpentRow, StockRow},
    },
    store::{ClaimedPackage, KeyPackageRecord, KeyPackages, PublishError, ReadError, WriteError},
    table::{self, Key, KeyRange, Table},
};

#[async_trait::async_trait]
impl KeyPackages for Embedded {
    async fn publish(
        &self,
        device: DeviceId,
        generation: u64,
        packages: Vec<KeyPackageRecord>,
        last_resort: Option<KeyPackageRecord>,
        limit: usize,
    ) -> Result<usize, PublishError> {
        let bytes = packages.iter().chain(&last_resort).map(|package| package.body.len()).sum();
        let publication = Publication { device, generation, packages, last_resort, limit };
        self.writer.write(bytes, move |tx| publish(tx, &publication)).await
    }

    async fn claim(
        &self,
        claimer: DeviceId,
        claim_id: [u8; 16],
        devices: Vec<(UserId, DeviceId)>,
        now: TimestampMs,
    ) -> Result<Vec<ClaimedPackage>, WriteError> {
        self.write(move |tx| claim(tx, &table::claim(claimer, &claim_id), devices, now)).await
    }

    async fn left(&self, device: DeviceId) -> Result<usize, ReadError> {
        self.on_snapshot(move |snapshot| left(snapshot, device)).await
    }
}

/// One-time packages that a device has left.
pub(super) fn left(from: &dyn Snapshot, device: DeviceId) -> Result<usize, ReadError> {
    let stock = rows::load::<StockRow>(from, &table::device(device))?;
    Ok(stock.map_or(0, |stock| stock.left as usize))
}

struct Publication {
    device: DeviceId,
    generation: u64,
    packages: Vec<KeyPackageRecord>,
    last_resort: Option<KeyPackageRecord>,
    limit: usize,
}

/// Deletes every key package of a device; its generation stays on record.
pub(super) fn delete_all(tx: &mut Transaction<'_>, device: DeviceId) -> Result<(), WriteError> {
    let range = KeyRange::prefix(device.as_bytes());
    for key in rows::keys(tx, Table::KeyPackages, &range, usize::MAX)? {
        tx.delete(Table::KeyPackages, key);
    }
    tx.delete(Table::LastResorts, table::device(device));
    if let Some(mut stock) = tx.load::<StockRow>(&table::device(device))? {
        stock.left = 0;
        tx.put(table::device(device), &stock);
    }
    Ok(())
}

fn publish(tx: &mut Transaction<'_>, new: &Publication) -> Result<usize, PublishError> {
    let stock_key = table::device(new.device);
    let stock = tx.load::<StockRow>(&stock_key)?;
    if stock.as_ref().is_some_and(|stock| stock.generation > new.generation) {
        return Err(PublishError::OlderGeneration);
    }
    let left = stock.as_ref().map_or(0, |stock| stock.left as usize);
    let drops_older = stock.is_some_and(|stock| stock.generation < new.generation);
    if drops_older {
        delete_all(tx, new.device)?;
    }
    let kept = if drops_older { 0 } else { left };
    let mut added = BTreeMap::new();
    for package in &new.packages {
        let key = table::key_package(new.device, &package.hash);
        if !tx.exists(Table::KeyPackages, &key)? && !tx.exists(Table::SpentKeyPackages, &key)? {
            added.insert(key, KeyPackageRow { expires_at: package.expires_at, body: package.body.clone() });
        }
    }
    let total = kept + added.len();
    if total > new.limit && !added.is_empty() {
        return Err(PublishError::Full { left, limit: new.limit });
    }
    for (key, row) in added {
        tx.put(key, &row);
    }
    if let Some(package) = &new.last_resort {
        let row = LastResortRow { expires_at: package.expires_at, body: package.body.clone() };
        tx.put(stock_key.clone(), &row);
    }
    tx.put(stock_key, &StockRow { generation: new.generation, left: count(total) });
    Ok(total)
}

fn claim(
    tx: &mut Transaction<'_>,
    claim_key: &Key,
    devices: Vec<(UserId, DeviceId)>,
    now: TimestampMs,
) -> Result<Vec<ClaimedPackage>, WriteError> {
    if let Some(claim) = tx.load::<ClaimRow>(claim_key)? {
        return Ok(claim.answer);
    }
    let mut answer = Vec::with_capacity(devices.len());
    for (user, device) in devices {
        if let Some(body) = take_one_time(tx, device, now)? {
            answer.push(ClaimedPackage { user, device, body, last_resort: false });
        } else if let Some(last) = tx.load::<LastResortRow>(&table::device(device))?
            && last.expires_at >= now
        {
            answer.push(ClaimedPackage { user, device, body: last.body, last_resort: true });
        }
    }
    let row = ClaimRow { at: now, answer };
    tx.put(claim_key.clone(), &row);
    tx.note_expiry(expiry::Kind::Claim, now, claim_key.clone());
    Ok(row.answer)
}

/// Takes the package with the lowest hash that has not expired; those before it have, and are deleted.
fn take_one_time(
    tx: &mut Transaction<'_>,
    device: DeviceId,
    now: TimestampMs,
) -> Result<Option<bytes::Bytes>, WriteError> {
    let mut gone = Vec::new();
    let mut taken = None;
    rows::each(tx, &KeyRange::prefix(device.as_bytes()), |key, row: KeyPackageRow| {
        gone.push(key.to_vec());
        if row.expires_at >= now {
            taken = Some((key.to_vec(), row.body));
        }
        Ok(rows::go_on(taken.is_none()))
    })?;
    if !gone.is_empty() {
        let stock_key = table::device(device);
        let mut stock = tx.load::<StockRow>(&stock_key)?.unwrap_or(StockRow { generation: 0, left: 0 });
        stock.left = stock.left.saturating_sub(count(gone.len()));
        tx.put(stock_key, &stock);
    }
    for key in gone {
        tx.delete(Table::KeyPackages, key);
    }
    let Some((key, body)) = taken else { return Ok(None) };
    tx.put(key.clone(), &SpentRow { at: now });
    tx.note_expiry(expiry::Kind::SpentKeyPackage, now, key);
    Ok(Some(body))
}

fn count(packages: usize) -> u32 {
    u32::try_from(packages).expect("the stock of a device has a limit far below 2^32")
}
