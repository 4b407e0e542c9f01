//! Watch, report, reach: what the hub knows, which is who and when.

use cercle_proto::v1;
use cercle_sdk::{
    client::{ClientError, Notice},
    event::Event,
};

use tokio::time::{Instant, sleep_until};

use super::{counting::Counts, find_on_hub};
use crate::{
    arguments::alert::{By, TargetArguments},
    commands::find_group,
    context::Context,
    exit::Exit,
    failure::Failure,
    interrupt::Interrupt,
    language::{Language, Text},
    limits::ALERT_COUNTS_EVERY,
    moment,
    records::{AlertRecipientRecord, AlertStatusRecord, ReachableRecord, Record, alert_phase},
};

pub(super) async fn watch(context: &Context<'_>, name: &str, by: &[By]) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let id = find_on_hub(context, &enrolled, name).await?;
    let mut interrupt = Interrupt::new()?;
    let mut events = enrolled.client.events();
    let mut counts = Counts::default();
    let (mut status, recipients) = enrolled.client.alert_report(id, true).await?;
    show(context, &status);
    counts.show(context, &recipients, by);
    // When the counts are next asked for; none while they are those of the status.
    let mut due: Option<Instant> = None;
    let ended = loop {
        let over = matches!(status.phase(), v1::AlertPhase::Closed | v1::AlertPhase::Expired);
        if over && due.is_none() {
            break Ok(Exit::Done);
        }
        let news = tokio::select! {
            biased;
            () = interrupt.requested() => break Ok(Exit::Done),
            stopped = enrolled.client.stopped() => break Err(stopped.into()),
            () = until(due, over) => {
                due = None;
                let (news, recipients) = enrolled.client.alert_report(id, false).await?;
                counts.show(context, &recipients, by);
                news
            }
            notice = events.next() => match notice {
                Some(Notice::Event(Event::AlertStatus(news))) if news.0.alert[..] == id.0 => news.0,
                // The hub forgets who watches when a session ends.
                Some(Notice::Event(Event::CaughtUp) | Notice::Missed(_)) => {
                    let (news, recipients) = enrolled.client.alert_report(id, true).await?;
                    counts.show(context, &recipients, by);
                    news
                }
                Some(Notice::Event(_)) => continue,
                None => break Err(ClientError::Closed.into()),
            },
        };
        if news != status {
            show(context, &news);
            if !by.is_empty() && due.is_none() {
                due = Some(Instant::now() + ALERT_COUNTS_EVERY);
            }
        }
        status = news;
    };
    enrolled.close().await;
    ended
}

