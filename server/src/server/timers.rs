//! The timer service: sleeps until the next durable timer is due, fires it once, and lets its owner work.
//!
//! Firing removes the timer and notes what is to be done in one write; what the note says is carried out
//! afterwards, and again after a restart if the hub ended before.

use std::sync::Arc;

use cercle_proto::id::TimestampMs;

use crate::{alert, alert::Alerts, clock::Clock, error::Chain, limits, session::actor::Services};

/// Runs until the shutdown. A failure of the store is logged and tried again after a pause.
pub(super) async fn run(services: Services) {
    let alerts = services.dispatch.alerts.clone();
    let clock = services.dispatch.clock.clone();
    loop {
        let due = round(&services, &alerts, &clock).await;
        tokio::select! {
            biased;
            () = services.shutdown.cancelled() => return,
            () = alerts.armed() => {}
            () = wait(&clock, due) => {}
        }
    }
}

/// Fires what is due and works; returns when to come again, `None`: after a pause.
async fn round(services: &Services, alerts: &Alerts, clock: &Clock) -> Option<TimestampMs> {
    let fired =
        services.store.fire_due(clock.now(), limits::TIMERS_PER_ROUND, Arc::new(alert::timer_effects));
    if let Err(error) = fired.await {
        tracing::error!(cause = %Chain(&error), "timers did not fire and will be tried again");
        return None;
    }
    alerts.work().await.ok()?;
    match services.store.next_due().await {
        Ok(due) => Some(due.unwrap_or(TimestampMs::MAX)),
        Err(error) => {
            tracing::error!(cause = %Chain(&error), "timers cannot be read");
            None
        }
    }
}

async fn wait(clock: &Clock, due: Option<TimestampMs>) {
    match due {
        Some(due) => clock.until(due, limits::TIMER_SLEEP_MAX).await,
        None => tokio::time::sleep(limits::TIMER_PAUSE).await,
    }
}
