//! `cercle whoami` and `cercle devices`: identities and their devices.

use cercle_sdk::core::Identity;

use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    language::Text,
    moment,
    records::{DeviceRecord, IdentityRecord, Record},
    resolve,
};

pub(crate) async fn whoami(context: &Context<'_>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    show_identity(context, &enrolled.identity, &text!(""; ""));
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Shows an identity, after a first line if that is not empty.
pub(crate) fn show_identity(context: &Context<'_>, identity: &Identity, first: &Text) {
    let Identity { user, display_name, address, .. } = identity;
    let (user, device) = (user.as_str(), &identity.device.to_hex()[..8]);
    let until = moment::day(identity.certificate_expires_at_ms);
    let profession =
        if identity.profession.is_empty() { String::new() } else { format!(" ({})", identity.profession) };
    let lines = text!(
        "{display_name}{profession}\n  identifiant   {user}\n  appareil      {device}\n  hub           {address}\n  certificat    jusqu'au {until}";
        "{display_name}{profession}\n  id            {user}\n  device        {device}\n  hub           {address}\n  certificate   until {until}"
    );
    if !first.fr.is_empty() {
        context.output.say(first);
    }
    context.output.result(&Record::Identity(IdentityRecord::new(identity)), &lines);
}

pub(crate) async fn devices(context: &Context<'_>, user: Option<&str>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let user = user.map(|name| resolve::user(&enrolled.identity, name)).transpose()?;
    context.online(&enrolled).await?;
    let devices = enrolled.client.list_devices(user.clone()).await?;
    let user = user.as_ref().unwrap_or(&enrolled.identity.user);
    for state in &devices {
        let own = state.device == enrolled.identity.device;
        let id = &state.device.to_hex()[..8];
        let (since, until) = (moment::day(state.enrolled_at_ms), moment::day(state.expires_at_ms));
        let seen = match state.last_seen_at_ms {
            0 => text!("jamais vu"; "never seen"),
            at => {
                let day = moment::day(at);
                text!("vu le {day}"; "seen {day}")
            }
        };
        let (seen_fr, seen_en) = (seen.fr, seen.en);
        let mark = match (state.revoked, own) {
            (true, _) => text!("révoqué"; "revoked"),
            (false, true) => text!("cet appareil"; "this device"),
            (false, false) => text!("actif"; "active"),
        };
        let (fr, en) = (mark.fr, mark.en);
        context.output.result(
            &Record::Device(DeviceRecord::new(user.as_str(), state, own)),
            &text!(
                "{id}  {fr:<14} {seen_fr}, inscrit le {since}, certificat jusqu'au {until}";
                "{id}  {en:<14} {seen_en}, enrolled {since}, certificate until {until}"
            ),
        );
    }
    enrolled.close().await;
    Ok(Exit::Done)
}
