//! The one task that acts without being asked: retention of messages, attachments and the audit log, pending removals of revoked devices, and forgetting
//! idle rate limits and entries that every session has had time to read.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior};

use crate::{audit, error::Chain, limits::DAY_MS, session::actor::Services, transport::admission::Admission};

/// Runs at once and then at every interval, until the shutdown. A round that fails is logged and tried again
/// at the next.
pub(super) async fn run(
    services: Services,
    admission: Arc<Admission>,
    interval: Duration,
    keep: audit::Keep,
) {
    let mut audit_pruned_at = None;
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
        // Once a day is enough for what is kept for a year.
        if audit_pruned_at.is_none_or(|at| now >= at + DAY_MS) {
            match audit::prune(&*services.store, keep, "hub", now).await {
                Ok(_) => audit_pruned_at = Some(now),
                Err(error) => {
                    tracing::error!(cause = %Chain(&error), "the audit log was not pruned and will be tried again");
                }
            }
        }
        services.dispatch.fanout.forget_old();
        services.rates.forget_idle();
        admission.forget_idle();
        services.metrics.housekeeping(started.elapsed());
    }
}
