//! `fan-out`, `one-to-one`, `many-groups`: raw senders and listeners at a fixed rate and at saturation.

use std::path::Path;

use serde_json::Value;

use super::{Stage, round::play};
use crate::{
    arguments::{FanOut, ManyGroups, OneToOne},
    field::{Load, Pace, Stream},
    plan::Plan,
    report::Report,
    system::Skill,
};

/// Names of the figures of one kind of round.
const FIXED: &str = "fixed rate";
const SATURATED: &str = "saturated";

/// One sender to the members of one group, or of several.
///
/// # Errors
/// When a system or a client fails altogether.
pub(super) async fn fan_out(options: &FanOut, stage: Stage<'_>, place: &Path) -> anyhow::Result<Report> {
    let (groups, members) = (options.groups as usize, options.members as usize);
    let parameters = [
        ("groups", groups.into()),
        ("members", members.into()),
        ("bytes", options.bytes.into()),
        ("rate", options.rate.into()),
        ("seconds", options.seconds.into()),
        ("one_sender", options.one_sender.into()),
        ("rounds", stage.rounds.into()),
    ];
    let report = Report::new("fan-out", &parameters);
    let plan =
        if options.one_sender { Plan::star(groups, members) } else { Plan::apart(groups, members + 1) };
    let streams = senders(&plan);
    let listeners = options.members * options.groups;
    let fixed = Pace::Fixed { rate: options.rate / f64::from(options.members) };
    let mut loads = vec![(FIXED, fixed), (SATURATED, Pace::Delivered { window: options.window })];
    loads.retain(|(name, _)| options.only.is_none_or(|only| only.name() == *name));
    let loads = Loads { loads, seconds: options.seconds, bytes: options.bytes };
    debug_assert!(streams.iter().map(|stream| stream.listeners).sum::<usize>() == listeners as usize);
    alternate(&plan, &streams, &loads, stage, place, report).await
}

/// Pairs of devices: one writes, the other reads.
///
/// # Errors
/// When a system or a client fails altogether.
pub(super) async fn one_to_one(options: &OneToOne, stage: Stage<'_>, place: &Path) -> anyhow::Result<Report> {
    let parameters: [(&str, Value); 5] = [
        ("pairs", options.pairs.into()),
        ("bytes", options.bytes.into()),
        ("rate", options.rate.into()),
        ("seconds", options.seconds.into()),
        ("rounds", stage.rounds.into()),
    ];
    let report = Report::new("one-to-one", &parameters);
    let plan = Plan::apart(options.pairs as usize, 2);
    let streams = senders(&plan);
    let loads = vec![(FIXED, Pace::Fixed { rate: options.rate })];
    let loads = Loads { loads, seconds: options.seconds, bytes: options.bytes };
    alternate(&plan, &streams, &loads, stage, place, report).await
}

/// Many small groups among few devices, each with one sender.
///
/// # Errors
/// When a system or a client fails altogether.
pub(super) async fn many_groups(
    options: &ManyGroups,
    stage: Stage<'_>,
    place: &Path,
) -> anyhow::Result<Report> {
    let parameters = [
        ("groups", options.groups.into()),
        ("devices", options.devices.into()),
        ("members", options.members.into()),
        ("idle", options.idle.into()),
        ("bytes", options.bytes.into()),
        ("rate", options.rate.into()),
        ("seconds", options.seconds.into()),
        ("rounds", stage.rounds.into()),
    ];
    let report = Report::new("many-groups", &parameters);
    let (devices, members) = (options.devices as usize, options.members as usize);
    let woven = Plan::woven(devices, options.groups as usize, members);
    let plan = Plan { devices: devices + options.idle as usize, ..woven };
    let streams = senders(&plan);
    let listeners = f64::from(options.members.min(options.devices) - 1);
    let loads = vec![(FIXED, Pace::Fixed { rate: options.rate / listeners })];
    let loads = Loads { loads, seconds: options.seconds, bytes: options.bytes };
    alternate(&plan, &streams, &loads, stage, place, report).await
}

/// The first member of each group sends.
fn senders(plan: &Plan) -> Vec<Stream> {
    let stream = |(group, members): (usize, &Vec<usize>)| Stream {
        group,
        sender: members[0],
        listeners: members.len() - 1,
    };
    plan.groups.iter().enumerate().map(stream).collect()
}

/// What is played in every round, one after the other.
struct Loads {
    loads: Vec<(&'static str, Pace)>,
    seconds: f64,
    bytes: usize,
}

async fn alternate(
    plan: &Plan,
    streams: &[Stream],
    loads: &Loads,
    stage: Stage<'_>,
    place: &Path,
    mut report: Report,
) -> anyhow::Result<Report> {
    let systems = stage.set(plan, Skill::Relay, place, &mut report).await?;
    for round in 0..stage.rounds {
        for (name, pace) in &loads.loads {
            for system in &systems {
                let doing =
                    format!("round {} of {}, {name}: {}", round + 1, stage.rounds, system.kind().name());
                stage.progress.stage(&doing);
                let load =
                    Load { pace: *pace, seconds: loads.seconds, messages_max: u32::MAX, bytes: loads.bytes };
                let played = play(system, 0..plan.devices, streams, &load, stage.progress).await?;
                played.add_to(&mut report, system.kind().name(), name);
                if stage.progress.is_stopped() {
                    return stage.finish(systems, report).await;
                }
            }
        }
    }
    stage.finish(systems, report).await
}
