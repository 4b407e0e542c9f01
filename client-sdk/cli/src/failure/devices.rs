//! Failures of linking and recovery, as sentences and codes. Not a word of keys or cryptography.

use cercle_sdk::linking::LinkError;

use super::Failure;
use crate::exit::Exit;

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        let again = || {
            text!(
                "Recommencez avec un nouveau code : cercle link sur l'appareil déjà inscrit.";
                "Begin again with a new code: cercle link on the device that is enrolled."
            )
        };
        match error {
            LinkError::Client(error) => error.into(),
            LinkError::Ended => Self::new(
                Exit::Refused,
                text!("Ce code n'est plus valable."; "This code is not valid any more."),
            )
            .mend(again()),
            LinkError::Used => Self::new(
                Exit::Refused,
                text!("Un autre appareil a déjà lu ce code."; "Another device has read this code already."),
            )
            .mend(again()),
            LinkError::Unreachable => Self::new(
                Exit::Unreachable,
                text!("Le hub ne répond pas."; "The hub does not answer."),
            )
            .mend(text!("Vérifiez la connexion au réseau."; "Check the network.")),
            LinkError::WrongNumber => Self::new(
                Exit::Refused,
                text!(
                    "Ce n'est pas le nombre affiché par le nouvel appareil : rien ne lui a été remis.";
                    "This is not the number that the new device shows: it was given nothing."
                ),
            )
            .mend(text!(
                "Si le nombre était bien recopié, quelqu'un d'autre a peut-être lu le code. Recommencez : cercle link";
                "If the number was copied correctly, somebody else may have read the code. Begin again: cercle link"
            )),
            LinkError::Refused => Self::new(
                Exit::Refused,
                text!("L'autre appareil n'a pas confirmé."; "The other device did not confirm."),
            )
            .mend(again()),
            LinkError::Foreign(_) => Self::new(
                Exit::Refused,
                text!(
                    "Ce qui a répondu n'est pas l'autre appareil : rien n'a été remis.";
                    "What answered is not the other device: nothing was given out."
                ),
            )
            .mend(again()),
            error => Self::fault(&error),
        }
    }
}
