//! A hub of our own with a push service on loopback, raw devices in as many groups as hold them, real clients in
//! one more, and a raw publisher who is in all of them. The alert is written by the first real client for the real
//! ones and by the publisher, opaque, for the others; the publisher opens it on the hub.

use std::{collections::HashMap, path::Path, sync::Arc};

use anyhow::{Context, bail, ensure};
use cercle_proto::{
    id::{GroupId, MessageId, Seq},
    v1::{self, client_frame::Body as Request, register_push::Address as Push, server_frame::Body as Answer},
};
use cercle_sdk::{
    bare::BareDevice,
    client::{Client, Notice, now_ms},
    event::Event,
    message::{AlertId, Body, CrisisAlert, cap::Cap},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{sync::mpsc, task::JoinSet};

use super::ears::{Ear, Opened, Signals, Told, listen_real};
use crate::{
    arguments::{AlertBroadcast, Target},
    clock::Clock,
    fleet::{self, Member, patiently, until},
    hub::Hub,
    limits::{
        ALERT_AWAY_EVERY, ALERT_EXPIRES_MS, ALERT_KEY_PACKAGES, ALERT_LISTENERS_PER_GROUP, ENROLLING_MAX,
        OPERATION_PATIENCE, RAW_ENROLLING_MAX, STORE_PAGE,
    },
    plan::Plan,
    progress::Progress,
    push_endpoint::PushEndpoint,
    raw::{
        crowd::Crowd,
        operator::Inviter,
        payload::{Payload, private_message},
        session::Session,
        wire::Address,
    },
    report::Report,
};

/// What the alert says; nobody here is meant.
const CAP: &str = r#"<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>charge</identifier>
<sender>charge@example</sender><sent>2026-11-26T00:00:00+01:00</sent><status>Exercise</status>
<msgType>Alert</msgType><scope>Restricted</scope><restriction>members</restriction><info><category>Health</category>
<event>Exercice</event><urgency>Immediate</urgency><severity>Severe</severity><certainty>Observed</certainty>
</info></alert>"#;

/// Bytes of the alert in a raw group, about those of the real one.
const ALERT_BYTES: usize = 1_024;

/// When the alert was written, on the clock of the run and on that of the hub.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    pub(super) us: u64,
    pub(super) at_ms: u64,
}

/// Everything that takes part.
pub(super) struct Stage {
    pub(super) hub: Hub,
    pub(super) endpoint: PushEndpoint,
    pub(super) real: Vec<Member>,
    real_group: GroupId,
    address: Address,
    /// The publisher first.
    devices: Vec<Arc<BareDevice>>,
    groups: Vec<GroupId>,
    plan: Plan,
    /// Where each raw group ends before the alert.
    heads: HashMap<GroupId, Seq>,
    away: usize,
}

impl Began {
    pub(super) fn now(clock: Clock) -> Self {
        Self { us: clock.now_us(), at_ms: now_ms() }
    }
}

impl Stage {
    pub(super) async fn set(
        options: &AlertBroadcast,
        target: &Target,
        place: &Path,
        clock: Clock,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let away = (options.devices / ALERT_AWAY_EVERY) as usize;
        ensure!(
            options.devices >= options.real && (options.devices - options.real) as usize >= away,
            "fewer real clients: those who are away are raw"
        );
        let settings = place.join("push.toml");
        std::fs::write(&settings, PushEndpoint::settings(&place.join("hub")))?;
        let mut target = target.clone();
        target.set.push(format!("push={}", settings.display()));
        let hub = Hub::of(&target, place).await?;
        let data = hub
            .data()
            .context("alert-broadcast needs --target self: it has a push service and a publisher")?;
        let endpoint = PushEndpoint::start(data, clock).await?;
        let plan = Plan::alerted((options.devices - options.real) as usize, ALERT_LISTENERS_PER_GROUP);
        let crowd = Box::pin(Crowd::gather(&hub, &plan, place, progress)).await?;
        progress.stage("enrolling real clients");
        let operator = Inviter::Operator(hub.operator_socket().context("a hub of our own has one")?);
        let enrolling = (0..options.real).map(|number| {
            let (operator, user) = (operator.clone(), format!("real-{number}"));
            let folder = place.join(&user);
            async move {
                progress.prepares()?;
                Member::enrol(folder, &operator.invite(&user, &[]).await?).await
            }
        });
        let real: Vec<Member> = stream::iter(enrolling).buffered(ENROLLING_MAX).try_collect().await?;
        let real_group = Box::pin(fleet::found(&real.iter().collect::<Vec<_>>(), "Alerte", progress)).await?;
        add_publisher(&crowd, &real[0].client, real_group).await?;
        let heads = heads(&crowd).await?;
        let Crowd { address, devices, groups } = crowd;
        let devices = devices.into_iter().map(Arc::new).collect();
        Ok(Self { hub, endpoint, real, real_group, address, devices, groups, plan, heads, away })
    }

