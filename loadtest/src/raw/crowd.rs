//! Many raw devices, and groups of them.
//!
//! Users are invited over the operator's socket of a hub of our own (which has no rate limit) or by the
//! coordinator of another hub (which may invite some hundreds). Each group is founded by its first member
//! with key packages that are made on the spot, so that no limit on claiming them is met; the hub checks the
//! commits like anybody's.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, bail, ensure};
use cercle_proto::{
    id::{DeviceId, GroupId},
    v1::{self, client_frame::Body as Request, inbox_item::Item, server_frame::Body as Answer},
};
use cercle_sdk::{bare::BareDevice, client::now_ms};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::block_in_place;

use super::{operator::Inviter, session::Session, wire::Address};
use crate::{
    fleet::{Member, insistently, patiently},
    hub::Hub,
    limits::{RAW_ENROLLING_MAX, RAW_FOUNDING_MAX, USERS_PER_COMMIT},
    plan::Plan,
    progress::Progress,
};

/// Raw devices, and the groups that they are in.
pub(crate) struct Crowd {
    /// Where the hub is.
    pub(crate) address: Address,
    /// The devices, by their numbers in the plan.
    pub(crate) devices: Vec<BareDevice>,
    /// The groups, by their numbers in the plan.
    pub(crate) groups: Vec<GroupId>,
}

impl Crowd {
    /// Enrols the devices of a plan, and makes its groups.
    ///
    /// # Errors
    /// When the hub refuses one of them.
    pub(crate) async fn gather(
        hub: &Hub,
        plan: &Plan,
        place: &Path,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let address = Address::new(&hub.invitation().address, hub.invitation().root_fingerprint)?;
        let (inviter, coordinator) = match hub.operator_socket() {
            Some(socket) => (Inviter::Operator(socket), None),
            None => {
                let folder = place.join(format!("coordinator-{:x}", now_ms()));
                let member = Member::enrol(folder, hub.invitation()).await.context("the coordinator")?;
                (Inviter::Coordinator(member.client.clone()), Some(member))
            }
        };
        let prefix = format!("raw-{:x}", now_ms());
        let enrolling = (0..plan.devices).map(|number| {
            let (inviter, address) = (inviter.clone(), address.clone());
            let user = format!("{prefix}-{number}");
            let roles: &[&str] = if number == 0 && plan.alerts { &["crisis_publisher"] } else { &[] };
            async move {
                progress.prepares()?;
                let enrolled = enrol(&inviter, &address, &user, roles).await;
                progress.step("enrolling", number, plan.devices);
                enrolled.with_context(|| format!("enrolling {user}"))
            }
        });
        let devices = stream::iter(enrolling).buffered(RAW_ENROLLING_MAX).try_collect().await?;
        if let Some(member) = coordinator {
            member.client.close().await;
        }
        let mut crowd = Self { address, devices, groups: Vec::new() };
        crowd.found(plan, progress).await?;
        crowd.welcome(plan, progress).await?;
        Ok(crowd)
    }

