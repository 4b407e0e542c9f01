//! `mixed-day`: a working day of a CPTS, shortened. The profile is in docs/performance.md.
//!
//! Everybody is in the group of the whole territory, in one of his commune and one of his profession, in
//! several circles around patients and in a thread of two. People write at random moments, mostly in circles
//! and threads; some of them drop their connection again and again, come back, and send again what they have no
//! answer to.

use std::path::Path;

use super::{Stage, round::play_on};
use crate::{
    arguments::MixedDay,
    field::{Field, Load, Pace, Reading, Stream},
    plan::Plan,
    report::Report,
    system::Skill,
};

/// Members of a group of a commune or profession.
const TEAM: usize = 25;
/// Members of a circle around a patient.
const CIRCLE: usize = 6;
/// Circles that one professional is in, on average.
const CIRCLES_EACH: usize = 8;
/// Of 100 messages, how many go to: threads of two, circles, teams; the rest to everybody.
const SHARES: [usize; 3] = [40, 45, 14];
/// Bytes of a message: a few sentences, encrypted and padded.
const BYTES: usize = 512;
/// One professional of so many is on the road and loses his connection.
const ON_THE_ROAD_ONE_IN: usize = 5;

/// Plays the day once for each round and system.
///
/// # Errors
/// When a system or a client fails altogether.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of a run")]
pub(super) async fn run(options: &MixedDay, stage: Stage<'_>, place: &Path) -> anyhow::Result<Report> {
    let rate = f64::from(options.professionals) * options.messages_each / (options.hours * 3_600.0);
    let rate = rate * options.speed_up;
    let seconds = options.hours * 3_600.0 / options.speed_up;
    let parameters = [
        ("professionals", options.professionals.into()),
        ("hours", options.hours.into()),
        ("messages_each", options.messages_each.into()),
        ("speed_up", options.speed_up.into()),
        ("messages_per_second", rate.into()),
        ("rounds", stage.rounds.into()),
    ];
    let mut report = Report::new("mixed-day", &parameters);
    let day = Day::of(options.professionals as usize);
    let systems = stage.set(&day.plan, Skill::Relay, place, &mut report).await?;
    for round in 0..stage.rounds {
        for system in &systems {
            let name = system.kind().name();
            stage.progress.stage(&format!("round {} of {}: {name}", round + 1, stage.rounds));
            let mut field = Field::join(system, 0..day.plan.devices, stage.progress).await?;
            let every_us = (options.connection_seconds * 1e6) as u64;
            for device in (0..day.plan.devices).step_by(ON_THE_ROAD_ONE_IN) {
                if system.kind().remembers() {
                    field.read(device, Reading::Returning { every_us });
                }
            }
            let pace = Pace::Poisson { rate, seed: u64::from(round) + 1 };
            let load = Load { pace, seconds, messages_max: u32::MAX, bytes: BYTES };
            let played = play_on(field, system, &day.streams, &load, stage.progress).await?;
            played.add_to(&mut report, name, "fixed rate");
            report.figure_of(name, "connections opened again", "", played.returned());
            if stage.progress.is_stopped() {
                return stage.finish(systems, report).await;
            }
        }
    }
    stage.finish(systems, report).await
}

/// Who is in which group, and who writes where.
struct Day {
    plan: Plan,
    /// A stream is chosen as often as it is in this list.
    streams: Vec<Stream>,
}

impl Day {
    fn of(professionals: usize) -> Self {
        let count = professionals.max(2);
        let communes = Plan::woven(count, count.div_ceil(TEAM), TEAM);
        let professions = Plan::woven(count, count.div_ceil(TEAM), TEAM.min(count));
        let circles = Plan::woven(count, (count * CIRCLES_EACH).div_ceil(CIRCLE), CIRCLE);
        let threads = Plan::woven(count, count / 2, 2);
        let everybody = vec![(0..count.min(EVERYBODY_MAX)).collect::<Vec<_>>()];
        let kinds =
            [threads.groups, circles.groups, [communes.groups, professions.groups].concat(), everybody];
        let (mut groups, mut firsts) = (Vec::new(), Vec::new());
        for kind in kinds {
            firsts.push(groups.len()..groups.len() + kind.len());
            groups.extend(kind);
        }
        let rest = 100 - SHARES.iter().sum::<usize>();
        let shares = [SHARES[0], SHARES[1], SHARES[2], rest];
        // The pace chooses streams evenly, so the kinds get as many streams as their shares say: the most
        // numerous kind has all its groups, the others have theirs again and again, by other senders.
        let mut streams = Vec::new();
        let total = firsts.iter().map(ExactSizeIterator::len).max().unwrap_or(1).max(100);
        for (kind, share) in firsts.into_iter().zip(shares) {
            for turn in 0..(total * share).div_ceil(100) {
                let group = kind.start + turn % kind.len();
                let members: &Vec<usize> = &groups[group];
                let sender = members[(turn / kind.len()) % members.len()];
                streams.push(Stream { group, sender, listeners: members.len() - 1 });
            }
        }
        Self { plan: Plan { devices: count, groups, durable: false, alerts: false }, streams }
    }
}

/// Devices that one group may have.
const EVERYBODY_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_messages_of_a_day_go_to_few_people() {
        let day = Day::of(300);
        let small = day.streams.iter().filter(|stream| stream.listeners < CIRCLE).count();
        let share = small * 100 / day.streams.len();
        assert!((80..90).contains(&share), "{share} % in circles and threads");
        assert!(day.streams.iter().all(|stream| day.plan.groups[stream.group].contains(&stream.sender)));
    }
}
