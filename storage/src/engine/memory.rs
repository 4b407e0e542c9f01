//! An engine in memory: for tests and demonstrations. Promises atomicity and nothing beyond the process.

use std::{
    collections::BTreeMap,
    sync::{RwLock, RwLockReadGuard},
};

use super::{ApplyError, Batch, Engine, EngineError, Snapshot, Visit, bounds};
use crate::{
    store::Caps,
    table::{Key, KeyRange, Table},
};

type Rows = BTreeMap<Key, Vec<u8>>;
type Tables = BTreeMap<Table, Rows>;

/// Ordered maps behind one lock: readers share it, a batch takes it alone.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    tables: RwLock<Tables>,
}

impl Engine for MemoryEngine {
    fn caps(&self) -> Caps {
        Caps { name: "memory", power_loss_durable: false }
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, EngineError> {
        let tables =
            self.tables.read().map_err(|_| EngineError::Failed("a batch was left half applied".into()))?;
        Ok(Box::new(MemorySnapshot { tables }))
    }

    fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let mut tables =
            self.tables.write().map_err(|_| ApplyError::Unknown("a batch was left half applied".into()))?;
        for (table, changes) in batch.tables() {
            let rows = tables.entry(table).or_default();
            for (key, value) in changes {
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
        Ok(())
    }
}

struct MemorySnapshot<'a> {
    tables: RwLockReadGuard<'a, Tables>,
}

impl Snapshot for MemorySnapshot<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, table: Table, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let Some(rows) = self.tables.get(&table) else { return Ok(()) };
        for (key, value) in rows.range::<[u8], _>(bounds(range)) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}
