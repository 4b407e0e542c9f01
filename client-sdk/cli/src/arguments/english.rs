//! The help of every command and argument in English.

mod alert;
mod requests;

use clap::Command;

const ABOUT: &str = "Cercle: end-to-end encrypted messaging for health professionals.";

/// Command (empty: every command; `a b`: command b of a), argument (empty: the command itself), English sentence.
const SENTENCES: &[(&str, &str, &str)] = &[
    ("", "profile", "Identity to use, if there are several on this machine."),
    ("", "home", "Folder of the profiles (else CERCLE_HOME, then the usual data folder)."),
    ("", "json", "One JSON object a line instead of sentences."),
    ("", "lang", "Language: fr or en (else CERCLE_LANG, then the system's language if English)."),
    ("", "timeout", "Seconds to wait for the hub."),
    ("", "offline", "Do not try to reach the hub."),
    ("enrol", "", "Enrols this device with an invitation."),
    (
        "enrol",
        "link",
        "Link cercle://… from the coordinator, or code shown by another device of yours; - for standard input.",
    ),
    ("link", "", "Adds another device of yours: shows a code to read with it."),
    (
        "link",
        "code",
        "Code cercle://…/link#… shown by the device that is enrolled, or - for standard input; without a code, this device shows one.",
    ),
    ("link", "passphrase", "Protects the profile with a passphrase."),
    (
        "recover",
        "",
        "Finds your groups and messages again on a new device, with nothing but your recovery code.",
    ),
    (
        "recover",
        "line",
        "Recovery line `cercle://…/recover#… CODE`, or the address alone, or - to read the line from standard input; without it, it is asked for.",
    ),
    (
        "recover",
        "code",
        "Recovery code if the line does not have it, or - for standard input; else it is asked for.",
    ),
    ("recover", "passphrase", "Protects the profile with a passphrase."),
    ("recovery", "", "Your recovery code: have one, change it."),
    ("recovery status", "", "Says whether there is a code, and whether this device keeps the backup."),
    ("recovery rotate", "", "Gives a new code; the former one is of no use any more."),
    (
        "recovery rotate",
        "anew",
        "Begins the backup again with what this device has, if no other device of yours can do it.",
    ),
    ("enrol", "no_recovery", "Makes no recovery code (cercle recovery rotate makes one later)."),
    ("unlink", "", "Removes one of your devices for ever, lost or unused: it leaves all your groups."),
    ("unlink", "device", "Id of the device, or its beginning (cercle devices)."),
    ("enrol", "passphrase", "Protects the profile with a passphrase."),
    ("whoami", "", "Shows who you are on this hub."),
    ("groups", "", "Lists your groups."),
    ("new", "", "Makes a group."),
    ("new", "title", "Title, seen by members only."),
    ("new", "announcements", "Only administrators write, add and remove."),
    ("invite", "", "Adds people to a group."),
    ("invite", "group", "Title or id of the group, or its beginning."),
    ("invite", "users", "Ids, for example claire.martin, or keys of the directory (ps:…, inbox:…)."),
    ("remove", "", "Removes people from a group."),
    ("remove", "group", "Title or id of the group, or its beginning."),
    ("remove", "users", "Ids, for example claire.martin."),
    ("members", "", "Lists the members of a group."),
    ("members", "group", "Title or id of the group, or its beginning."),
    ("send", "", "Sends a message and waits until the hub has it."),
    ("send", "group", "Title or id of the group, or its beginning."),
    ("send", "text", "Text; - or nothing: standard input."),
    ("post", "", "Sends a typed message (alert, form, plan…) written in JSON."),
    ("post", "group", "Title or id of the group, or its beginning."),
    ("post", "file", "JSON file, or - for standard input; examples: cercle template."),
    (
        "post",
        "ask_ack",
        "Asks every member for acknowledgement (event_alert): the hub wakes them again and counts.",
    ),
    ("template", "", "Shows a complete JSON example of a kind of message, or the list of kinds."),
    ("template", "kind", "Kind, for example event_alert."),
    ("state", "", "Shows how the alerts, forms, plans, events, protocols of a group stand."),
    ("state", "group", "Title or id of the group, or its beginning."),
    (
        "state",
        "kind",
        "Only this kind: event_alert, library_entry, availability, event, form, care_plan, adverse_event.",
    ),
    ("rsvp", "", "Answers the invitation to an event."),
    ("rsvp", "group", "Title or id of the group, or its beginning."),
    ("rsvp", "event", "Id of the event, or its beginning (cercle state)."),
    ("rsvp", "answer", "Answer: yes, no, maybe."),
    ("rsvp", "comment", "A few words."),
    ("availability", "", "Tells the members of a group when you are available."),
    ("availability", "group", "Title or id of the group, or its beginning."),
    ("availability", "what", "What: new-patients (accepts new patients), unavailable, on-duty."),
    ("availability", "until", "Until when: 2026-12-31 or 2026-12-31T18:00:00+01:00."),
    ("availability", "place", "Where."),
    ("availability", "text", "A few words."),
    ("availability", "withdraw", "Takes back what was said."),
    ("calendar", "", "Writes the events and availabilities of a group for an agenda (iCalendar)."),
    ("calendar", "group", "Title or id of the group, or its beginning."),
    ("calendar", "output", "File to write; else standard output."),
    ("export", "", "Writes a patient circle, request or message as FHIR R4 (JSON)."),
    ("export", "group", "Title or id of the group, or its beginning."),
    ("export", "id", "Id of a request or message, or its beginning; else the patient circle itself."),
    ("export", "fhir", "As FHIR R4 (JSON)."),
    (
        "export",
        "content",
        "With the content of the document, or of those of the request (Binary), at most 5 MB in all.",
    ),
    ("export", "output", "File to write; else standard output."),
    ("import", "", "Reads a FHIR R4 file (CareTeam, ServiceRequest…) into drafts."),
    ("import", "file", "JSON file, or - for standard input."),
    ("import", "fhir", "As FHIR R4 (JSON)."),
    ("import", "post", "Sends what is complete to this group."),
    ("import", "acting_structure", requests::ACTING_STRUCTURE),
    ("recv", "", "Shows the messages received since the last time."),
    ("recv", "group", "Title or id of the group, or its beginning; else all groups."),
    ("recv", "follow", "Stays and shows messages as they arrive (Ctrl-C to end)."),
    ("recv", "all", "Shows again all that the device has kept, its own messages too."),
    ("chat", "", "Reads and writes in a group at once: one line, one message."),
    ("chat", "group", "Title or id of the group, or its beginning."),
    ("attach", "", "Sends a document to a group, encrypted, and waits until the hub has it."),
    ("attach", "group", "Title or id of the group, or its beginning."),
    ("attach", "file", "File to send, at most 100 MB."),
    (
        "attach",
        "document_type",
        "Type: ordonnance, compte-rendu, lettre-de-liaison, biologie, photo, autre (or prescription, report, discharge-letter, laboratory, other).",
    ),
    ("attach", "title", "Title, in place of the name of the file."),
    (
        "attach",
        "confidential",
        "Confidentiality flag: masque-ps, invisible-patient, invisible-rep-legaux, connexion-secrete.",
    ),
    ("attach", "keep_metadata", "Keeps place, time and device in a photo (else they are taken out)."),
    ("get", "", "Downloads the document of a message."),
    ("get", "message", "Message that carries the document: id (or its beginning), or group:number."),
    ("get", "output", "File or folder to write to (else the current folder)."),
    ("get", "force", "Replaces a file that is there."),
    ("transfers", "", "Completes the transfers of documents under way, and lists them."),
    ("transfers", "cancel", "Gives up this transfer (id or its beginning)."),
    ("leave", "", "Leaves a group."),
    ("leave", "group", "Title or id of the group, or its beginning."),
    ("leave", "successor", "Member who administers the group instead of you."),
    ("join", "", "Groups that can be asked for, and who asks."),
    ("join find", "", "Finds groups that one can ask to join."),
    ("join find", "words", "Words of the title or of what it is for, whole or their beginning."),
    ("join ask", "", "Asks to join a group; its administrators invite you or decline."),
    ("join ask", "group", "Title or id of the group, or its beginning (cercle join find)."),
    ("join ask", "withdraw", "Takes your request back."),
    ("join open", "", "Lists a group that you administer: everybody sees its title, the hub too."),
    ("join open", "group", "Title or id of the group, or its beginning."),
    ("join open", "about", "What it is for, in a line."),
    ("join close", "", "No longer lists a group; requests that wait are forgotten."),
    ("join close", "group", "Title or id of the group, or its beginning."),
    ("join requests", "", "Lists the requests that wait for your answer."),
    ("join requests", "group", "Title or id of the group, or its beginning; else all that you administer."),
    ("join accept", "", "Accepts requests: these people are added to the group."),
    ("join accept", "group", "Title or id of the group, or its beginning."),
    ("join accept", "users", "Who asked."),
    ("join decline", "", "Declines a request."),
    ("join decline", "group", "Title or id of the group, or its beginning."),
    ("join decline", "user", "Who asked."),
    ("join decline", "reason", "Why, told to the person and readable by the hub."),
    ("rule", "", "Groups whose members follow the directory."),
    ("rule set", "", "Says who is in a group; you and the other administrators stay."),
    ("rule set", "group", "Title or id of the group, or its beginning."),
    ("rule set", "profession", "Code of a profession (TRE_G15); may be repeated."),
    ("rule set", "commune", "INSEE code of a commune of work; may be repeated."),
    ("rule set", "structure", "Key of a structure of work (st:…); may be repeated."),
    ("rule set", "skill", "Code of a specialty or skill; may be repeated."),
    ("rule set", "tag", "Tag that the operator gave; may be repeated."),
    ("rule show", "", "Shows the rule of a group and who is to be added and removed."),
    ("rule show", "group", "Title or id of the group, or its beginning."),
    ("rule clear", "", "Ends the rule; nobody is added or removed."),
    ("rule clear", "group", "Title or id of the group, or its beginning."),
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
    (
        "invitation",
        "lost_devices",
        "The person has lost every device: they are out at once, the new one takes their place in all groups.",
    ),
    ("update-keys", "", "Renews your keys in a group."),
    ("update-keys", "group", "Title or id of the group, or its beginning."),
    ("circle", "", "Patient circles: who takes part, on what basis, until when."),
    ("verify-export", "", "Checks an export, without profile and hub."),
    ("verify-export", "path", "Folder of the export, or one of its files."),
    (
        "verify-export",
        "root",
        "Fingerprint of the expected root (cercle whoami --json); else that of the export is shown.",
    ),
    ("directory", "", "Directory: search, show an entry, keep yours."),
    ("directory search", "", "Finds professionals, structures and shared inboxes."),
    ("directory search", "words", "Words: name, profession, place, in any order."),
    ("directory search", "profession", "Profession, code or name; may be repeated."),
    ("directory search", "skill", "Specialty or skill, code or words; may be repeated."),
    ("directory search", "structure", "Structure, key or words of its name."),
    ("directory search", "commune", "Commune: name, INSEE code or postal code; may be repeated."),
    ("directory search", "radius", "And communes as near as this, in km."),
    ("directory search", "accepting", "Accepts new patients."),
    ("directory search", "on_duty", "On duty at the moment."),
    ("directory search", "member", "Reachable on Cercle: yes or no."),
    ("directory search", "kind", "Only: professional, structure, inbox."),
    ("directory search", "page", "Page, from 1."),
    ("directory search", "limit", "Entries in a page (at most 50)."),
    ("directory search", "facets", "Counts by profession and commune too."),
    ("directory show", "", "Shows an entry."),
    ("directory show", "key", "Key (ps:…, st:…), RPPS or FINESS number, or Cercle id."),
    ("directory card", "", "Shows or changes your own card."),
    ("directory card", "note", "A line for your colleagues."),
    ("directory card", "accepting_days", "Accepts new patients for so many days; 0: does not."),
    (
        "directory card",
        "on_duty",
        "Periods on duty, FROM/TO in local time (2026-11-22T20:00/2026-11-23T08:00); none: none.",
    ),
    ("directory card", "quiet", "Quiet hours of each day, for example 20:00-07:00; none: none."),
    ("directory card", "delegate", "Who stands in for you; none: nobody."),
    ("directory card", "hide", "Do not show: phone, street, mailboxes; none: show everything."),
    ("directory card", "listed", "To be found: yes or no."),
    ("directory inbox", "", "Makes or changes a shared inbox (practice, role); without people, gives it up."),
    ("directory inbox", "name", "Name, seen by everybody."),
    ("directory inbox", "users", "Ids of the people behind it."),
    ("directory inbox", "key", "Key of an inbox that exists (inbox:…)."),
    ("directory inbox", "commune", "INSEE code of the commune."),
    ("demo", "", "Shows Cercle on this machine alone: a hub, a fictitious CPTS, encrypted messages."),
    ("demo", "once", "Plays once and ends."),
    ("demo", "keep", "Keeps the data in this folder (else they vanish at the end)."),
];

