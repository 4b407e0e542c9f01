//! What went wrong, for a person: what, and how to mend it; for a script: an exit code.
//!
//! The one place where errors of the SDK become sentences and codes.

mod devices;
mod field;
mod transfers;

use std::io;

use cercle_proto::{ErrorCode, policy::PolicyError};
use cercle_sdk::{
    client::{ClientError, ClientOpenError},
    connection::Failure as LinkFailure,
    core::DisconnectReason,
    error::{Error, OpenError},
    profile::ProfileError,
    thread::requests::Refusal,
};

use crate::{
    exit::Exit,
    language::{Language, Text},
};

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What went wrong.
    pub(crate) what: Text,
    /// What the user can do about it, if anything.
    pub(crate) mend: Option<Text>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: Text) -> Self {
        Self { exit, what, mend: None }
    }

    pub(crate) fn mend(mut self, mend: Text) -> Self {
        self.mend = Some(mend);
        self
    }

    /// No profile, or a profile without a certificate.
    pub(crate) fn not_enrolled() -> Self {
        let what = text!("Ce profil n'est pas encore inscrit."; "This profile is not enrolled yet.");
        Self::new(Exit::NotEnrolled, what).mend(text!(
            "Demandez une invitation à votre coordination, puis : cercle enrol <lien>";
            "Ask your coordinator for an invitation, then: cercle enrol <link>"
        ))
    }

    /// The hub was not reached within the time allowed.
    pub(crate) fn unreachable(address: &str, failure: Option<LinkFailure>) -> Self {
        let what = match failure {
            Some(LinkFailure::Untrusted) => text!(
                "Le certificat présenté par {address} n'est pas celui du hub de votre invitation : rien n'a été envoyé.";
                "The certificate that {address} presents is not that of your invitation's hub: nothing was sent."
            ),
            Some(LinkFailure::NotAHub) => text!(
                "{address} répond, mais ce n'est pas un hub Cercle.";
                "{address} answers, but it is not a Cercle hub."
            ),
            Some(LinkFailure::Unreachable) | None => text!(
                "Le hub {address} ne répond pas.";
                "The hub {address} does not answer."
            ),
        };
        Self::new(Exit::Unreachable, what).mend(text!(
            "Vérifiez la connexion au réseau, ou donnez plus de temps : --timeout 30";
            "Check the network, or allow more time: --timeout 30"
        ))
    }

    /// A fault that is not the user's.
    pub(crate) fn fault(error: &dyn std::error::Error) -> Self {
        Self::new(Exit::Fault, text!("Erreur inattendue : {error}"; "Unexpected error: {error}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::fault(&error)
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        match &error {
            ProfileError::Missing(_) => Self::not_enrolled(),
            ProfileError::InUse(_) => Self::new(
                Exit::ProfileInUse,
                text!(
                    "Ce profil est déjà utilisé par une autre commande cercle.";
                    "Another cercle command is using this profile."
                ),
            )
            .mend(text!(
                "Terminez-la (Ctrl-C), ou choisissez un autre profil avec --profile. Pour lire et écrire en même temps : cercle chat <groupe>";
                "End it (Ctrl-C), or choose another profile with --profile. To read and write at once: cercle chat <group>"
            )),
            ProfileError::WrongPassphrase => Self::new(
                Exit::ProfileClosed,
                text!("Phrase de passe incorrecte."; "Wrong passphrase."),
            ),
            ProfileError::PassphraseNeeded => Self::new(
                Exit::ProfileClosed,
                text!(
                    "Ce profil est protégé par une phrase de passe.";
                    "This profile is protected by a passphrase."
                ),
            )
            .mend(text!(
                "Lancez la commande dans un terminal, ou donnez la phrase dans CERCLE_PASSPHRASE.";
                "Run the command in a terminal, or give the passphrase in CERCLE_PASSPHRASE."
            )),
            ProfileError::Name | ProfileError::NoHome => {
                Self::new(Exit::Usage, text!("Nom de profil ou dossier : {error}"; "Profile: {error}"))
            }
            ProfileError::Exists(_)
            | ProfileError::Permissions(_)
            | ProfileError::WrongKeyFile(_)
            | ProfileError::Damaged { .. }
            | ProfileError::Io { .. } => {
                let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(" ({cause})"));
                Self::new(
                    Exit::ProfileClosed,
                    text!("Le profil ne s'ouvre pas : {error}{cause}"; "The profile does not open: {error}{cause}"),
                )
            }
        }
    }
}

