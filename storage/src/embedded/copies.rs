//! Gives the rows away for a copy, and tells what the store was made from.

use cercle_proto::id::GroupId;

use super::{Embedded, rows};
use crate::{
    engine::{Engine, EngineError},
    format::FormatError,
    record::{
        Record,
        copies::{ForksRow, RESTORES_KEY, RestoresRow},
    },
    store::{Copies, Fork, ReadError, Restore, RowVisitor},
    table::{self, KeyRange, Table},
};

#[async_trait::async_trait]
impl Copies for Embedded {
    async fn export(&self, mut visit: Box<RowVisitor>) -> Result<(), ReadError> {
        let engine = self.engine.clone();
        // Without a place among the reads: an export takes long, and there is one at a time.
        let task = tokio::task::spawn_blocking(move || {
            let snapshot = engine.stored()?;
            for table in Table::ALL {
                let mut goes_on = true;
                snapshot.scan(table, &KeyRange::all(), &mut |key, value| {
                    let step = visit(table, key, value);
                    goes_on = step.is_continue();
                    step
                })?;
                if !goes_on {
                    return Ok(());
                }
            }
            Ok::<_, EngineError>(())
        });
        match task.await {
            Ok(done) => done.map_err(rows::engine),
            Err(error) => Err(ReadError::Engine(format!("the export did not finish: {error}"))),
        }
    }

    fn restores(&self) -> &[Restore] {
        &self.restores
    }

    async fn forks(&self, groups: Vec<GroupId>) -> Result<Vec<Vec<Fork>>, ReadError> {
        if self.restores.is_empty() {
            return Ok(groups.iter().map(|_| Vec::new()).collect());
        }
        self.on_snapshot(move |snapshot| {
            let forks = |group: &GroupId| -> Result<Vec<Fork>, ReadError> {
                Ok(rows::load::<ForksRow>(snapshot, &table::group(*group))?.unwrap_or_default().0)
            };
            groups.iter().map(forks).collect()
        })
        .await
    }
}

/// What the store was made from.
pub(super) fn restores(engine: &dyn Engine) -> Result<Vec<Restore>, FormatError> {
    let row = engine.snapshot()?.get(Table::Meta, RESTORES_KEY)?;
    let damaged = |_| FormatError::Damaged("a list of restores that cannot be read");
    Ok(row.map(|row| RestoresRow::decode(&row)).transpose().map_err(damaged)?.unwrap_or_default().0)
}
