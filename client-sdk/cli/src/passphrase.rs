//! Where a passphrase comes from: the environment, else the terminal, never an argument, because arguments
//! of a process can be read by other users of the machine.

use std::io::IsTerminal;

use cercle_sdk::profile::Passphrase;

use crate::{exit::Exit, failure::Failure, language::Language};

/// Shortest passphrase for a new profile, in characters. It guards against an accident, not against a
/// choice of bad words.
const CHARACTERS_MIN: usize = 8;

/// The passphrase of an existing profile; `None` if there is nobody to ask.
pub(crate) fn existing(language: Language) -> Option<Passphrase> {
    from_environment().or_else(|| ask(text!("Phrase de passe : "; "Passphrase: ").get(language)))
}

/// A passphrase for a new profile, asked for twice on the terminal.
pub(crate) fn new(language: Language) -> Result<Passphrase, Failure> {
    let passphrase = match from_environment() {
        Some(passphrase) => passphrase,
        None => ask_twice(language)?,
    };
    if passphrase.chars().count() < CHARACTERS_MIN {
        let what = text!(
            "La phrase de passe doit avoir au moins {CHARACTERS_MIN} caractères.";
            "The passphrase must have at least {CHARACTERS_MIN} characters."
        );
        return Err(Failure::new(Exit::Usage, what));
    }
    Ok(passphrase)
}

fn ask_twice(language: Language) -> Result<Passphrase, Failure> {
    let first = ask(text!("Nouvelle phrase de passe : "; "New passphrase: ").get(language));
    let second = ask(text!("Encore une fois : "; "Once more: ").get(language));
    match (first, second) {
        (Some(first), Some(second)) if first == second => Ok(first),
        (Some(_), Some(_)) => {
            Err(Failure::new(Exit::Usage, text!("Les deux saisies diffèrent."; "The two entries differ.")))
        }
        _ => Err(Failure::new(
            Exit::Usage,
            text!(
                "Pas de terminal pour demander la phrase de passe : donnez-la dans CERCLE_PASSPHRASE.";
                "No terminal to ask for the passphrase: give it in CERCLE_PASSPHRASE."
            ),
        )),
    }
}

fn from_environment() -> Option<Passphrase> {
    std::env::var("CERCLE_PASSPHRASE").ok().filter(|text| !text.is_empty()).map(Passphrase::new)
}

fn ask(prompt: &str) -> Option<Passphrase> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    rpassword::prompt_password(prompt).ok().map(Passphrase::new)
}
