//! The steps of an alert's plan: rounds of wake-ups, the fallback hook, the next in line.
//!
//! A timer that fires leaves a note ([`timer_effects`]); [`Alerts::work`] carries out every note that it
//! finds, at once or after a restart, and erases it together with the progress.

use std::sync::Arc;

use cercle_proto::id::{TimestampMs, UserId};
use cercle_storage::store::{Effect, Timer};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Alerts, Error, NoteKind, alert_of, decode, encode,
    live::Live,
    recipient_note,
    record::{AlertId, AlertRecord, Due, Phase, RecipientRecord},
    step_note,
};
use crate::{error::Chain, limits};

/// How the timers of alerts are known among others.
pub(super) const TIMER_PAYLOAD: &[u8] = b"alert";

/// What one step did for a recipient.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    sent: bool,
    pushes: u32,
    fell_back: bool,
}

/// What a firing timer of an alert writes: that a step is due. Empty for timers of others.
#[must_use]
pub fn timer_effects(timer: &Timer) -> Vec<Effect> {
    if timer.payload != TIMER_PAYLOAD {
        return Vec::new();
    }
    vec![Effect::Put(step_note(AlertId(timer.id)), bytes::Bytes::new())]
}

impl Alerts {
    /// Carries out the steps that are due. A step that fails stays due.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn work(&self) -> Result<(), Error> {
        let due = self.0.store.notes(NoteKind::AlertStep, Vec::new(), None, limits::ALERTS_OPEN_MAX).await?;
        for (key, _) in due {
            let id = alert_of(&key)?;
            if let Err(error) = self.step(id).await {
                tracing::warn!(cause = %Chain(&error), "a step of an alert failed and will be tried again");
                return Err(error);
            }
        }
        Ok(())
    }

    async fn step(&self, id: AlertId) -> Result<(), Error> {
        let now = self.0.clock.now();
        let Some(live) = self.live(id) else {
            let erase = Effect::Erase(step_note(id));
            return Ok(self.0.store.change(Vec::new(), Box::new(move |_| vec![erase])).await?);
        };
        let record = live.record();
        if record.phase(now) == Phase::Ringing {
            self.sweep(&live, now).await?;
            self.ring(&live, &record, record.due(now), now).await?;
        }
        self.change_record(&live, None, move |record| Some(record.past(now))).await?;
        self.0.armed.notify_one();
        self.tell(&live);
        if record.phase(now) == Phase::Expired {
            self.let_go(id);
        }
        Ok(())
    }

    /// One step for everybody whom it concerns, noted part by part: after a crash only the part that was on
    /// its way is repeated.
    async fn ring(
        &self,
        live: &Arc<Live>,
        record: &AlertRecord,
        due: Due,
        now: TimestampMs,
    ) -> Result<(), Error> {
        let turned = due.in_line > record.in_line;
        let pending = live.pending(due.in_line);
        let concerned = pending
            .into_iter()
            .filter(|(_, known)| due.ring || due.fall_back || (turned && known.in_line > record.in_line));
        let concerned: Vec<_> = concerned.collect();
        for part in concerned.chunks(limits::ALERT_RECIPIENTS_PER_WRITE) {
            let done = stream::iter(part.iter().cloned().map(|(user, known)| {
                let fresh_turn = turned && known.in_line > record.in_line;
                self.reach(live.id, record, user, known, due.ring || fresh_turn, due.fall_back, now)
            }));
            let done: Vec<_> = done.buffer_unordered(limits::PUSH_EXCHANGES_MAX).try_collect().await?;
            self.note(live, done, now).await?;
        }
        Ok(())
    }

    /// Wakes one recipient, calls the hook for him, or both.
    #[expect(clippy::too_many_arguments, reason = "one recipient, one step; a struct would be used once")]
    async fn reach(
        &self,
        id: AlertId,
        record: &AlertRecord,
        user: UserId,
        known: RecipientRecord,
        wake: bool,
        fall_back: bool,
        now: TimestampMs,
    ) -> Result<(UserId, Done), Error> {
        let mut done = Done::default();
        let quiet =
            !record.yields_to_nothing() && self.0.push.quiet().quiet_until(&user, now).await.is_some();
        if wake {
            for device in self.0.store.devices_of(&user).await? {
                if device.revoked_at.is_some() {
                    continue;
                }
                if self.0.fanout.has_session(device.device) {
                    done.sent = true;
                } else if !quiet && self.0.push.is_registered(device.device) {
                    let taken = self.0.push.wake_for(device.device, &id.0).await;
                    done.pushes += u32::from(taken);
                    done.sent |= taken;
                }
            }
        }
        if fall_back && !quiet && known.fallback_at.is_none() {
            done.fell_back = self.0.hook.call(id, record.mode, &user).await;
        }
        Ok((user, done))
    }

    async fn note(&self, live: &Live, done: Vec<(UserId, Done)>, now: TimestampMs) -> Result<(), Error> {
        let id = live.id;
        let read = done.iter().map(|(user, _)| recipient_note(id, user)).collect();
        let (told, result) = std::sync::mpsc::sync_channel(1);
        let decide = move |found: &[Option<bytes::Bytes>]| {
            let mut effects = Vec::new();
            let mut all = Vec::new();
            for ((user, done), value) in done.into_iter().zip(found) {
                let known = value.as_ref().and_then(|value| decode::<RecipientRecord>(value).ok());
                let Some(mut known) = known else { continue };
                known.pushes += done.pushes;
                if done.sent {
                    known.sent_at.get_or_insert(now);
                }
                if done.fell_back {
                    known.fallback_at.get_or_insert(now);
                }
                effects.push(Effect::Put(recipient_note(id, &user), encode(&known)));
                all.push((user, known));
            }
            // The receiver waits for this write; a result that nobody takes is none the less stored.
            let _ = told.try_send(all);
            effects
        };
        self.0.store.change(read, Box::new(decide)).await?;
        for (user, known) in result.try_recv().unwrap_or_default() {
            live.merge(&user, &known);
        }
        Ok(())
    }
}
