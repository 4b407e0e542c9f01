//! Every bound of the client, with its unit and its reason.

use std::time::Duration;

use cercle_proto::id::TimestampMs;

const SECOND_MS: TimestampMs = 1_000;
const MINUTE_MS: TimestampMs = 60 * SECOND_MS;
const HOUR_MS: TimestampMs = 60 * MINUTE_MS;
const DAY_MS: TimestampMs = 24 * HOUR_MS;

// --- content

/// Longest text of a message, bytes of UTF-8: several pages; more is a document.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Users that one text calls by name; whoever means more means the group.
pub const MENTIONS_MAX: usize = 64;
/// Longest emoji, bytes of UTF-8: a family with skin tones has 28.
pub const EMOJI_BYTES_MAX: usize = 32;
/// Different emoji under one message; more are ignored.
pub const EMOJI_PER_MESSAGE_MAX: usize = 32;
/// Longest reason for withdrawing a message, bytes of UTF-8: one line.
pub const REASON_BYTES_MAX: usize = 256;
/// Messages pinned in one thread; more are ignored, because a long list is no help.
pub const PINS_MAX: usize = 32;
/// Longest title of a group, bytes of UTF-8: one line of a list.
pub const TITLE_BYTES_MAX: usize = 256;
/// Longest topic of a group or address, bytes of UTF-8: a few lines.
pub const TOPIC_BYTES_MAX: usize = 1_024;
/// Longest name of a person, place or file, bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 256;
/// Given names of one person.
pub const GIVEN_NAMES_MAX: usize = 16;
/// Longest code, date or identifier, bytes.
pub const CODE_BYTES_MAX: usize = 64;
/// Codes in one list: the communes of a large territory.
pub const CODES_MAX: usize = 256;
/// Longest text for clients that do not know a kind, bytes of UTF-8.
pub const FALLBACK_BYTES_MAX: usize = 1_024;
/// Longest plaintext of an application message that is sent, bytes: what a hub takes, without framing.
pub const CONTENT_BYTES_MAX: usize = 64 * 1024;
/// Largest document, bytes.
pub const DOCUMENT_BYTES_MAX: u64 = 100 * 1000 * 1000;
/// Largest picture inside a message, bytes.
pub const THUMBNAIL_BYTES_MAX: usize = 24 * 1024;
/// Longest plaintext of an application message that is decoded, bytes. Above the largest kind that this
/// version writes, so that newer kinds pass.
pub const ENVELOPE_BYTES_MAX: usize = 256 * 1024;
/// Application messages are padded to a multiple of this, bytes: the hub does not learn whether somebody
/// wrote "yes" or "no". Short messages are most of the traffic, so it is small.
pub const PADDING_BYTES: usize = 128;

/// Longest web address, bytes: what browsers and meeting tools make.
pub const URL_BYTES_MAX: usize = 2_048;
/// Recipients, slots, questions, choices, items, objectives or steps of one message: more is a document.
pub const PARTS_MAX: usize = 64;
/// Decimals of a score: finer than any scale.
pub const SCORE_DECIMALS_MAX: u32 = 6;
// --- requests

/// Groups that one request is addressed to at once: the sectors of a large territory.
pub const AUDIENCE_GROUPS_MAX: usize = 64;
/// Steps of a widening plan: neighbours, territory, department, and room for more.
pub const WIDENING_STEPS_MAX: usize = 8;
/// Needs of one discharge.
pub const NEEDS_MAX: usize = 64;
/// Documents of one message; more are messages of their own.
pub const DOCUMENTS_PER_MESSAGE_MAX: usize = 16;
/// Longest receipt of a register, bytes: a certificate of about 500 bytes, ids, a signature.
pub const RECEIPT_BYTES_MAX: usize = 4 * 1024;
/// Steps in the life of one request; later ones are ignored, so that nobody can grow it without end.
pub const STEPS_PER_REQUEST_MAX: usize = 1_000;
/// How long the device that asked still answers a claim after a request's end: claims that were decided
/// in time may arrive late.
pub const ASKED_KEEP_MS: TimestampMs = 7 * DAY_MS;
/// First and longest delay before what is owed for a request is tried again, milliseconds: a device that was
/// switched off for a moment, one that is for days.
pub const SETTLE_DELAY_MS: (TimestampMs, TimestampMs) = (60 * SECOND_MS, 12 * HOUR_MS);
/// How often it is tried again after a step: with the delays above for about a week.
pub const SETTLE_TRIES_MAX: u32 = 24;

