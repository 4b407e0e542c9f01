//! `cercle recover` and `cercle recovery`: the way back with nothing but a code, and the code itself.

use std::io::{IsTerminal, stdin as terminal};

use cercle_proto::{ErrorCode, recovery::RecoveryAddress};
use cercle_sdk::{
    client::{Client, ClientError},
    core::DisconnectReason,
    recovery::{RecoverySheet, code::RecoveryCode},
};
use tokio::time::timeout;

use super::{enrol, link, people};
use crate::{
    arguments::devices::RecoveryCommand,
    context::{Context, Enrolled, settings},
    exit::Exit,
    failure::Failure,
    language::Text,
    limits::HANDING_OVER,
    records::Record,
    stdin,
};

/// Comes back.
pub(super) async fn run(
    context: &Context<'_>,
    line: Option<String>,
    code: Option<String>,
    protect: bool,
) -> Result<Exit, Failure> {
    let (address, code) = sheet(context, line, code)?;
    let client = Client::open(enrol::profile(context, protect).await?, settings()).await?;
    let what = text!("Recherche de votre compte…"; "Looking for your account…");
    let patience = HANDING_OVER.max(context.patience);
    let coming = Box::pin(timeout(patience, client.recover(&address, &code)));
    let identity = match context.output.waiting(&what, coming).await {
        Ok(answered) => answered.map_err(refused),
        Err(_) => Err(Failure::unreachable(&address.address, client.link().failure)),
    };
    let enrolled = Box::pin(link::arrived(context, client, identity)).await?;
    let what = text!("Retour de vos messages…"; "Your messages are coming back…");
    let returning = Box::pin(timeout(patience, enrolled.client.returned()));
    match context.output.waiting(&what, returning).await {
        Ok(done) => done?,
        Err(_) => context.output.note(&text!(
            "Vos messages continuent de revenir pendant les prochaines commandes cercle.";
            "Your messages go on coming back during the next cercle commands."
        )),
    }
    people::show_identity(context, &enrolled.identity, &text!("Vous êtes de retour."; "You are back."));
    context.output.note(&text!(
        "Si l'ancien appareil est perdu, retirez-le : cercle devices, puis cercle unlink.";
        "If the old device is lost, remove it: cercle devices, then cercle unlink."
    ));
    enrolled.close().await;
    Ok(Exit::Done)
}

