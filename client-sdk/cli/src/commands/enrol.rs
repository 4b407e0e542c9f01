//! `cercle enrol`: makes the profile and redeems the invitation.

use cercle_proto::{invitation::Invitation, link::LinkCode};
use cercle_sdk::{
    client::Client,
    connection::Failure as LinkFailure,
    core::Settings,
    profile::{Profile, Protection},
};
use tokio::time::timeout;

use super::{link, people, recover};
use crate::{context::Context, exit::Exit, failure::Failure, passphrase, stdin};

pub(crate) async fn run(
    context: &Context<'_>,
    link: &str,
    protect: bool,
    with_code: bool,
) -> Result<Exit, Failure> {
    let link = if link == "-" { stdin::text(None)? } else { link.to_owned() };
    if LinkCode::is_meant(&link) {
        return Box::pin(link::join(context, &link, protect)).await;
    }
    let invitation = Invitation::parse(&link).map_err(|error| {
        let what = text!("Ce lien n'est pas une invitation : {error}"; "This is no invitation: {error}");
        Failure::new(Exit::Usage, what)
    })?;
    let client = Client::open(profile(context, protect).await?, Settings::default()).await?;
    let identity = redeem(context, &client, &invitation).await;
    let enrolled = Box::pin(link::arrived(context, client, identity)).await?;
    people::show_identity(
        context,
        &enrolled.identity,
        &text!("Inscription terminée."; "Enrolment complete."),
    );
    if with_code {
        recover::first_code(context, &enrolled).await;
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// The profile to enrol: a new one, or one whose enrolment was interrupted.
pub(super) async fn profile(context: &Context<'_>, protect: bool) -> Result<Profile, Failure> {
    let folder = context.folder()?;
    if Profile::exists(&folder) {
        return context.open_profile().await;
    }
    let protection = if protect {
        Protection::Passphrase(passphrase::new(context.output.language())?)
    } else {
        Protection::KeyFile
    };
    let made = tokio::task::spawn_blocking(move || Profile::create(&folder, protection));
    Ok(made.await.map_err(|error| Failure::fault(&error))??)
}

async fn redeem(
    context: &Context<'_>,
    client: &Client,
    invitation: &Invitation,
) -> Result<cercle_sdk::core::Identity, Failure> {
    let address = &invitation.address;
    let what = text!("Inscription auprès de {address}…"; "Enrolling with {address}…");
    let mut link = client.watch_link();
    let enrolling = async {
        tokio::select! {
            biased;
            enrolled = client.enrol(invitation) => enrolled.map_err(Failure::from),
            failed = link.wait_for(|link| matches!(link.failure, Some(LinkFailure::Untrusted | LinkFailure::NotAHub))) => {
                Err(Failure::unreachable(address, failed.ok().and_then(|link| link.failure)))
            }
        }
    };
    match context.output.waiting(&what, Box::pin(timeout(context.patience, enrolling))).await {
        Ok(result) => result,
        Err(_) => Err(Failure::unreachable(address, client.link().failure)),
    }
}