// --- circles and history

/// People of one circle, with those who left: a long chain of care. A summary of them fits a message.
pub const CIRCLE_MEMBERS_MAX: usize = 100;
/// Consent records that a summary of a circle repeats: the newest about the circle and about each person.
pub const CIRCLE_CONSENTS_MAX: usize = 50;
/// Refusals that a device remembers, the newest; about 200 bytes each.
pub const REFUSALS_MAX: usize = 1_000;
/// Devices that one handed-over history is for: those of the people added by one command.
pub const HISTORY_DEVICES_MAX: usize = 1_000;
/// Largest part of a history that travels inside its message, bytes; with the rest it stays below
/// [`CONTENT_BYTES_MAX`].
pub const HISTORY_INLINE_BYTES_MAX: usize = 48 * 1024;
/// Messages in one part of a history.
pub const HISTORY_PART_MESSAGES_MAX: usize = 2_000;
/// Envelopes in one part of a history before compression, bytes: what importing it holds in memory.
pub const HISTORY_PART_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest part of a history once it is open, bytes: a part of full size with its framing.
pub const HISTORY_OPEN_BYTES_MAX: usize = 2 * HISTORY_PART_BYTES_MAX;
/// Parts of one history, the newest messages first: 50 000 messages.
pub const HISTORY_PARTS_MAX: usize = 25;
/// Messages in the first part of what a linked device is handed over: some screens, to have something soon.
pub const OWN_HISTORY_FIRST_MESSAGES: usize = 100;
/// Parts of one group's history for a linked device: half a million messages.
pub const OWN_HISTORY_PARTS_MAX: usize = 256;
/// Parts that wait to be put on the hub before the next is made: each is held in the store meanwhile.
pub const OWN_HISTORY_WAITING_MAX: usize = 4;
/// Pause before it is looked again whether there is room for the next part.
pub const OWN_HISTORY_PAUSE_MS: TimestampMs = 300;
/// Longest file name of a document in an export, bytes of UTF-8; the place and number come before it.
pub const EXPORT_NAME_BYTES_MAX: usize = 120;
/// Longest line of an iCalendar file without its end, bytes (RFC 5545 section 3.1).
pub const ICALENDAR_LINE_BYTES_MAX: usize = 75;
/// Largest manifest of an export that is read, bytes: 100 000 files.
pub const EXPORT_MANIFEST_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Delay between two administrators' devices in removing somebody whose period has ended: enough for one to
/// do it and the others to see it.
pub const PERIOD_STEP_MS: TimestampMs = 20 * SECOND_MS;
/// Milliseconds of a day, for policies in days.
pub const DAY_IN_MS: TimestampMs = DAY_MS;
// --- linking

/// How often a device looks whether something is in a slot of a lane.
pub const LANE_LOOK: Duration = Duration::from_millis(400);
/// Lines to the hub that may break one after the other before a lane counts as out of reach: half a minute.
pub const LANE_LINE_TRIES_MAX: usize = 30;
/// Bytes of a slot that are read: what a hub takes.
pub const LANE_SLOT_BYTES_MAX: usize = 16 * 1024;
/// How long the invitation of a linked device may wait: it is redeemed at once, or after a restart.
pub const LINK_INVITATION_MS: TimestampMs = HOUR_MS;
// --- own devices