    /// Devices that are connected when the alert comes.
    pub(super) fn connected(&self) -> usize {
        self.plan.devices - 1 + self.real.len() - self.away
    }

    /// Messages that the alert is.
    pub(super) fn messages(&self) -> usize {
        self.groups.len() + 1
    }

    /// Recipients of the alert.
    pub(super) fn recipients(&self) -> usize {
        self.plan.devices - 1 + self.real.len()
    }

    /// Whether a raw device is away when the alert comes: they are spread evenly over the groups.
    pub(super) fn is_away(&self, device: usize) -> bool {
        let listeners = self.plan.devices - 1;
        device > 0 && device * self.away / listeners > (device - 1) * self.away / listeners
    }

    /// Raw devices that are away.
    pub(super) fn away(&self) -> Vec<usize> {
        (1..self.plan.devices).filter(|device| self.is_away(*device)).collect()
    }

    /// The group of a raw device, and where it has read to.
    fn place_of(&self, device: usize) -> anyhow::Result<(GroupId, Seq)> {
        let group = self.plan.groups_of(device).first().map(|number| self.groups[*number]);
        let group = group.context("every device is in a group")?;
        Ok((group, *self.heads.get(&group).context("the publisher is in every group")?))
    }

    /// The device's user, as the hub's report names him.
    pub(super) fn user_of(&self, device: usize) -> &str {
        self.devices[device].user().map_or("", |user| user.as_str())
    }

    /// A raw device that is away, its group, and where it has read to.
    pub(super) fn sleeper(&self, device: usize) -> anyhow::Result<(Arc<BareDevice>, GroupId, Seq)> {
        let (group, cursor) = self.place_of(device)?;
        Ok((Arc::clone(&self.devices[device]), group, cursor))
    }

    /// A session of a raw device, in the hub's present life.
    pub(super) async fn open(&self, device: &BareDevice) -> anyhow::Result<Session> {
        fleet::insistently(async || Session::open(&self.address, device).await).await
    }

    /// A session of the publisher, in the hub's present life.
    pub(super) async fn publisher(&self) -> anyhow::Result<Session> {
        self.open(&self.devices[0]).await
    }

    /// One who listens on a raw device, from where it has read to.
    pub(super) fn ear(
        &self,
        device: usize,
        tell: &mpsc::Sender<Told>,
        clock: Clock,
        signals: &Signals,
    ) -> anyhow::Result<Ear> {
        let keys = Arc::clone(&self.devices[device]);
        Ok(Ear::new(self.address.clone(), keys, self.place_of(device)?, tell.clone(), clock, signals))
    }

    /// Registers every raw device at the push service, and lets those that are not away listen.
    pub(super) async fn listen(
        &self,
        signals: &Signals,
        tell: &mpsc::Sender<Told>,
        clock: Clock,
        listening: &mut JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let opening = (1..self.plan.devices).map(|device| async move {
            let ear = self.ear(device, tell, clock, signals)?;
            let mut session = ear.open().await?;
            let address =
                v1::WebPushAddress { endpoint: self.endpoint.address_of(device), ..Default::default() };
            let register = v1::RegisterPush { address: Some(Push::Unified(address)), ..Default::default() };
            session.ask(Request::RegisterPush(register)).await?;
            anyhow::Ok((!self.is_away(device)).then_some((ear, session)))
        });
        let mut opening = stream::iter(opening).buffer_unordered(RAW_ENROLLING_MAX);
        while let Some(opened) = opening.try_next().await? {
            if let Some((ear, session)) = opened {
                listening.spawn(ear.listen(session));
            }
        }
        for (number, member) in self.real.iter().enumerate() {
            let (client, opened) = (member.client.clone(), signals.opened.subscribe());
            let events = client.events();
            listening.spawn(listen_real(client, events, number == 0, tell.clone(), clock, opened));
        }
        until("sessions of devices that are away", OPERATION_PATIENCE, async || {
            Ok(self.asleep().await? == self.away)
        })
        .await
    }

    /// Devices with a push address and without a session.
    async fn asleep(&self) -> anyhow::Result<usize> {
        let (mut session, mut after, mut asleep) = (self.publisher().await?, String::new(), 0);
        loop {
            let ask = v1::GetReachability { after, ..Default::default() };
            let Answer::Reachability(page) = session.ask(Request::GetReachability(ask)).await? else {
                bail!("the hub does not say who can be reached");
            };
            asleep += page.users.iter().filter(|user| user.devices_with_push > 0 && !user.connected).count();
            match page.users.last().filter(|_| page.more) {
                Some(last) => after = last.user.clone(),
                None => return Ok(asleep),
            }
        }
    }

