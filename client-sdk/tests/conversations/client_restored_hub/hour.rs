//! What happens in the hour that the copy does not know, besides messages: changed keys, members and groups, a
//! document, a request that is taken, an alert. And what of it must hold on the restored hub.

use std::{collections::BTreeSet, time::Duration};

use cercle_proto::{id::GroupId, v1};
use cercle_sdk::{
    client::{Client, now_ms},
    core::{Act, Ask, BoardFilter, PolicyTemplate},
    message::{AlertId, Body, CrisisAlert, DocumentType, RequestId, cap::Cap, request::Situation},
    thread::requests::State,
    transfer::{AttachOptions, TransferError},
};

use super::{
    drill::Drill,
    members::{Member, all_agree, enrol},
};
use crate::{
    client_documents::documents,
    client_world::{soon, user},
    core_requests::{claim, visit},
};

const EXAMPLE: &[u8] = include_bytes!("../../../src/message/cap/samples/canada.cap");

/// What was done, to be looked for afterwards.
pub(super) struct Hour {
    /// Sent before the copy was made.
    old_document: Vec<u8>,
    new_document: Vec<u8>,
    /// A group that the copy does not know.
    fresh: Option<GroupId>,
    in_fresh: BTreeSet<String>,
    request: Option<RequestId>,
    alert: AlertId,
}

