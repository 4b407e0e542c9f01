//! `catch-up`: one client is offline while others write and change groups; then it comes back.
//!
//! Measured from opening its profile, as an app does that is started, to the moment at which every group is
//! read to its head and every message decrypted and stored.

use std::{collections::HashMap, path::Path};

use anyhow::Context;
use cercle_proto::id::{GroupId, MessageId, Seq};
use cercle_sdk::client::now_ms;

use super::report_usage;
use crate::{
    arguments::CatchUp,
    clock::Clock,
    fleet::{self, Member, joined, patiently, until},
    hearing::Hearing,
    hub::Hub,
    limits::ARRIVAL_PATIENCE,
    probe::Probe,
    progress::Progress,
    report::Report,
    verdict::{Tally, compare, stored_probes},
};

/// The stage: groups in which all writers and the reader are.
struct Stage {
    writers: Vec<Member>,
    /// Joins and is removed while the reader is away.
    guest: Member,
    /// Group `n` was founded by writer `n` modulo their count.
    groups: Vec<GroupId>,
}

/// Plays the rounds.
///
/// # Errors
/// When the hub or a client fails altogether.
pub(super) async fn run(
    options: CatchUp,
    rounds: u32,
    hub: &Hub,
    place: &Path,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let mut report = Report::new(
        "catch-up",
        &[
            ("messages", options.messages.into()),
            ("groups", options.groups.into()),
            ("commits", options.commits.into()),
            ("writers", options.writers.into()),
            ("bytes", options.bytes.into()),
            ("rounds", rounds.into()),
        ],
    );
    let (coordinator, mut members) =
        Box::pin(fleet::enlist(hub.invitation(), options.writers + 2, place, progress)).await?;
    let reader = members.pop().context("a reader was enlisted")?;
    let guest = members.pop().context("a guest was enlisted")?;
    let stage =
        Stage { groups: found_groups(&options, &members, &reader, progress).await?, writers: members, guest };
    let mut absent = reader.leave().await;
    for round in 0..rounds {
        if progress.is_stopped() {
            break;
        }
        progress.stage(&format!("round {} of {rounds}", round + 1));
        let clock = Clock::start();
        let run = now_ms() + u64::from(round);
        let accepted = Box::pin(stage.write(&options, run, clock)).await?;
        let before = hub.usage()?;
        let opening_us = clock.now_us();
        let reader = absent.open().await?;
        let hearing = Hearing::start(&reader.client, run, clock);
        let connecting_us = clock.now_us();
        reader.client.connect().await?;
        patiently("catching up", reader.client.caught_up()).await??;
        report.figure("caught up after connecting", "ms", clock.ms_since(connecting_us));
        report.figure("caught up after opening the profile", "ms", clock.ms_since(opening_us));
        let tally = examine(&reader, &accepted, run, &hearing).await?;
        report_usage(&mut report, before, hub.usage()?, tally.delivered);
        report.count(&tally);
        absent = reader.leave().await;
    }
    fleet::dismiss([vec![coordinator, stage.guest], stage.writers].into_iter().flatten().collect()).await;
    Ok(report)
}

async fn found_groups(
    options: &CatchUp,
    writers: &[Member],
    reader: &Member,
    progress: &Progress,
) -> anyhow::Result<Vec<GroupId>> {
    let mut groups = Vec::new();
    for (number, founder) in (0..options.groups).zip((0..writers.len()).cycle()) {
        let others = writers.iter().enumerate().filter(|(place, _)| *place != founder);
        let mut members = vec![&writers[founder]];
        members.extend(others.map(|(_, writer)| writer).chain([reader]));
        groups.push(fleet::found(&members, &format!("Groupe {number}"), progress).await?);
    }
    Ok(groups)
}

impl Stage {
    /// Writes all messages and makes all commits; returns where each message lies in the log.
    async fn write(
        &self,
        options: &CatchUp,
        run: u64,
        clock: Clock,
    ) -> anyhow::Result<HashMap<GroupId, HashMap<MessageId, Seq>>> {
        let ears: Vec<_> =
            self.writers.iter().map(|writer| Hearing::start(&writer.client, run, clock)).collect();
        let mut sent: Vec<(usize, GroupId, MessageId)> = Vec::new();
        let mut commits = 0;
        for (number, place) in (0..options.messages).zip((0..self.groups.len()).cycle()) {
            let turn = number as usize / self.groups.len();
            let (group, writer) = (self.groups[place], (place + turn) % self.writers.len());
            let text = Probe { run, number, due_us: clock.now_us() }.to_text(options.bytes);
            sent.push((writer, group, self.writers[writer].client.send(group, &text).await?));
            // Spread evenly: after this share of the messages, this share of the commits.
            let due = u64::from(number + 1) * u64::from(options.commits) / u64::from(options.messages);
            while u64::from(commits) < due {
                patiently("a commit", self.commit(commits)).await??;
                commits += 1;
            }
        }
        let all_accepted = async || {
            Ok(sent.iter().all(|(writer, _, id)| ears[*writer].look(|heard| heard.accepted.contains_key(id))))
        };
        until("accepting every message", ARRIVAL_PATIENCE, all_accepted).await?;
        let mut accepted: HashMap<GroupId, HashMap<MessageId, Seq>> = HashMap::new();
        for (writer, group, id) in sent {
            let seq = ears[writer].look(|heard| heard.accepted.get(&id).map(|(seq, _)| *seq));
            accepted.entry(group).or_default().insert(id, seq.context("it was accepted")?);
        }
        Ok(accepted)
    }

    /// Commits come in pairs in one group: the guest joins and is removed, or two writers renew their keys.
    async fn commit(&self, number: u32) -> anyhow::Result<()> {
        let (pair, second) = ((number / 2) as usize, number % 2 == 1);
        let place = pair % self.groups.len();
        let (group, founder) = (self.groups[place], place % self.writers.len());
        let guest = || vec![self.guest.user.clone()];
        let by = |step: usize| &self.writers[(founder + step) % self.writers.len()].client;
        match (pair % 2 == 0, second) {
            (true, false) => by(0).invite(group, guest()).await.map(drop)?,
            (true, true) => {
                // Else the removal would overtake the welcome.
                joined(&self.guest.client, group).await?;
                by(0).remove(group, guest()).await?;
            }
            (false, false) => by(0).update_keys(group).await?,
            (false, true) => by(1).update_keys(group).await?,
        }
        Ok(())
    }
}

/// Compares the reader's store with what was accepted.
async fn examine(
    reader: &Member,
    accepted: &HashMap<GroupId, HashMap<MessageId, Seq>>,
    run: u64,
    hearing: &Hearing,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for (group, accepted) in accepted {
        let sent = u64::try_from(accepted.len())?;
        tally.add(&Tally {
            sent,
            accepted: sent,
            ..compare(accepted, &stored_probes(&reader.client, *group, run).await?)
        });
    }
    hearing.look(|heard| {
        tally.out_of_order += heard.disordered;
        tally.undecryptable += heard.skipped;
    });
    Ok(tally)
}
