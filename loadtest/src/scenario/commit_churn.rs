//! `commit-churn`: a large group under message load, with a commit every so often.
//!
//! Members renew their keys in turn; every fifth commit, a guest joins or is removed instead. Commits are
//! due at fixed moments and do not wait for each other, so they race when the group is slow; their latency
//! counts from the due moment to the moment at which the committer has merged its commit.

use std::{collections::HashSet, path::Path, sync::Arc};

use anyhow::Context;
use cercle_proto::id::{GroupId, UserId};
use cercle_sdk::{client::Client, core::GroupState};
use futures_util::future::{try_join, try_join_all};
use tokio::{sync::Mutex, task::JoinSet};

use super::{load::Load, report_usage};
use crate::{
    arguments::CommitChurn,
    clock::Clock,
    fleet::{self, Member, joined, patiently, until},
    hub::Hub,
    latency::Latency,
    limits::ARRIVAL_PATIENCE,
    progress::Progress,
    report::Report,
};

/// Every how many commits the guest joins or is removed.
const GUEST_EVERY: u32 = 5;

/// What a commit changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Keys,
    Members,
}

/// The guest, and whether it is in the group. Locked while it joins or is removed.
struct Guest {
    client: Client,
    user: UserId,
    inside: Mutex<bool>,
}

/// Sets the group up, loads and changes it, counts, and compares the members' states.
///
/// # Errors
/// When the hub or a client fails altogether.
pub(super) async fn run(
    options: CommitChurn,
    hub: &Hub,
    place: &Path,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let mut report = Report::new(
        "commit-churn",
        &[
            ("members", options.members.into()),
            ("interval_ms", options.interval_ms.into()),
            ("joining", options.joining.into()),
            ("join_batch", options.join_batch.into()),
            ("rate", options.load.rate.into()),
            ("seconds", options.load.seconds.into()),
            ("senders", options.load.senders.into()),
            ("bytes", options.load.bytes.into()),
        ],
    );
    let (coordinator, mut members) =
        Box::pin(fleet::enlist(hub.invitation(), options.members + options.joining + 1, place, progress))
            .await?;
    let guest = members.pop().context("a guest was enlisted")?;
    let joiners = members.split_off(options.members as usize);
    let group = fleet::found(&members.iter().collect::<Vec<_>>(), "Charge", progress).await?;
    let before = hub.usage()?;
    let clock = Clock::start();
    let load = Load::start(&options.load, group, &members, clock, progress);
    let committing = commit_all(&options, group, &members, &guest, clock, progress);
    let joining = join_all(&options, group, &members[0].client, joiners, clock, progress);
    let ((keys, joins), (joined, batches)) = Box::pin(try_join(committing, joining)).await?;
    let deliveries = load.finish(&mut report).await?;
    report.latency("key update, due to merged", &keys);
    report.latency("join or removal, due to merged", &joins);
    report.latency("a batch joins, asked to merged", &batches);
    let everybody: Vec<Member> = members.into_iter().chain(joined).collect();
    converge(group, &everybody, &mut report).await?;
    report_usage(&mut report, before, hub.usage()?, deliveries);
    fleet::dismiss(everybody.into_iter().chain([coordinator, guest]).collect()).await;
    Ok(report)
}