/// Asks again and again until the answer is there, but not for ever.
async fn in_the_end<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    soon(async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

/// Sends a document and waits until another member has its message.
async fn attach(from: &Client, group: GroupId, content: &[u8], to: &Client) {
    let known = documents(to, group).await.len();
    let options = AttachOptions {
        name: Some("compte-rendu.bin".to_owned()),
        document_type: Some(DocumentType::Prescription),
        ..AttachOptions::default()
    };
    soon(from.attach(group, content.to_vec(), options)).await.unwrap();
    in_the_end(async || (documents(to, group).await.len() > known).then_some(())).await;
}

/// The place and number of an alert's messages in a group.
async fn alert_places(client: &Client, group: GroupId, alert: AlertId) -> Vec<u64> {
    let messages = client.messages(group, 0, 10_000).await.unwrap();
    let of_alert = |body: &Body| matches!(body, Body::CrisisAlert(found) if found.alert == alert);
    messages.iter().filter(|message| of_alert(&message.body)).map(|message| message.seq).collect()
}

/// Opens an alert at the place of its message, and somebody acknowledges it.
async fn ring(publisher: &Client, group: GroupId, alert: AlertId, recipient: &Client) {
    let places = in_the_end(async || {
        let places = alert_places(recipient, group, alert).await;
        (!places.is_empty()).then_some(places)
    })
    .await;
    assert_eq!(places.len(), 1, "the alert is there once");
    let open = v1::OpenAlert {
        alert: alert.0.to_vec().into(),
        groups: vec![v1::Cursor { group: group.to_bytes(), seq: places[0] }],
        mode: v1::AlertMode::Exercise.into(),
        priority: v1::AlertPriority::Normal.into(),
        expires_at_ms: now_ms() + 3 * 3_600_000,
        policy: Some(v1::AlertPolicy { ack_within_ms: 2 * 3_600_000, ..v1::AlertPolicy::default() }),
        ..v1::OpenAlert::default()
    };
    soon(publisher.open_alert(open)).await.unwrap();
    soon(recipient.acknowledge_alert(alert, true)).await.unwrap();
    let (status, _) = soon(publisher.alert_report(alert, false)).await.unwrap();
    assert_eq!(status.acknowledged, 1);
}

/// Waits until each of these devices shows the request as taken by the second member.
async fn taken(members: &[&Member], request: RequestId) {
    for member in members {
        in_the_end(async || {
            let rows = member.client.board(BoardFilter::default()).await.unwrap();
            let row = rows.into_iter().find(|row| row.request == request)?;
            let owner = row.owner.map(|owner| owner.user);
            (row.state == State::Claimed && owner == Some(user("user1"))).then_some(())
        })
        .await;
    }
}

impl Hour {
    /// Before the copy is made: a document that it has.
    pub(super) async fn before_the_copy(drill: &Drill) -> Self {
        let members = &drill.members;
        let hour = Self {
            old_document: vec![1; 200_000],
            new_document: vec![2; 200_000],
            fresh: None,
            in_fresh: BTreeSet::new(),
            request: None,
            alert: Client::new_alert_id(),
        };
        attach(&members[0].client, drill.all, &hour.old_document, &members[2].client).await;
        hour
    }

    /// The hour, in four quarters.
    pub(super) async fn pass(&mut self, drill: &mut Drill) {
        // Changed keys, and messages of the new epoch.
        soon(drill.members[1].client.update_keys(drill.half)).await.unwrap();
        drill.half_says("in half").await;
        drill.quarter_passes();
        self.newcomers(drill).await;
        drill.quarter_passes();
        self.work(drill).await;
        drill.quarter_passes();
        let body = Body::CrisisAlert(CrisisAlert {
            alert: self.alert,
            cap: Cap::from_xml(EXAMPLE).unwrap().into(),
            ack_by_ms: 0,
            deputies: Vec::new(),
        });
        let (first, third) = (&drill.members[0].client, &drill.members[2].client);
        soon(first.post(drill.all, body.into())).await.unwrap();
        ring(first, drill.all, self.alert, third).await;
        drill.quarter_passes();
    }

    /// A new device, which joins the group of everybody and a group that is new, too.
    async fn newcomers(&mut self, drill: &mut Drill) {
        drill.late = Some(enrol(&drill.hub, &drill.link, "late").await);
        let first = &drill.members[0].client;
        soon(first.invite(drill.all, vec![user("late")])).await.unwrap();
        let fresh = soon(first.create_group("Nouveau", PolicyTemplate::Conversation)).await.unwrap();
        soon(first.invite(fresh, vec![user("late"), user("user1")])).await.unwrap();
        soon(first.send(fresh, "new group")).await.unwrap();
        self.in_fresh.insert("new group".to_owned());
        self.fresh = Some(fresh);
        self.fresh_agrees(drill).await;
        let late = &drill.late.as_ref().unwrap().client;
        in_the_end(async || late.members(drill.all).await.ok()).await;
        drill.everybody_says("after").await;
    }

    /// A document, and a request to two groups, which is taken.
    async fn work(&mut self, drill: &Drill) {
        let [first, second, third] = [0, 1, 2].map(|number| &drill.members[number].client);
        attach(second, drill.all, &self.new_document, third).await;
        let groups = vec![drill.all, drill.half];
        let ask = Ask { request: visit(), groups, widening: Vec::new(), patient: None };
        let request = soon(first.ask(ask)).await.unwrap();
        self.request = Some(request);
        in_the_end(async || {
            let rows = second.board(BoardFilter::default()).await.unwrap();
            rows.into_iter().find(|row| row.request == request && row.groups.len() == 2).map(drop)
        })
        .await;
        let taking = Act { request, action: claim(), situation: Situation::default() };
        soon(second.act(taking)).await.unwrap();
        taken(&drill.everybody(), request).await;
    }

    async fn fresh_agrees(&self, drill: &Drill) {
        let late = drill.late.as_ref().unwrap();
        let members = [&drill.members[0], &drill.members[1], late];
        let texts = all_agree(&members, self.fresh.unwrap(), &self.in_fresh).await;
        assert_eq!(texts.len(), self.in_fresh.len(), "nothing from nowhere");
    }

    /// On the restored hub.
    pub(super) async fn still_holds(&mut self, drill: &Drill) {
        // The group that the copy does not know is there again, and works.
        self.fresh_agrees(drill).await;
        let late = drill.late.as_ref().unwrap();
        soon(late.client.send(self.fresh.unwrap(), "late speaks")).await.unwrap();
        self.in_fresh.insert("late speaks".to_owned());
        self.fresh_agrees(drill).await;
        drill.note("the new group is there again");

        // Every device has both documents once; the copy has the bytes of the older one.
        for member in &drill.members {
            let found = in_the_end(async || {
                let found = documents(&member.client, drill.all).await;
                (found.len() >= 2).then_some(found)
            })
            .await;
            assert_eq!(found.len(), 2, "{}", member.name);
        }
        let third = &drill.members[2].client;
        for document in documents(third, drill.all).await {
            let content = soon(third.download_bytes(&document, 1_000_000)).await;
            match content {
                Ok(content) => assert!(content == self.old_document, "the document that the copy has"),
                Err(error) => assert!(matches!(error, TransferError::Gone), "{error:?}"),
            }
        }
        drill.note("documents are there or said to be gone");

        taken(&drill.everybody(), self.request.unwrap()).await;
        drill.note("the request is taken");
        let first = &drill.members[0].client;
        ring(first, drill.all, self.alert, third).await;
        drill.note("the alert rings again");
    }
}
