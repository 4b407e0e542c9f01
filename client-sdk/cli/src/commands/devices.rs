//! Changes of members' devices, as a thread shows them.

use cercle_proto::certificate::Admission;
use cercle_sdk::{core::GroupSummary, event::DeviceEntry};

use crate::{
    context::Context,
    moment,
    records::{DeviceChangeRecord, Record},
};

/// Shows one change among messages as they arrive; without the title where one group is shown.
pub(super) fn show(context: &Context<'_>, group: &GroupSummary, entry: &DeviceEntry, one_group: bool) {
    let place = if one_group { String::new() } else { format!("[{}] ", group.profile.title) };
    say(context, group, entry, &format!("{}  {place}", moment::time(entry.at_ms)));
}

/// Shows one change at its place in a thread.
pub(super) fn show_in_thread(context: &Context<'_>, group: &GroupSummary, entry: &DeviceEntry) {
    say(context, group, entry, &format!("{:>5}  {}  ", entry.seq, moment::time(entry.at_ms)));
}

fn say(context: &Context<'_>, group: &GroupSummary, entry: &DeviceEntry, head: &str) {
    let name = &entry.display_name;
    let sentence = match (entry.added, entry.admission) {
        (false, _) => text!(
            "{head}— un appareil de {name} est retiré.";
            "{head}— a device of {name} is removed."
        ),
        (true, Admission::OwnDevice) => text!(
            "{head}— {name} ajoute un appareil.";
            "{head}— {name} adds a device."
        ),
        (true, Admission::RecoveryCode) => text!(
            "{head}— {name} est de retour sur un nouvel appareil, avec son code de récupération.";
            "{head}— {name} is back on a new device, with the recovery code."
        ),
        (true, Admission::Invited) => text!(
            "{head}— {name} est de retour sur un nouvel appareil, sans code de récupération, sur invitation de la coordination. Vérifiez de vive voix que c'est bien lui ou elle.";
            "{head}— {name} is back on a new device, without the recovery code, invited by the coordination. Check by voice that it is really them."
        ),
        (true, Admission::Unknown) => text!(
            "{head}— {name} a un nouvel appareil.";
            "{head}— {name} has a new device."
        ),
    };
    let record = DeviceChangeRecord::new(group, entry);
    context.output.result(&Record::DeviceChange(record), &sentence);
}
