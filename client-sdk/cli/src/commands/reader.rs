//! Shows what is stored and was not shown yet, and what happens meanwhile: the common part of `recv` and
//! `chat`.

use cercle_proto::id::GroupId;
use cercle_sdk::{
    client::{Events, Notice},
    core::{GroupSummary, Message},
    event::{Event, MembershipChange},
    joining::WantToJoin,
    message::Body,
};

use super::{devices, join};
use crate::{
    context::{Context, Enrolled},
    failure::Failure,
    language::Text,
    limits::PAGE_MESSAGES,
    moment,
    records::{MembershipRecord, MessageRecord, Record, gap_reason_name},
    shown::Shown,
};

/// Shows messages in the order of each group's log, each once.
pub(crate) struct Reader<'a> {
    context: &'a Context<'a>,
    enrolled: &'a Enrolled,
    /// Only this group; else all.
    only: Option<GroupId>,
    shown: Shown,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        context: &'a Context<'a>,
        enrolled: &'a Enrolled,
        only: Option<GroupId>,
    ) -> Result<Self, Failure> {
        Ok(Self { context, enrolled, only, shown: Shown::load(context.folder()?)? })
    }

    /// Shows everything of others that was not shown; returns how much that was.
    pub(crate) async fn show_new(&mut self) -> Result<usize, Failure> {
        let mut count = 0;
        for group in self.groups().await? {
            count += self.show_group(&group).await?;
        }
        Ok(count)
    }

    /// Shows everything that is stored, own messages too, and does not note it as shown.
    pub(crate) async fn show_all(&mut self) -> Result<usize, Failure> {
        let mut count = 0;
        for group in self.groups().await? {
            let mut after = 0;
            while let Some(last) = self.page(&group, &mut after, |_| true).await? {
                count += last;
            }
        }
        Ok(count)
    }

    /// Takes one notice of the client: shows what it means.
    pub(crate) async fn notice(&mut self, notice: &Notice) -> Result<(), Failure> {
        let event = match notice {
            Notice::Missed(events) => {
                self.context.output.record(&Record::Missed { events: *events });
                self.show_new().await?;
                return Ok(());
            }
            Notice::Event(event) => event,
        };
        match event {
            Event::MessageReceived(message) if self.wants(message.group) => {
                let groups = self.groups().await?;
                if let Some(group) = groups.iter().find(|group| group.group == message.group) {
                    self.show_group(group).await?;
                }
            }
            Event::DeviceChange { group, .. } if self.wants(*group) => {
                let groups = self.groups().await?;
                if let Some(group) = groups.iter().find(|known| known.group == *group) {
                    self.show_group(group).await?;
                }
            }
            Event::CaughtUp => {
                self.show_new().await?;
                self.context.output.record(&Record::CaughtUp {});
            }
            Event::Disconnected => {
                self.context.output.record(&Record::Offline {});
                self.context.output.note(&text!(
                    "(connexion perdue ; nouvel essai automatique)";
                    "(connection lost; trying again by itself)"
                ));
            }
            Event::Typing { group, user, device, display_name, stopped } if self.wants(*group) => {
                self.context.output.record(&Record::Typing {
                    group: group.to_hex(),
                    user: user.as_str(),
                    device: device.to_hex(),
                    display_name,
                    stopped: *stopped,
                });
            }
            event => self.happening(event).await?,
        }
        Ok(())
    }

    /// Shows what has happened beside messages, as far as it is known by now.
    pub(crate) async fn happened(&self, events: &mut Events) -> Result<(), Failure> {
        while let Some(notice) = events.next_now() {
            if let Notice::Event(event) = notice {
                self.happening(&event).await?;
            }
        }
        Ok(())
    }

    fn wants(&self, group: GroupId) -> bool {
        self.only.is_none_or(|only| only == group)
    }

    async fn groups(&self) -> Result<Vec<GroupSummary>, Failure> {
        let mut groups = self.enrolled.client.groups().await?;
        groups.retain(|group| self.wants(group.group));
        Ok(groups)
    }

    async fn title(&self, id: GroupId) -> Result<String, Failure> {
        let groups = self.groups().await?;
        Ok(groups
            .into_iter()
            .find(|group| group.group == id)
            .map(|group| group.profile.title)
            .unwrap_or_default())
    }

    async fn show_group(&mut self, group: &GroupSummary) -> Result<usize, Failure> {
        let mut after = self.shown.get(group.group);
        let mut count = 0;
        while let Some(shown) = self.page(group, &mut after, |message| !message.own).await? {
            count += shown;
            self.shown.set(group.group, after);
            self.shown.save()?;
        }
        Ok(count)
    }

    /// Shows one page of a group and moves `after` to its end; `None` when there is nothing more.
    async fn page(
        &self,
        group: &GroupSummary,
        after: &mut u64,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Option<usize>, Failure> {
        let page = self.enrolled.client.messages(group.group, *after, PAGE_MESSAGES).await?;
        let until =
            if page.len() < PAGE_MESSAGES { u64::MAX } else { page.last().map_or(0, |last| last.seq) };
        let mut devices = self.enrolled.client.device_entries(group.group).await?;
        devices.retain(|entry| entry.seq > *after && entry.seq <= until);
        let last = page.last().map(|message| message.seq).max(devices.last().map(|entry| entry.seq));
        let Some(last) = last else { return Ok(None) };
        *after = last;
        let mut count = 0;
        let mut devices = devices.iter().peekable();
        for message in page.iter().filter(|message| wanted(message)) {
            while let Some(entry) = devices.next_if(|entry| entry.seq < message.seq) {
                devices::show(self.context, group, entry, self.only.is_some());
            }
            count += usize::from(self.message(&group.profile.title, message));
        }
        for entry in devices {
            devices::show(self.context, group, entry, self.only.is_some());
        }
        Ok(Some(count))
    }

    /// Shows one message; whether a person saw something.
    fn message(&self, title: &str, message: &Message) -> bool {
        let language = self.context.output.language();
        let text = message.body.render(language);
        // Neither the title of a group nor a receipt is something that somebody said; an answer to a form counts
        // in its results.
        let silent = matches!(message.body, Body::GroupProfile(_) | Body::Receipt(_) | Body::FormAnswer(_));
        if text.is_empty() || silent {
            self.context.output.record(&Record::Message(MessageRecord::new(title, message, language)));
            return false;
        }
        let (at, name) = (moment::time(message.at_ms), &message.display_name);
        let place = if self.only.is_some() { String::new() } else { format!("[{title}] ") };
        let expired = if message.expired_certificate {
            text!(" (certificat expiré)"; " (certificate expired)")
        } else {
            text!(""; "")
        };
        let (fr, en) = (expired.fr, expired.en);
        self.context.output.result(
            &Record::Message(MessageRecord::new(title, message, language)),
            &text!("{at}  {place}{name}{fr} : {text}"; "{at}  {place}{name}{en}: {text}"),
        );
        if !message.body.documents().is_empty() {
            let id = message.id.to_hex();
            self.context.output.say(&text!("       — cercle get {id}"; "       — cercle get {id}"));
        }
        true
    }

    async fn want_to_join(&self, waiting: &WantToJoin) -> Result<(), Failure> {
        for request in &waiting.0 {
            let Ok(group) = GroupId::try_from(&request.group) else { continue };
            if self.wants(group) {
                join::show_request(self.context, request, &self.title(group).await?);
            }
        }
        Ok(())
    }

    /// What else can happen in a group.
    async fn happening(&self, event: &Event) -> Result<(), Failure> {
        let (group, record, sentence) = match event {
            Event::GroupJoined { group } => {
                let title = self.title(*group).await?;
                let sentence = text!("Vous êtes dans un nouveau groupe."; "You are in a new group.");
                let record = Record::Joined { group: group.to_hex(), title: &title };
                self.show_if_wanted(*group, &record, &sentence);
                return Ok(());
            }
            Event::GroupLeft { group, .. } => {
                let title = self.title(*group).await?;
                let sentence =
                    text!("Vous n'êtes plus dans « {title} »."; "You are no longer in \"{title}\".");
                let record = Record::Closed { group: group.to_hex(), title: &title };
                self.show_if_wanted(*group, &record, &sentence);
                return Ok(());
            }
            Event::MembershipChanged(change) => return self.membership(change).await,
            Event::Gap { group, skipped, reason } => {
                let reason = gap_reason_name(*reason);
                let sentence = text!(
                    "Messages manquants : {skipped} ({reason}). Demandez à vos collègues de les renvoyer.";
                    "Missing messages: {skipped} ({reason}). Ask your colleagues to send them again."
                );
                (*group, Record::Gap { group: group.to_hex(), skipped: *skipped, reason }, sentence)
            }
            Event::Recovering { group, reason } => {
                let reason = gap_reason_name(*reason);
                let sentence =
                    text!("Rétablissement du groupe ({reason})…"; "Recovering the group ({reason})…");
                (*group, Record::Recovering { group: group.to_hex(), reason }, sentence)
            }
            Event::Recovered { group } => {
                let sentence = text!("Groupe rétabli."; "Group recovered.");
                (*group, Record::Recovered { group: group.to_hex() }, sentence)
            }
            Event::WantToJoin(waiting) => return self.want_to_join(waiting).await,
            Event::JoinDeclined(declined) => {
                join::show_declined(self.context, &declined.0);
                return Ok(());
            }
            Event::RollbackDetected => {
                self.context.output.result(
                    &Record::RestoredCopy {},
                    &text!(
                        "Ce profil vient d'une ancienne copie : chaque groupe est rejoint à nouveau.";
                        "This profile comes from an old copy: every group is joined again."
                    ),
                );
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.show_if_wanted(group, &record, &sentence);
        Ok(())
    }

    /// Who came or went. Another device of somebody who is there: its thread says it as what it is.
    async fn membership(&self, change: &MembershipChange) -> Result<(), Failure> {
        let record = Record::Membership(MembershipRecord::new(change));
        let entries = self.enrolled.client.device_entries(change.group).await?;
        if entries.iter().any(|entry| (entry.seq, entry.device) == (change.seq, change.device)) {
            if self.wants(change.group) {
                self.context.output.record(&record);
            }
            return Ok(());
        }
        let name = &change.display_name;
        let sentence = if change.joined {
            text!("{name} rejoint le groupe."; "{name} joins the group.")
        } else {
            text!("{name} n'est plus dans le groupe."; "{name} is no longer in the group.")
        };
        self.show_if_wanted(change.group, &record, &sentence);
        Ok(())
    }

    fn show_if_wanted(&self, group: GroupId, record: &Record<'_>, sentence: &Text) {
        if self.wants(group) {
            let (fr, en) = (&sentence.fr, &sentence.en);
            self.context.output.result(record, &text!("       — {fr}"; "       — {en}"));
        }
    }
}
