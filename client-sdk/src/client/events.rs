//! The stream of events, bounded without silent loss.
//!
//! Each subscriber has its own place in one shared ring. Who reads too slowly is told how many events it
//! missed ([`Notice::Missed`]) and goes on with the oldest that is still there. Nothing is lost with them:
//! events are hints about what is durable in the store, so the subscriber reads the store from the place
//! it has shown so far ([`Client::messages`](super::Client::messages) with its last `seq`).

use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use crate::event::Event;

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a message is most of what goes through it, and is moved once")]
pub enum Notice {
    /// Something happened.
    Event(Event),
    /// This many events passed unheard: read the store.
    Missed(u64),
}

/// A subscription. Dropping it ends it.
#[derive(Debug)]
pub struct Events(Receiver<Event>);

impl Events {
    pub(super) fn new(receiver: Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// Waits for the next; `None` once the client is closed. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(event) => Some(Notice::Event(event)),
            Err(RecvError::Lagged(missed)) => Some(Notice::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next, if there is one already.
    pub fn next_now(&mut self) -> Option<Notice> {
        match self.0.try_recv() {
            Ok(event) => Some(Notice::Event(event)),
            Err(TryRecvError::Lagged(missed)) => Some(Notice::Missed(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;

    #[tokio::test]
    async fn a_slow_subscriber_is_told_how_many_it_missed_and_goes_on() {
        let (sender, receiver) = broadcast::channel(4);
        let mut events = Events::new(receiver);
        for _ in 0..9 {
            sender.send(Event::CaughtUp).unwrap();
        }
        sender.send(Event::Disconnected).unwrap();
        drop(sender);
        let mut heard = Vec::new();
        while let Some(notice) = events.next().await {
            heard.push(notice);
        }
        assert_eq!(heard[0], Notice::Missed(6));
        assert_eq!(heard.len(), 1 + 4);
        assert_eq!(heard[4], Notice::Event(Event::Disconnected));
    }
}
