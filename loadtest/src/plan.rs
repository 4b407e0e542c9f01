//! Who takes part in a scenario: raw devices by number, and the groups that they are in.

/// Devices and groups. The first member of a group founds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// How many devices.
    pub(crate) devices: usize,
    /// Members of each group.
    pub(crate) groups: Vec<Vec<usize>>,
    /// Messages must be safe before they are accepted: what is compared with is set up for that.
    pub(crate) durable: bool,
    /// The first device's user may publish alerts.
    pub(crate) alerts: bool,
}

impl Plan {
    /// Devices without groups.
    pub(crate) const fn crowd(devices: usize) -> Self {
        Self { devices, groups: Vec::new(), durable: false, alerts: false }
    }

    /// So many groups of so many members, nobody in two of them.
    pub(crate) fn apart(groups: usize, members: usize) -> Self {
        let groups_of = |group| (group * members..(group + 1) * members).collect();
        let groups_of = (0..groups).map(groups_of).collect();
        Self { devices: groups * members, groups: groups_of, durable: false, alerts: false }
    }

    /// One sender who is in every group, and listeners who are in one each: how a message reaches more
    /// members than one group may have.
    pub(crate) fn star(groups: usize, listeners: usize) -> Self {
        let members = |group| {
            let first = 1 + group * listeners;
            std::iter::once(0).chain(first..first + listeners).collect()
        };
        let groups_of = (0..groups).map(members).collect();
        Self { devices: 1 + groups * listeners, groups: groups_of, durable: false, alerts: false }
    }

    /// A publisher of alerts who is in every group, and listeners who are in one each, spread evenly over as
    /// few groups of at most so many as hold them.
    pub(crate) fn alerted(listeners: usize, per_group_max: usize) -> Self {
        let count = listeners.div_ceil(per_group_max);
        let members = |group| {
            let part = listeners * group / count..listeners * (group + 1) / count;
            std::iter::once(0).chain(part.map(|listener| listener + 1)).collect()
        };
        Self {
            devices: 1 + listeners,
            groups: (0..count).map(members).collect(),
            durable: false,
            alerts: true,
        }
    }

    /// Many groups among few devices: each device is in about as many groups as any other.
    pub(crate) fn woven(devices: usize, groups: usize, members: usize) -> Self {
        // Steps through the devices with a stride that shares no factor with their number, so that members
        // of one group differ from each other and groups differ in their members.
        let members = members.min(devices);
        let groups_of =
            |group: usize| (0..members).map(|place| (group + place * stride(devices)) % devices).collect();
        Self { devices, groups: (0..groups).map(groups_of).collect(), durable: false, alerts: false }
    }

    /// The same, where messages must be safe before they are accepted.
    pub(crate) fn safe(self) -> Self {
        Self { durable: true, ..self }
    }

    /// Groups of one device in which others write first: those that it did not found.
    pub(crate) fn heard_by(&self, device: usize) -> Vec<usize> {
        self.groups_of(device).into_iter().filter(|group| self.groups[*group][0] != device).collect()
    }

    /// Groups of one device.
    pub(crate) fn groups_of(&self, device: usize) -> Vec<usize> {
        let holds = |(group, members): (usize, &Vec<usize>)| members.contains(&device).then_some(group);
        self.groups.iter().enumerate().filter_map(holds).collect()
    }
}

fn stride(devices: usize) -> usize {
    let shares = |step: usize| {
        let (mut a, mut b) = (step, devices);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a != 1
    };
    let mut step = (devices / 3).max(1);
    while shares(step) {
        step += 1;
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn members_of_a_group_differ_and_are_in_equally_many() {
        for (devices, groups, members) in [(10, 30, 4), (7, 7, 7), (2, 5, 2), (500, 1000, 5)] {
            let plan = Plan::woven(devices, groups, members);
            assert!(plan.groups.iter().all(|group| group.iter().collect::<HashSet<_>>().len() == members));
            let in_groups: Vec<_> = (0..devices).map(|device| plan.groups_of(device).len()).collect();
            let (least, most) = (in_groups.iter().min().unwrap(), in_groups.iter().max().unwrap());
            assert!(most - least <= members, "{least} to {most} for {devices}, {groups}, {members}");
        }
    }

    #[test]
    fn a_star_has_one_sender_and_everybody_else_once() {
        let plan = Plan::star(3, 4);
        assert_eq!(plan.devices, 13);
        assert_eq!(plan.groups_of(0), vec![0, 1, 2]);
        assert!((1..13).all(|device| plan.groups_of(device).len() == 1));
    }

    #[test]
    fn an_alert_reaches_everybody_in_groups_that_are_allowed() {
        let plan = Plan::alerted(1_000, 450);
        assert_eq!((plan.devices, plan.groups.len()), (1_001, 3));
        assert!((1..=1_000).all(|device| plan.groups_of(device).len() == 1));
        assert!(plan.groups.iter().all(|group| group[0] == 0 && group.len() <= 451));
    }
}
