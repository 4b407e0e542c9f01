//! The hub's report and the push service's, against what happened: the tally to the last recipient, and each
//! wake-up of the plan.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, bail};
use cercle_proto::v1::{self, client_frame::Body as Request, server_frame::Body as Answer};
use cercle_sdk::message::AlertId;
use tokio::time::{sleep, timeout};

use super::stage::{Began, Stage};
use crate::{
    clock::ms,
    latency::Latency,
    limits::{LOOK_EVERY, OPERATION_PATIENCE},
    push_endpoint::WakeUp,
    report::Report,
};

/// What the hub says at the end.
pub(super) struct Account {
    status: v1::AlertStatus,
    recipients: Vec<v1::AlertRecipient>,
    wake_ups: Vec<WakeUp>,
    began: Began,
}

/// Asks until everybody is counted, or it takes too long; then what the hub says is held against it.
///
/// # Errors
/// When the hub does not answer.
pub(super) async fn settle(
    stage: &Stage,
    alert: AlertId,
    began: Began,
    killed: bool,
) -> anyhow::Result<Account> {
    let everybody = u32::try_from(stage.recipients())?;
    let whole = |status: &v1::AlertStatus| {
        [status.sent, status.delivered, status.seen, status.acknowledged]
            .iter()
            .all(|count| *count == everybody)
    };
    let noted = |recipients: &[v1::AlertRecipient]| recipients.iter().filter(|row| row.pushes > 0).count();
    let asking = async {
        loop {
            let (status, recipients) = told(stage, alert).await?;
            // The hub notes wake-ups a moment after the push service has taken them.
            if whole(&status) && (killed || noted(&recipients) >= stage.away().len()) {
                return anyhow::Ok((status, recipients));
            }
            sleep(LOOK_EVERY).await;
        }
    };
    let (status, recipients) = match timeout(OPERATION_PATIENCE, asking).await {
        Ok(told) => told?,
        Err(_) => told(stage, alert).await?,
    };
    Ok(Account { status, recipients, wake_ups: stage.endpoint.received(), began })
}

async fn told(stage: &Stage, alert: AlertId) -> anyhow::Result<(v1::AlertStatus, Vec<v1::AlertRecipient>)> {
    let (mut session, mut all) = (stage.publisher().await?, Vec::new());
    loop {
        let after = all.last().map_or_else(String::new, |last: &v1::AlertRecipient| last.user.clone());
        let watch = v1::WatchAlert { alert: alert.0.to_vec().into(), live: false, after };
        let Answer::AlertReport(page) = session.ask(Request::WatchAlert(watch)).await? else {
            bail!("the hub does not report");
        };
        all.extend(page.recipients);
        if !page.more {
            return Ok((page.status.context("a report has a status")?, all));
        }
    }
}

impl Account {
    /// Reports the times, and everything that is not as it must be.
    pub(super) fn check(&self, report: &mut Report, stage: &Stage, killed: bool) {
        self.check_tally(report, stage.recipients());
        self.check_wake_ups(report, stage, killed);
        let mut rung = Latency::default();
        for recipient in self.recipients.iter().filter(|recipient| recipient.sent_at_ms > 0) {
            rung.record(recipient.sent_at_ms.saturating_sub(self.began.at_ms) * 1_000);
        }
        report.latency("written to rung", &rung);
        let mut woken = Latency::default();
        let urgent = self.wake_ups.iter().filter(|woken| woken.urgent);
        urgent.for_each(|wake_up| woken.record(wake_up.us.saturating_sub(self.began.us)));
        report.figure("everybody woken", "ms", ms(woken.at(1.0)));
        report.latency("written to the wake-up at the push service", &woken);
    }

    fn check_tally(&self, report: &mut Report, everybody: usize) {
        let v1::AlertStatus { recipients, sent, delivered, seen, acknowledged, .. } = &self.status;
        let counts = [recipients, sent, delivered, seen, acknowledged];
        if counts.iter().any(|count| **count as usize != everybody) {
            report.fault(format!("of {everybody} the hub counts {counts:?}"));
        }
        let is_whole = |row: &&v1::AlertRecipient| {
            [row.sent_at_ms, row.delivered_at_ms, row.seen_at_ms, row.acknowledged_at_ms]
                .iter()
                .all(|at| *at > 0)
        };
        let (rows, whole) = (self.recipients.len(), self.recipients.iter().filter(is_whole).count());
        let different = self.recipients.iter().map(|row| &row.user).collect::<HashSet<_>>().len();
        if [rows, whole, different] != [everybody; 3] {
            report.fault(format!("the report has {rows} rows, {different} different, {whole} whole"));
        }
    }

    /// One wake-up for each device that was away, none for others. A hub that was killed may repeat one, with the
    /// same number to collapse by, and may wake whoever was not connected at that moment.
    fn check_wake_ups(&self, report: &mut Report, stage: &Stage, killed: bool) {
        let mut by_device = HashMap::<usize, Vec<&str>>::new();
        for wake_up in self.wake_ups.iter().filter(|wake_up| wake_up.urgent) {
            by_device.entry(wake_up.device).or_default().push(&wake_up.collapse);
        }
        let away: HashSet<usize> = stage.away().into_iter().collect();
        let woken = away.iter().filter(|device| by_device.contains_key(device)).count();
        let sent: usize = by_device.values().map(Vec::len).sum();
        if woken != away.len() || (!killed && sent != away.len()) {
            let due = away.len();
            report.fault(format!("{sent} wake-ups for {due} that were due; {woken} were woken"));
        }
        if by_device.values().any(|numbers| numbers.iter().any(|number| *number != numbers[0])) {
            report.fault("wake-ups of one device have different collapse numbers".to_owned());
        }
        let noted: HashMap<&str, u32> =
            self.recipients.iter().map(|row| (row.user.as_str(), row.pushes)).collect();
        let wrong = by_device.iter().filter(|(device, numbers)| {
            let noted = noted.get(stage.user_of(**device)).copied().unwrap_or(0) as usize;
            if killed { noted > numbers.len() } else { noted != numbers.len() }
        });
        let wrong = wrong.count();
        if wrong > 0 {
            report.fault(format!("the report counts other wake-ups than were sent for {wrong} recipients"));
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        report.figure("wake-ups of the alert", "", sent as f64);
    }
}