impl From<ClientOpenError> for Failure {
    fn from(error: ClientOpenError) -> Self {
        match error {
            ClientOpenError::Profile(error) => error.into(),
            ClientOpenError::Store(OpenError::NewerFormat { found, known }) => Self::new(
                Exit::ProfileClosed,
                text!(
                    "Ce profil a été ouvert par une version plus récente de cercle : son format est {found}, cette version lit jusqu'à {known}.";
                    "A newer version of cercle has opened this profile: its format is {found}, this version reads up to {known}."
                ),
            )
            .mend(text!(
                "Installez la version la plus récente ; rien n'a été changé.";
                "Install the newest version; nothing was changed."
            )),
            ClientOpenError::Store(error @ OpenError::WrongKey) => Self::new(
                Exit::ProfileClosed,
                text!("Le profil ne s'ouvre pas : {error}"; "The profile does not open: {error}"),
            ),
            other => Self::fault(&other),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Core(error) => error.into(),
            ClientError::Stopped(reason) => stopped(reason),
            other => Self::fault(&other),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::NotEnrolled => Self::not_enrolled(),
            Error::AlreadyEnrolled => Self::new(
                Exit::Refused,
                text!("Ce profil est déjà inscrit."; "This profile is already enrolled."),
            )
            .mend(text!(
                "Pour une seconde identité sur cette machine : --profile <nom>";
                "For a second identity on this machine: --profile <name>"
            )),
            Error::Offline => {
                Self::new(Exit::Unreachable, text!("Pas de connexion au hub."; "No connection to the hub."))
            }
            Error::NoDevice { users } => {
                let users = users.iter().map(|user| user.as_str()).collect::<Vec<_>>().join(", ");
                Self::new(
                    Exit::NotFound,
                    text!("Aucun appareil joignable pour : {users}"; "No device that can be added for: {users}"),
                )
                .mend(text!(
                    "Vérifiez l'identifiant ; la personne doit avoir utilisé son invitation une fois.";
                    "Check the id; the person must have redeemed an invitation once."
                ))
            }
            Error::NotInGroup { users } => {
                let users = users.iter().map(|user| user.as_str()).collect::<Vec<_>>().join(", ");
                Self::new(Exit::NotFound, text!("Absents du groupe : {users}"; "Not in the group: {users}"))
            }
            Error::UnknownGroup(_) => {
                Self::new(Exit::NotFound, text!("Ce groupe est inconnu."; "This group is unknown."))
            }
            Error::NotMember(_) => Self::new(
                Exit::Refused,
                text!(
                    "Vous n'êtes plus membre de ce groupe ; ce qui a été reçu reste lisible.";
                    "You are no longer a member of this group; what was received can still be read."
                ),
            ),
            Error::Denied(rule) => denied(rule),
            Error::Refused { code: ErrorCode::InvalidField, message } if !message.is_empty() => {
                field::refused(message)
            }
            Error::Refused { code, .. } => refused(*code),
            Error::Untrusted(_) | Error::KeyPackageRefused(_) => {
                Self::new(Exit::Refused, text!("Certificat refusé : {error}"; "Certificate refused: {error}"))
            }
            Error::OutboxFull => Self::new(
                Exit::Refused,
                text!(
                    "Trop de messages attendent déjà d'être envoyés.";
                    "Too many messages already wait to be sent."
                ),
            )
            .mend(text!("Attendez que le hub soit joignable."; "Wait until the hub can be reached.")),
            Error::Request(refusal) => request(refusal),
            Error::CircleRefused(_)
            | Error::CircleExists(_)
            | Error::Field { .. }
            | Error::KindIsFixed
            | Error::IdentityInWideThread { .. } => content_refused(&error),
            Error::Invalid(what) => {
                let french = in_french(what);
                Self::new(Exit::Usage, text!("Refusé : {french}."; "Refused: {what}."))
            }
            _ => Self::fault(&error),
        }
    }
}

/// Why a step of a request is not possible.
fn request(refusal: &Refusal) -> Failure {
    match refusal {
        Refusal::Owned(owner) => crate::commands::requests::step::taken(owner),
        Refusal::Unknown => {
            Failure::new(Exit::NotFound, text!("Cette demande est inconnue."; "This request is unknown."))
        }
        Refusal::NotYours => Failure::new(
            Exit::Refused,
            text!("Ce n'est pas à vous de le faire."; "That is for somebody else to do."),
        ),
        Refusal::Expired => {
            Failure::new(Exit::Refused, text!("Cette demande a expiré."; "This request has expired."))
        }
        Refusal::Closed => {
            Failure::new(Exit::Refused, text!("Cette demande est terminée."; "This request is closed."))
        }
        _ => Failure::new(
            Exit::Refused,
            text!(
                "Ce n'est pas possible dans l'état où est la demande (cercle show).";
                "That is not possible where the request stands (cercle show)."
            ),
        ),
    }
}

