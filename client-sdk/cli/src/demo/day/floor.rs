//! What every scene does: say, ask, take a step, and wait until everybody concerned has it.
//!
//! All waiting is for what a device has heard, within [`DEMO_LINE_PATIENCE`]: a scene ends with everything
//! in its place, or the demonstration with a failure.

use std::collections::HashMap;

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    client::now_ms,
    core::{Act, Ask, BoardFilter, BoardRow, Message},
    message::{
        Body, Draft, Language, Patient, Request, RequestId,
        request::{PurposeKind, Situation},
        transition::Action,
    },
};
use tokio::time::timeout;

use super::ledger::Ledger;
use crate::{
    demo::{
        cast::{GROUPS, PEOPLE},
        people::People,
        stage::Stage,
    },
    exit::Exit,
    failure::Failure,
    language::Text,
    limits::{DEMO_LINE_PATIENCE, PAGE_MESSAGES},
};

/// The people, the audience, and what was heard.
pub(super) struct Floor<'a> {
    people: &'a mut People,
    stage: &'a Stage<'a>,
    ledger: Ledger,
    groups: [Option<GroupId>; GROUPS.len()],
}

impl<'a> Floor<'a> {
    pub(super) fn new(people: &'a mut People, stage: &'a Stage<'a>) -> Self {
        Self { people, stage, ledger: Ledger::default(), groups: [None; GROUPS.len()] }
    }

    pub(super) fn people(&self) -> &People {
        self.people
    }

    pub(super) fn stage(&self) -> &Stage<'a> {
        self.stage
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A group of the cast; founded when it is first needed, so that no message waits for a later group.
    pub(super) async fn group(&mut self, place: usize) -> Result<GroupId, Failure> {
        if let Some(group) = self.groups[place] {
            return Ok(group);
        }
        let group = Box::pin(self.people.found(place)).await?;
        self.groups[place] = Some(group);
        self.stage.group_made(place);
        Ok(group)
    }

    /// Says something and waits until every other member has decrypted it.
    pub(super) async fn say(
        &mut self,
        group: GroupId,
        place: usize,
        speaker: usize,
        text: &str,
    ) -> Result<MessageId, Failure> {
        self.post(group, place, speaker, Body::text(text).into()).await
    }

    /// As [`Floor::say`], for any kind of content.
    pub(super) async fn post(
        &mut self,
        group: GroupId,
        place: usize,
        speaker: usize,
        draft: Draft,
    ) -> Result<MessageId, Failure> {
        let words = |language: Language| draft.body.render(language);
        let words = Text { fr: words(Language::French), en: words(Language::English) };
        let sent_ms = now_ms();
        let id = self.people.client(speaker).post(group, draft).await?;
        let readers = GROUPS[place].members.len() - 1;
        while self.ledger.readers(group, id) < readers {
            self.hear().await?;
        }
        let title = GROUPS[place].title;
        self.stage.says(title, PEOPLE[speaker].name, &words);
        self.stage.decrypted(readers, now_ms().saturating_sub(sent_ms));
        self.stage.pause().await;
        Ok(id)
    }

    /// Asks something in these groups and waits until every member has it on the board.
    pub(super) async fn ask(
        &mut self,
        requester: usize,
        places: &[usize],
        mut request: Request,
        patient: Option<Patient>,
    ) -> Result<RequestId, Failure> {
        let mut groups = Vec::new();
        for place in places {
            groups.push(self.group(*place).await?);
        }
        request.situation = situation(requester);
        let label = |language: Language| PurposeKind::label(request.purpose.kind(), language);
        let (title, fr, en) = (request.title.clone(), label(Language::French), label(Language::English));
        let ask = Ask { request, groups, widening: Vec::new(), patient };
        let id = self.people.client(requester).ask(ask).await?;
        let asked = asked_people(places, requester);
        for place in &asked {
            self.row(*place, id, |_| true).await?;
        }
        let titles: Vec<&str> = places.iter().map(|place| GROUPS[*place].title).collect();
        let (name, digits) = (PEOPLE[requester].name, short(id));
        self.stage.says(&titles.join(" + "), name, &text!("[{fr}] {title}"; "[{en}] {title}"));
        let count = asked.len();
        self.stage.note(&text!(
            "demande {digits}, sur le tableau de {count} personnes";
            "request {digits}, on the board of {count} people"
        ));
        self.stage.pause().await;
        Ok(id)
    }

    /// Takes a step; the caller waits for what it is to lead to.
    pub(super) async fn act(
        &mut self,
        actor: usize,
        request: RequestId,
        action: Action,
    ) -> Result<(), Failure> {
        let words = |language: Language| action.render(language);
        let words = Text { fr: words(Language::French), en: words(Language::English) };
        self.people.client(actor).act(step(actor, request, action)).await?;
        let digits = short(request);
        self.stage.says(&digits, PEOPLE[actor].name, &words);
        self.stage.pause().await;
        Ok(())
    }