    /// Writes the alert into all groups and opens it when it stands in each.
    pub(super) async fn alert(&self, signals: &Signals) -> anyhow::Result<AlertId> {
        let alert = Client::new_alert_id();
        let mut session = self.publisher().await?;
        let (real, raw) = tokio::join!(self.write_real(alert), self.write_raw(&mut session));
        let mut places = raw?;
        places.insert(self.real_group, real?);
        let cursor = |(group, seq): (&GroupId, &Seq)| v1::Cursor { group: group.to_bytes(), seq: *seq };
        let open = v1::OpenAlert {
            alert: alert.0.to_vec().into(),
            groups: places.iter().map(cursor).collect(),
            mode: v1::AlertMode::Exercise.into(),
            priority: v1::AlertPriority::High.into(),
            expires_at_ms: now_ms() + ALERT_EXPIRES_MS,
            ..Default::default()
        };
        session.ask(Request::OpenAlert(open)).await?;
        signals.opened.send_replace(Some(Opened { alert, places: Arc::new(places) }));
        Ok(alert)
    }

    async fn write_real(&self, alert: AlertId) -> anyhow::Result<Seq> {
        let cap = Cap::from_xml(CAP.as_bytes()).map_err(|error| anyhow::anyhow!("the sample: {error}"))?;
        let said = CrisisAlert { alert, cap: cap.into(), ack_by_ms: 0, deputies: Vec::new() };
        let author = &self.real[0].client;
        let mut events = author.events();
        let id = author.post(self.real_group, Body::CrisisAlert(said).into()).await?;
        loop {
            match patiently("writing the alert", events.next()).await? {
                Some(Notice::Event(Event::MessageAccepted { message, seq, .. })) if message == id => {
                    return Ok(seq);
                }
                Some(_) => {}
                None => bail!("the author's events ended"),
            }
        }
    }

    async fn write_raw(&self, session: &mut Session) -> anyhow::Result<HashMap<GroupId, Seq>> {
        let states = states(session).await?;
        let mut waiting = HashMap::new();
        for (number, group) in (1_u32..).zip(&self.groups) {
            let epoch = states.get(group).context("the publisher is in every group")?.epoch;
            let payload = Payload { due_us: 0, stream: number, number: 1 };
            let mut random = [0; 10];
            random[2..].copy_from_slice(&payload.identity().to_be_bytes());
            let send = v1::SendApplication {
                group: group.to_bytes(),
                message_id: MessageId::from_time(now_ms(), &random).to_bytes(),
                mls: private_message(*group, epoch, &payload.to_bytes(ALERT_BYTES)).into(),
                blobs: Vec::new(),
            };
            waiting.insert(session.put(Request::SendApplication(send)), *group);
        }
        let mut places = HashMap::new();
        while places.len() < self.groups.len() {
            let frame = patiently("writing the alert", session.next()).await??.context("the hub closed")?;
            match (frame.body, waiting.get(&frame.request)) {
                (Some(Answer::Accepted(accepted)), Some(group)) => {
                    places.insert(*group, accepted.seq);
                }
                (Some(Answer::Error(error)), _) => bail!("the alert is refused: {}", error.message),
                _ => {}
            }
        }
        Ok(places)
    }

    /// Every real client has the alert once in its store.
    pub(super) async fn check_stores(&self, report: &mut Report, alert: AlertId) -> anyhow::Result<()> {
        for (number, member) in self.real.iter().enumerate() {
            let messages = member.client.messages(self.real_group, 0, STORE_PAGE).await?;
            let is_alert = |body: &Body| matches!(body, Body::CrisisAlert(said) if said.alert == alert);
            let times = messages.iter().filter(|message| is_alert(&message.body)).count();
            if times != 1 {
                report.fault(format!("real client {number} has the alert {times} times"));
            }
        }
        Ok(())
    }
}

/// Lets the first real client add the raw publisher to the real clients' group.
async fn add_publisher(crowd: &Crowd, author: &Client, group: GroupId) -> anyhow::Result<()> {
    let publisher = &crowd.devices[0];
    let mut session = crowd.open(0).await?;
    let packages = publisher.key_packages(ALERT_KEY_PACKAGES, now_ms())?;
    session.ask(Request::PublishKeyPackages(packages)).await?;
    drop(session);
    let user = publisher.user().context("the publisher is enrolled")?.clone();
    patiently("adding the publisher", fleet::add(author, group, vec![user])).await??;
    let taken = crowd.welcome_one(0).await?;
    ensure!(taken == 1, "the publisher took {taken} welcomes");
    Ok(())
}

async fn states(session: &mut Session) -> anyhow::Result<HashMap<GroupId, v1::GroupState>> {
    let Answer::Groups(list) = session.ask(Request::ListGroups(v1::ListGroups {})).await? else {
        bail!("the hub lists no groups");
    };
    let state = |state: v1::GroupState| Ok((GroupId::new(state.group.as_ref().try_into()?), state));
    list.groups.into_iter().map(state).collect()
}

async fn heads(crowd: &Crowd) -> anyhow::Result<HashMap<GroupId, Seq>> {
    let mut session = crowd.open(0).await?;
    Ok(states(&mut session).await?.into_iter().map(|(group, state)| (group, state.head)).collect())
}
