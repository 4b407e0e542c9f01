//! A hub of ours under raw devices.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use cercle_proto::{
    id::{Epoch, GroupId, MessageId, Seq},
    v1::{self, client_frame::Body as Request, server_frame::Body as Answer},
};
use cercle_sdk::{client::now_ms, limits::ACKNOWLEDGE_EVERY_MS};
use tokio::time::{Instant, timeout_at};

use super::link::Heard;
use crate::{
    arguments::Target,
    fleet::until,
    hub::{Hub, Usage},
    limits::OPERATION_PATIENCE,
    plan::Plan,
    progress::Progress,
    raw::{
        crowd::Crowd,
        payload::{self, Payload},
        session::Session,
    },
};

/// A hub and the raw devices on it.
pub(crate) struct Cercle {
    hub: Hub,
    crowd: Option<Crowd>,
    place: PathBuf,
}

/// Where a device begins to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From<'a> {
    /// What comes from now on.
    Head,
    /// What it has not acknowledged.
    Acknowledged,
    /// Behind these places.
    Cursors(&'a HashMap<GroupId, Seq>),
}

/// A device's session.
pub(crate) struct CercleLink {
    session: Session,
    groups: HashMap<usize, (GroupId, Epoch)>,
    /// What the hub has not answered yet, by request.
    posted: BTreeMap<u64, Posted>,
    /// What was read of each group.
    pub(crate) cursors: HashMap<GroupId, Seq>,
    /// Groups whose cursor the hub was not told.
    unacknowledged: BTreeSet<GroupId>,
    /// When it may be told.
    acknowledge_at: Instant,
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posted {
    group: usize,
    payload: Payload,
    bytes: usize,
    id: MessageId,
}

impl Cercle {
    /// Takes the hub that the arguments name, or starts one.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(target: &Target, place: &Path) -> anyhow::Result<Self> {
        Ok(Self { hub: Hub::of(target, place).await?, crowd: None, place: place.to_owned() })
    }

    /// Enrols the plan's devices and makes its groups.
    ///
    /// # Errors
    /// When the hub refuses.
    pub(crate) async fn set(&mut self, plan: &Plan, progress: &Progress) -> anyhow::Result<()> {
        self.crowd = Some(Box::pin(Crowd::gather(&self.hub, plan, &self.place, progress)).await?);
        Ok(())
    }

    /// Starts a hub of our own again, so that its memory is that of one that has served nobody.
    ///
    /// # Errors
    /// When it does not end or start.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        if let Some(place) = self.hub.restart().await?
            && let Some(crowd) = &mut self.crowd
        {
            crowd.address = crowd.address.moved(&place);
        }
        Ok(())
    }

    /// The hub.
    pub(crate) const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Connects a device and authenticates it.
    ///
    /// # Errors
    /// When the hub refuses or cannot be reached.
    pub(crate) async fn open(&self, device: usize) -> anyhow::Result<Session> {
        let crowd = self.crowd.as_ref().context("the stage is set")?;
        Session::open(&crowd.address, &crowd.devices[device]).await
    }

    /// Subscribes a device to its groups.
    ///
    /// # Errors
    /// When the hub refuses.
    pub(crate) async fn enter(&self, mut session: Session, from: From<'_>) -> anyhow::Result<CercleLink> {
        let crowd = self.crowd.as_ref().context("the stage is set")?;
        let Answer::Groups(list) = session.ask(Request::ListGroups(v1::ListGroups {})).await? else {
            bail!("the hub lists no groups");
        };
        let numbers: HashMap<&[u8], usize> = if list.groups.is_empty() {
            HashMap::new()
        } else {
            crowd.groups.iter().enumerate().map(|(number, id)| (id.as_bytes().as_slice(), number)).collect()
        };
        let (mut groups, mut places) = (HashMap::new(), Vec::new());
        for state in &list.groups {
            let number = *numbers.get(state.group.as_ref()).context("a group of another run")?;
            let id = crowd.groups[number];
            groups.insert(number, (id, state.epoch));
            let place = match from {
                From::Head => state.head,
                From::Acknowledged => state.acked.max(state.joined_at),
                From::Cursors(cursors) => cursors.get(&id).copied().unwrap_or(state.joined_at),
            };
            places.push((id, place));
        }
        session.subscribe(1, &places, 0);
        let cursors = places.into_iter().collect();
        let mut link = CercleLink {
            session,
            groups,
            posted: BTreeMap::new(),
            cursors,
            unacknowledged: BTreeSet::new(),
            acknowledge_at: Instant::now(),
        };
        let mut heard = Heard::default();
        while matches!(from, From::Head) && !heard.caught_up {
            if !link.hear(&mut heard).await? {
                bail!("the hub closed");
            }
        }
        Ok(link)
    }

    /// What the hub has used up to now.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        self.hub.usage()
    }

    /// Ends a hub of our own.
    ///
    /// # Errors
    /// When it does not end well.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.hub.stop().await
    }
}

