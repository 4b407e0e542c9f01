//! Looks every few seconds whether groups that follow the directory still fit it, and who wants to join one.

use tokio::time::MissedTickBehavior;

use crate::{error::Chain, limits, session::actor::Services};

/// Runs until the shutdown. A look that fails is logged and tried again at the next.
pub(super) async fn run(services: Services) {
    let mut timer = tokio::time::interval(limits::MEMBERSHIP_LOOK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = services.shutdown.cancelled() => return,
            _ = timer.tick() => {}
        }
        let now = services.dispatch.clock.now();
        if let Err(error) = services.dispatch.group_rules().look(now).await {
            tracing::error!(cause = %Chain(&error), "groups could not be compared with the directory");
        }
        if let Err(error) = services.dispatch.joining().look().await {
            tracing::error!(cause = %Chain(&error), "administrators could not be told who wants to join");
        }
    }
}
