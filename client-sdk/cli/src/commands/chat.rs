//! `cercle chat`: reads and writes in one group at once, because one process at a time uses a profile.
//!
//! Each line of standard input is a message. When the input ends, the command waits until the hub has
//! everything and leaves; with Ctrl-C it leaves at once, and what is not sent yet is kept.

use std::collections::HashSet;

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    client::{ClientError, Notice},
    event::Event,
};
use tokio::{sync::mpsc, time::sleep};

use super::{find_group, kept, reader::Reader, send};
use crate::{
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    interrupt::Interrupt,
    records::Record,
    stdin,
};

pub(crate) async fn run(context: &Context<'_>, name: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, name).await?;
    let title = &group.profile.title;
    context.output.note(&text!(
        "« {title} » : une ligne, un message. Ctrl-C ou Ctrl-D pour finir.";
        "\"{title}\": one line, one message. Ctrl-C or Ctrl-D to end."
    ));
    let ended = Conversation::new(context, &enrolled, group.group)?.run().await;
    if matches!(ended, Ok(Exit::Kept)) {
        return Ok(kept(context, enrolled, Some(group.group.to_hex()), None).await);
    }
    enrolled.close().await;
    ended
}

struct Conversation<'a> {
    context: &'a Context<'a>,
    enrolled: &'a Enrolled,
    group: GroupId,
    reader: Reader<'a>,
    lines: mpsc::Receiver<String>,
    /// Messages of this command that the hub has not decided about.
    waiting: HashSet<MessageId>,
}

impl<'a> Conversation<'a> {
    fn new(context: &'a Context<'a>, enrolled: &'a Enrolled, group: GroupId) -> Result<Self, Failure> {
        let reader = Reader::new(context, enrolled, Some(group))?;
        Ok(Self { context, enrolled, group, reader, lines: stdin::lines(), waiting: HashSet::new() })
    }

    async fn run(mut self) -> Result<Exit, Failure> {
        let client = &self.enrolled.client;
        let mut events = client.events();
        client.connect().await?;
        self.reader.show_new().await?;
        let mut interrupt = Interrupt::new()?;
        let mut open = true;
        loop {
            if !open && self.waiting.is_empty() {
                return Ok(Exit::Done);
            }
            tokio::select! {
                biased;
                () = interrupt.requested() => return Ok(self.unfinished()),
                stopped = client.stopped() => return Err(stopped.into()),
                notice = events.next() => match notice {
                    Some(notice) => self.notice(&notice).await?,
                    None => return Err(ClientError::Closed.into()),
                },
                line = self.lines.recv(), if open => match line {
                    Some(line) => {
                        self.waiting.insert(client.send(self.group, &line).await?);
                    }
                    None => open = false,
                },
                // After the end of the input, each quiet stretch may last as long as the user has patience.
                () = sleep(self.context.patience), if !open => return Ok(self.unfinished()),
            }
        }
    }

    fn unfinished(&self) -> Exit {
        if self.waiting.is_empty() { Exit::Done } else { Exit::Kept }
    }

    async fn notice(&mut self, notice: &Notice) -> Result<(), Failure> {
        match notice {
            Notice::Event(Event::MessageAccepted { group, message, seq, at_ms }) => {
                if self.waiting.remove(message) {
                    let (group, id) = (group.to_hex(), message.to_hex());
                    self.context.output.record(&Record::Accepted { group, id, seq: *seq, at_ms: *at_ms });
                }
                Ok(())
            }
            Notice::Event(Event::MessageRefused { message, reason, .. }) => {
                if self.waiting.remove(message) {
                    Err(send::refused(*reason))
                } else {
                    Ok(())
                }
            }
            Notice::Missed(_) => {
                let outbox = self.enrolled.client.outbox().await?;
                self.waiting.retain(|id| outbox.iter().any(|message| message.id == *id));
                self.reader.notice(notice).await
            }
            Notice::Event(_) => self.reader.notice(notice).await,
        }
    }
}