/// `cercle recovery`.
pub(super) async fn code(context: &Context<'_>, command: RecoveryCommand) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    match command {
        RecoveryCommand::Status => {
            let state = enrolled.client.recovery_state().await?;
            let sentence = match (state.code, state.kept_here) {
                (false, _) => text!(
                    "Vous n'avez pas de code de récupération. Pour en avoir un : cercle recovery rotate";
                    "You have no recovery code. To have one: cercle recovery rotate"
                ),
                (true, true) => text!(
                    "Vous avez un code de récupération, et cet appareil tient la sauvegarde à jour.";
                    "You have a recovery code, and this device keeps the backup up to date."
                ),
                (true, false) => text!(
                    "Vous avez un code de récupération ; un autre de vos appareils tient la sauvegarde.";
                    "You have a recovery code; another device of yours keeps the backup."
                ),
            };
            let record = Record::RecoveryState { code: state.code, kept_here: state.kept_here };
            context.output.result(&record, &sentence);
        }
        RecoveryCommand::Rotate { anew } => {
            let sheet = enrolled.client.new_recovery_code(anew).await?;
            show(context, &sheet);
        }
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// The code of a device that has just enrolled, unless the user has one already.
pub(super) async fn first_code(context: &Context<'_>, enrolled: &Enrolled) {
    let sheet = async {
        if enrolled.client.recovery_state().await?.code {
            return Ok(None);
        }
        enrolled.client.new_recovery_code(false).await.map(Some)
    };
    match timeout(context.patience, Box::pin(sheet)).await {
        Ok(Ok(Some(sheet))) => show(context, &sheet),
        Ok(Ok(None)) => {}
        // The device is enrolled all the same.
        Ok(Err(_)) | Err(_) => context.output.note(&text!(
            "Votre code de récupération n'a pas pu être fait. Plus tard : cercle recovery rotate";
            "Your recovery code could not be made. Later: cercle recovery rotate"
        )),
    }
}

fn show(context: &Context<'_>, sheet: &RecoverySheet) {
    let (code, address, line) = (sheet.code.to_text(), sheet.address.to_text(), sheet.to_line());
    let (code, line) = (code.as_str(), line.as_str());
    context.output.result(
        &Record::RecoveryCode { code, address: &address, line },
        &text!(
            "Code de récupération, montré cette seule fois :\n\n    {code}\n\nÀ noter ou imprimer, avec cette adresse :\n  {address}\nOu les deux en une ligne, à copier en lieu sûr :\n  {line}\nSi vous perdez vos appareils, ils rendent vos groupes et vos messages : cercle recover";
            "Recovery code, shown this once:\n\n    {code}\n\nWrite it down or print it, with this address:\n  {address}\nOr both in one line, to copy to a safe place:\n  {line}\nIf you lose your devices, they bring back your groups and messages: cercle recover"
        ),
    );
}

/// Address and code, from one line or from two.
fn sheet(
    context: &Context<'_>,
    line: Option<String>,
    code: Option<String>,
) -> Result<(RecoveryAddress, RecoveryCode), Failure> {
    let line =
        typed(context, line, &text!("Ligne ou adresse de récupération : "; "Recovery line or address: "))?;
    let (address, behind) = RecoveryAddress::parse_with_rest(&line).map_err(|error| {
        let what = text!("Ce n'est pas une adresse de récupération : {error}"; "This is no recovery address: {error}");
        Failure::new(Exit::Usage, what)
    })?;
    let code = match (behind.is_empty(), code) {
        (true, code) => typed(context, code, &text!("Code de récupération : "; "Recovery code: "))?,
        (false, None) => behind,
        (false, Some(_)) => {
            let what = text!(
                "La ligne contient déjà un code : --code est de trop.";
                "The line has a code already: --code is too much."
            );
            return Err(Failure::new(Exit::Usage, what));
        }
    };
    let code = RecoveryCode::parse(&code).map_err(|error| {
        let what = text!("Ce n'est pas un code de récupération : {error}"; "This is no recovery code: {error}");
        Failure::new(Exit::Usage, what).mend(text!(
            "Un code a sept groupes de quatre lettres et chiffres ; majuscules, espaces et tirets n'ont pas d'importance.";
            "A code has seven groups of four letters and digits; case, spaces and dashes do not matter."
        ))
    })?;
    Ok((address, code))
}

/// A secret: an argument, standard input, or what is typed on the terminal.
fn typed(context: &Context<'_>, argument: Option<String>, ask: &Text) -> Result<String, Failure> {
    match argument {
        Some(text) if text != "-" => Ok(text),
        None if terminal().is_terminal() => {
            Ok(rpassword::prompt_password(ask.get(context.output.language()))?)
        }
        _ => stdin::text(Some("-".to_owned())),
    }
}

/// A refusal at the door, in words that help.
fn refused(error: ClientError) -> Failure {
    match &error {
        ClientError::Stopped(DisconnectReason::Refused {
            code: Some(ErrorCode::RecoveryRefused), ..
        }) => {}
        ClientError::Stopped(DisconnectReason::Refused {
            code: Some(ErrorCode::RateLimited),
            retry_after_ms,
        }) => {
            let minutes = retry_after_ms.div_ceil(60_000).max(1);
            let what = text!(
                "Trop d'essais pour ce compte : réessayez dans {minutes} min.";
                "Too many attempts for this account: try again in {minutes} min."
            );
            return Failure::new(Exit::Refused, what);
        }
        _ => return error.into(),
    }
    let what = text!(
        "Ce code n'est pas le bon pour cette adresse, ou il a été changé depuis.";
        "This code is not the right one for this address, or it was changed since."
    );
    Failure::new(Exit::Refused, what).mend(text!(
        "Vérifiez le code et l'adresse. Si le code est perdu, demandez une invitation à votre coordination : vous retrouverez vos groupes, sans les anciens messages.";
        "Check code and address. If the code is lost, ask your coordinator for an invitation: you will be in your groups again, without the old messages."
    ))
}
