//! `cercle link`: a further device of one's own, from both sides. `cercle unlink`: one less.

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use cercle_proto::{id::DeviceId, link::LinkCode};
use cercle_sdk::{
    client::Client,
    core::{Identity, Settings},
};
use qrcode::{QrCode, render::unicode::Dense1x2};
use tokio::time::{sleep, timeout};

use super::{administration, enrol, people, recover};
use crate::{
    arguments::devices::OwnDevices,
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    limits::{HANDING_OVER, HANDING_OVER_LOOK, LINKING},
    records::Record,
    stdin,
};

pub(crate) async fn run(context: &Context<'_>, command: OwnDevices) -> Result<Exit, Failure> {
    match command {
        OwnDevices::Link { code: None, .. } => Box::pin(show(context)).await,
        OwnDevices::Link { code: Some(code), passphrase } => Box::pin(join(context, &code, passphrase)).await,
        OwnDevices::Recover { line, code, passphrase } => {
            Box::pin(recover::run(context, line, code, passphrase)).await
        }
        OwnDevices::Recovery { command } => Box::pin(recover::code(context, command)).await,
        OwnDevices::Unlink { device } => Box::pin(administration::unlink(context, &device)).await,
    }
}

/// The old device: shows a code, compares the number, hands over.
async fn show(context: &Context<'_>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    let shown = Box::pin(show_and_compare(context, &enrolled)).await;
    let device = match shown {
        Ok(device) => device,
        Err(failure) => {
            enrolled.close().await;
            return Err(failure);
        }
    };
    let short = &device.to_hex()[..8];
    context.output.result(
        &Record::Linked { device: device.to_hex() },
        &text!(
            "Appareil {short} ajouté. Vos messages lui sont remis…";
            "Device {short} added. It is being given your messages…"
        ),
    );
    let complete = handed_over(context, &enrolled, device).await?;
    if complete {
        context.output.note(&text!("Tout est remis."; "It has been given everything."));
    } else {
        context.output.note(&text!(
            "La suite sera remise pendant les prochaines commandes cercle.";
            "It will be given the rest during the next cercle commands."
        ));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn show_and_compare(context: &Context<'_>, enrolled: &Enrolled) -> Result<DeviceId, Failure> {
    let linking = enrolled.client.begin_link().await?;
    let code = linking.code();
    let picture = if stdout().is_terminal() { picture(&code) } else { String::new() };
    context.output.result(
        &Record::LinkCode { code: &code, expires_at_ms: linking.expires_at_ms() },
        &text!(
            "Sur votre autre appareil, dans les dix minutes :\n  cercle link '{code}'\n{picture}\nNe montrez ce code à personne d'autre.";
            "On your other device, within ten minutes:\n  cercle link '{code}'\n{picture}\nShow this code to nobody else."
        ),
    );
    let met = linking.meet().await?;
    context.output.result(
        &Record::LinkMet { device: met.device().to_hex() },
        &text!(
            "Un appareil a lu le code. Tapez le nombre qu'il affiche :";
            "A device has read the code. Type the number that it shows:"
        ),
    );
    match stdin::lines().recv().await {
        Some(typed) => Ok(met.confirm(&typed).await?),
        None => {
            met.refuse().await;
            let what = text!("Rien n'a été confirmé."; "Nothing was confirmed.");
            Err(Failure::new(Exit::Refused, what))
        }
    }
}

/// Waits until the new device has been given everything; false if that takes long.
async fn handed_over(context: &Context<'_>, enrolled: &Enrolled, device: DeviceId) -> Result<bool, Failure> {
    let what = text!("Remise des messages…"; "Handing over messages…");
    let looking = async {
        while !enrolled.client.link_progress(device).await?.is_complete() {
            sleep(HANDING_OVER_LOOK).await;
        }
        Ok::<(), Failure>(())
    };
    let patience = HANDING_OVER.max(context.patience);
    match context.output.waiting(&what, Box::pin(timeout(patience, looking))).await {
        Ok(done) => done.map(|()| true),
        Err(_) => Ok(false),
    }
}

/// The new device: reads a code, shows the number, enrols, joins every group.
pub(crate) async fn join(context: &Context<'_>, code: &str, protect: bool) -> Result<Exit, Failure> {
    let text = if code == "-" { stdin::text(None)? } else { code.to_owned() };
    let code = LinkCode::parse(&text).map_err(|error| {
        let what = text!("Ce n'est pas un code d'appareil : {error}"; "This is no linking code: {error}");
        Failure::new(Exit::Usage, what)
    })?;
    let client = Client::open(enrol::profile(context, protect).await?, Settings::default()).await?;
    let identity = Box::pin(linked(context, &client, &code)).await;
    let enrolled = arrived(context, client, identity).await?;
    let first = text!("Cet appareil est ajouté."; "This device is added.");
    people::show_identity(context, &enrolled.identity, &first);
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn linked(context: &Context<'_>, client: &Client, code: &LinkCode) -> Result<Identity, Failure> {
    // An earlier attempt may have been interrupted after the other device had confirmed.
    let resuming = timeout(LINKING.max(context.patience), client.resume_enrolment());
    match resuming.await {
        Ok(resumed) => {
            if let Some(identity) = resumed? {
                return Ok(identity);
            }
        }
        Err(_) => return Err(Failure::unreachable(&code.address, client.link().failure)),
    }
    let joining = client.join_link(code).await?;
    let number = joining.number();
    let (first, second) = number.split_at(3);
    context.output.result(
        &Record::LinkNumber { number: &number },
        &text!(
            "Tapez ce nombre sur l'appareil qui a montré le code :\n\n    {first} {second}\n";
            "Type this number on the device that has shown the code:\n\n    {first} {second}\n"
        ),
    );
    Ok(joining.finish().await?)
}

/// The device that has enrolled, once it is in its groups; or the failure, once the client is closed.
pub(super) async fn arrived(
    context: &Context<'_>,
    client: Client,
    identity: Result<Identity, Failure>,
) -> Result<Enrolled, Failure> {
    let identity = match identity {
        Ok(identity) => identity,
        Err(failure) => {
            client.close().await;
            return Err(failure);
        }
    };
    let enrolled = Enrolled { client, identity };
    // Others can add this device as soon as its key packages are on the hub.
    context.online(&enrolled).await?;
    // A further device of a user is in his groups when this ends, so that a lost one can be ended after it.
    arrive(context, &enrolled).await?;
    Ok(enrolled)
}

/// Waits until the device is in its groups and has its messages, within limits: what is left comes with the
/// next commands.
async fn arrive(context: &Context<'_>, enrolled: &Enrolled) -> Result<(), Failure> {
    let what = text!("Arrivée dans vos groupes…"; "Joining your groups…");
    let arriving = async {
        enrolled.client.groups_joined().await?;
        enrolled.client.history_complete().await
    };
    let patience: Duration = HANDING_OVER.max(context.patience);
    match context.output.waiting(&what, Box::pin(timeout(patience, arriving))).await {
        Ok(done) => done.map_err(Failure::from),
        Err(_) => {
            context.output.note(&text!(
                "Vos messages continuent d'arriver pendant les prochaines commandes cercle.";
                "Your messages go on arriving during the next cercle commands."
            ));
            Ok(())
        }
    }
}

/// The code as a picture for a camera; nothing if it is too long for one.
fn picture(code: &str) -> String {
    QrCode::new(code).map_or_else(
        |_| String::new(),
        |picture| {
            picture.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build()
        },
    )
}