/// Pause before other own devices are told what was read or begun to write: some keys at once.
pub const OWN_STATE_PAUSE_MS: TimestampMs = 300;
/// Groups in one such message; more go in the next.
pub const OWN_STATE_GROUPS_MAX: usize = 500;
/// Sealed keys of a backup that are told, bytes: one key for each of some hundred changes of the recovery code.
pub const VAULT_KEYS_BYTES_MAX: usize = 16 * 1024;

/// Device changes of one group that are kept, newest: years of lost and replaced phones of a large group.
pub const DEVICE_CHANGES_MAX: usize = 300;

// --- recovery code

/// Device changes of one group that the vault has: its manifest is written anew with each backup.
pub const VAULT_DEVICE_CHANGES_MAX: usize = 20;

/// Messages in one chunk of the vault; a last chunk of less than half of it is made anew with what follows.
pub const VAULT_CHUNK_MESSAGES: usize = 200;
/// Envelopes in one chunk of the vault before compression, bytes: sealed it stays below what a hub takes.
pub const VAULT_CHUNK_BYTES: usize = 320 * 1024;
/// Chunks that are put into the vault before its manifest is written.
pub const VAULT_CHUNKS_PER_ROUND: usize = 16;
// --- documents

/// Uploads of one device that are not messages yet. Each has a file of ciphertext in the profile.
pub const UPLOADS_MAX: usize = 256;

// --- groups

/// Loaded MLS groups kept in memory. One of 10 members is about 40 KiB, one of 200 about 500 KiB.
pub const LOADED_GROUPS_MAX: usize = 128;
/// Groups of one device; the state of each is about 300 bytes in memory.
pub const GROUPS_MAX: usize = 10_000;
/// Past epochs whose messages can still be read. The hub takes messages up to 2 epochs old; the rest is
/// room for what was in flight when several commits followed each other.
pub const PAST_EPOCHS: usize = 5;
/// The same in a large group, where every decryption writes the secrets and leaves of all these epochs: what
/// the hub takes, and no more. Entries are read in the order of the log, so nothing older can come.
pub const PAST_EPOCHS_LARGE_GROUP: usize = 2;
/// Members from which a group is large in this sense.
pub const LARGE_GROUP_MEMBERS: usize = 50;
/// Messages of one sender that may arrive out of order. The log is ordered, so the need is small.
pub const OUT_OF_ORDER_MESSAGES: u32 = 32;
/// Messages of one sender that may be missing before the next: those lost between a crash and a resend.
pub const FORWARD_MESSAGES: u32 = 2_000;
/// Epochs whose authenticator is kept to detect forks: all that can still be read, and the current one.
pub const AUTHENTICATORS_KEPT: usize = PAST_EPOCHS + 1;
/// Messages of other members in the current epoch that fail one after the other before the group counts
/// as forked. One may be damaged by its sender; three in a row by nobody's fault are not plausible.
pub const UNDECRYPTABLE_IN_A_ROW_MAX: u32 = 3;
/// Users in one command.
pub const USERS_PER_COMMAND_MAX: usize = 500;
/// Identities that were verified once and are remembered; about 300 bytes each.
pub const VERIFIED_IDENTITIES_MAX: usize = 4_096;

// --- sending