/// All of them; large themes have a list of their own.
fn sentences() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    let lists =
        [SENTENCES, super::talk::SENTENCES, super::circle::SENTENCES, requests::SENTENCES, alert::SENTENCES];
    lists.into_iter().flatten()
}

/// Replaces every French sentence.
pub(super) fn translate(command: Command) -> Command {
    let translated = sentences().fold(command.about(ABOUT), |command, (name, argument, sentence)| {
        match (*name, *argument) {
            ("", argument) => command.mut_arg(argument, |arg| arg.help(*sentence)),
            (path, "") => within(command, path, |sub| sub.about(*sentence)),
            (path, argument) => within(command, path, |sub| sub.mut_arg(argument, |arg| arg.help(*sentence))),
        }
    });
    translated.mut_subcommand("alert", |alert| alert.mut_subcommands(shared))
}

/// Says what arguments that several commands of `alert` share mean.
fn shared(command: Command) -> Command {
    command.mut_args(|arg| match alert::SHARED.iter().find(|(name, _)| arg.get_id() == name) {
        Some((_, sentence)) => arg.help(*sentence),
        None => arg,
    })
}

/// Changes the command that the names lead to, one below the other.
fn within<F: FnOnce(Command) -> Command>(command: Command, path: &str, change: F) -> Command {
    match path.split_once(' ') {
        Some((first, rest)) => command.mut_subcommand(first, |sub| within(sub, rest, change)),
        None => command.mut_subcommand(path, change),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{super::Cli, *};

    fn sentence(command: &str, argument: &str) -> Option<&'static str> {
        let own = sentences().find(|row| row.0 == command && row.1 == argument).map(|row| row.2);
        let mut shared = alert::SHARED.iter().filter(|_| command.starts_with("alert "));
        own.or_else(|| shared.find(|row| row.0 == argument).map(|row| row.1))
    }

    #[test]
    fn every_command_and_argument_has_an_english_sentence() {
        let command = Cli::command();
        for argument in command.get_arguments() {
            assert!(sentence("", argument.get_id().as_str()).is_some(), "{}", argument.get_id());
        }
        check("", &command);
    }

    fn check(path: &str, command: &Command) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name()).trim().to_owned();
            assert!(sentence(&path, "").is_some(), "{path}");
            for argument in sub.get_arguments() {
                let found = sentence(&path, argument.get_id().as_str());
                assert!(found.is_some(), "{path} {}", argument.get_id());
            }
            check(&path, sub);
        }
    }
}
