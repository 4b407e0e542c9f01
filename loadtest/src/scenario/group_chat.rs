//! `group-chat`: one group, messages at a fixed rate.

use std::path::Path;

use super::{load::Load, report_usage};
use crate::{arguments::GroupChat, clock::Clock, fleet, hub::Hub, progress::Progress, report::Report};

/// Sets the group up, loads it, counts.
///
/// # Errors
/// When the hub or a client fails altogether.
pub(super) async fn run(
    options: GroupChat,
    hub: &Hub,
    place: &Path,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let mut report = Report::new(
        "group-chat",
        &[
            ("members", options.members.into()),
            ("rate", options.load.rate.into()),
            ("seconds", options.load.seconds.into()),
            ("senders", options.load.senders.into()),
            ("bytes", options.load.bytes.into()),
        ],
    );
    let (coordinator, members) =
        Box::pin(fleet::enlist(hub.invitation(), options.members, place, progress)).await?;
    let group = fleet::found(&members.iter().collect::<Vec<_>>(), "Charge", progress).await?;
    let before = hub.usage()?;
    let load = Load::start(&options.load, group, &members, Clock::start(), progress);
    let deliveries = load.finish(&mut report).await?;
    report_usage(&mut report, before, hub.usage()?, deliveries);
    fleet::dismiss(members.into_iter().chain([coordinator]).collect()).await;
    Ok(report)
}
