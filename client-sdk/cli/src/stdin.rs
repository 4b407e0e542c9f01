//! Text from standard input.

use std::io::{IsTerminal, Read, stdin};

use tokio::sync::mpsc;

use crate::{
    exit::Exit,
    failure::Failure,
    limits::{LINES_AHEAD_MAX, TEXT_BYTES_MAX},
};

/// The text of a message: the argument, or standard input if that is `-` or missing.
pub(crate) fn text(argument: Option<String>) -> Result<String, Failure> {
    let text = match argument {
        Some(text) if text != "-" => text,
        argument => {
            if argument.is_none() && stdin().is_terminal() {
                return Err(empty());
            }
            read_all()?
        }
    };
    let text = text.trim_end_matches(['\n', '\r']).to_owned();
    if text.trim().is_empty() { Err(empty()) } else { Ok(text) }
}

/// The lines of standard input, read on a thread of their own, because such a read cannot be cancelled.
/// The channel ends with the input.
pub(crate) fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(LINES_AHEAD_MAX);
    std::thread::spawn(move || {
        for line in stdin().lines() {
            match line {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => {
                    if sender.blocking_send(line).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    });
    lines
}

fn read_all() -> Result<String, Failure> {
    let mut text = String::new();
    // One byte more than allowed shows that there is more.
    stdin().lock().take(TEXT_BYTES_MAX + 1).read_to_string(&mut text).map_err(|_| {
        Failure::new(
            Exit::Usage,
            text!("L'entrée standard n'est pas un texte UTF-8."; "Standard input is not UTF-8 text."),
        )
    })?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        let kib = TEXT_BYTES_MAX >> 10;
        return Err(Failure::new(
            Exit::Usage,
            text!("Un message a au plus {kib} Kio."; "A message has at most {kib} KiB."),
        ));
    }
    Ok(text)
}

fn empty() -> Failure {
    Failure::new(Exit::Usage, text!("Le message est vide."; "The message is empty.")).mend(text!(
        "cercle send <groupe> \"texte\", ou le texte sur l'entrée standard.";
        "cercle send <group> \"text\", or the text on standard input."
    ))
}
