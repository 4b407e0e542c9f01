//! `idle-fleet` and `reconnect-storm`: many authenticated connections that do nothing, and what it costs to
//! get and to hold them.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::Stage;
use crate::{
    arguments::{IdleFleet, ReconnectStorm},
    clock::Clock,
    hub::Usage,
    latency::Latency,
    limits::{RETRIES_MAX, RETRY_MS},
    plan::Plan,
    report::Report,
    system::{From, Heard, Link, Opened, Skill, System},
    verdict::Tally,
};

/// Connects the fleet once for each round and system, holds it, and reads what that takes.
///
/// # Errors
/// When a system fails altogether.
pub(super) async fn idle(options: &IdleFleet, stage: Stage<'_>, place: &Path) -> anyhow::Result<Report> {
    let parameters = [
        ("clients", options.clients.into()),
        ("at_once", options.at_once.into()),
        ("hold_seconds", options.hold_seconds.into()),
        ("rounds", stage.rounds.into()),
    ];
    let mut report = Report::new("idle-fleet", &parameters);
    let clients = options.clients as usize;
    let mut systems = stage.set(&Plan::crowd(clients), Skill::Relay, place, &mut report).await?;
    // A system that keeps its process remembers how small it was before it served anybody.
    let mut empty_mib: HashMap<&str, f64> = HashMap::new();
    for round in 0..stage.rounds {
        for system in &mut systems {
            let name = system.kind().name();
            stage.progress.stage(&format!("round {} of {}: {name}", round + 1, stage.rounds));
            Arc::get_mut(system).context("nobody else holds the system")?.refresh().await?;
            let fleet = Fleet::new(system, clients);
            let before = system.usage()?;
            let clock = Clock::start();
            let (opened, tries) = fleet.open(options.at_once as usize).await?;
            let connect_s = clock.ms_since(0) / 1e3;
            let connected = system.usage()?;
            fleet.enter(opened, options.at_once as usize).await?;
            sleep(Duration::from_secs_f64(options.settle_seconds)).await;
            let reading = system.usage()?;
            sleep(Duration::from_secs_f64(options.hold_seconds)).await;
            let held = system.usage()?;
            let lost = fleet.close().await?;
            report.count_of(name, &all_connected(clients, lost));
            report.figure_of(name, "connections per second", "1/s", count(clients) / connect_s);
            report.figure_of(name, "tries beyond the first", "", count(tries));
            if let Some((((mut before, connected), reading), held)) =
                before.zip(connected).zip(reading).zip(held)
            {
                let empty = empty_mib.entry(name).or_insert(before.resident_mib);
                *empty = empty.min(before.resident_mib);
                before.resident_mib = *empty;
                report_connections(&mut report, name, clients, [before, connected, reading, held]);
            }
            if stage.progress.is_stopped() {
                return stage.finish(systems, report).await;
            }
        }
    }
    stage.finish(systems, report).await
}

/// Lets all clients drop at once and come back, again and again.
///
/// # Errors
/// When a system fails altogether.
pub(super) async fn storm(
    options: &ReconnectStorm,
    stage: Stage<'_>,
    place: &Path,
) -> anyhow::Result<Report> {
    let parameters = [
        ("clients", options.clients.into()),
        ("at_once", options.at_once.into()),
        ("groups", options.groups.into()),
        ("rounds", stage.rounds.into()),
    ];
    let mut report = Report::new("reconnect-storm", &parameters);
    let clients = options.clients as usize;
    let groups = (options.groups as usize).min(clients / 2);
    let plan = match groups {
        0 => Plan::crowd(clients),
        _ => Plan::apart(groups, (clients / groups).min(options.group_members_max as usize)),
    };
    let plan = Plan { devices: clients, ..plan };
    let systems = stage.set(&plan, Skill::Relay, place, &mut report).await?;
    for round in 0..stage.rounds {
        for system in &systems {
            let name = system.kind().name();
            stage.progress.stage(&format!("round {} of {}: {name}", round + 1, stage.rounds));
            let clock = Clock::start();
            let fleet = Fleet::new(system, clients);
            fleet.connect(options.at_once as usize, clock).await?;
            let lost = fleet.close().await?;
            report.count_of(name, &all_connected(clients, lost));
            let fleet = Fleet::new(system, clients);
            let before = system.usage()?;
            let clock = Clock::start();
            let (returning, tries) = fleet.connect(options.at_once as usize, clock).await?;
            let seconds = clock.ms_since(0) / 1e3;
            let after = system.usage()?;
            let lost = fleet.close().await?;
            report.count_of(name, &all_connected(clients, lost));
            report.latency_of(name, "storm to back", &returning);
            report.figure_of(name, "everybody back after", "s", seconds);
            report.figure_of(name, "tries beyond the first", "", count(tries));
            if let Some((before, after)) = before.zip(after) {
                let cpu_s = after.cpu_s - before.cpu_s;
                report.figure_of(name, "hub processor time of the storm", "s", cpu_s);
                report.figure_of(name, "hub CPU per return", "µs", cpu_s * 1e6 / count(clients));
                report.figure_of(name, "hub resident memory", "MiB", after.resident_mib);
            }
            if stage.progress.is_stopped() {
                return stage.finish(systems, report).await;
            }
        }
    }
    stage.finish(systems, report).await
}

