//! `cercle invitation` and `cercle revoke`: who may take part, with which device.

use cercle_proto::v1;
use cercle_sdk::core::NewInvitation;
use tokio::time::timeout;

use crate::{
    arguments::{Class, InvitationArguments, Role},
    context::Context,
    exit::Exit,
    failure::Failure,
    moment,
    records::Record,
    resolve,
};

pub(crate) async fn invitation(
    context: &Context<'_>,
    arguments: InvitationArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let user = arguments.user.as_deref().map(|name| resolve::user(&enrolled.identity, name)).transpose()?;
    let wanted = NewInvitation {
        user: user.as_ref().map(|user| user.local().to_owned()).unwrap_or_default(),
        display_name: arguments.name.unwrap_or_default(),
        profession: arguments.profession.unwrap_or_default(),
        class: class(arguments.class),
        roles: arguments.role.into_iter().map(role).collect(),
        valid_for_ms: 0,
        lost_devices: arguments.lost_devices,
    };
    context.online(&enrolled).await?;
    let made = enrolled.client.create_invitation(wanted).await?;
    let (user, link, until) = (made.user.as_str(), &made.link, moment::day(made.expires_at_ms));
    context.output.result(
        &Record::Invitation { user, link, expires_at_ms: made.expires_at_ms },
        &text!(
            "Invitation pour {user}, à usage unique, valable jusqu'au {until} :\n{link}\nÀ remettre en main propre ou par un canal sûr ; la personne lance : cercle enrol <lien>";
            "Invitation for {user}, for one use, valid until {until}:\n{link}\nHand it over in person or over a safe channel; the person runs: cercle enrol <link>"
        ),
    );
    if arguments.lost_devices {
        context.output.note(&text!(
            "Ses appareils perdus sont exclus dès maintenant. Leur place dans ses groupes est gardée jusqu'à cette date : le nouvel appareil la prend, avec ce lien ou avec son code de récupération.";
            "The lost devices are out from now on. Their place in the groups is kept until that day: the new device takes it, with this link or with the recovery code."
        ));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

/// One device of one's own less.
pub(crate) async fn unlink(context: &Context<'_>, device: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    let devices = enrolled.client.list_devices(None).await?;
    let id = resolve::device(&devices, device)?;
    if id == enrolled.identity.device {
        enrolled.close().await;
        let what = text!("C'est cet appareil même."; "It is this very device.");
        return Err(Failure::new(Exit::Usage, what).mend(text!(
            "Retirez-le depuis un autre de vos appareils, ou demandez à votre coordination.";
            "Remove it from another device of yours, or ask your coordinator."
        )));
    }
    enrolled.client.revoke_device(id).await?;
    // It has no session any more; here it is taken out of the groups, so that nothing is written to it either.
    let out = Box::pin(timeout(context.patience, enrolled.client.device_out(id)));
    let what = text!("Retrait de l'appareil de vos groupes…"; "Taking the device out of your groups…");
    let out = context.output.waiting(&what, out).await.is_ok_and(|done| done.is_ok());
    let short = &id.to_hex()[..8];
    context.output.result(
        &Record::Unlinked { device: id.to_hex() },
        &text!(
            "Appareil {short} retiré : il ne reçoit plus rien, et vos groupes en sont informés.";
            "Device {short} removed: it receives nothing more, and your groups are told."
        ),
    );
    if !out {
        context.output.note(&text!(
            "Il sortira de certains groupes un peu plus tard, dès qu'un membre y sera connecté.";
            "It leaves some groups a little later, as soon as a member of them is connected."
        ));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(crate) async fn revoke(context: &Context<'_>, device: &str, user: Option<&str>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let user = user.map(|name| resolve::user(&enrolled.identity, name)).transpose()?;
    context.online(&enrolled).await?;
    let devices = enrolled.client.list_devices(user).await?;
    let id = resolve::device(&devices, device)?;
    enrolled.client.revoke_device(id).await?;
    let short = &id.to_hex()[..8];
    context.output.result(
        &Record::Revoked { device: id.to_hex() },
        &text!(
            "Appareil {short} révoqué ; il sort de ses groupes.";
            "Device {short} revoked; it is leaving its groups."
        ),
    );
    if devices.iter().all(|device| device.revoked || device.device == id) {
        context.output.note(&text!(
            "C'était le dernier appareil de cette personne : elle sort de tous ses groupes, et un membre devra l'y inviter de nouveau. Pour qui a seulement perdu ses appareils : cercle invitation <personne> --lost-devices";
            "It was the last device of this person, who is leaving all groups; a member has to invite them again. For somebody who has only lost devices: cercle invitation <person> --lost-devices"
        ));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

fn class(class: Class) -> v1::MemberClass {
    match class {
        Class::Professional => v1::MemberClass::Professional,
        Class::VerifiedOther => v1::MemberClass::VerifiedOther,
        Class::Relative => v1::MemberClass::Relative,
    }
}

fn role(role: Role) -> v1::Role {
    match role {
        Role::Member => v1::Role::Member,
        Role::Moderator => v1::Role::Moderator,
        Role::Coordinator => v1::Role::Coordinator,
        Role::CrisisPublisher => v1::Role::CrisisPublisher,
        Role::DirectoryAdmin => v1::Role::DirectoryAdmin,
        Role::Bot => v1::Role::Bot,
    }
}
