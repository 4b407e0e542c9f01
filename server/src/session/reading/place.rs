//! Where a device is in a group, and which entries it may have: pure.

use cercle_proto::{
    ErrorCode,
    id::{DeviceId, Seq},
};
use cercle_storage::store::{Membership, RosterEntry};

use crate::fanout::ForReaders;

/// The place of one device in one group's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Everything up to here was sent or is not for the device.
    pub(super) cursor: Seq,
    /// It reads entries after this one.
    pub(super) joined_at: Seq,
    /// It reads entries up to and including this one.
    pub(super) until: Seq,
    /// At this moment it is given nothing after this entry.
    pub(super) held: Option<Seq>,
    /// The wave whose history is being read; 0: live.
    pub(super) wave: u64,
}

impl Place {
    /// The place at the start of a wave.
    ///
    /// # Errors
    /// The code and floor for `CatchupComplete.refused`.
    pub(super) fn start(
        after: Seq,
        membership: Option<&Membership>,
        wave: u64,
    ) -> Result<Self, (ErrorCode, Seq)> {
        let Some(Membership { entry, floor, head, .. }) = membership else {
            return Err((ErrorCode::GroupUnknown, 0));
        };
        // Earlier entries are not for this device.
        let cursor = after.max(entry.joined_at);
        // Ahead of the head: the hub was restored from a copy that is older than what the device has.
        if cursor < *floor || cursor > *head {
            return Err((ErrorCode::ResyncRequired, *floor));
        }
        let mut place = Self { cursor, joined_at: 0, until: Seq::MAX, held: None, wave };
        place.limit(Some(entry));
        Ok(place)
    }

    /// Takes over the roster's limits; without a row the device has nothing more to read.
    pub(super) fn limit(&mut self, entry: Option<&RosterEntry>) {
        match entry {
            Some(entry) => {
                self.joined_at = entry.joined_at;
                self.until = entry.removed_at.unwrap_or(Seq::MAX);
            }
            None => self.until = self.cursor,
        }
    }

    /// Whether there is nothing more to come.
    pub(super) fn is_finished(&self) -> bool {
        self.cursor >= self.until
    }

    /// The last entry that it may have at this moment.
    pub(super) fn may_read_until(&self) -> Seq {
        // Nothing of a time before its joining is withheld from it.
        self.until.min(self.held.map_or(Seq::MAX, |held| held.max(self.joined_at)))
    }

    /// Whether it waits for what is withheld.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some() && self.cursor >= self.may_read_until()
    }

    /// Moves past entries that follow the cursor and keeps those that the device may have. Its own entry at
    /// `joined_at` is the external commit by which it joined.
    pub(super) fn admit<E: ForReaders>(&mut self, entries: &mut Vec<E>, device: DeviceId) {
        let (joined_at, until) = (self.joined_at, self.may_read_until());
        if let Some(last) = entries.last() {
            self.cursor = last.seq().min(until).max(self.cursor);
        }
        entries.retain(|entry| {
            let own_join = entry.seq() == joined_at && entry.sender() == Some(device);
            (entry.seq() > joined_at || own_join) && entry.seq() <= until
        });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cercle_proto::id::{GroupId, MessageId, UserId};
    use cercle_storage::store::{Entry, Kind};

    use super::*;

    const ME: DeviceId = DeviceId::new([1; 16]);
    const OTHER: DeviceId = DeviceId::new([2; 16]);
    const GROUP: GroupId = GroupId::new([9; 16]);

    fn entries(range: std::ops::RangeInclusive<Seq>, sender: DeviceId) -> Vec<Entry> {
        let entry = |seq| Entry {
            seq,
            kind: Kind::Application,
            epoch: 1,
            sender: Some(sender),
            message_id: MessageId::new([3; 16]),
            at: 5,
            body: Bytes::from_static(b"x"),
        };
        range.map(entry).collect()
    }

    fn membership(joined_at: Seq, removed_at: Option<Seq>, floor: Seq, head: Seq) -> Membership {
        let user = UserId::parse("a@b").unwrap();
        let entry = RosterEntry {
            device: ME,
            user,
            leaf: 0,
            joined_at,
            removed_at,
            acked: 0,
            may_post: true,
            needs_re_add: false,
        };
        Membership { group: GROUP, epoch: 1, head, floor, entry, needs_re_add: Vec::new() }
    }

    fn admitted(place: &mut Place, mut entries: Vec<Entry>) -> Vec<Seq> {
        place.admit(&mut entries, ME);
        entries.iter().map(|entry| entry.seq).collect()
    }

    #[test]
    fn a_new_member_reads_nothing_from_before_its_join() {
        let mut place = Place::start(0, Some(&membership(5, None, 0, 7)), 1).unwrap();
        assert_eq!(place.cursor, 5);
        assert_eq!(admitted(&mut place, entries(6..=7, OTHER)), [6, 7]);
    }

    #[test]
    fn a_removed_member_reads_its_removal_and_nothing_after() {
        let mut place = Place::start(3, Some(&membership(0, Some(5), 0, 9)), 1).unwrap();
        assert_eq!(admitted(&mut place, entries(4..=9, OTHER)), [4, 5]);
        assert!(place.is_finished());
    }

    #[test]
    fn a_device_that_came_back_skips_what_it_missed_and_sees_its_own_join() {
        let mut place = Place::start(3, Some(&membership(0, None, 0, 3)), 1).unwrap();
        let rejoined = membership(6, None, 0, 6).entry;
        place.limit(Some(&rejoined));
        let mut page = entries(4..=5, OTHER);
        page.extend(entries(6..=6, ME));
        assert_eq!(admitted(&mut place, page), [6]);
        assert_eq!(place.cursor, 6);
    }

    #[test]
    fn a_cursor_outside_the_log_needs_a_resync() {
        let known = membership(0, None, 10, 20);
        assert_eq!(Place::start(9, Some(&known), 1), Err((ErrorCode::ResyncRequired, 10)));
        assert_eq!(Place::start(21, Some(&known), 1), Err((ErrorCode::ResyncRequired, 10)));
        assert!(Place::start(10, Some(&known), 1).is_ok());
        assert_eq!(Place::start(0, None, 1), Err((ErrorCode::GroupUnknown, 0)));
    }
}