/// What the rules of a kind of message or of patient circles do not allow.
fn content_refused(error: &Error) -> Failure {
    match error {
        Error::CircleRefused(refusal) => {
            let (fr, en) = (refusal.explain(Language::French), refusal.explain(Language::English));
            Failure::new(Exit::Refused, text!("Refusé : {fr}"; "Refused: {en}")).mend(text!(
                "Le refus est noté : cercle circle refusals";
                "The refusal is noted: cercle circle refusals"
            ))
        }
        Error::CircleExists(group) => {
            let id = &group.to_hex()[..8];
            let what = text!(
                "Il existe déjà un cercle pour ce patient : {id}.";
                "There is a circle for this patient already: {id}."
            );
            Failure::new(Exit::Refused, what).mend(text!(
                "Voyez : cercle circle members {id}. S'il s'agit d'une autre personne : --despite-duplicate";
                "See: cercle circle members {id}. If it is another person: --despite-duplicate"
            ))
        }
        Error::Field { field, problem } => {
            let french = in_french(problem);
            Failure::new(Exit::Usage, text!("{field} : {french}."; "{field}: {problem}."))
        }
        Error::KindIsFixed => Failure::new(
            Exit::Refused,
            text!(
                "Un cercle de soins ou un fil direct le reste, et aucun autre fil ne le devient.";
                "A patient circle or a direct thread stays one, and no other thread becomes one."
            ),
        )
        .mend(text!(
            "Ouvrez-en un : cercle circle new, cercle direct.";
            "Open one: cercle circle new, cercle direct."
        )),
        Error::IdentityInWideThread { kind } => Failure::new(
            Exit::Refused,
            text!(
                "Un message « {kind} » concerne un patient : il n'a pas sa place dans ce groupe.";
                "A message \"{kind}\" is about one patient: it does not belong in this group."
            ),
        )
        .mend(text!(
            "Écrivez dans un cercle de soins ouvert pour le patient, ou à une seule personne, à deux.";
            "Write in a circle that was opened for the patient, or to one person, with no third."
        )),
        other => Failure::fault(other),
    }
}

fn stopped(reason: DisconnectReason) -> Failure {
    match reason {
        DisconnectReason::Refused { code: Some(code), .. } => refused(code),
        DisconnectReason::Untrusted => Failure::new(
            Exit::Unreachable,
            text!(
                "Ce hub n'est pas celui de l'invitation : rien n'a été enregistré.";
                "This hub is not that of the invitation: nothing was stored."
            ),
        ),
        other => Failure::fault(&ClientError::Stopped(other)),
    }
}

/// What the policy of a group forbids.
fn denied(rule: &PolicyError) -> Failure {
    if *rule == PolicyError::NoAdministrator {
        return Failure::new(
            Exit::Refused,
            text!("Le groupe resterait sans administrateur."; "The group would be left without an administrator."),
        )
        .mend(text!(
            "Nommez un membre qui prend la suite : cercle leave <groupe> --successor <personne>";
            "Name a member who takes over: cercle leave <group> --successor <person>"
        ));
    }
    Failure::new(
        Exit::Refused,
        text!("Les règles du groupe l'interdisent : {rule}"; "The group's policy forbids it: {rule}"),
    )
    .mend(text!(
        "Demandez à un administrateur du groupe (cercle members <groupe>).";
        "Ask an administrator of the group (cercle members <group>)."
    ))
}

fn unknown_entry() -> Failure {
    Failure::new(
        Exit::NotFound,
        text!("L'annuaire n'a pas cette fiche."; "The directory has no such entry."),
    )
    .mend(text!("Cherchez d'abord : cercle directory search <mot>"; "Search first: cercle directory search <word>"))
}

