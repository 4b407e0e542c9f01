//! Devices that are away when the alert comes: each is woken, and when all have been, they come, read and
//! acknowledge.

use std::collections::HashSet;

use anyhow::{Context, bail};
use cercle_proto::v1::{self, client_frame::Body as Request, server_frame::Body as Answer};
use cercle_sdk::message::AlertId;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::stage::Stage;
use crate::{
    fleet::{patiently, until},
    limits::{ARRIVAL_PATIENCE, RAW_ENROLLING_MAX},
};

/// Waits until each was woken, and lets them come; how many found the alert.
///
/// # Errors
/// When one is not woken or cannot acknowledge.
pub(super) async fn come(stage: &Stage, alert: AlertId) -> anyhow::Result<u64> {
    let away = stage.away();
    until("waking those who are away", ARRIVAL_PATIENCE, async || {
        let woken: HashSet<usize> =
            stage.endpoint.received().iter().filter(|woken| woken.urgent).map(|woken| woken.device).collect();
        Ok(away.iter().all(|device| woken.contains(device)))
    })
    .await?;
    let coming = away.iter().map(|device| come_one(stage, *device, alert));
    let found: Vec<u64> = stream::iter(coming).buffer_unordered(RAW_ENROLLING_MAX).try_collect().await?;
    Ok(found.iter().sum())
}

async fn come_one(stage: &Stage, device: usize, alert: AlertId) -> anyhow::Result<u64> {
    let (device, group, cursor) = stage.sleeper(device)?;
    let mut session = stage.open(&device).await?;
    session.subscribe(1, &[(group, cursor)], 0);
    let mut newest = cursor;
    let mut found = 0;
    while found == 0 {
        let frame = patiently("the alert on a device that was away", session.next()).await??;
        match frame.context("the hub closed")?.body {
            Some(Answer::Entries(entries)) => {
                for entry in entries.entries {
                    found += u64::from(entry.seq > newest);
                    newest = newest.max(entry.seq);
                }
            }
            Some(Answer::Error(error)) => bail!("the hub refuses ({}): {}", error.code, error.message),
            _ => {}
        }
    }
    let groups = vec![v1::Cursor { group: group.to_bytes(), seq: newest }];
    session.put(Request::Ack(v1::Ack { groups, inbox: 0 }));
    let alert = alert.0.to_vec().into();
    patiently("acknowledging", session.ask(Request::AlertAck(v1::AlertAck { alert, acknowledged: true })))
        .await??;
    Ok(found)
}
