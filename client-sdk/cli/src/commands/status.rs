//! `cercle status`: connection, outbox and groups; for one group, what each device has received.

use cercle_sdk::{core::GroupSummary, thread::view::Range};

use super::{find_group, groups, thread::name_of};
use crate::{
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    records::{GroupRecord, Record, StatusRecord},
};

pub(crate) async fn run(context: &Context<'_>, name: Option<&str>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let online = context.online_if_possible(&enrolled).await?;
    match name {
        Some(name) => {
            let group = find_group(context, &enrolled, name).await?;
            show_group(context, &group);
            read_places(context, &enrolled, &group).await?;
            if online {
                delivery(context, &enrolled, &group).await?;
            }
        }
        None => overview(context, &enrolled, online).await?,
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn overview(context: &Context<'_>, enrolled: &Enrolled, online: bool) -> Result<(), Failure> {
    let Enrolled { client, identity } = enrolled;
    let (groups, waiting) = (client.groups().await?, client.outbox().await?.len());
    let (user, address, count) = (identity.user.as_str(), &identity.address, groups.len());
    let (fr, en) = if online { ("connecté", "connected") } else { ("hors ligne", "offline") };
    let record = StatusRecord {
        user,
        device: identity.device.to_hex(),
        hub: address,
        online,
        groups: count,
        waiting,
        certificate_expires_at_ms: identity.certificate_expires_at_ms,
    };
    context.output.result(
        &Record::Status(record),
        &text!(
            "{user} sur {address} : {fr} ; {count} groupe(s), {waiting} message(s) en attente d'envoi";
            "{user} on {address}: {en}; {count} group(s), {waiting} message(s) waiting to be sent"
        ),
    );
    for group in &groups {
        show_group(context, group);
    }
    Ok(())
}

fn show_group(context: &Context<'_>, group: &GroupSummary) {
    context.output.result(&Record::Group(GroupRecord::new(group)), &groups::line(group));
}

/// Who has read how far, where the thread asks for it.
async fn read_places(
    context: &Context<'_>,
    enrolled: &Enrolled,
    group: &GroupSummary,
) -> Result<(), Failure> {
    let thread = enrolled.client.thread(group.group, Range::newest(0)).await?;
    if thread.read.is_empty() {
        return Ok(());
    }
    let members = enrolled.client.members(group.group).await.unwrap_or_default();
    for (user, place) in &thread.read {
        let (name, up_to) = (name_of(user, &members), place.up_to);
        let sentence = text!("  {name} : a lu jusqu'à {up_to}"; "  {name}: has read up to {up_to}");
        let (id, user, at_ms) = (group.group.to_hex(), user.as_str(), place.at_ms);
        context.output.result(&Record::ReadPlace { group: id, user, up_to, at_ms }, &sentence);
    }
    Ok(())
}

async fn delivery(context: &Context<'_>, enrolled: &Enrolled, group: &GroupSummary) -> Result<(), Failure> {
    let members = enrolled.client.members(group.group).await?;
    for cursor in enrolled.client.delivery_status(group.group).await? {
        let waiting = group.cursor.saturating_sub(cursor.acked);
        let member = members.iter().find(|member| member.device == cursor.device);
        let name = member.map_or(cursor.user.as_str(), |member| &member.display_name);
        let device = cursor.device.to_hex();
        let short = &device[..8];
        let sentence = if waiting == 0 {
            text!("  {name} ({short}) : tout reçu"; "  {name} ({short}): has everything")
        } else {
            text!(
                "  {name} ({short}) : {waiting} élément(s) à recevoir";
                "  {name} ({short}): {waiting} item(s) to receive"
            )
        };
        let record = Record::Delivery {
            group: group.group.to_hex(),
            user: cursor.user.as_str(),
            device: device.clone(),
            acked: cursor.acked,
            waiting,
        };
        context.output.result(&record, &sentence);
    }
    Ok(())
}