impl CercleLink {
    /// Queues an application message.
    ///
    /// # Errors
    /// When the device is not in that group.
    pub(crate) fn post(&mut self, group: usize, payload: Payload, bytes: usize) -> anyhow::Result<()> {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&payload.identity().to_be_bytes());
        let id = MessageId::from_time(now_ms(), &random);
        self.send(Posted { group, payload, bytes, id })
    }

    /// What has no answer yet, in the order in which it was posted.
    pub(crate) fn unanswered(&self) -> Vec<Posted> {
        self.posted.values().copied().collect()
    }

    /// Queues a message under its id: again, if the hub has it already.
    ///
    /// # Errors
    /// When the device is not in that group.
    pub(crate) fn send(&mut self, posted: Posted) -> anyhow::Result<()> {
        let Posted { group, payload, bytes, id } = posted;
        let (group, epoch) = self.groups.get(&group).context("the device is not in that group")?;
        let send = v1::SendApplication {
            group: group.to_bytes(),
            message_id: id.to_bytes(),
            mls: payload::private_message(*group, *epoch, &payload.to_bytes(bytes)).into(),
            blobs: Vec::new(),
        };
        let request = self.session.put(Request::SendApplication(send));
        self.posted.insert(request, posted);
        Ok(())
    }

    /// Waits until the hub has recorded everything that was acknowledged: a device that comes back is then not
    /// sent it again.
    ///
    /// # Errors
    /// When the connection is gone, or the hub does not record it.
    pub(crate) async fn settle(mut self) -> anyhow::Result<()> {
        self.acknowledge();
        until("recording acknowledgements", OPERATION_PATIENCE, async || {
            let Answer::Groups(list) = self.session.ask(Request::ListGroups(v1::ListGroups {})).await? else {
                bail!("the hub lists no groups");
            };
            let recorded = |state: &v1::GroupState| {
                let id = <[u8; 16]>::try_from(state.group.as_ref()).ok().map(GroupId::new);
                id.and_then(|id| self.cursors.get(&id)).is_none_or(|cursor| state.acked >= *cursor)
            };
            Ok(list.groups.iter().all(recorded))
        })
        .await
    }

    /// Reads one frame, and acknowledges what it brings as every device does.
    ///
    /// # Errors
    /// When the hub refuses a message.
    pub(crate) async fn hear(&mut self, heard: &mut Heard) -> anyhow::Result<bool> {
        let Some(frame) = self.next().await? else { return Ok(false) };
        match frame.body {
            Some(Answer::Accepted(_)) => {
                heard.accepted.extend(self.posted.remove(&frame.request).map(|posted| posted.payload));
            }
            Some(Answer::Error(error)) => bail!("the hub refuses ({}): {}", error.code, error.message),
            Some(Answer::CatchupComplete(complete)) if complete.refused.is_empty() => {
                heard.caught_up = true;
                self.acknowledge();
            }
            Some(Answer::CatchupComplete(_)) => bail!("the hub refuses to read a group"),
            Some(Answer::Entries(entries)) => self.entries(&entries, heard),
            Some(Answer::InboxItem(item)) => {
                self.session.put(Request::Ack(v1::Ack { groups: Vec::new(), inbox: item.number }));
            }
            _ => {}
        }
        Ok(true)
    }

    fn entries(&mut self, entries: &v1::Entries, heard: &mut Heard) {
        let Ok(bytes) = <[u8; 16]>::try_from(entries.group.as_ref()) else {
            heard.misnumbered += 1;
            return;
        };
        let place = self.cursors.entry(GroupId::new(bytes)).or_default();
        for entry in &entries.entries {
            heard.misnumbered += u64::from(entry.seq != *place + 1);
            *place = entry.seq;
            heard.payloads.extend(payload::payload_of(&entry.mls));
        }
        self.unacknowledged.insert(GroupId::new(bytes));
    }

    /// The next frame; meanwhile the hub is told what was read, no more often than a device of a person would.
    async fn next(&mut self) -> anyhow::Result<Option<v1::ServerFrame>> {
        loop {
            if self.unacknowledged.is_empty() {
                return self.session.next().await;
            }
            // Frames may come without a pause, and then the timeout would never be looked at.
            if Instant::now() >= self.acknowledge_at {
                self.acknowledge();
            } else if let Ok(next) = timeout_at(self.acknowledge_at, self.session.next()).await {
                return next;
            }
        }
    }

    fn acknowledge(&mut self) {
        let cursor = |group: GroupId| {
            let seq = self.cursors.get(&group).copied().unwrap_or_default();
            v1::Cursor { group: group.to_bytes(), seq }
        };
        let groups: Vec<_> = std::mem::take(&mut self.unacknowledged).into_iter().map(cursor).collect();
        if !groups.is_empty() {
            self.session.put(Request::Ack(v1::Ack { groups, inbox: 0 }));
        }
        self.acknowledge_at = Instant::now() + Duration::from_millis(ACKNOWLEDGE_EVERY_MS);
    }
}
