//! Changes of members' devices, as a thread shows them.

use cercle_proto::certificate::Admission;
use cercle_sdk::{core::GroupSummary, event::DeviceEntry};

use crate::{
    context::Context,
    moment,
    records::{DeviceChangeRecord, Record},
};

/// Shows one change at its place in the thread; without the title where one group is shown.
pub(super) fn show(context: &Context<'_>, group: &GroupSummary, entry: &DeviceEntry, one_group: bool) {
    let (at, name) = (moment::time(entry.at_ms), &entry.display_name);
    let place = if one_group { String::new() } else { format!("[{}] ", group.profile.title) };
    let sentence = match (entry.added, entry.admission) {
        (false, _) => text!(
            "{at}  {place}— un appareil de {name} est retiré.";
            "{at}  {place}— a device of {name} is removed."
        ),
        (true, Admission::OwnDevice) => text!(
            "{at}  {place}— {name} ajoute un appareil.";
            "{at}  {place}— {name} adds a device."
        ),
        (true, Admission::RecoveryCode) => text!(
            "{at}  {place}— {name} est de retour sur un nouvel appareil, avec son code de récupération.";
            "{at}  {place}— {name} is back on a new device, with the recovery code."
        ),
        (true, Admission::Invited) => text!(
            "{at}  {place}— {name} est de retour sur un nouvel appareil, sans code de récupération, sur invitation de la coordination. Vérifiez de vive voix que c'est bien lui ou elle.";
            "{at}  {place}— {name} is back on a new device, without the recovery code, invited by the coordination. Check by voice that it is really them."
        ),
        (true, Admission::Unknown) => text!(
            "{at}  {place}— {name} a un nouvel appareil.";
            "{at}  {place}— {name} has a new device."
        ),
    };
    let record = DeviceChangeRecord::new(group, entry);
    context.output.result(&Record::DeviceChange(record), &sentence);
}
