//! `cercle push`: where this device is woken, and whether it works.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cercle_proto::v1::{WebPushAddress, register_push::Address};

use crate::{
    arguments::alert::{PushCommand, RegisterArguments},
    context::Context,
    exit::Exit,
    failure::Failure,
    language::Text,
    records::Record,
};

pub(crate) async fn run(context: &Context<'_>, command: PushCommand) -> Result<Exit, Failure> {
    let (address, test) = match command {
        PushCommand::Register(arguments) => (Some(address(arguments)?), false),
        PushCommand::Test => (None, true),
        PushCommand::Off => (None, false),
    };
    let asked_for = address.is_some();
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    let key = enrolled.client.register_push(address, test).await?;
    let sentence = said(asked_for, test, key.reachable);
    let public_key = URL_SAFE_NO_PAD.encode(&key.public_key);
    context.output.result(&Record::Push { reachable: key.reachable, public_key }, &sentence);
    enrolled.close().await;
    Ok(if test && !key.reachable { Exit::Refused } else { Exit::Done })
}

fn said(registered: bool, test: bool, reachable: bool) -> Text {
    match (registered, test, reachable) {
        (_, true, true) => text!(
            "Réveil remis au service ; l'appareil doit le recevoir dans quelques secondes.";
            "The push service took the wake-up; the device should get it within seconds."
        ),
        (_, true, false) => {
            text!("Le service n'a pas accepté le réveil."; "The push service did not take the wake-up.")
        }
        (true, ..) => {
            text!("Réveil enregistré. Essayez : cercle push test"; "Registered. Try: cercle push test")
        }
        (false, ..) => text!("Cet appareil n'est plus réveillé."; "This device is woken no longer."),
    }
}

fn address(arguments: RegisterArguments) -> Result<Address, Failure> {
    let RegisterArguments { endpoint, p256dh, auth, apns, fcm } = arguments;
    let bytes = |text: String| {
        let plain = text.trim_end_matches('=');
        URL_SAFE_NO_PAD.decode(plain).map_err(|_| {
            Failure::new(
                Exit::Usage,
                text!("Clé illisible (base64url attendu)."; "Unreadable key (base64url wanted)."),
            )
        })
    };
    Ok(match (endpoint, p256dh, auth, apns, fcm) {
        (Some(endpoint), Some(p256dh), Some(auth), ..) => Address::Web(WebPushAddress {
            endpoint,
            p256dh: bytes(p256dh)?.into(),
            auth: bytes(auth)?.into(),
        }),
        (Some(endpoint), ..) => Address::Unified(WebPushAddress { endpoint, ..WebPushAddress::default() }),
        (_, _, _, Some(token), _) => Address::Apns(token),
        (.., token) => Address::Fcm(token.unwrap_or_default()),
    })
}
