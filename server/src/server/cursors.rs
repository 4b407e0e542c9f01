//! Stores every few seconds how far devices have read.

use tokio::time::sleep;

use crate::{error::Chain, limits, session::actor::Services};

/// Runs until the shutdown; what is noted after that is stored by its end.
pub(super) async fn run(services: Services) {
    let cursors = services.dispatch.delivery.cursors().clone();
    loop {
        tokio::select! {
            biased;
            () = services.shutdown.cancelled() => return,
            () = cursors.many() => {}
            () = sleep(limits::CURSORS_STORED_EVERY) => {}
        }
        store(&services).await;
    }
}

/// Stores what waits. What fails is said again by the devices when they next connect.
pub(super) async fn store(services: &Services) {
    if let Err(error) = services.dispatch.delivery.cursors().store().await {
        tracing::error!(cause = %Chain(&error), "acknowledgements were not stored");
    }
}
