//! The help of every command and argument in English.

mod alert;

use clap::Command;

const ABOUT: &str = "Cercle: end-to-end encrypted messaging for health professionals.";

/// Command (empty: every command), argument (empty: the command itself), English sentence.
const SENTENCES: &[(&str, &str, &str)] = &[
    ("", "profile", "Identity to use, if there are several on this machine."),
    ("", "home", "Folder of the profiles (else CERCLE_HOME, then the usual data folder)."),
    ("", "json", "One JSON object a line instead of sentences."),
    ("", "lang", "Language: fr or en (else CERCLE_LANG, then the system's language if English)."),
    ("", "timeout", "Seconds to wait for the hub."),
    ("", "offline", "Do not try to reach the hub."),
    ("enrol", "", "Enrols this device with an invitation."),
    ("enrol", "link", "Link cercle://… from the coordinator, or - to read it from standard input."),
    ("enrol", "passphrase", "Protects the profile with a passphrase."),
    ("whoami", "", "Shows who you are on this hub."),
    ("groups", "", "Lists your groups."),
    ("new", "", "Makes a group."),
    ("new", "title", "Title, seen by members only."),
    ("new", "announcements", "Only administrators write, add and remove."),
    ("invite", "", "Adds people to a group."),
    ("invite", "group", "Title or id of the group, or its beginning."),
    ("invite", "users", "Ids, for example claire.martin."),
    ("remove", "", "Removes people from a group."),
    ("remove", "group", "Title or id of the group, or its beginning."),
    ("remove", "users", "Ids, for example claire.martin."),
    ("members", "", "Lists the members of a group."),
    ("members", "group", "Title or id of the group, or its beginning."),
    ("send", "", "Sends a message and waits until the hub has it."),
    ("send", "group", "Title or id of the group, or its beginning."),
    ("send", "text", "Text; - or nothing: standard input."),
    ("recv", "", "Shows the messages received since the last time."),
    ("recv", "group", "Title or id of the group, or its beginning; else all groups."),
    ("recv", "follow", "Stays and shows messages as they arrive (Ctrl-C to end)."),
    ("recv", "all", "Shows again all that the device has kept, its own messages too."),
    ("chat", "", "Reads and writes in a group at once: one line, one message."),
    ("chat", "group", "Title or id of the group, or its beginning."),
    ("leave", "", "Leaves a group."),
    ("leave", "group", "Title or id of the group, or its beginning."),
    ("status", "", "Shows the state of connection and groups, and what each device of a group has received."),
    ("status", "group", "Title or id of the group, or its beginning."),
    ("devices", "", "Lists the devices of a person."),
    ("devices", "user", "Id; else yourself."),
    ("revoke", "", "Revokes a device for ever: it leaves all its groups."),
    ("revoke", "device", "Id of the device, or its beginning (cercle devices)."),
    ("revoke", "user", "Whose device it is; else yours."),
    ("invitation", "", "Makes an invitation; without an id, for another device of yours."),
    ("invitation", "user", "Id to create, for example claire.martin or an RPPS number."),
    ("invitation", "name", "Name to show."),
    (
        "invitation",
        "profession",
        "Profession code TRE_G15 (10 doctor, 21 pharmacist, 60 nurse, 70 physiotherapist…).",
    ),
    ("invitation", "class", "Class: professional, verified-other, relative."),
    (
        "invitation",
        "role",
        "Role on the hub: member, moderator, coordinator, crisis-publisher, directory-admin, bot.",
    ),
    ("update-keys", "", "Renews your keys in a group."),
    ("update-keys", "group", "Title or id of the group, or its beginning."),
    ("demo", "", "Shows Cercle on this machine alone: a hub, a fictitious CPTS, encrypted messages."),
    ("demo", "once", "Plays once and ends."),
    ("demo", "keep", "Keeps the data in this folder (else they vanish at the end)."),
];

/// Replaces every French sentence.
pub(super) fn translate(command: Command) -> Command {
    let all = SENTENCES.iter().chain(alert::SENTENCES);
    let translated = all.fold(command.about(ABOUT), |command, (name, argument, sentence)| {
        say(command, name, argument, sentence)
    });
    translated.mut_subcommand("alert", |alert| alert.mut_subcommands(shared))
}

/// Sets one sentence; names of commands within commands have a space between them.
fn say(command: Command, name: &str, argument: &str, sentence: &'static str) -> Command {
    match (name.split_once(' ').unwrap_or((name, "")), argument) {
        (("", _), "") => command.about(sentence),
        (("", _), argument) => command.mut_arg(argument, |arg| arg.help(sentence)),
        ((first, rest), argument) => command.mut_subcommand(first, |sub| say(sub, rest, argument, sentence)),
    }
}

/// Arguments that several commands share.
fn shared(command: Command) -> Command {
    command.mut_args(|arg| {
        let found = alert::SHARED.iter().find(|(name, _)| arg.get_id() == name);
        match found {
            Some((_, sentence)) => arg.help(*sentence),
            None => arg,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{super::Cli, *};

    fn sentence(command: &str, argument: &str) -> Option<&'static str> {
        SENTENCES
            .iter()
            .chain(alert::SENTENCES)
            .find(|row| row.0 == command && row.1 == argument)
            .map(|row| row.2)
    }

    #[test]
    fn every_command_and_argument_has_an_english_sentence() {
        let command = Cli::command();
        for argument in command.get_arguments() {
            assert!(sentence("", argument.get_id().as_str()).is_some(), "{}", argument.get_id());
        }
        for parent in ["alert", "push"] {
            for sub in command.find_subcommand(parent).unwrap().get_subcommands() {
                let name = format!("{parent} {}", sub.get_name());
                let known =
                    |argument: &str| alert::SENTENCES.iter().any(|row| row.0 == name && row.1 == argument);
                assert!(known(""), "{name}");
                for argument in sub.get_arguments() {
                    let id = argument.get_id().as_str();
                    assert!(known(id) || alert::SHARED.iter().any(|row| row.0 == id), "{name} {id}");
                }
            }
        }
        for sub in command.get_subcommands() {
            assert!(sentence(sub.get_name(), "").is_some(), "{}", sub.get_name());
            for argument in sub.get_arguments() {
                let found = sentence(sub.get_name(), argument.get_id().as_str());
                assert!(found.is_some(), "{} {}", sub.get_name(), argument.get_id());
            }
        }
    }
}
