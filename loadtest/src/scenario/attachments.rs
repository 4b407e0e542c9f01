//! `attachments`: members of a group share documents of some megabytes; every other member fetches each of
//! them, and every byte is compared.

use std::path::Path;

use anyhow::{Context, ensure};
use cercle_proto::id::{BlobId, GroupId};
use cercle_sdk::{
    client::Client,
    message::{Body, Document},
    transfer::AttachOptions,
};
use futures_util::future::try_join_all;

use super::report_usage;
use crate::{
    arguments::Attachments,
    clock::Clock,
    fleet::{self, patiently, until},
    hub::Hub,
    latency::Latency,
    limits::{ARRIVAL_PATIENCE, STORE_PAGE},
    progress::Progress,
    report::Report,
    verdict::Tally,
};

/// Shares the documents of each round and lets everybody else fetch them at the same time.
///
/// # Errors
/// When the hub or a client fails altogether.
pub(super) async fn run(
    options: &Attachments,
    rounds: u32,
    hub: &Hub,
    place: &Path,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let mut report = Report::new(
        "attachments",
        &[
            ("members", options.members.into()),
            ("megabytes", options.megabytes.into()),
            ("documents", options.documents.into()),
            ("rounds", rounds.into()),
        ],
    );
    let (coordinator, members) =
        Box::pin(fleet::enlist(hub.invitation(), options.members, place, progress)).await?;
    let group = fleet::found(&members.iter().collect::<Vec<_>>(), "Charge", progress).await?;
    let (sender, readers) = members.split_first().context("a group has members")?;
    let before = hub.usage()?;
    let (mut sharing, mut fetching) = (Latency::default(), Latency::default());
    let (clock, mut tally) = (Clock::start(), Tally::default());
    for number in 0..rounds * options.documents {
        if progress.is_stopped() {
            break;
        }
        progress.step("sharing documents", number as usize, (rounds * options.documents) as usize);
        let content = content(options.megabytes, number);
        let began_us = clock.now_us();
        let attaching = sender.client.attach(group, content.clone(), AttachOptions::default());
        let blob = patiently("attaching", attaching).await??;
        let reading = readers.iter().map(|reader| received(&reader.client, group, blob));
        let documents = try_join_all(reading).await?;
        sharing.record(clock.now_us() - began_us);
        let limit = u64::try_from(content.len())?;
        let fetches = readers.iter().zip(&documents).map(|(reader, document)| async {
            let began_us = clock.now_us();
            let fetched = patiently("fetching", reader.client.download_bytes(document, limit)).await??;
            anyhow::Ok((clock.now_us() - began_us, fetched == content))
        });
        let fetched = try_join_all(fetches).await?;
        fetched.iter().for_each(|(us, _)| fetching.record(*us));
        let whole = u64::try_from(fetched.iter().filter(|(_, whole)| *whole).count())?;
        let expected = u64::try_from(readers.len())?;
        let lost = expected - whole;
        tally.add(&Tally { sent: 1, accepted: 1, expected, delivered: whole, lost, ..Tally::default() });
    }
    report.count(&tally);
    report.latency("attached to known by everybody", &sharing);
    report.latency("fetched, everybody at once", &fetching);
    report_usage(&mut report, before, hub.usage()?, tally.delivered);
    fleet::dismiss(members.into_iter().chain([coordinator]).collect()).await;
    Ok(report)
}

/// Bytes that do not compress, others for each document.
fn content(megabytes: u32, number: u32) -> Vec<u8> {
    let mut word = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(number + 1);
    let words = megabytes as usize * 1_000_000 / 8;
    let mut bytes = Vec::with_capacity(words * 8);
    for _ in 0..words {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend(word.to_be_bytes());
    }
    bytes
}

/// Waits until a member's store has the message of a document.
async fn received(client: &Client, group: GroupId, blob: BlobId) -> anyhow::Result<Document> {
    let mut found = None;
    until("a document's message", ARRIVAL_PATIENCE, async || {
        let messages = client.messages(group, 0, STORE_PAGE).await.context("reading a client's store")?;
        ensure!(messages.len() < STORE_PAGE, "more documents than one page of a store");
        found = messages.into_iter().find_map(|message| match message.body {
            Body::Document(document) if document.blob == blob => Some(document),
            _ => None,
        });
        Ok(found.is_some())
    })
    .await?;
    found.context("it was found")
}