/// A connection that is there is a message that arrived; one that ended by itself is lost.
fn all_connected(clients: usize, lost: usize) -> Tally {
    let [clients, lost] = [clients, lost].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
    Tally {
        sent: clients,
        accepted: clients,
        expected: clients,
        delivered: clients - lost,
        lost,
        ..Tally::default()
    }
}

fn report_connections(
    report: &mut Report,
    system: &'static str,
    clients: usize,
    [before, connected, reading, held]: [Usage; 4],
) {
    let clients = count(clients);
    let kib = (held.resident_mib - before.resident_mib) * 1024.0;
    report.figure_of(system, "resident memory per connection", "KiB", kib / clients);
    report.figure_of(system, "hub resident memory", "MiB", held.resident_mib);
    let per_client_us = |from: Usage, to: Usage| (to.cpu_s - from.cpu_s) * 1e6 / clients;
    report.figure_of(system, "hub CPU per connect", "µs", per_client_us(before, connected));
    report.figure_of(system, "hub CPU to begin to read", "µs", per_client_us(connected, reading));
    report.figure_of(system, "hub CPU while idle", "s", held.cpu_s - reading.cpu_s);
}

#[expect(clippy::cast_precision_loss, reason = "a count of connections is far below 2^52")]
fn count(of: usize) -> f64 {
    of as f64
}

/// Connections that only answer pings.
struct Fleet {
    system: Arc<System>,
    clients: usize,
    idlers: std::sync::Mutex<JoinSet<bool>>,
    over: watch::Sender<bool>,
}

impl Fleet {
    fn new(system: &Arc<System>, clients: usize) -> Self {
        let (over, _) = watch::channel(false);
        Self { system: Arc::clone(system), clients, idlers: std::sync::Mutex::default(), over }
    }

    /// Connects everybody, so many at once; latencies from the beginning (everybody wants to be back at that
    /// moment), and how many tries failed.
    async fn connect(&self, at_once: usize, clock: Clock) -> anyhow::Result<(Latency, usize)> {
        let began_us = clock.now_us();
        let connecting = (0..self.clients).map(|device| async move {
            let join = async || self.system.join(device, From::Acknowledged).await;
            let (link, tries) = self.insist(device, join).await?;
            let us = clock.now_us().saturating_sub(began_us);
            self.idle(link);
            anyhow::Ok((us, tries))
        });
        let mut connecting = stream::iter(connecting).buffer_unordered(at_once);
        let (mut latency, mut tries) = (Latency::default(), 0);
        while let Some((us, failed)) = connecting.try_next().await? {
            latency.record(us);
            tries += failed;
        }
        Ok((latency, tries))
    }

    /// Connects and authenticates everybody, so many at once; how many tries failed.
    async fn open(&self, at_once: usize) -> anyhow::Result<(Vec<(usize, Opened)>, usize)> {
        let opening = (0..self.clients).map(|device| async move {
            let (opened, tries) = self.insist(device, async || self.system.open(device).await).await?;
            anyhow::Ok((device, opened, tries))
        });
        let mut opening = stream::iter(opening).buffer_unordered(at_once);
        let (mut all, mut tries) = (Vec::new(), 0);
        while let Some((device, opened, failed)) = opening.try_next().await? {
            all.push((device, opened));
            tries += failed;
        }
        Ok((all, tries))
    }

    /// Lets everybody who is connected read, so many at once.
    async fn enter(&self, opened: Vec<(usize, Opened)>, at_once: usize) -> anyhow::Result<()> {
        let entering = opened.into_iter().map(|(device, opened)| async move {
            let link = self.system.enter(device, opened, From::Acknowledged).await?;
            self.idle(link);
            anyhow::Ok(())
        });
        stream::iter(entering).buffer_unordered(at_once).try_collect().await
    }

    /// Does something for one device, again and again with jitter, as clients do.
    async fn insist<T>(
        &self,
        device: usize,
        one_try: impl AsyncFn() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, usize)> {
        let mut failed = 0;
        loop {
            match one_try().await {
                Ok(done) => return Ok((done, failed as usize)),
                Err(error) if failed == RETRIES_MAX => return Err(error).context("connecting at last"),
                Err(_) => failed += 1,
            }
            let jitter = u64::try_from(device).unwrap_or(0).wrapping_mul(7_919) % RETRY_MS.1;
            sleep(Duration::from_millis(RETRY_MS.0 + jitter)).await;
        }
    }

    fn idle(&self, link: Link) {
        let idling = idle_along(link, self.over.subscribe());
        self.idlers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).spawn(idling);
    }

    /// Ends all connections; how many had ended by themselves.
    async fn close(self) -> anyhow::Result<usize> {
        self.over.send_replace(true);
        let mut idlers = self.idlers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut lost = 0;
        while let Some(open) = idlers.join_next().await {
            lost += usize::from(!open.context("a connection's task ended early")?);
        }
        Ok(lost)
    }
}

/// Reads until the fleet is dismissed; false if the other side closed before.
async fn idle_along(mut link: Link, mut over: watch::Receiver<bool>) -> bool {
    let mut heard = Heard::default();
    loop {
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => return true,
            open = link.hear(&mut heard) => {
                if !matches!(open, Ok(true)) {
                    return false;
                }
                heard.payloads.clear();
            }
        }
    }
}