/// The codes that a professional can meet and mend; the rest by the table of docs/error-codes.md.
fn refused(code: ErrorCode) -> Failure {
    if code == ErrorCode::DirectoryEntryUnknown {
        return unknown_entry();
    }
    let number = code.number();
    let (what, mend) = match code {
        ErrorCode::InvitationUnknown | ErrorCode::InvitationExpired | ErrorCode::InvitationUsed => (
            match code {
                ErrorCode::InvitationExpired => {
                    text!("Cette invitation a expiré."; "This invitation has expired.")
                }
                ErrorCode::InvitationUsed => {
                    text!("Cette invitation a déjà servi."; "This invitation has been used already.")
                }
                _ => {
                    text!("Le hub ne connaît pas cette invitation."; "The hub does not know this invitation.")
                }
            },
            text!("Demandez-en une nouvelle à votre coordination."; "Ask your coordinator for a new one."),
        ),
        ErrorCode::DeviceRevoked => (
            text!("Cet appareil a été révoqué."; "This device was revoked."),
            text!(
                "Demandez une nouvelle invitation à votre coordination.";
                "Ask your coordinator for a new invitation."
            ),
        ),
        ErrorCode::SessionReplaced => (
            text!(
                "Une autre session de cet appareil est ouverte.";
                "Another session of this device is open."
            ),
            text!(
                "Une copie du profil sert peut-être ailleurs : un profil ne vit que sur une machine.";
                "A copy of the profile may be in use elsewhere: a profile lives on one machine only."
            ),
        ),
        ErrorCode::NotAuthorised => (
            text!("Votre rôle ne le permet pas."; "Your role does not allow it."),
            text!("Demandez à votre coordination."; "Ask a coordinator."),
        ),
        _ => {
            let (meaning, action) = (code.meaning(), code.action());
            (
                text!("Le hub refuse ({number}) : {meaning}"; "The hub refuses ({number}): {meaning}"),
                text!("Que faire : {action}"; "What to do: {action}"),
            )
        }
    };
    Failure::new(Exit::Refused, what).mend(mend)
}

/// What the SDK says of an argument, for a reader of French; what is not known here stays as it is.
fn in_french(what: &str) -> &str {
    match what {
        "a message must not be empty" => "un message ne peut pas être vide",
        "a message has at most 16384 bytes of text" => "un message a au plus 16384 octets de texte",
        "a title must not be empty" => "un titre ne peut pas être vide",
        "a title has at most 256 bytes" => "un titre a au plus 256 octets",
        "name 1 to 500 users" => "nommez de 1 à 500 personnes",
        "this device is about to leave the group" => "cet appareil est en train de quitter le groupe",
        "this device is in as many groups as it can hold" => "cet appareil est déjà dans trop de groupes",
        "is missing" => "ce champ manque",
        "is not whom this circle is about; write in that patient's circle or a direct thread" => {
            "ce n'est pas le patient de ce cercle ; écrivez dans le sien ou dans un fil direct"
        }
        "must be a day: YYYY-MM-DD" => "il faut un jour : AAAA-MM-JJ",
        "must be a moment with its offset: 2026-11-21T14:30:00+01:00" => {
            "il faut une date et une heure avec leur décalage : 2026-11-21T14:30:00+01:00"
        }
        "must be after the start" => "il faut que ce soit après le début",
        "must be an address that starts with https://" => "il faut une adresse qui commence par https://",
        "must not be named: the consent is refused" => "ne peut pas être nommé : le consentement est refusé",
        "must not be named to several groups" => "ne peut pas être nommé à plusieurs groupes",
        "must be later than now" => "il faut que ce soit à venir",
        "holds no prescription" => "l'ordonnance n'est pas jointe",
        "can be read in one group only; send them to the owner once there is one" => {
            "ne se lit que dans un groupe ; envoyez-le à qui prendra la demande"
        }
        "is not 1, 2 or 3" => "il faut 1, 2 ou 3",
        "may only go with a validated identity" => "ne va qu'avec une identité validée",
        "is that of a test or demonstration identity" => {
            "est celui d'une identité de test ou de démonstration"
        }
        "is before the start" | "is before the begin" => "est avant le début",
        "must be after from_ms" => "il faut que ce soit après le début",
        "is no user id" => "n'est pas un identifiant de personne",
        "is not in this thread" => "n'est pas dans ce fil",
        "was withdrawn" => "a été retiré",
        "is somebody else's" => "est de quelqu'un d'autre",
        "is no text" => "n'est pas un texte",
        "everybody writes in this group; make a library as such" => {
            "tout le monde écrit dans ce groupe ; une bibliothèque se crée comme telle"
        }
        "the members of this thread do not follow the directory" => {
            "les membres de ce fil ne suivent pas l'annuaire"
        }
        other => other,
    }
}