/// Messages that wait in the outbox, all groups: weeks offline of a busy user, about 20 MB at most.
pub const OUTBOX_MESSAGES_MAX: u64 = 10_000;
/// Changes that wait in one group.
pub const INTENTS_PER_GROUP_MAX: usize = 64;
/// Messages of one group that are sent without waiting for answers. The hub stores many at once, so that
/// more in flight means more per fsync.
pub const IN_FLIGHT_PER_GROUP_MAX: usize = 64;
/// Requests of a device that are not about a message or change of a group: what it owes, asks and publishes at the
/// start of a connection. One of each kind, and one for each of some groups.
pub const DUTIES_UNDER_WAY_MAX: usize = 64;
/// Messages that a device sends at most, a second, in the long run: below the 200 requests of a hub's default.
pub const MESSAGES_PER_SECOND: u32 = 150;
/// Seconds' worth of messages that may go out at once after a pause: below the 2 000 requests of that default.
pub const SEND_BURST_SECONDS: u64 = 8;
/// A change that lost the epoch this often is given up: each time another member's change won.
pub const COMMIT_ATTEMPTS_MAX: u32 = 50;
/// First and largest delay before a change is tried again after a conflict; between them it doubles, and
/// the leaf index spreads members so that each wins in turn.
pub const CONFLICT_DELAY_MS: (TimestampMs, TimestampMs) = (50, 5 * SECOND_MS);
/// Delay before a request that the hub refused for the moment is repeated, if it names none.
pub const RETRY_DELAY_MS: TimestampMs = SECOND_MS;
/// How often an acknowledgement is offered to a hub that does not know its alert, with one connection: over
/// four minutes. The author's device opens it as soon as it has the hub's answer to the message.
pub const ALERT_AWAITED_TRIES_MAX: u32 = 7;
/// How long the hub rings for an alert about a patient, ms: a day.
pub const EVENT_ALERT_RINGS_MS: TimestampMs = 24 * 60 * 60 * 1000;

// --- duties towards other members

/// Step between two members in carrying out what any of them may do (committing waiting proposals,
/// adding a lost device again). Enough for one to do it and the others to see it.
pub const DUTY_STEP_MS: TimestampMs = 2 * SECOND_MS;
/// Members among whom a duty is spread; with more, several act at once and the hub picks one.
pub const DUTY_POSITIONS: u64 = 16;
/// Step between two administrators in carrying out what the directory wants.
pub const MEMBERSHIP_STEP_MS: TimestampMs = 2 * SECOND_MS;
/// Users that one commit adds or removes because the directory wants it: a commit grows with each, and blocks others.
pub const MEMBERSHIP_BATCH_USERS: usize = 50;
/// The same step when this device has messages waiting, which must not be sent over an open proposal
/// (RFC 9420 section 12.4): nobody should wait long, a conflict is cheap.
pub const URGENT_DUTY_STEP_MS: TimestampMs = 20;
/// In a group of more members than this, who has joined renews his keys later, so that commits shrink.
pub const LAZY_UPDATE_MEMBERS_MIN: usize = 8;
/// Time over which the newcomers of a small group spread such renewals.
pub const LAZY_UPDATE_SPREAD_MS: TimestampMs = 30 * MINUTE_MS;
/// Between two such renewals in a group, on average, if all of its members have just come: each is a commit
/// that costs every member, so a larger group takes longer and not more of them at a time.
pub const LAZY_UPDATE_STEP_MS: TimestampMs = MINUTE_MS;

/// Time over which the newcomers of a group of so many members spread the renewal of their keys.
#[must_use]
pub fn lazy_update_spread_ms(members: usize) -> TimestampMs {
    let steps = TimestampMs::try_from(members).unwrap_or(TimestampMs::MAX);
    LAZY_UPDATE_STEP_MS.saturating_mul(steps).max(LAZY_UPDATE_SPREAD_MS)
}
/// Time over which a device spreads the commits that carry its renewed certificate into its groups.
pub const CREDENTIAL_SPREAD_MS: TimestampMs = HOUR_MS;

/// A value of openmls from this size on is kept in pieces: the state of a group of some dozens of members.
pub const PIECED_BYTES_MIN: usize = 32 * 1024;
/// Bytes of such a piece: at least, usually, at most. A message changes one or two of them; each costs some 100
/// bytes beside its content.
pub const PIECE_BYTES: (usize, usize, usize) = (2 * 1024, 8 * 1024, 32 * 1024);

// --- conversation

