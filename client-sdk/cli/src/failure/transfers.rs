//! Failures of transfers, as sentences and codes.

use cercle_sdk::{
    client::ClientError,
    error::Error,
    event::TransferFailure,
    transfer::{TransferError, photo::PhotoError},
};

use super::{Failure, refused};
use crate::exit::Exit;

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Unreadable(cause) => Self::new(
                Exit::NotFound,
                text!("Le fichier ne peut pas être lu : {cause}"; "The file cannot be read: {cause}"),
            ),
            TransferError::Empty => {
                Self::new(Exit::Usage, text!("Le fichier est vide."; "The file is empty."))
            }
            TransferError::TooLarge { max } => {
                let megabytes = max / 1_000_000;
                Self::new(
                    Exit::Usage,
                    text!("Le fichier dépasse {megabytes} Mo."; "The file is above {megabytes} MB."),
                )
            }
            TransferError::Photo(error) => photo(error),
            TransferError::Disk(cause) => Self::new(
                Exit::Fault,
                text!("Le disque ne peut pas être écrit : {cause}"; "The disk cannot be written: {cause}"),
            ),
            TransferError::Exists => Self::new(
                Exit::Refused,
                text!("Un fichier de ce nom existe déjà."; "There is a file of that name already."),
            )
            .mend(text!(
                "Choisissez un autre nom avec -o, ou remplacez-le avec --force.";
                "Choose another name with -o, or replace it with --force."
            )),
            TransferError::NotMember => TransferFailure::NotMember.into(),
            TransferError::Refused(code) => refused(code),
            TransferError::Gone => Self::new(
                Exit::NotFound,
                text!("Le hub n'a plus ce document."; "The hub no longer has this document."),
            )
            .mend(text!(
                "Demandez à la personne de l'envoyer à nouveau.";
                "Ask the person who sent it to send it again."
            )),
            TransferError::Damaged(_) => Self::new(
                Exit::Refused,
                text!(
                    "Le contenu reçu n'est pas celui qui a été envoyé : rien n'a été gardé.";
                    "What came is not what was sent: nothing was kept."
                ),
            ),
            TransferError::Interrupted => Self::new(
                Exit::Unreachable,
                text!("La liaison est trop mauvaise."; "The line is too bad."),
            )
            .mend(
                text!("La même commande reprend où elle en était."; "The same command goes on where it was."),
            ),
            TransferError::Cancelled => TransferFailure::Cancelled.into(),
            TransferError::Client(ClientError::Core(Error::Field { field, problem })) => {
                Self::new(Exit::Usage, text!("Refusé : {field} {problem}"; "Refused: {field} {problem}"))
            }
            TransferError::Client(error) => error.into(),
            other => Self::fault(&other),
        }
    }
}

impl From<TransferFailure> for Failure {
    fn from(reason: TransferFailure) -> Self {
        match reason {
            TransferFailure::NotMember => Self::new(
                Exit::Refused,
                text!("Vous n'êtes pas membre du groupe de ce document."; "You are not in this document's group."),
            ),
            TransferFailure::Refused(code) => refused(code),
            TransferFailure::Cancelled => {
                Self::new(Exit::Refused, text!("Envoi abandonné."; "The transfer was given up."))
            }
            _ => Self::new(
                Exit::Fault,
                text!(
                    "Le document préparé a disparu du profil : envoyez-le à nouveau.";
                    "The prepared document is gone from the profile: attach it again."
                ),
            ),
        }
    }
}

fn photo(error: PhotoError) -> Failure {
    let what = match error {
        PhotoError::Format => text!(
            "Ce format d'image peut contenir le lieu de la prise de vue, qui ne peut pas en être effacé.";
            "This kind of picture may hold the place where it was taken, which cannot be taken out."
        ),
        PhotoError::TooLarge => {
            text!("L'image est trop grande pour être nettoyée."; "The picture is too large to be cleaned.")
        }
        _ => text!("L'image est endommagée."; "The picture is damaged."),
    };
    Failure::new(Exit::Refused, what).mend(text!(
        "Enregistrez-la en JPEG ou PNG, ou envoyez-la telle quelle avec --keep-metadata.";
        "Save it as JPEG or PNG, or send it as it is with --keep-metadata."
    ))
}