    /// Two people claim a request at the same moment. Whoever has heard already that he is too late is
    /// refused by his own device, which is no failure as long as it is not both: who that was.
    pub(super) async fn both_claim(
        &mut self,
        two: [usize; 2],
        request: RequestId,
    ) -> Result<Option<usize>, Failure> {
        let claim = |place| self.people.client(place).act(step(place, request, claim()));
        let refused = match tokio::join!(claim(two[0]), claim(two[1])) {
            (Err(error), Err(_)) => return Err(error.into()),
            (Err(_), Ok(_)) => Some(two[0]),
            (Ok(_), Err(_)) => Some(two[1]),
            (Ok(_), Ok(_)) => None,
        };
        let (one, other) = (PEOPLE[two[0]].name, PEOPLE[two[1]].name);
        self.stage.note(&text!(
            "{one} et {other} la prennent au même instant";
            "{one} and {other} claim it at the same moment"
        ));
        Ok(refused)
    }

    /// Waits until the board of the member at this place shows the request so, and returns the row.
    pub(super) async fn row(
        &mut self,
        place: usize,
        request: RequestId,
        fits: impl Fn(&BoardRow) -> bool,
    ) -> Result<BoardRow, Failure> {
        loop {
            let everything = BoardFilter { closed: true, ..BoardFilter::default() };
            let rows = self.people.client(place).board(everything).await?;
            if let Some(row) = rows.into_iter().find(|row| row.request == request && fits(row)) {
                return Ok(row);
            }
            self.hear().await?;
        }
    }

    /// Takes the next thing that anybody hears.
    pub(super) async fn hear(&mut self) -> Result<(), Failure> {
        let Ok(Some((place, notice))) = timeout(DEMO_LINE_PATIENCE, self.people.next()).await else {
            return Err(unheard());
        };
        self.ledger.note(place, notice);
        Ok(())
    }

    /// Waits until every device has everything: no outbox holds anything, every member of a group has read
    /// its log to the same place, and every message was decrypted by every device but the sender's.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        while !self.is_settled().await? {
            self.hear().await?;
        }
        Ok(())
    }

    async fn is_settled(&self) -> Result<bool, Failure> {
        let mut cursors: HashMap<GroupId, Vec<u64>> = HashMap::new();
        let mut devices = HashMap::new();
        for place in 0..self.people.count() {
            let client = self.people.client(place);
            if !client.outbox().await?.is_empty() {
                return Ok(false);
            }
            for group in client.groups().await? {
                cursors.entry(group.group).or_default().push(group.cursor);
                devices.insert(group.group, group.devices);
            }
        }
        let together = |(group, read): (&GroupId, &Vec<u64>)| {
            devices.get(group) == Some(&read.len()) && read.iter().all(|cursor| *cursor == read[0])
        };
        Ok(cursors.iter().all(together) && self.ledger.is_complete(&devices))
    }

    /// Everything that the member at this place has decrypted, in all groups.
    pub(super) async fn messages(&self, place: usize) -> Result<Vec<Message>, Failure> {
        let client = self.people.client(place);
        let mut all = Vec::new();
        for group in client.groups().await? {
            // A day has far fewer messages than one page.
            all.extend(client.messages(group.group, 0, PAGE_MESSAGES).await?);
        }
        Ok(all)
    }
}

/// Taking a request on.
pub(super) fn claim() -> Action {
    Action::Claim { receipt: None, owner_name: String::new() }
}

/// The members of these groups, each once, without the one who asks.
pub(super) fn asked_people(places: &[usize], requester: usize) -> Vec<usize> {
    let mut asked: Vec<usize> =
        places.iter().flat_map(|place| GROUPS[*place].members.iter().copied()).collect();
    asked.sort_unstable();
    asked.dedup();
    asked.retain(|place| *place != requester);
    asked
}

/// How a request is named in a terminal.
pub(super) fn short(request: RequestId) -> String {
    request.to_hex()[..8].to_owned()
}

/// The situation in which a member of the cast acts.
fn situation(place: usize) -> Situation {
    Situation { profession: PEOPLE[place].profession.to_owned(), ..Situation::default() }
}

fn step(actor: usize, request: RequestId, action: Action) -> Act {
    Act { request, action, situation: situation(actor) }
}

fn unheard() -> Failure {
    Failure::new(
        Exit::Fault,
        text!(
            "Un message de la démonstration n'est pas arrivé à tous ses destinataires.";
            "A message of the demonstration did not reach all its recipients."
        ),
    )
    .mend(text!(
        "Relancez avec CERCLE_LOG=debug et signalez-le.";
        "Run it again with CERCLE_LOG=debug and report it."
    ))
}