/// Pause between two read receipts of one user in a group: who reads a hundred messages tells once.
pub const RECEIPT_INTERVAL_MS: TimestampMs = 5 * SECOND_MS;
/// Pause between two signs that somebody writes in a group.
pub const TYPING_INTERVAL_MS: TimestampMs = 4 * SECOND_MS;
/// How long an app shows that somebody writes: a little longer than the pause between two signs.
pub const TYPING_SHOWN_MS: TimestampMs = 6 * SECOND_MS;
/// Such signs that a device sends in a group without sending a message: each makes the others' ratchets jump
/// by one, and [`FORWARD_MESSAGES`] is how far they can.
pub const TYPING_IN_A_ROW_MAX: u32 = 200;
/// Pause between two such signs of a group that are opened, whoever sends them: each costs loading the group.
pub const TYPING_HEARD_INTERVAL_MS: TimestampMs = 250;
/// Hits that one search returns at most.
pub const HITS_MAX: usize = 500;
/// Words of one search.
pub const SEARCH_WORDS_MAX: usize = 16;
/// Longest word that is indexed, characters: longer ones are found by their beginning.
pub const WORD_CHARS_MAX: usize = 64;
/// Characters of a hit's text shown on either side of its first word.
pub const SNIPPET_CHARS: usize = 60;

// --- recovery

/// After the hub was restored, nothing is said in a group for so long, and for the turns of its members
/// ([`RESTORED_SPREAD_MS`]), so that others are back and can read it; everybody who comes back prolongs it, up to
/// the longest time.
pub const RESTORED_QUIET_MS: TimestampMs = 10 * SECOND_MS;
/// See [`RESTORED_QUIET_MS`]. Of a small group; in a large one the turns of its members come to it, as often as
/// [`RESTORED_SLOW_FACTOR`] says, up to [`RESTORED_QUIET_MS_LONGEST`].
pub const RESTORED_QUIET_MS_MAX: TimestampMs = 90 * SECOND_MS;
/// How many times slower than [`RESTORED_SPREAD_MS`] says members may come back and be waited for: fifty devices on
/// one busy machine are ten times slower.
pub const RESTORED_SLOW_FACTOR: u64 = 20;
/// See [`RESTORED_QUIET_MS_MAX`]. Who comes later is told how many messages are missing.
pub const RESTORED_QUIET_MS_LONGEST: TimestampMs = 5 * MINUTE_MS;
/// So long a message that is said again waits for earlier ones of other devices; who is away longer is not
/// waited for.
pub const RESTORED_ORDER_MS: TimestampMs = 20 * SECOND_MS;
/// Turn of each member when devices of a group come back: about one external commit.
pub const RESTORED_SPREAD_MS: TimestampMs = 150;
/// Messages of one group that are said again, and that are waited for: far more than fit between two backups.
pub const SAID_AGAIN_MAX: usize = 20_000;
/// Own changes of a group that are remembered in case the hub forgets them.
pub const CHANGES_REMEMBERED_MAX: usize = 64;
/// A user who has to be added again and whose devices have not been seen since is invited after so long, then
/// after twice as long, and so on, so many times: for about a week.
pub const INVITED_AGAIN_MS: TimestampMs = 10 * MINUTE_MS;
/// See [`INVITED_AGAIN_MS`]. Below [`COMMIT_ATTEMPTS_MAX`], because both count in one number.
pub const INVITED_AGAIN_MAX: u32 = 44;
/// Time between two administrators' devices in making a group again that the hub has forgotten.
pub const MAKE_AGAIN_STEP_MS: TimestampMs = 5 * SECOND_MS;

/// External commits that are refused before other members are asked for help.
pub const REJOIN_ATTEMPTS_MAX: u32 = 3;
/// Delay before another external commit; it doubles with each refusal.
pub const REJOIN_DELAY_MS: TimestampMs = 500;
/// After the members were asked to add this device again, it tries by itself again after this time.
pub const RE_ADD_PATIENCE_MS: TimestampMs = 10 * MINUTE_MS;
/// How long a group that the hub lists may stay unknown before the device joins it by external commit:
/// its welcome should have come by then.
pub const WELCOME_PATIENCE_MS: TimestampMs = 5 * SECOND_MS;

