//! `cercle members`, `invite`, `remove`: who is in a group.

use cercle_proto::id::UserId;

use super::{durable, find_group, kept};
use crate::{
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    records::{MemberRecord, Record},
    resolve,
};

pub(crate) async fn list(context: &Context<'_>, name: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let group = find_group(context, &enrolled, name).await?;
    for member in enrolled.client.members(group.group).await? {
        let (user, display_name) = (member.user.as_str(), &member.display_name);
        let device = &member.device.to_hex()[..8];
        let (fr, en) = match (member.administrator, member.own) {
            (true, true) => (", administre, vous", ", administers, you"),
            (true, false) => (", administre", ", administers"),
            (false, true) => (", vous", ", you"),
            (false, false) => ("", ""),
        };
        context.output.result(
            &Record::Member(MemberRecord::new(&group, &member)),
            &text!(
                "{display_name}  {user}  (appareil {device}{fr})";
                "{display_name}  {user}  (device {device}{en})"
            ),
        );
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(crate) async fn invite(context: &Context<'_>, name: &str, users: &[String]) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let users = people(context, &enrolled, users).await?;
    let group = find_group(context, &enrolled, name).await?;
    let what = text!("Ajout au groupe…"; "Adding to the group…");
    let inviting = enrolled.client.invite(group.group, users);
    let id = group.group.to_hex();
    let Some(invited) = durable(context, &enrolled, &what, inviting).await? else {
        return Ok(kept(context, enrolled, Some(id), None).await);
    };
    let (count, title) = (invited.devices.len(), &group.profile.title);
    let missing: Vec<&str> = invited.missing.iter().map(UserId::as_str).collect();
    let devices = invited.devices.iter().map(|device| device.to_hex()).collect();
    context.output.result(
        &Record::Invited { group: id, devices, missing: missing.clone() },
        &text!(
            "{count} appareil(s) ajouté(s) à « {title} ».";
            "{count} device(s) added to \"{title}\"."
        ),
    );
    enrolled.close().await;
    if missing.is_empty() {
        return Ok(Exit::Done);
    }
    let list = missing.join(", ");
    context.output.note(&text!(
        "Sans appareil joignable, pas ajouté(s) : {list}";
        "Without a device that can be added, left out: {list}"
    ));
    Ok(Exit::NotFound)
}

pub(crate) async fn remove(context: &Context<'_>, name: &str, users: &[String]) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let users = user_ids(&enrolled, users)?;
    let group = find_group(context, &enrolled, name).await?;
    let what = text!("Retrait du groupe…"; "Removing from the group…");
    let removing = enrolled.client.remove(group.group, users.clone());
    let id = group.group.to_hex();
    if durable(context, &enrolled, &what, removing).await?.is_none() {
        return Ok(kept(context, enrolled, Some(id), None).await);
    }
    let names: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let (list, title) = (names.join(", "), &group.profile.title);
    context.output.result(
        &Record::Removed { group: id, users: names },
        &text!("Retiré(s) de « {title} » : {list}"; "Removed from \"{title}\": {list}"),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}

fn user_ids(enrolled: &Enrolled, names: &[String]) -> Result<Vec<UserId>, Failure> {
    names.iter().map(|name| resolve::user(&enrolled.identity, name)).collect()
}

/// Users by their ids, or those behind an entry of the directory by its key.
async fn people(
    context: &Context<'_>,
    enrolled: &Enrolled,
    names: &[String],
) -> Result<Vec<UserId>, Failure> {
    let mut users = Vec::new();
    for name in names {
        // A user id has no colon, a key of the directory always one.
        if !name.contains(':') {
            users.push(resolve::user(&enrolled.identity, name)?);
            continue;
        }
        context.online(enrolled).await?;
        let behind = enrolled.client.directory_get(name).await?.users;
        if behind.is_empty() {
            return Err(Failure::new(
                Exit::NotFound,
                text!("« {name} » n'est pas joignable sur Cercle."; "\"{name}\" cannot be reached on Cercle."),
            ));
        }
        for user in behind {
            users.push(resolve::user(&enrolled.identity, &user)?);
        }
    }
    Ok(users)
}