/// Waits until the counts are due, for ever if they are not; not at all for the last ones.
async fn until(due: Option<Instant>, over: bool) {
    match due {
        Some(_) if over => {}
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn report(context: &Context<'_>, name: &str, csv: bool) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let alert = find_on_hub(context, &enrolled, name).await?;
    let (status, recipients) = enrolled.client.alert_report(alert, false).await?;
    if csv {
        context.output.say(&same(CSV_HEADER.to_owned()));
        recipients.iter().for_each(|recipient| context.output.say(&same(csv_line(recipient))));
    } else {
        show(context, &status);
    }
    for recipient in recipients.iter().filter(|_| !csv || context.output.is_json()) {
        let record = Record::AlertRecipient(AlertRecipientRecord::new(recipient));
        context.output.result(&record, &recipient_line(recipient));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(super) async fn reach(
    context: &Context<'_>,
    group: Option<&str>,
    target: TargetArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = match group {
        Some(name) => Some(find_group(context, &enrolled, name).await?.group),
        None => None,
    };
    context.online(&enrolled).await?;
    for user in enrolled.client.reachability(group, target.target()).await? {
        context.output.result(&Record::Reachable(ReachableRecord::new(&user)), &reachable_line(&user));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Shows how far an alert is, the mode first and in words.
pub(super) fn show(context: &Context<'_>, status: &v1::AlertStatus) {
    let id = &cercle_proto::id::to_hex(&status.alert);
    let id = id.get(..8).unwrap_or(id);
    let mode = |language: Language| match status.mode() {
        v1::AlertMode::Actual => language.pick("ALERTE RÉELLE", "ACTUAL ALERT"),
        v1::AlertMode::Exercise => language.pick("EXERCICE", "EXERCISE"),
        v1::AlertMode::Test | v1::AlertMode::Unspecified => "TEST",
    };
    let (mode_fr, mode_en) = (mode(Language::French), mode(Language::English));
    let (fr, en) = (alert_phase(status, Language::French), alert_phase(status, Language::English));
    let v1::AlertStatus { recipients, sent, delivered, seen, acknowledged, .. } = status;
    context.output.result(
        &Record::AlertStatus(AlertStatusRecord::new(status)),
        &text!(
            "[{mode_fr}] {id} {fr} : {recipients} destinataires, {sent} envoyés, {delivered} remis, {seen} vus, {acknowledged} acquittés";
            "[{mode_en}] {id} {en}: {recipients} recipients, {sent} sent, {delivered} delivered, {seen} seen, {acknowledged} acknowledged"
        ),
    );
}

const CSV_HEADER: &str = "user,display_name,profession,sent_at_ms,delivered_at_ms,seen_at_ms,acknowledged_at_ms,pushes,fallback_at_ms,in_line,communes";

fn csv_line(recipient: &v1::AlertRecipient) -> String {
    [
        csv_field(&recipient.user),
        csv_field(&recipient.display_name),
        csv_field(&recipient.profession),
        recipient.sent_at_ms.to_string(),
        recipient.delivered_at_ms.to_string(),
        recipient.seen_at_ms.to_string(),
        recipient.acknowledged_at_ms.to_string(),
        recipient.pushes.to_string(),
        recipient.fallback_at_ms.to_string(),
        recipient.in_line.to_string(),
        csv_field(&recipient.communes.join(" ")),
    ]
    .join(",")
}

/// Quoted (RFC 4180); a text that a spreadsheet would take for a formula is made a text.
fn csv_field(text: &str) -> String {
    let harmless = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    format!("\"{}\"", harmless.replace('"', "\"\""))
}

fn recipient_line(recipient: &v1::AlertRecipient) -> Text {
    let v1::AlertRecipient { user, display_name, pushes, .. } = recipient;
    let (state, at) = match recipient {
        row if row.acknowledged_at_ms > 0 => (text!("acquitté"; "acknowledged"), row.acknowledged_at_ms),
        row if row.seen_at_ms > 0 => (text!("vu"; "seen"), row.seen_at_ms),
        row if row.delivered_at_ms > 0 => (text!("remis"; "delivered"), row.delivered_at_ms),
        row if row.sent_at_ms > 0 => (text!("envoyé"; "sent"), row.sent_at_ms),
        _ => (text!("non atteint"; "not reached"), 0),
    };
    let at = if at == 0 { String::new() } else { moment::time(at) };
    let (fr, en) = (state.fr, state.en);
    text!(
        "  {display_name} ({user}) : {fr} {at}, {pushes} réveils";
        "  {display_name} ({user}): {en} {at}, {pushes} wake-ups"
    )
}

fn reachable_line(user: &v1::ReachableUser) -> Text {
    let v1::ReachableUser { user: id, display_name, devices, devices_with_push, .. } = user;
    let state = match user {
        row if row.devices == 0 => text!("AUCUN APPAREIL"; "NO DEVICE"),
        row if row.connected => text!("connecté"; "connected"),
        row if row.devices_with_push == 0 => text!("SANS RÉVEIL"; "CANNOT BE WOKEN"),
        _ => text!("joignable"; "reachable"),
    };
    let seen = if user.last_seen_at_ms == 0 { "-".to_owned() } else { moment::day(user.last_seen_at_ms) };
    let (fr, en) = (state.fr, state.en);
    text!(
        "{display_name} ({id}) : {fr}, {devices} appareils dont {devices_with_push} réveillables, vu le {seen}";
        "{display_name} ({id}): {en}, {devices} devices, {devices_with_push} can be woken, last seen {seen}"
    )
}

fn same(line: String) -> Text {
    Text { fr: line.clone(), en: line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_or_command_a_spreadsheet() {
        assert_eq!(csv_field("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(csv_field("=1+1"), "\"'=1+1\"");
    }
}