// --- key packages and certificates

/// One-time key packages kept on the hub: additions in a few weeks offline.
pub const KEY_PACKAGES_STOCK: u32 = 50;
/// Stock below which more are published.
pub const KEY_PACKAGES_LOW: u32 = 15;
/// Life of a key package; never longer than the certificate in it.
pub const KEY_PACKAGE_LIFE_MS: TimestampMs = 84 * DAY_MS;
/// Key packages are valid from this long before they are made: clocks differ.
pub const KEY_PACKAGE_MARGIN_MS: TimestampMs = HOUR_MS;
/// Private keys of key packages are kept this long after their end: a welcome may have been under way.
pub const KEY_PACKAGE_KEEP_MS: TimestampMs = 7 * DAY_MS;
/// Delay before a failed certificate renewal is tried again.
pub const RENEWAL_RETRY_MS: TimestampMs = HOUR_MS;

// --- session

/// Groups in one Subscribe frame; more go in further waves.
pub const GROUPS_PER_WAVE: usize = 256;
/// Difference of clocks that is reported: certificates are valid from 10 minutes before their issue.
pub const CLOCK_SKEW_MS_MAX: u64 = 5 * MINUTE_MS;
/// Ping interval until the hub has named its own.
pub const PING_INTERVAL_MS: TimestampMs = 30 * SECOND_MS;
/// A session that is replaced again within this time is left to whoever replaces it.
pub const REPLACED_TWICE_MS: TimestampMs = MINUTE_MS;
/// Shortest time between two acknowledgements, except at the end of a catch-up: long enough that a busy group
/// costs the hub few of them, short enough that nobody notices. Less than the two seconds after which the hub
/// stores them.
pub const ACKNOWLEDGE_EVERY_MS: TimestampMs = 500;
/// How long the hub may take for an answer; a catch-up in between counts too, so it is generous.
pub const ANSWER_PATIENCE_MS: TimestampMs = 5 * MINUTE_MS;
/// Requests of an app that wait for the hub's answer.
pub const COMMANDS_MAX: usize = 1_024;
/// Messages that are read at a time where a whole group is gone through; some MB at most.
pub const MESSAGES_PER_READ: usize = 500;
/// Rows that one query returns at most.
pub const MESSAGES_PER_QUERY_MAX: usize = 10_000;

// --- crisis alerts

/// Bytes of an alert as CAP in XML: it fits into a message with its envelope.
pub const CAP_BYTES_MAX: usize = 60 * 1024;
/// Elements of a CAP file: an alert in ten languages with a hundred areas has about 1000.
pub const CAP_ELEMENTS_MAX: usize = 5_000;
/// Depth of elements: CAP has 4, signatures some more.
pub const CAP_DEPTH_MAX: usize = 16;
/// Users who may update or end an alert besides its sender: the crisis cell.
pub const ALERT_DEPUTIES_MAX: usize = 32;
/// Alerts of one group that are kept in memory; older ones are found as messages.
pub const ALERTS_PER_THREAD_MAX: usize = 256;

/// Characters that say what a listed group is for, as the hub allows: a few lines.
pub const LISTING_ABOUT_CHARS_MAX: usize = 280;

const _: () = assert!(PAST_EPOCHS >= 2, "the hub takes messages that are two epochs old");
const _: () = assert!(PAST_EPOCHS_LARGE_GROUP >= 2, "the same in a large group");
const _: () = assert!(TYPING_IN_A_ROW_MAX * 2 < FORWARD_MESSAGES, "signs must not cost a message");
const _: () = assert!(KEY_PACKAGES_LOW < KEY_PACKAGES_STOCK);
const _: () = assert!(HISTORY_INLINE_BYTES_MAX + 40 * 100 < CONTENT_BYTES_MAX);