    /// Makes the groups, each by its first member.
    async fn found(&mut self, plan: &Plan, progress: &Progress) -> anyhow::Result<()> {
        let ids: anyhow::Result<Vec<_>> = plan.groups.iter().map(|_| Ok(GroupId::new(random()?))).collect();
        self.groups = ids?;
        let mut founders: HashMap<usize, Vec<usize>> = HashMap::new();
        for (group, members) in plan.groups.iter().enumerate() {
            founders.entry(members[0]).or_default().push(group);
        }
        let founding = founders.into_iter().map(|(founder, groups)| {
            let crowd = &*self;
            async move {
                let mut session = crowd.open(founder).await?;
                for group in groups {
                    progress.prepares()?;
                    crowd.found_one(&mut session, plan, group).await?;
                    progress.step("founding groups", group, plan.groups.len());
                }
                anyhow::Ok(())
            }
        });
        stream::iter(founding).buffer_unordered(RAW_FOUNDING_MAX).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    async fn found_one(&self, session: &mut Session, plan: &Plan, group: usize) -> anyhow::Result<()> {
        let members: Vec<_> = plan.groups[group].iter().map(|place| &self.devices[*place]).collect();
        let (founder, others) = members.split_first().context("a group needs a founder")?;
        let hub = session.hub_certificate.clone();
        let making = || founder.found_group(self.groups[group], others, USERS_PER_COMMIT, &hub, now_ms());
        let (create, commits) = block_in_place(making)?;
        accepted(session.ask(Request::CreateGroup(create)).await?)?;
        for commit in commits {
            accepted(patiently("filling a group", session.ask(Request::CommitBundle(commit))).await??)?;
        }
        Ok(())
    }

    /// Lets every device take its welcomes and read its groups up to now, as real ones do.
    async fn welcome(&self, plan: &Plan, progress: &Progress) -> anyhow::Result<()> {
        let mut invited = vec![0; plan.devices];
        let mut inside = vec![Vec::new(); plan.devices];
        for (group, members) in plan.groups.iter().enumerate() {
            members.iter().for_each(|member| inside[*member].push(self.groups[group]));
            members.iter().skip(1).for_each(|member| invited[*member] += 1);
        }
        let members = inside.iter().enumerate().filter(|(_, groups)| !groups.is_empty());
        let welcoming = members.map(|(device, _)| async move {
            progress.step("joining groups", device, plan.devices);
            self.welcome_one(device).await
        });
        let taken: Vec<u64> = stream::iter(welcoming).buffered(RAW_ENROLLING_MAX).try_collect().await?;
        let (taken, sent) = (taken.iter().sum::<u64>(), invited.iter().sum::<u64>());
        ensure!(taken == sent, "{taken} of {sent} welcomes arrived");
        Ok(())
    }

    /// Opens a device's session, again and again where the machine is too busy.
    ///
    /// # Errors
    /// When the hub refuses.
    pub(crate) async fn open(&self, device: usize) -> anyhow::Result<Session> {
        insistently(async || Session::open(&self.address, &self.devices[device]).await).await
    }

    /// Lets a device take the welcomes that wait for it and read its groups up to now; how many it took.
    ///
    /// # Errors
    /// When they do not come.
    pub(crate) async fn welcome_one(&self, device: usize) -> anyhow::Result<u64> {
        let mut session = self.open(device).await?;
        let Answer::Groups(list) = session.ask(Request::ListGroups(v1::ListGroups {})).await? else {
            bail!("the hub lists no groups");
        };
        session.subscribe(1, &[], 0);
        let founded = list.groups.iter().filter(|state| state.joined_at == 0).count();
        let expected = u64::try_from(list.groups.len() - founded)?;
        let mut welcomes = 0;
        while welcomes < expected {
            let next = patiently("a welcome", session.next()).await??.context("the hub closed")?;
            let Some(Answer::InboxItem(item)) = next.body else { continue };
            let Some(Item::Welcome(welcome)) = item.item else { continue };
            let outcome = v1::welcome_ack::Outcome::Joined.into();
            session.put(Request::WelcomeAck(v1::WelcomeAck { group: welcome.group, outcome }));
            session.put(Request::Ack(v1::Ack { groups: Vec::new(), inbox: item.number }));
            welcomes += 1;
        }
        let heads =
            list.groups.into_iter().map(|state| v1::Cursor { group: state.group, seq: state.head }).collect();
        session.put(Request::Ack(v1::Ack { groups: heads, inbox: 0 }));
        // An answer to a later request says that the acknowledgements were read.
        session.ask(Request::ListGroups(v1::ListGroups {})).await?;
        Ok(welcomes)
    }
}

fn accepted(answer: Answer) -> anyhow::Result<()> {
    match answer {
        Answer::Accepted(_) => Ok(()),
        other => bail!("making a group: {other:?}"),
    }
}

async fn enrol(
    inviter: &Inviter,
    address: &Address,
    user: &str,
    roles: &[&str],
) -> anyhow::Result<BareDevice> {
    let invitation = inviter.invite(user, roles).await?;
    let mut keys = BareDevice::new(DeviceId::new(random()?))?;
    // The hub knows a repeated enrolment by its device and key.
    insistently(async || Session::enrol(address, &mut keys, &invitation.secret).await).await?;
    Ok(keys)
}

fn random() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}
