//! Table `pieces`: large values, cut where their content says so, of which only what has changed is written.
//!
//! A boundary depends on the bytes around it (`FastCDC`), so it moves with them: what is inserted changes the
//! piece that it lies in, and what two values have in common becomes the same pieces. A piece is named by the keyed
//! hash that it is sealed with, so what is there already is known by its name. What is not named any more is
//! deleted at once: keys that were used are gone.

use std::collections::HashSet;

use fastcdc::v2020::FastCDC;
use rusqlite::{Connection, OptionalExtension};
use zeroize::Zeroizing;

use super::{
    StoreError,
    seal::{Sealer, Synthetic},
};
use crate::limits;

/// Names a piece among those of its owner.
pub(crate) type PieceId = Synthetic;

/// The pieces of large values, within one transaction.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    connection: &'a Connection,
    sealer: &'a Sealer,
}

impl<'a> Pieces<'a> {
    /// Over this connection, sealed with this key.
    pub(crate) fn new(connection: &'a Connection, sealer: &'a Sealer) -> Self {
        Self { connection, sealer }
    }

    /// The column that a value's pieces are found by; says nothing of its place to who has no key.
    pub(crate) fn owner(&self, kind: &[u8], place: &[u8]) -> PieceId {
        self.sealer.synthetic(&[b"owner", kind], place)
    }

    /// Puts a value in place of the one that was there; its pieces in order.
    pub(crate) fn write(&self, owner: &PieceId, value: &[u8]) -> Result<Vec<PieceId>, StoreError> {
        let (least, usual, most) = limits::PIECE_BYTES;
        let mut former = self.stored(owner)?;
        let (mut ids, mut kept) = (Vec::new(), HashSet::new());
        let context: [&[u8]; 2] = [b"pieces", owner];
        let insert = "INSERT INTO pieces(owner, id, sealed) VALUES (?1, ?2, ?3)";
        let mut insert = self.connection.prepare_cached(insert)?;
        for cut in FastCDC::new(value, least, usual, most) {
            let piece = &value[cut.offset..cut.offset + cut.length];
            let id = self.sealer.synthetic(&context, piece);
            if !former.remove(&id) && !kept.contains(&id) {
                insert.execute((owner, id, self.sealer.seal_as(&context, &id, piece)))?;
            }
            kept.insert(id);
            ids.push(id);
        }
        let mut delete = self.connection.prepare_cached("DELETE FROM pieces WHERE owner = ?1 AND id = ?2")?;
        for gone in former {
            delete.execute((owner, gone))?;
        }
        Ok(ids)
    }

    /// Puts a value together again.
    ///
    /// # Errors
    /// When a piece is missing or is not the one of its name.
    pub(crate) fn read(&self, owner: &PieceId, ids: &[PieceId]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut value = Zeroizing::new(Vec::with_capacity(ids.len() * limits::PIECE_BYTES.2));
        let query = "SELECT sealed FROM pieces WHERE owner = ?1 AND id = ?2";
        let mut query = self.connection.prepare_cached(query)?;
        for id in ids {
            let sealed: Option<Vec<u8>> = query.query_row((owner, id), |row| row.get(0)).optional()?;
            let sealed = sealed.ok_or(StoreError::Damaged("a piece is missing"))?;
            let piece = Zeroizing::new(self.sealer.open_as(&[b"pieces", owner], id, &sealed)?);
            value.extend_from_slice(&piece);
        }
        Ok(value)
    }

    /// Deletes a value.
    pub(crate) fn delete(&self, owner: &PieceId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM pieces WHERE owner = ?1")?.execute([owner])?;
        Ok(())
    }

    fn stored(&self, owner: &PieceId) -> Result<HashSet<PieceId>, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT id FROM pieces WHERE owner = ?1")?;
        let ids = query.query_map([owner], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{StoreKey, schema};

    /// Bytes that look like keys and repeat nowhere, always the same.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| byte()).collect()
    }

    fn store() -> (Connection, Sealer) {
        let sealer = Sealer::new(&StoreKey::new([1; 32]));
        let connection = Connection::open_in_memory().unwrap();
        schema::prepare(&connection, &sealer).unwrap();
        (connection, sealer)
    }

    fn rows(connection: &Connection) -> Vec<i64> {
        let mut query = connection.prepare("SELECT rowid FROM pieces ORDER BY rowid").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_value_comes_back_and_a_change_rewrites_only_what_it_touches() {
        let (connection, sealer) = store();
        let pieces = Pieces::new(&connection, &sealer);
        let owner = pieces.owner(b"test", b"a");
        let mut value = noise(1_000_000);
        let ids = pieces.write(&owner, &value).unwrap();
        assert_eq!(*pieces.read(&owner, &ids).unwrap(), value);
        let before = rows(&connection);
        assert!(before.len() > 30);
        for change in [0, 500_000, 999_000] {
            value.splice(change..change, [1, 2, 3]);
            let ids = pieces.write(&owner, &value).unwrap();
            assert_eq!(*pieces.read(&owner, &ids).unwrap(), value);
        }
        let after = rows(&connection);
        let new = after.iter().filter(|row| !before.contains(row)).count();
        assert!((1..=12).contains(&new), "{new} of {} are new", after.len());
        assert!(pieces.write(&owner, b"").unwrap().is_empty());
        assert!(rows(&connection).is_empty(), "nothing of what was is kept");
    }

    #[test]
    fn what_is_said_twice_is_kept_once_and_by_its_owner_alone() {
        let (connection, sealer) = store();
        let pieces = Pieces::new(&connection, &sealer);
        let (one, other) = (pieces.owner(b"test", b"a"), pieces.owner(b"test", b"b"));
        let once = noise(400_000);
        let twice = [once.as_slice(), &once].concat();
        let ids = pieces.write(&one, &twice).unwrap();
        assert!(rows(&connection).len() * 10 < ids.len() * 6, "{} of {}", rows(&connection).len(), ids.len());
        assert_eq!(*pieces.read(&one, &ids).unwrap(), twice);
        assert!(pieces.read(&other, &ids).is_err());
        pieces.write(&other, &once).unwrap();
        pieces.delete(&other).unwrap();
        assert_eq!(*pieces.read(&one, &ids).unwrap(), twice);
    }

    #[test]
    fn a_piece_that_is_missing_changed_or_exchanged_is_noticed() {
        let (connection, sealer) = store();
        let pieces = Pieces::new(&connection, &sealer);
        let owner = pieces.owner(b"test", b"a");
        let ids = pieces.write(&owner, &noise(200_000)).unwrap();
        let damages = [
            "UPDATE pieces SET sealed = (SELECT sealed FROM pieces WHERE id = ?2) WHERE id = ?1",
            "UPDATE pieces SET sealed = substr(sealed, 1, 60) WHERE id = ?1 AND ?2 IS NOT NULL",
            "DELETE FROM pieces WHERE id = ?1 AND ?2 IS NOT NULL",
        ];
        for damage in damages {
            connection.execute_batch("SAVEPOINT whole").unwrap();
            assert_eq!(connection.execute(damage, (ids[0], ids[1])).unwrap(), 1);
            assert!(pieces.read(&owner, &ids).is_err(), "{damage}");
            connection.execute_batch("ROLLBACK TO whole").unwrap();
        }
        assert!(pieces.read(&owner, &ids).is_ok());
    }
}
