//! What each connected device does: it takes the alert, says that it has stored it, and acknowledges once it is
//! open on the hub. A raw device counts the alert as there when its bytes have come, a real client when it has
//! decrypted and stored it. When the hub is killed, a raw device connects again when the hub is back, as real
//! clients do by themselves.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use cercle_proto::{
    id::{GroupId, Seq},
    v1::{self, client_frame::Body as Request, server_frame::Body as Answer},
};
use cercle_sdk::{
    bare::BareDevice,
    client::{Client, Events, Notice},
    event::Event,
    message::{AlertId, Body},
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::switch;
use crate::{
    clock::Clock,
    fleet::patiently,
    limits::{ARRIVAL_PATIENCE, JOIN_TRIES, LOOK_EVERY, RETRIES_MAX, RETRY_MS},
    raw::{session::Session, wire::Address},
};

/// An alert that is open on the hub.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    /// Its number.
    pub(super) alert: AlertId,
    /// Where it stands in each group.
    pub(super) places: Arc<HashMap<GroupId, Seq>>,
}

/// What everybody is told.
pub(super) struct Signals {
    /// The alert can be acknowledged.
    pub(super) opened: watch::Sender<Option<Opened>>,
    /// Rises when a killed hub is back.
    pub(super) life: watch::Sender<u32>,
    /// The run is over.
    pub(super) over: watch::Sender<bool>,
}

/// Something that happened on a device.
pub(super) struct Told {
    pub(super) us: u64,
    pub(super) what: What,
}

/// What happened.
pub(super) enum What {
    /// It has the alert.
    Delivered { real: bool },
    /// The hub has its acknowledgement.
    Acknowledged,
    /// It was given what it had said to have.
    Repeated,
}

/// A raw device that listens.
pub(super) struct Ear {
    pub(super) address: Address,
    pub(super) device: Arc<BareDevice>,
    pub(super) group: GroupId,
    pub(super) cursor: Seq,
    pub(super) tell: mpsc::Sender<Told>,
    pub(super) clock: Clock,
    opened: watch::Receiver<Option<Opened>>,
    life: watch::Receiver<u32>,
    over: watch::Receiver<bool>,
    came: Option<Seq>,
    acknowledged: bool,
}

impl Signals {
    pub(super) fn new() -> Self {
        Self { opened: switch(None), life: switch(0), over: switch(false) }
    }
}

impl Ear {
    pub(super) fn new(
        address: Address,
        device: Arc<BareDevice>,
        (group, cursor): (GroupId, Seq),
        tell: mpsc::Sender<Told>,
        clock: Clock,
        signals: &Signals,
    ) -> Self {
        let (opened, life, over) =
            (signals.opened.subscribe(), signals.life.subscribe(), signals.over.subscribe());
        Self {
            address,
            device,
            group,
            cursor,
            tell,
            clock,
            opened,
            life,
            over,
            came: None,
            acknowledged: false,
        }
    }

    /// Opens a session that reads the group from the cursor on.
    pub(super) async fn open(&self) -> anyhow::Result<Session> {
        let mut tries = 1;
        let mut session = loop {
            match Session::open(&self.address, &self.device).await {
                Err(_) if tries < JOIN_TRIES => tries += 1,
                opened => break opened?,
            }
            sleep(LOOK_EVERY).await;
        };
        session.subscribe(1, &[(self.group, self.cursor)], 0);
        // An answer to a later request says that the subscription is read.
        session.ask(Request::ListGroups(v1::ListGroups {})).await?;
        Ok(session)
    }

