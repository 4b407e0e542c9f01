//! Alerts about a patient whose author asked for acknowledgement on the hub: they are acknowledged, followed and ended
//! by the same commands as crisis alerts.

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    client::ClientError,
    core::{GroupState, GroupSummary},
    error::Error,
    message::{AlertId, Body, EventAlert, EventAlertAck},
};
use tokio::time::{sleep, timeout};

use super::{following, sending, unknown};
use crate::{
    commands::find_group,
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    limits::{ALERT_OPENED_LOOK, ID_PREFIX_DIGITS_MIN},
    records::Record,
};

/// An alert about a patient that is open on the hub.
pub(super) struct EventOnHub {
    /// Number on the hub.
    pub(super) alert: AlertId,
    group: GroupId,
    message: MessageId,
}

/// Posts an alert about a patient and asks for acknowledgement; shows how far it is once the hub rings.
pub(crate) async fn ask(context: &Context<'_>, group: &str, mut event: EventAlert) -> Result<Exit, Failure> {
    let alert = *event.hub_alert.get_or_insert_with(cercle_sdk::client::Client::new_alert_id);
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, group).await?;
    sending::post(context, &enrolled, &[group], &Body::EventAlert(event)).await?;
    // The device opens it by itself; if that takes too long, with the next command.
    let opened = timeout(context.patience, async {
        loop {
            match enrolled.client.alert_report(alert, false).await {
                Err(ClientError::Core(Error::Refused { .. })) => sleep(ALERT_OPENED_LOOK).await,
                told => return told,
            }
        }
    });
    match opened.await {
        Ok(told) => following::show(context, &told?.0),
        Err(_) => context.output.say(&text!(
            "Message envoyé ; le hub ne compte pas encore les accusés de lecture.";
            "The message is sent; the hub does not count acknowledgements yet."
        )),
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Says that one has read it, to the group and to the hub.
pub(super) async fn acknowledge(
    context: &Context<'_>,
    enrolled: &Enrolled,
    event: &EventOnHub,
    taking_over: bool,
) -> Result<(), Failure> {
    match enrolled.client.acknowledge_alert(event.alert, true).await {
        // Its author's device has not opened it yet: this device says it again by itself.
        Ok(())
        | Err(ClientError::Core(Error::Refused { code: cercle_proto::ErrorCode::AlertUnknown, .. })) => {}
        Err(error) => return Err(error.into()),
    }
    let groups = enrolled.client.groups().await?;
    let group: Vec<GroupSummary> = groups.into_iter().filter(|group| group.group == event.group).collect();
    let ack = EventAlertAck { alert: Some(event.message), taking_over, comment: String::new() };
    sending::post(context, enrolled, &group, &Body::EventAlertAck(ack)).await?;
    context.output.result(
        &Record::AlertAcknowledged { alert: event.alert.to_hex() },
        &text!("Alerte acquittée."; "Alert acknowledged."),
    );
    Ok(())
}

/// The one of this device's groups whose number on the hub or message begins like this.
pub(super) async fn find(enrolled: &Enrolled, name: &str) -> Result<EventOnHub, Failure> {
    let wanted = name.to_ascii_lowercase();
    let mut found = Vec::new();
    for group in enrolled.client.groups().await? {
        if group.state != GroupState::Active || wanted.len() < ID_PREFIX_DIGITS_MIN {
            continue;
        }
        let (id, wanted) = (group.group, wanted.clone());
        let events = enrolled.client.with_thread(id, move |thread| {
            let alerts = thread.kinds().alerts.all().iter();
            let on_hub = alerts.filter_map(|state| Some((state.alert.hub_alert?, state.id)));
            let named = on_hub.filter(|(alert, message)| {
                alert.to_hex().starts_with(&wanted) || message.to_hex().starts_with(&wanted)
            });
            named.collect::<Vec<_>>()
        });
        let event = |(alert, message)| EventOnHub { alert, group: id, message };
        found.extend(events.await?.into_iter().map(event));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        _ => Err(unknown(&wanted)),
    }
}
