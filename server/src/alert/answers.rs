//! Delivered, seen, acknowledged: what recipients' devices say, by their cursors or in words.

use bytes::Bytes;
use cercle_proto::id::{GroupId, Seq, TimestampMs, UserId};
use cercle_storage::store::Effect;

use super::{
    Alerts, Error, decode, encode,
    live::Live,
    recipient_note,
    record::{AlertId, RecipientRecord},
};
use crate::auth::Identity;

impl Alerts {
    /// A recipient has seen an alert, or acknowledges it (which he cannot without seeing it). First times
    /// count; answers after its end are kept too, for the report.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn acknowledge(
        &self,
        by: &Identity,
        id: AlertId,
        acknowledged: bool,
        now: TimestampMs,
    ) -> Result<(), Error> {
        let known = self.know(id, &by.user, move |known| {
            // Whoever answers was reached, though his cursor comes later.
            known.sent_at.get_or_insert(now);
            known.delivered_at.get_or_insert(now);
            known.seen_at.get_or_insert(now);
            if acknowledged {
                known.acknowledged_at.get_or_insert(now);
            }
        });
        let known = known.await?.ok_or(Error::Unknown)?;
        if let Some(live) = self.live(id) {
            live.merge(&by.user, &known);
            self.tell(&live);
        }
        Ok(())
    }

    /// Whether one of these groups carries an alert that is not over.
    #[must_use]
    pub(crate) fn concern(&self, cursors: &[(GroupId, Seq)]) -> bool {
        cursors.iter().any(|(group, _)| self.0.groups.contains_key(group))
    }

    /// A device has stored entries up to these: perhaps an alert is among them.
    ///
    /// # Errors
    /// When a delivery cannot be stored.
    pub async fn cursors_moved(
        &self,
        user: &UserId,
        cursors: &[(GroupId, Seq)],
        now: TimestampMs,
    ) -> Result<(), Error> {
        if self.0.groups.is_empty() {
            return Ok(());
        }
        for (group, seq) in cursors {
            let alerts = self.0.groups.get(group).map(|alerts| alerts.value().clone()).unwrap_or_default();
            for (id, _) in alerts.into_iter().filter(|(_, place)| place <= seq) {
                if let Some(live) = self.live(id) {
                    self.delivered(&live, user, now).await?;
                }
            }
        }
        Ok(())
    }

    /// Looks at all cursors of an alert's groups.
    pub(super) async fn sweep(&self, live: &Live, now: TimestampMs) -> Result<(), Error> {
        for (group, place) in live.record().places() {
            self.0.cursors.store_of(group).await?;
            for device in self.0.store.delivered(group).await? {
                if device.acked >= place {
                    self.delivered(live, &device.user, now).await?;
                }
            }
        }
        Ok(())
    }

    async fn delivered(&self, live: &Live, user: &UserId, now: TimestampMs) -> Result<(), Error> {
        if live.recipient(user).is_none_or(|known| known.delivered_at.is_some()) {
            return Ok(());
        }
        let known = self.know(live.id, user, move |known| {
            known.sent_at.get_or_insert(now);
            known.delivered_at.get_or_insert(now);
        });
        if let Some(known) = known.await? {
            live.merge(user, &known);
            self.tell(live);
        }
        Ok(())
    }

    /// Changes what is noted of a recipient, where it is stored. `None` if he is no recipient.
    async fn know(
        &self,
        id: AlertId,
        user: &UserId,
        change: impl FnOnce(&mut RecipientRecord) + Send + 'static,
    ) -> Result<Option<RecipientRecord>, Error> {
        let (told, result) = std::sync::mpsc::sync_channel(1);
        let at = recipient_note(id, user);
        let decide = move |found: &[Option<Bytes>]| {
            let Some(value) = found.first().and_then(Option::as_ref) else { return Vec::new() };
            let Ok(mut known) = decode::<RecipientRecord>(value) else { return Vec::new() };
            let before = known.clone();
            change(&mut known);
            let effect = (known != before).then(|| Effect::Put(at, encode(&known)));
            // The receiver waits for this write; a result that nobody takes is none the less stored.
            let _ = told.try_send(known);
            effect.into_iter().collect()
        };
        self.0.store.change(vec![recipient_note(id, user)], Box::new(decide)).await?;
        Ok(result.try_recv().ok())
    }
}
