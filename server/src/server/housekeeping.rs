//! The one task that acts without being asked: retention of messages and attachments, pending removals of revoked devices, and forgetting
//! idle rate limits and entries that every session has had time to read.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior};

use crate::{error::Chain, session::actor::Services, transport::admission::Admission};

/// Runs at once and then at every interval, until the shutdown. A round that fails is logged and tried again
/// at the next.
pub(super) async fn run(services: Services, admission: Arc<Admission>, interval: Duration) {
    let mut timer = tokio::time::interval(interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = services.shutdown.cancelled() => return,
            _ = timer.tick() => {}
        }
        let started = Instant::now();
        let now = services.dispatch.clock.now();
        if let Err(error) = services.dispatch.delivery.housekeeping(now).await {
            tracing::error!(cause = %Chain(&error), "housekeeping failed and will be tried again");
        }
        if let Err(error) = services.dispatch.alerts.forget_old(now).await {
            tracing::error!(cause = %Chain(&error), "old alerts were not deleted and will be tried again");
        }
        if let Err(error) = services.dispatch.attachments.housekeeping(now).await {
            tracing::error!(cause = %Chain(&error), "housekeeping of attachments failed and will be tried again");
        }
        services.dispatch.fanout.forget_old();
        services.rates.forget_idle();
        admission.forget_idle();
        services.metrics.housekeeping(started.elapsed());
    }
}