    /// Listens until the run is over, over as many sessions as the hub has lives.
    pub(super) async fn listen(mut self, mut session: Session) -> anyhow::Result<()> {
        loop {
            let Err(ended) = self.live(session).await else { return Ok(()) };
            let mut over = self.over.clone();
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => return Ok(()),
                // A session that ends while the hub lives is a failure, and found after the patience of the run.
                changed = self.life.changed() => changed?,
                () = sleep(ARRIVAL_PATIENCE) => return Err(ended),
            }
            session = self.reopen().await?;
            if self.came.is_some() {
                session.put(Request::Ack(self.cursor_said()));
            }
        }
    }

    /// Opens a session again, with pauses as clients make them: everybody wants to be back at this moment.
    async fn reopen(&self) -> anyhow::Result<Session> {
        let id = self.device.id();
        let [first, second, ..] = id.as_bytes();
        let jitter = u64::from(u16::from_be_bytes([*first, *second])) % RETRY_MS.1;
        let mut failed = 0;
        loop {
            sleep(Duration::from_millis(RETRY_MS.0 + jitter)).await;
            match self.open().await {
                Err(_) if failed < RETRIES_MAX => failed += 1,
                opened => return opened,
            }
        }
    }

    async fn live(&mut self, mut session: Session) -> anyhow::Result<()> {
        let mut asked = None;
        let mut over = self.over.clone();
        loop {
            let opened = self.opened.borrow_and_update().clone();
            if let (Some(opened), Some(seq), None, false) = (&opened, self.came, asked, self.acknowledged) {
                ensure!(opened.places.get(&self.group) == Some(&seq), "what came is not the alert");
                let alert = opened.alert.0.to_vec().into();
                asked = Some(session.put(Request::AlertAck(v1::AlertAck { alert, acknowledged: true })));
            }
            let frame = tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => return Ok(()),
                changed = self.opened.changed(), if opened.is_none() => { changed?; continue }
                frame = session.next() => frame?.context("the hub closed")?,
            };
            match frame.body {
                Some(Answer::Entries(entries)) if entries.group[..] == self.group.as_bytes()[..] => {
                    for entry in entries.entries {
                        self.take(entry.seq).await?;
                    }
                    session.put(Request::Ack(self.cursor_said()));
                }
                Some(Answer::Done(_)) if Some(frame.request) == asked => {
                    self.acknowledged = true;
                    self.say(What::Acknowledged).await?;
                }
                Some(Answer::Error(error)) => bail!("the hub refuses ({}): {}", error.code, error.message),
                _ => {}
            }
        }
    }

    async fn take(&mut self, seq: Seq) -> anyhow::Result<()> {
        if seq <= self.cursor {
            return self.say(What::Repeated).await;
        }
        self.cursor = seq;
        self.came = Some(seq);
        self.say(What::Delivered { real: false }).await
    }

    fn cursor_said(&self) -> v1::Ack {
        let groups = vec![v1::Cursor { group: self.group.to_bytes(), seq: self.cursor }];
        v1::Ack { groups, inbox: 0 }
    }

    async fn say(&self, what: What) -> anyhow::Result<()> {
        // Whoever counts may have given up.
        let _ = self.tell.send(Told { us: self.clock.now_us(), what }).await;
        Ok(())
    }
}

/// A real client: `author` has written the alert and only acknowledges it.
pub(super) async fn listen_real(
    client: Client,
    mut events: Events,
    author: bool,
    tell: mpsc::Sender<Told>,
    clock: Clock,
    mut opened: watch::Receiver<Option<Opened>>,
) -> anyhow::Result<()> {
    if !author {
        until_alerted(&client, &mut events).await?;
        let _ = tell.send(Told { us: clock.now_us(), what: What::Delivered { real: true } }).await;
    }
    let alert = opened.wait_for(Option::is_some).await?.as_ref().context("it is open")?.alert;
    let acknowledging = async {
        // While the hub is away the client says so at once.
        while client.acknowledge_alert(alert, true).await.is_err() {
            sleep(LOOK_EVERY).await;
        }
    };
    patiently("a real client's acknowledgement", acknowledging).await?;
    let _ = tell.send(Told { us: clock.now_us(), what: What::Acknowledged }).await;
    Ok(())
}

/// Waits until the client has the alert in its store.
async fn until_alerted(client: &Client, events: &mut Events) -> anyhow::Result<()> {
    loop {
        match events.next().await.context("the client closed")? {
            Notice::Event(Event::MessageReceived(message))
                if matches!(message.body, Body::CrisisAlert(_)) =>
            {
                return Ok(());
            }
            Notice::Missed(_) if !client.alerts().await?.is_empty() => return Ok(()),
            Notice::Event(_) | Notice::Missed(_) => {}
        }
    }
}
