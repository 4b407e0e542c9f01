//! A disk in memory that fails on purpose: for simulations of what a hub and its devices make of it.
//!
//! It lies under the real redb, so that what is tested is the engine as it is used: writes fail, syncs fail,
//! and when the power goes, each write that was not synced is there, gone, or torn, by a seed.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{RedbEngine, dice::Dice};

/// A disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Mutex<Platter>>);

/// What fails next, and goes on failing until the power was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// There is no space: writes and growth are refused, nothing of them is stored.
    Full,
    /// Syncs fail, and what they should have made durable may be there or not.
    Sync,
}

#[derive(Debug)]
struct Platter {
    /// What survives a loss of power.
    durable: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    /// What was written since the last sync, in order.
    pending: Vec<Write>,
    fault: Option<(u64, DiskFault)>,
    operations: u64,
    /// How often the power was lost: whoever opened it before writes into the void.
    life: u64,
    dice: Dice,
}

#[derive(Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl FaultyDisk {
    /// An empty disk. The seed decides what a loss of power leaves.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let platter = Platter {
            durable: Vec::new(),
            seen: Vec::new(),
            pending: Vec::new(),
            fault: None,
            operations: 0,
            life: 0,
            dice: Dice(seed),
        };
        Self(Arc::new(Mutex::new(platter)))
    }

    /// Another disk with what is durable on this one.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        let copied = Self::new(seed);
        let durable = self.platter().durable.clone();
        let mut platter = copied.platter();
        platter.seen.clone_from(&durable);
        platter.durable = durable;
        drop(platter);
        copied
    }

    /// Opens the engine on it, or makes one.
    ///
    /// # Errors
    /// When what is on it is damaged or the disk fails.
    pub fn engine(&self) -> Result<RedbEngine, redb::DatabaseError> {
        let handle = Handle { disk: self.clone(), life: self.platter().life };
        RedbEngine::over(handle)
    }

    /// After so many more writes and syncs everything of this kind fails, until the power is lost.
    pub fn fail_after(&self, operations: u64, fault: DiskFault) {
        let mut platter = self.platter();
        platter.fault = Some((platter.operations + operations, fault));
    }

    /// Takes the power away and gives it back: what was synced is there, of the rest each write is there, gone
    /// or torn. The disk works again; engines that were open before reach it no more.
    pub fn lose_power(&self) {
        let mut platter = self.platter();
        for write in std::mem::take(&mut platter.pending) {
            let (kept, torn) = (platter.dice.below(2) == 0, platter.dice.below(4) == 0);
            match write {
                Write::Bytes(at, bytes) if torn => {
                    let length = usize::try_from(platter.dice.below(bytes.len() as u64 + 1)).unwrap_or(0);
                    put(&mut platter.durable, at, &bytes[..length]);
                }
                Write::Bytes(at, bytes) if kept => put(&mut platter.durable, at, &bytes),
                Write::Length(length) if kept => platter.durable.resize(length, 0),
                Write::Bytes(..) | Write::Length(_) => {}
            }
        }
        platter.seen = platter.durable.clone();
        platter.fault = None;
        platter.life += 1;
    }

    /// Changes one bit of what is stored, as a disk that rots does.
    pub fn flip_bit(&self, byte: usize, bit: u8) {
        let mut platter = self.platter();
        for image in [0, 1] {
            let bytes = if image == 0 { &mut platter.durable } else { &mut platter.seen };
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// Bytes on it.
    #[must_use]
    pub fn length(&self) -> usize {
        self.platter().seen.len()
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes into an image as a file system does: what lies beyond its end is not there.
fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    let end = image.len().min(at + bytes.len());
    if at < end {
        image[at..end].copy_from_slice(&bytes[..end - at]);
    }
}

impl Platter {
    /// Counts an operation; the fault that it meets, if any.
    fn meets(&mut self) -> Option<DiskFault> {
        self.operations += 1;
        self.fault.filter(|(at, _)| self.operations > *at).map(|(_, fault)| fault)
    }

    fn full(&mut self) -> io::Result<()> {
        match self.meets() {
            Some(DiskFault::Full) => Err(io::Error::new(io::ErrorKind::StorageFull, "the test disk is full")),
            Some(DiskFault::Sync) | None => Ok(()),
        }
    }
}

/// The disk as one opening of the engine has it.
#[derive(Debug)]
struct Handle {
    disk: FaultyDisk,
    life: u64,
}

impl Handle {
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.platter();
        if platter.life == self.life { Ok(platter) } else { Err(io::Error::other("the power was lost")) }
    }
}

fn place(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(io::Error::other)
}

impl redb::StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (platter, at) = (self.platter()?, place(offset)?);
        let bytes = platter.seen.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.platter()?;
        platter.full()?;
        let length = place(len)?;
        platter.seen.resize(length, 0);
        platter.pending.push(Write::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        if platter.meets() == Some(DiskFault::Sync) {
            return Err(io::Error::other("the test disk does not sync"));
        }
        for write in std::mem::take(&mut platter.pending) {
            match write {
                Write::Bytes(at, bytes) => put(&mut platter.durable, at, &bytes),
                Write::Length(length) => platter.durable.resize(length, 0),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.platter()?;
        platter.full()?;
        let at = place(offset)?;
        if at + data.len() > platter.seen.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        put(&mut platter.seen, at, data);
        platter.pending.push(Write::Bytes(at, data.to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Batch, Change, Engine as _},
        table::Table,
    };

    fn batch(number: u32) -> Batch {
        let mut batch = Batch::default();
        batch.set(Table::Log, number.to_be_bytes().to_vec(), Change::Put(vec![7; 500]));
        batch
    }

    fn has(engine: &RedbEngine, number: u32) -> bool {
        engine.snapshot().unwrap().get(Table::Log, &number.to_be_bytes()).unwrap().is_some()
    }

    /// Whatever the moment at which the power goes: what was acknowledged is there, and batches are whole.
    #[test]
    fn what_an_engine_acknowledged_survives_a_loss_of_power_at_any_moment() {
        for seed in 0..60 {
            let disk = FaultyDisk::new(seed);
            let mut engine = disk.engine().unwrap();
            let mut acknowledged = 0;
            for round in 0..3 {
                let fault = if (seed + round) % 2 == 0 { DiskFault::Full } else { DiskFault::Sync };
                disk.fail_after(20 + seed % 17, fault);
                let mut tried = acknowledged;
                while engine.apply(&batch(tried)).is_ok() {
                    tried += 1;
                    acknowledged = tried;
                }
                disk.lose_power();
                drop(engine);
                engine = disk.engine().unwrap();
                for number in 0..acknowledged {
                    assert!(has(&engine, number), "seed {seed}: {number} of {acknowledged}");
                }
                if has(&engine, acknowledged) {
                    acknowledged += 1;
                }
                assert!(!has(&engine, acknowledged), "seed {seed}: never written");
            }
        }
    }

    #[test]
    fn an_engine_from_before_the_loss_of_power_reaches_the_disk_no_more() {
        let disk = FaultyDisk::new(1);
        let before = disk.engine().unwrap();
        before.apply(&batch(1)).unwrap();
        disk.lose_power();
        let after = disk.engine().unwrap();
        assert!(before.apply(&batch(2)).is_err());
        drop(before);
        assert!(has(&after, 1) && !has(&after, 2));
        after.apply(&batch(3)).unwrap();
        drop(after);
        assert!(has(&disk.engine().unwrap(), 3));
    }
}