/// Makes every commit at its moment; latencies of key updates, and of joins and removals.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number of commits in a run")]
async fn commit_all(
    options: &CommitChurn,
    group: GroupId,
    members: &[Member],
    guest: &Member,
    clock: Clock,
    progress: &Progress,
) -> anyhow::Result<(Latency, Latency)> {
    let guest =
        Arc::new(Guest { client: guest.client.clone(), user: guest.user.clone(), inside: Mutex::new(false) });
    let count = (options.load.seconds * 1_000.0 / f64::from(options.interval_ms)) as u32;
    let began_us = clock.now_us();
    let mut commits = JoinSet::new();
    for number in 0..count {
        let due_us = began_us + u64::from(number) * u64::from(options.interval_ms) * 1_000;
        if !progress.until(clock, due_us).await {
            break;
        }
        let guest = Arc::clone(&guest);
        // The founder administers the group: it alone removes.
        let founder = members[0].client.clone();
        let member = members[number as usize % members.len()].client.clone();
        commits.spawn(async move {
            let change = if number % GUEST_EVERY == GUEST_EVERY - 1 { Change::Members } else { Change::Keys };
            match change {
                Change::Members => {
                    patiently("a join or removal", Box::pin(guest.turn(&founder, group))).await??
                }
                Change::Keys => patiently("a key update", member.update_keys(group)).await??,
            }
            anyhow::Ok((change, clock.now_us().saturating_sub(due_us)))
        });
    }
    let (mut keys, mut joins) = (Latency::default(), Latency::default());
    while let Some(done) = commits.join_next().await {
        let (change, us) = done.context("a commit ended early")??;
        if change == Change::Keys { keys.record(us) } else { joins.record(us) }
    }
    Ok((keys, joins))
}

/// Adds the further members in batches, spread evenly over the time of the load; those who are in at its end.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of a run")]
async fn join_all(
    options: &CommitChurn,
    group: GroupId,
    founder: &Client,
    mut joiners: Vec<Member>,
    clock: Clock,
    progress: &Progress,
) -> anyhow::Result<(Vec<Member>, Latency)> {
    let mut latency = Latency::default();
    let batches: Vec<_> = joiners.chunks(options.join_batch as usize).collect();
    let mut added = 0;
    let pause_us = (options.load.seconds * 1e6) as u64 / (batches.len() as u64 + 1);
    let began_us = clock.now_us();
    for (turn, batch) in (1_u64..).zip(batches) {
        if !progress.until(clock, began_us + turn * pause_us).await {
            break;
        }
        let asked_us = clock.now_us();
        fleet::add(founder, group, batch.iter().map(|member| member.user.clone()).collect()).await?;
        latency.record(clock.now_us() - asked_us);
        added += batch.len();
    }
    joiners.truncate(added);
    try_join_all(joiners.iter().map(|member| joined(&member.client, group))).await?;
    Ok((joiners, latency))
}

impl Guest {
    /// Joins if it is outside, else is removed.
    async fn turn(&self, founder: &Client, group: GroupId) -> anyhow::Result<()> {
        let mut inside = self.inside.lock().await;
        if *inside {
            joined(&self.client, group).await?;
            founder.remove(group, vec![self.user.clone()]).await?;
        } else {
            founder.invite(group, vec![self.user.clone()]).await?;
        }
        *inside = !*inside;
        Ok(())
    }
}

/// Waits until all members are in the same epoch with the same authenticator (RFC 9420 section 8.7).
async fn converge(group: GroupId, members: &[Member], report: &mut Report) -> anyhow::Result<()> {
    let mut states = HashSet::new();
    let together = until("converging", ARRIVAL_PATIENCE, async || {
        states = try_join_all(members.iter().map(|member| state(&member.client, group)))
            .await?
            .into_iter()
            .collect();
        Ok(states.len() == 1)
    });
    let converged = together.await.is_ok();
    if !converged {
        report.fault(format!("members are in {} different states of the group", states.len()));
    }
    report.figure(
        "members with the same epoch authenticator",
        "",
        if converged { count(members) } else { 0.0 },
    );
    if let Some(Some((epoch, _))) = states.into_iter().next() {
        report.figure("epoch", "", f64::from(u32::try_from(epoch).unwrap_or(u32::MAX)));
    }
    Ok(())
}

/// Epoch and authenticator; `None` while the client is not in the group.
async fn state(client: &Client, group: GroupId) -> anyhow::Result<Option<(u64, Vec<u8>)>> {
    let groups = client.groups().await?;
    let active = groups.into_iter().find(|known| known.group == group && known.state == GroupState::Active);
    Ok(active.map(|known| (known.epoch, known.epoch_authenticator)))
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn count(members: &[Member]) -> f64 {
    members.len() as f64
}
