//! The answer to a command line that is not a command: help, version, or what is wrong with it.

use clap::error::{ContextKind, ErrorKind};

use crate::{exit::Exit, failure::Failure, language::Language, output::Output};

/// What to print instead of running a command.
#[derive(Debug)]
pub(crate) struct Answer {
    error: clap::Error,
    language: Language,
}

impl Answer {
    pub(super) fn new(error: clap::Error, language: Language) -> Self {
        Self { error, language }
    }

    /// The exit code: asking for help is no mistake.
    pub(crate) fn exit(&self) -> Exit {
        if self.error.use_stderr() { Exit::Usage } else { Exit::Done }
    }

    /// Prints it where it belongs.
    pub(crate) fn print(&self) -> Exit {
        let helps = matches!(self.error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
        if self.exit() == Exit::Done || helps {
            // A reader that has gone needs no help.
            let _ = self.error.print();
        } else {
            Output::new(self.language, false).failure(&self.failure());
        }
        self.exit()
    }

    fn failure(&self) -> Failure {
        let value = |kind| self.error.get(kind).map(ToString::to_string).unwrap_or_default();
        let argument = value(ContextKind::InvalidArg);
        let given = value(ContextKind::InvalidValue);
        let what = match self.error.kind() {
            ErrorKind::InvalidSubcommand => {
                let name = value(ContextKind::InvalidSubcommand);
                text!("Commande inconnue : {name}"; "Unknown command: {name}")
            }
            ErrorKind::UnknownArgument => text!("Option inconnue : {argument}"; "Unknown option: {argument}"),
            ErrorKind::MissingRequiredArgument => text!("Il manque : {argument}"; "Missing: {argument}"),
            ErrorKind::InvalidValue | ErrorKind::ValueValidation if given.is_empty() => {
                text!("Il manque une valeur après {argument}"; "A value is missing after {argument}")
            }
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => text!(
                "« {given} » ne convient pas pour {argument}";
                "\"{given}\" does not suit {argument}"
            ),
            ErrorKind::ArgumentConflict => {
                let other = value(ContextKind::PriorArg);
                text!("{argument} ne va pas avec {other}"; "{argument} does not go with {other}")
            }
            _ => text!("Cette ligne de commande n'a pas de sens."; "This command line makes no sense."),
        };
        let suggestion = value(ContextKind::SuggestedSubcommand) + &value(ContextKind::SuggestedArg);
        let mend = if suggestion.is_empty() {
            text!("Voyez : cercle --help"; "See: cercle --help")
        } else {
            text!("Peut-être {suggestion} ? Voyez : cercle --help"; "Perhaps {suggestion}? See: cercle --help")
        };
        Failure::new(Exit::Usage, what).mend(mend)
    }
}
