//! Table `key_packages`: the key packages whose private keys openmls keeps for this device.

use cercle_proto::id::TimestampMs;

use super::{StoreError, Tx, integer};

/// A key package of this device.
pub(crate) struct KeyPackageRow {
    /// Its reference (RFC 9420 section 5.2), encoded as openmls stores it.
    pub(crate) reference: Vec<u8>,
    /// Generation it belongs to.
    pub(crate) generation: u64,
    /// End of its life.
    pub(crate) not_after_ms: TimestampMs,
    /// May be used more than once.
    pub(crate) last_resort: bool,
    /// MLSMessage.
    pub(crate) encoded: Vec<u8>,
}

impl Tx<'_> {
    /// Notes a new key package, not yet on the hub.
    pub(crate) fn add_key_package(&self, row: &KeyPackageRow) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO key_packages(reference, generation, not_after, last_resort, published, encoded)
                   VALUES (?1, ?2, ?3, ?4, 0, ?5)";
        let numbers = (integer(row.generation), integer(row.not_after_ms));
        let sealed = self.sealer.seal(&[b"key_packages", &row.reference], &row.encoded);
        let values = (&row.reference, numbers.0, numbers.1, row.last_resort, sealed);
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Key packages of a generation that the hub has not confirmed: (last resort, MLSMessage).
    pub(crate) fn unpublished_key_packages(
        &self,
        generation: u64,
    ) -> Result<Vec<(bool, Vec<u8>)>, StoreError> {
        let sql = "SELECT reference, last_resort, encoded FROM key_packages
                   WHERE generation = ?1 AND published = 0";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query([integer(generation)])?;
        let mut packages = Vec::new();
        while let Some(row) = rows.next()? {
            let (reference, sealed): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(2)?);
            let encoded = self.sealer.open(&[b"key_packages", &reference], &sealed)?;
            packages.push((row.get(1)?, encoded));
        }
        Ok(packages)
    }

    /// Whether a generation has its key package of last resort.
    pub(crate) fn has_last_resort(&self, generation: u64) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS(SELECT 1 FROM key_packages WHERE generation = ?1 AND last_resort)";
        let mut statement = self.transaction.prepare_cached(sql)?;
        Ok(statement.query_row([integer(generation)], |row| row.get(0))?)
    }

    /// The hub has them all.
    pub(crate) fn mark_key_packages_published(&self, generation: u64) -> Result<(), StoreError> {
        let sql = "UPDATE key_packages SET published = 1, encoded = x'' WHERE generation = ?1";
        self.transaction.prepare_cached(sql)?.execute([integer(generation)])?;
        Ok(())
    }

    /// Forgets key packages that ended before this time and returns their references.
    pub(crate) fn take_ended_key_packages(&self, before: TimestampMs) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "DELETE FROM key_packages WHERE not_after < ?1 RETURNING reference";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let rows = statement.query_map([integer(before)], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
