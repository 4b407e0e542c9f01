//! From what a person types to ids: groups by the beginning of their title or id, users without their
//! domain, devices by the beginning of their id.

use cercle_proto::id::{DeviceId, UserId};
use cercle_sdk::core::{DeviceState, GroupState, GroupSummary, Identity};

use crate::{exit::Exit, failure::Failure, limits::ID_PREFIX_DIGITS_MIN};

/// Finds the one group that `name` means: a whole title, else a whole id, else the only beginning that
/// fits. Case does not matter. Groups that are closed only count if nothing else fits.
pub(crate) fn group<'a>(groups: &'a [GroupSummary], name: &str) -> Result<&'a GroupSummary, Failure> {
    let wanted = name.trim().to_lowercase();
    if wanted.is_empty() {
        return Err(unknown_group(name));
    }
    let title_is = |group: &GroupSummary| group.profile.title.to_lowercase() == wanted;
    let title_starts = |group: &GroupSummary| group.profile.title.to_lowercase().starts_with(&wanted);
    let id_starts = |group: &GroupSummary| {
        wanted.len() >= ID_PREFIX_DIGITS_MIN && group.group.to_hex().starts_with(&wanted)
    };
    let open = |group: &&GroupSummary| group.state != GroupState::Closed;
    let rules: [&dyn Fn(&GroupSummary) -> bool; 3] =
        [&title_is, &id_starts, &|group| title_starts(group) || id_starts(group)];
    for closed_too in [false, true] {
        for rule in rules {
            let found: Vec<_> =
                groups.iter().filter(|group| closed_too || open(group)).filter(|group| rule(group)).collect();
            match found.as_slice() {
                [] => {}
                [one] => return Ok(one),
                several => return Err(ambiguous_group(name, several)),
            }
        }
    }
    Err(unknown_group(name))
}

/// A user id; without a domain, of the caller's own.
pub(crate) fn user(identity: &Identity, name: &str) -> Result<UserId, Failure> {
    let parsed =
        if name.contains('@') { UserId::parse(name) } else { UserId::new(name, identity.user.domain()) };
    parsed.map_err(|error| {
        Failure::new(
            Exit::Usage,
            text!("« {name} » n'est pas un identifiant : {error}"; "\"{name}\" is not a user id: {error}"),
        )
        .mend(text!("Par exemple : claire.martin"; "For example: claire.martin"))
    })
}

/// The one device whose id begins so.
pub(crate) fn device(devices: &[DeviceState], prefix: &str) -> Result<DeviceId, Failure> {
    let wanted = prefix.trim().to_ascii_lowercase();
    let mut found = devices.iter().filter(|state| state.device.to_hex().starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(state), None) if wanted.len() >= ID_PREFIX_DIGITS_MIN => Ok(state.device),
        (Some(_), _) => Err(Failure::new(
            Exit::NotFound,
            text!("« {prefix} » désigne plusieurs appareils."; "\"{prefix}\" means several devices."),
        )
        .mend(text!(
            "Donnez plus de chiffres de l'identifiant, au moins {ID_PREFIX_DIGITS_MIN}.";
            "Give more digits of the id, at least {ID_PREFIX_DIGITS_MIN}."
        ))),
        (None, _) => Err(Failure::new(
            Exit::NotFound,
            text!("Aucun appareil ne commence par « {prefix} »."; "No device begins with \"{prefix}\"."),
        )
        .mend(text!(
            "Voyez : cercle devices [personne]. L'appareil d'une autre personne : --user <personne>.";
            "See: cercle devices [user]. For another user's device: --user <user>."
        ))),
    }
}

fn unknown_group(name: &str) -> Failure {
    Failure::new(
        Exit::NotFound,
        text!("Aucun groupe ne correspond à « {name} »."; "No group matches \"{name}\"."),
    )
    .mend(text!("Voyez : cercle groups"; "See: cercle groups"))
}

fn ambiguous_group(name: &str, found: &[&GroupSummary]) -> Failure {
    let list: Vec<String> = found
        .iter()
        .map(|group| format!("{} ({})", group.profile.title, &group.group.to_hex()[..8]))
        .collect();
    let list = list.join(", ");
    Failure::new(
        Exit::NotFound,
        text!("« {name} » désigne plusieurs groupes : {list}"; "\"{name}\" means several groups: {list}"),
    )
    .mend(text!(
        "Donnez le titre entier, ou le début de l'identifiant entre parenthèses.";
        "Give the whole title, or the beginning of the id in parentheses."
    ))
}

#[cfg(test)]
mod tests {
    use cercle_proto::id::GroupId;

    use super::*;

    fn summary(title: &str, id: u8, state: GroupState) -> GroupSummary {
        GroupSummary {
            group: GroupId::new([id; 16]),
            profile: title.into(),
            state,
            epoch: 0,
            cursor: 0,
            policy: None,
            users: 1,
            devices: 1,
            epoch_authenticator: Vec::new(),
        }
    }

    fn exit_of(groups: &[GroupSummary], name: &str) -> Exit {
        group(groups, name).unwrap_err().exit
    }

    #[test]
    fn a_group_is_found_by_title_beginning_of_title_or_beginning_of_id() {
        let groups = [
            summary("Tournée de Mme L.", 0xab, GroupState::Active),
            summary("Plaies chroniques", 0xcd, GroupState::Active),
            summary("Plaies", 0xef, GroupState::Active),
        ];
        for (name, expected) in
            [("tournée", 0), ("PLAIES CHRO", 1), ("plaies", 2), ("abab", 0), ("cdcdcd", 1)]
        {
            assert_eq!(group(&groups, name).unwrap(), &groups[expected], "{name}");
        }
    }

    #[test]
    fn a_name_for_several_groups_or_none_is_refused() {
        let groups = [summary("Plaies A", 1, GroupState::Active), summary("Plaies B", 2, GroupState::Active)];
        let failure = group(&groups, "plaies").unwrap_err();
        assert!(failure.what.fr.contains("Plaies A (01010101), Plaies B (02020202)"), "{}", failure.what.fr);
        for name in ["nope", "", " ", "010"] {
            assert_eq!(exit_of(&groups, name), Exit::NotFound, "{name}");
        }
    }

    #[test]
    fn a_closed_group_does_not_stand_in_the_way_of_an_open_one() {
        let groups = [summary("Plaies", 1, GroupState::Closed), summary("Plaies", 2, GroupState::Active)];
        assert_eq!(group(&groups, "plaies").unwrap(), &groups[1]);
        assert_eq!(group(&groups[..1], "plaies").unwrap(), &groups[0]);
    }
}
