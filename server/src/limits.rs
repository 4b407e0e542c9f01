//! Every bound of the hub, with its unit and its reason.

use std::{ops::Range, time::Duration};

// --- delivery and authentication ----------------------------------------------------------------------

/// One day, ms.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Validity of a device certificate: a device unused for a quarter renews before it goes on; a lost device
/// that nobody revoked ends by itself.
pub const CERTIFICATE_VALID_MS: u64 = 90 * DAY_MS;
/// How far in the past validity starts: tolerated error of a device's clock.
pub const CERTIFICATE_BACKDATE_MS: u64 = 10 * 60 * 1000;
/// A certificate younger than this is not renewed again: a repeated request gets the same one.
pub const CERTIFICATE_RENEWAL_MIN_AGE_MS: u64 = 10 * 60 * 1000;
/// A device that a restored hub does not know is taken back if its certificate is no older than the copy, or
/// so little that the machine's clock may have been set meanwhile.
pub const READMISSION_SLACK_MS: u64 = 10 * 60 * 1000;
/// Validity of a CPTS root and of the hub as external sender: groups name them for as long as they live.
pub const ROOT_VALID_MS: u64 = 20 * 365 * DAY_MS;
/// Validity of the hub's own TLS certificate: the longest that common TLS clients accept.
pub const SERVER_CERTIFICATE_VALID_MS: u64 = 825 * DAY_MS;
/// How long an invitation waits if the inviter does not say: a week with a public holiday in it.
pub const INVITATION_VALID_MS: u64 = 10 * DAY_MS;
/// Longest wait of an invitation: its secret is a key that lies about.
pub const INVITATION_VALID_MAX_MS: u64 = 30 * DAY_MS;
/// Devices of one user that are not revoked: phone, tablet, three practices, and room to replace each.
pub const DEVICES_PER_USER_MAX: usize = 16;
/// Characters of a display name (X.520 ub-common-name).
pub const DISPLAY_NAME_CHARS_MAX: usize = 64;
/// Bytes of a profession code; TRE_G15 has two digits.
pub const PROFESSION_BYTES_MAX: usize = 16;

/// Devices in one group: MLS costs grow with it (a welcome for 500 devices is 330 KB).
pub const GROUP_DEVICES_MAX: usize = 500;
/// Groups that one device may create or be in when it creates one: bounds its list and its subscription.
pub const GROUPS_PER_DEVICE_MAX: usize = 4096;
/// How long an entry waits for a device that does not read: a month of holidays.
pub const RETENTION_MS: u64 = 30 * DAY_MS;
/// How long verdicts of writes, spent invitations and unfetched welcomes are kept: longer than any entry,
/// so that an outbox that was offline as long as the log reaches still gets its first verdict.
pub const RECORD_RETENTION_MS: u64 = 60 * DAY_MS;
/// Epochs that an application message may be behind: two commits in flight while it was sent.
pub const EPOCHS_BEHIND_MAX: u64 = 2;
/// Bytes of an application message: 64 KiB of content and its MLS framing; more is an attachment.
pub const APPLICATION_BYTES_MAX: usize = 66 * 1024;
/// Bytes of an ephemeral message: a few hundred of content and its MLS framing.
pub const EPHEMERAL_BYTES_MAX: usize = 1024;
/// Bytes of a proposal: a Remove is about 150 bytes.
pub const PROPOSAL_BYTES_MAX: usize = 4 * 1024;
/// Proposals that may wait in one epoch: each costs every later commit, and devices leave one at a time.
pub const PROPOSALS_PENDING_MAX: usize = 64;
/// Groups in one acknowledgement: more than a device can be in.
pub const ACK_GROUPS_MAX: usize = GROUPS_PER_DEVICE_MAX;

/// How long an acknowledgement waits in memory to be stored with others: what a kill of the hub makes devices
/// say again, and short beside the retention that it serves.
pub const CURSORS_STORED_EVERY: Duration = Duration::from_secs(2);
/// Acknowledgements that are stored before that time: a few commits of the store.
pub const CURSORS_WAITING_MANY: usize = 16 * 1024;
/// Acknowledgements in memory, about 60 bytes each; beyond, whoever acknowledges waits for the store.
pub const CURSORS_WAITING_MAX: usize = 64 * 1024;

/// Bytes of one key package: about 740 with a certificate under the root.
pub const KEY_PACKAGE_BYTES_MAX: usize = 4 * 1024;
/// One-time key packages kept for one device.
pub const KEY_PACKAGES_MAX: usize = 100;
/// Key packages in one publication: each costs two signature checks and a chain.
pub const KEY_PACKAGES_PER_PUBLICATION_MAX: usize = 100;
/// Stock at which a device is told to publish more.
pub const KEY_PACKAGES_LOW: usize = 10;
/// Users in one claim: a large group is built in several commits.
pub const CLAIM_USERS_MAX: usize = 100;

/// How often something may happen: a burst, then one more each time the refill interval has passed.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// Time until one more is allowed, ms.
    pub refill_ms: u64,
}

/// Claims of one user, of whomever: a claim takes keys that others made.
pub const CLAIM_RATE: Rate = Rate { burst: 200, refill_ms: 1000 };
/// Claims of one user from the same target: 60 groups with one colleague in an afternoon, but no draining of
/// his stock all night.
pub const CLAIM_PAIR_RATE: Rate = Rate { burst: 100, refill_ms: 30_000 };
/// Group infos for one device and group: each is an external commit to come, which costs every member.
pub const GROUP_INFO_RATE: Rate = Rate { burst: 20, refill_ms: 30_000 };
/// Requests for re-adding and reports of one device in one group: each is shown to people or acted upon.
pub const ASSISTANCE_RATE: Rate = Rate { burst: 5, refill_ms: 60_000 };
/// Invitations by one user: a coordinator's list of a whole CPTS, then one a minute.
pub const INVITATION_RATE: Rate = Rate { burst: 500, refill_ms: 60_000 };
/// Claims of first-wins registers by one user: each is a row for ever, and a person answers few requests a
/// minute.
pub const REGISTER_RATE: Rate = Rate { burst: 60, refill_ms: 60_000 };
/// Keys that one rate limiter remembers; the one unused longest is forgotten first (a few MB).
pub const RATE_KEYS_MAX: usize = 16 * 1024;

/// Locks that order the writes of groups; a group always has the same one. Two groups that share one wait
/// for each other a few milliseconds.
pub const GROUP_LOCKS: usize = 256;
/// Public groups kept in memory, about 0.3 MB each at 200 devices.
pub const GROUP_CACHE_MAX: usize = 64;
/// Verifications at the same time: they are pure computation, more than the cores only wait for each other.
pub const VERIFICATIONS_MAX: usize = 4;
/// Rows that one round of housekeeping deletes, so that writers wait a few milliseconds at most.
pub const EXPIRE_ROWS: usize = 512;
/// Rounds of one housekeeping call: the timer calls again.
pub const EXPIRE_ROUNDS_MAX: usize = 64;

// --- attachments --------------------------------------------------------------------------------------

/// Bytes of one blob: a document of 100 MB, its seals and its padding.
pub const BLOB_BYTES_MAX: u64 = 104 << 20;
/// What the blobs of one user take, bytes, if the operator says nothing: thousands of letters and hundreds of
/// photos.
pub const BLOB_BYTES_PER_USER_MAX: u64 = 5 << 30;
/// Blobs of one user: bounds files and rows where bytes do not, because blobs may be small.
pub const BLOBS_PER_USER_MAX: u64 = 50_000;
/// How long a blob is kept after the newest message that refers to it, if the operator says nothing: a year.
pub const BLOB_RETENTION_MS: u64 = 365 * DAY_MS;
/// How long an upload may take altogether: a large file over a bad link, with a night in between.
pub const BLOB_UNFINISHED_MS: u64 = 2 * DAY_MS;
/// How long a complete blob waits for a message that refers to it: the outbox of a device that was offline.
pub const BLOB_UNREFERENCED_MS: u64 = 2 * DAY_MS;
/// Blobs that one message refers to.
pub const BLOBS_PER_MESSAGE_MAX: usize = 32;
/// Bytes of one part of a blob on disk; an upload holds two, one that arrives and one that is written. Large enough
/// that its two disk syncs (about 5 ms) cost no more than sending it.
pub const BLOB_PART_BYTES: usize = 2 << 20;
/// Parts of one blob: each cut of an upload makes one more, so this allows thousands of cuts.
pub const BLOB_PARTS_MAX: usize = 4_096;
/// Bytes read from disk at once for a download, of which two wait at most.
pub const DOWNLOAD_PIECE_BYTES: u64 = 256 * 1024;
/// How long a ticket lets a device transfer: a large file over a bad link; then it asks again.
pub const TICKET_VALID_MS: u64 = 10 * 60 * 1000;
/// Tickets of one device: more than it has transfers.
pub const TICKETS_PER_DEVICE_MAX: usize = 64;
/// Tickets altogether, about 300 bytes each.
pub const TICKETS_MAX: usize = 100_000;
/// Transfers at once; with two parts each they take 256 MB at the worst.
pub const TRANSFERS_MAX: usize = 64;
/// Transfers of one device at once: what a phone does well.
pub const TRANSFERS_PER_DEVICE_MAX: usize = 4;
/// How long an upload may send nothing before it is ended, if the operator says nothing: a tunnel. The
/// configuration makes it as long as a session may be silent.
pub const UPLOAD_SILENCE_MAX: Duration = Duration::from_secs(60);
/// When a device may come again with a transfer that had no place.
pub const RETRY_AFTER_BUSY: Duration = Duration::from_secs(5);
/// Requests for bytes by one device: each reads a few rows and lists the files of a blob.
pub const TRANSFER_RATE: Rate = Rate { burst: 500, refill_ms: 20 };
/// Rows that one round of housekeeping looks at.
pub const BLOBS_PER_ROUND: usize = 256;

const _: () = assert!(TICKETS_PER_DEVICE_MAX > TRANSFERS_PER_DEVICE_MAX, "each transfer has its ticket");
const _: () =
    assert!(BLOB_BYTES_MAX / (BLOB_PART_BYTES as u64) < BLOB_PARTS_MAX as u64, "a blob fits into its parts");
const _: () = assert!(CURSORS_WAITING_MANY < CURSORS_WAITING_MAX, "the timer comes before the callers");
const _: () =
    assert!(OWN_DESCRIPTORS > 4 * REFUSED_CONNECTIONS_MAX as u64, "refusals do not take the hub's own files");
const _: () = assert!(RECORD_RETENTION_MS > RETENTION_MS, "a verdict outlives its entry");
const _: () = assert!(KEY_PACKAGES_LOW < KEY_PACKAGES_MAX, "a full stock is not low");

// --- linking --------------------------------------------------------------------------------------------

/// How long a lane is open: to take the other device, read a code and compare a number.
pub const LANE_LIFE_MS: u64 = 10 * 60 * 1000;
/// Lanes of one user: one for the device at hand, and tries of the last minutes that came to nothing.
pub const LANES_PER_USER_MAX: usize = 8;
/// Lanes altogether: with full slots they take 64 MB at the worst.
pub const LANES_MAX: usize = 512;
/// Slots of one lane: four are used.
pub const LANE_SLOTS_MAX: u32 = 8;
/// Bytes in one slot: keys, an invitation, names.
pub const LANE_SLOT_BYTES_MAX: usize = 16 * 1024;
/// Requests for one lane: both devices look twice a second for as long as it is open.
pub const LANE_REQUESTS_MAX: u32 = 4_096;
/// How long the content of a slot may take to arrive.
pub const LANE_BODY: Duration = Duration::from_secs(10);
/// Lanes that one user opens: some tries at once, then one a minute.
pub const LANE_RATE: Rate = Rate { burst: 20, refill_ms: 60_000 };

// --- transport, sessions, operation -------------------------------------------------------------------

/// Entries that a live group keeps in memory. A reader further behind reads the log, so this only needs to
/// cover how far sessions lag in normal load: a burst of one group within a few write times.
pub const RING_ENTRIES_MAX: usize = 256;
/// Bytes that a live group keeps in memory, for groups with large messages.
pub const RING_BYTES_MAX: usize = 256 * 1024;
/// Entries of a live group that wait for one before them: as many as one session has on their way, so that a
/// burst is put in order again.
pub const RING_EARLY_MAX: usize = 64;
/// Hints (membership events, ephemeral messages) that wait for one session; older ones are dropped, because
/// they are only hints.
pub const RELAYED_MAX: usize = 64;
/// Frames taken before authentication: Hello, a few tries to enrol and to authenticate, some pings.
pub const FRAMES_BEFORE_AUTHENTICATION_MAX: u32 = 16;
/// Bytes taken before authentication: those frames, with certificates and room.
pub const UNAUTHENTICATED_BYTES_MAX: usize = 64 * 1024;
/// After a request came too fast, all requests of the session are refused for at least this long: what is on
/// its way already must be refused too, else a later message would overtake the refused one.
pub const RATE_PATIENCE_MS: u32 = 1_000;
/// Requests refused in a row for their rate before the session ends: a client that ignores `retry_after_ms`
/// for so long is broken.
pub const REFUSED_IN_A_ROW_MAX: u32 = 1_000;
/// Requests of one session on their way. Enough that a device fills the store's group commit by itself, few
/// enough that requests of full frame size stay bounded; the next frame waits in the socket.
pub const REQUESTS_PER_SESSION_MAX: usize = 64;
/// Bytes of the frames of those requests: a few commits of a large group, or the 64 messages; then the next frame
/// waits in the socket.
pub const REQUEST_BYTES_PER_SESSION_MAX: usize = 4 << 20;
/// Groups that one session reads, and cursors in one frame: a professional is in tens, an integration in
/// thousands.
pub const GROUPS_PER_SESSION_MAX: usize = 4_096;
/// Waves of history that one session reads at the same time.
pub const WAVES_MAX: usize = 64;
/// Groups read in one turn of a session.
pub const GROUPS_PER_TURN: usize = 128;
/// Entries read from the log in one turn of a session.
pub const ENTRIES_PER_TURN: usize = 512;
/// Bytes read from the log in one turn: large enough that a turn is mostly sending, small enough that a slow
/// reader holds little.
pub const BYTES_PER_TURN: usize = 256 * 1024;
/// Inbox items read in one turn; a welcome may hold the tree of a large group (about 350 KB).
pub const INBOX_ITEMS_PER_TURN: usize = 4;
/// Entries are packed into frames of about this many bytes: enough that a frame costs nothing beside its
/// entries, and little enough to hold for a slow reader.
pub const ENTRIES_FRAME_BYTES_MAX: usize = 64 * 1024;
/// When a client may come again after a fault of the hub, ms.
pub const RETRY_AFTER_FAULT_MS: u32 = 1_000;
/// When a client may come again after "restarting", ms; clients add their own jitter.
pub const RETRY_AFTER_RESTART_MS: u32 = 1_000;
/// When a client may come again after "too many connections", ms; clients add their own jitter.
pub const RETRY_AFTER_FULL_MS: u32 = 10_000;
/// Connections above a limit that are still told so, over all addresses.
pub const REFUSED_CONNECTIONS_MAX: usize = 64;
/// How long a TLS handshake may take: several round trips of a bad mobile network.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(5);
/// How long an HTTP connection may be silent: before its first request, and between requests. Upgraded sockets
/// and running gRPC streams have the limits of their session.
pub const HTTP_IDLE: Duration = Duration::from_secs(8);
/// How long the headers of a request may take.
pub const HTTP_HEADER: Duration = Duration::from_secs(5);
/// Read buffer of an HTTP/1.1 connection, which also bounds its headers.
pub const HTTP_BUFFER_BYTES_MAX: usize = 16 * 1024;
/// Headers of an HTTP/1.1 request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Headers of an HTTP/2 request, bytes.
pub const H2_HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Streams of one HTTP/2 connection: each is a session, and a client has one device.
pub const H2_STREAMS_MAX: u32 = 16;
/// Streams that a peer reset before they were looked at (CVE-2023-44487).
pub const H2_RESETS_PENDING_MAX: usize = 20;
/// HTTP/2 pings on an otherwise silent connection.
pub const H2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long the answer to an HTTP/2 ping may take.
pub const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that the system keeps until they are accepted: devices that all come back at once after a restart
/// (the system may allow fewer, see `net.core.somaxconn`).
pub const ACCEPT_BACKLOG: u32 = 4_096;
/// Descriptors that are not for connections: those that are refused politely, files and segments of the store,
/// parts of an import of the directory, transfers, push services.
pub const OWN_DESCRIPTORS: u64 = 960;
/// Pause after an accept that failed for want of descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Read buffer of a WebSocket, allocated and filled with zeros for each read: the default of 128 KiB costs
/// twelve times the memory of an idle session and a third of the processor time of a busy one. Most of what
/// devices send are acknowledgements; longer frames get a buffer of their own.
pub const WS_READ_BUFFER_BYTES: usize = 1_024;
/// Bytes that wait on a WebSocket before they are handed to TLS: two of its records. Less costs more writes,
/// more only memory.
pub const WS_WRITE_BUFFER_BYTES: usize = 32 * 1024;
/// Write buffer that an idle WebSocket keeps, bytes: a message or two.
pub const WS_WRITE_BUFFER_KEPT_BYTES: usize = 2 * 1024;
/// Places for frames that an idle session keeps.
pub const FRAMES_KEPT: usize = 4;
/// Frames that wait to be written on a gRPC stream.
pub const GRPC_FRAMES_QUEUED_MAX: usize = 4;
/// How long the hub waits for a peer to close after the last frame.
pub const GOODBYE: Duration = Duration::from_secs(2);
/// Bytes that are read and thrown away meanwhile: the rest of an oversize frame.
pub const GOODBYE_BYTES_MAX: usize = 4 << 20;
/// How long one collection of the metrics may take; collectors are served one after the other.
pub const METRICS_CONNECTION: Duration = Duration::from_secs(5);
/// Connections to the operator's socket at the same time.
pub const ADMIN_CONNECTIONS_MAX: usize = 8;
/// Longest line on the operator's socket, bytes.
pub const ADMIN_LINE_BYTES_MAX: u64 = 64 * 1024;
/// Longest answer on the operator's socket, bytes: a full page of users or audit records.
pub const ADMIN_ANSWER_BYTES_MAX: u64 = 16 << 20;
/// How long the operator's socket waits for a command, and the command line for its answer.
pub const ADMIN_WAIT: Duration = Duration::from_secs(30);
/// Users or audit records in one answer on the operator's socket.
pub const ADMIN_PAGE: usize = 1_000;
/// Groups in one answer on the operator's socket: ten times what a large CPTS has.
pub const ADMIN_GROUPS_MAX: usize = 50_000;
/// How often the store is asked whether it still takes writes.
pub const STORE_CHECK: Duration = Duration::from_millis(500);
/// How long `health` waits for the hub of its own machine.
pub const HEALTH_WAIT: Duration = Duration::from_secs(3);
/// Longest answer to `health`, bytes.
pub const HEALTH_BYTES_MAX: u64 = 16 * 1024;
// --- push ---------------------------------------------------------------------------------------------

/// Bytes of the URL of a push service; the longest in use have about 300.
pub const PUSH_ENDPOINT_BYTES_MAX: usize = 1_024;
/// Bytes of a device token of Apple or Firebase; the longest in use have about 200.
pub const PUSH_TOKEN_BYTES_MAX: usize = 512;
/// Devices that can be woken, all in memory at about 300 bytes: more than a department has professionals.
pub const PUSH_ADDRESSES_MAX: usize = 100_000;
/// Groups with news that wait to be looked at; each is in the set once, whatever it receives.
pub const PUSH_GROUPS_WAITING_MAX: usize = 16 * 1024;
/// Wake-ups on their way to push services at the same time: each is a short exchange, and a service that
/// does not answer holds one for [`PUSH_EXCHANGE`].
pub const PUSH_EXCHANGES_MAX: usize = 64;
/// Wake-ups that wait for their turn or for another try. More are given up: a wake-up is a hint.
pub const PUSH_WAITING_MAX: usize = 20_000;
/// Tries of one wake-up, the first included.
pub const PUSH_TRIES_MAX: u32 = 5;
/// Pause before the second try; doubles with each.
pub const PUSH_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that a push service may ask for; later the device is woken by the next news.
pub const PUSH_PAUSE_MAX: Duration = Duration::from_secs(300);
/// How long one exchange with a push service may take, connection included.
pub const PUSH_EXCHANGE: Duration = Duration::from_secs(10);
/// Bytes of an answer of a push service that are read.
pub const PUSH_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// HTTP/2 connections to push services that are kept open: Apple, Google, Mozilla and some more.
pub const PUSH_CONNECTIONS_MAX: usize = 32;
/// A device that was woken and has not come is woken again by news after this time: the push service may
/// have dropped the first.
pub const PUSH_AGAIN_MS: u64 = 15 * 60 * 1000;
/// How long a push service keeps a wake-up for a device that is switched off, s: a day, then the alert or
/// message is found when the device connects.
pub const PUSH_TTL_S: u32 = 24 * 60 * 60;
/// Validity of a token by which push services know the hub, ms: Apple refuses more than an hour, and less
/// than 20 minutes between two.
pub const PUSH_TOKEN_VALID_MS: u64 = 45 * 60 * 1000;

// --- timers and alerts --------------------------------------------------------------------------------

/// Timers that fire in one write.
pub const TIMERS_PER_ROUND: usize = 256;
/// Longest sleep of the timer service: a wall clock that was set anew is noticed within it.
pub const TIMER_SLEEP_MAX: Duration = Duration::from_secs(60);
/// Pause of the timer service after a failure of the store.
pub const TIMER_PAUSE: Duration = Duration::from_secs(1);
/// Groups of one alert: a wide audience is a set of groups of some hundred devices.
pub const ALERT_GROUPS_MAX: usize = 64;
/// Recipients of one alert: the groups of a whole department.
pub const ALERT_RECIPIENTS_MAX: usize = 20_000;
/// Alerts that are kept in memory and not over.
pub const ALERTS_OPEN_MAX: usize = 256;
/// People in line of one alert.
pub const ALERT_LINE_MAX: usize = 32;
/// Shortest time between two rounds of wake-ups: less only annoys.
pub const ALERT_REPEAT_MIN_MS: u64 = 10_000;
/// Rounds of wake-ups after the first.
pub const ALERT_REPEATS_MAX: u32 = 1_000;
/// Longest life of an alert.
pub const ALERT_VALID_MAX_MS: u64 = 30 * DAY_MS;
/// How long an alert's report is kept after its end.
pub const ALERT_KEPT_MS: u64 = 365 * DAY_MS;
/// Recipients or users in one answer.
pub const ALERT_PAGE: usize = 1_000;
/// Sessions that watch one alert.
pub const ALERT_WATCHERS_MAX: usize = 64;
/// Recipients whose notes are changed in one write.
pub const ALERT_RECIPIENTS_PER_WRITE: usize = 500;
/// Calls of the fallback hook at the same time.
pub const ALERT_HOOKS_AT_ONCE: usize = 8;
/// How long one call of the fallback hook may take.
pub const ALERT_HOOK: Duration = Duration::from_secs(20);
/// Tries of one call of the fallback hook, the first included.
pub const ALERT_HOOK_TRIES_MAX: u32 = 3;

/// A clock that says less is wrong: this program did not exist then (2026-01-01).
pub const EARLIEST_PLAUSIBLE_TIME_MS: u64 = 1_767_225_600_000;
/// `doctor` warns of a certificate that ends within this time.
pub const CERTIFICATE_WARNING_MS: u64 = 21 * DAY_MS;
/// systemd kills a service that takes longer to stop (`DefaultTimeoutStopSec`).
pub const SERVICE_STOP_MS: u64 = 90_000;
/// Longest path of a Unix socket, bytes: what every system takes.
pub const SOCKET_PATH_BYTES_MAX: usize = 100;
/// Files may be so much younger than the present time: clocks are corrected by seconds all the time.
pub const CLOCK_TOLERANCE_MS: u64 = 10 * 60 * 1000;
/// `doctor` warns of a newest backup that is older: a daily one that failed twice.
pub const BACKUP_AGE_MAX_MS: u64 = 2 * DAY_MS;
/// Chunks of rows are at least so large, bytes: few files, of which few change.
pub const BACKUP_CHUNK_BYTES_MIN: usize = 256 << 10;
/// And about this, bytes, at most: bounds the memory of backup and restore.
pub const BACKUP_CHUNK_BYTES_MAX: usize = 4 << 20;
/// A chunk of rows ends with one of so many keys: what a change costs beyond the smallest chunk.
pub const BACKUP_CUT_EVERY: u64 = 64;
/// Bytes of a chunk of a file: a part of an attachment is one chunk.
pub const BACKUP_FILE_CHUNK_BYTES: usize = 8 << 20;
/// How long the command line waits for a backup that the hub makes: a slow disk for backups, a first full copy.
pub const BACKUP_WAIT: Duration = Duration::from_secs(12 * 60 * 60);
/// What is added to the name of a data directory that is being restored.
pub const RESTORE_SUFFIX: &str = ".restoring";
/// `doctor` warns of a disk with less room: about a week of a busy CPTS.
pub const DISK_FREE_BYTES_MIN: u64 = 2 << 30;

// --- directory ----------------------------------------------------------------------------------------

/// Files that a generation is cut into: an import holds one of them in memory, of the whole country about
/// 20 000 entries, and has all of them open.
pub const DIRECTORY_PARTS: usize = 128;
/// Write buffer of each of those files, bytes.
pub const DIRECTORY_PART_BUFFER_BYTES: usize = 16 * 1024;
/// Longest line of an extraction or of NDJSON, bytes: a line of the national extraction has about 400.
pub const DIRECTORY_LINE_BYTES_MAX: usize = 64 * 1024;
/// Largest stored entry, bytes: a hospital that a thousand mailboxes name.
pub const DIRECTORY_ENTRY_BYTES_MAX: usize = 1 << 20;
/// Ids of FHIR resources kept to resolve references: the country has 4 million, about 100 bytes each.
pub const DIRECTORY_FHIR_REFERENCES_MAX: usize = 5_000_000;
/// Faults of an import that are listed; all are counted.
pub const DIRECTORY_FAULTS_KEPT: usize = 200;
/// An import that removes more than one entry in so many is refused unless the operator says so: the national
/// loader raises its alarm at 5 %.
pub const DIRECTORY_REMOVALS_ONE_IN: u64 = 20;
/// Threads that build an index: more wait for the disk.
pub const DIRECTORY_INDEX_THREADS: usize = 2;
/// Memory of those threads together, bytes, before they write a segment.
pub const DIRECTORY_INDEX_BYTES: usize = 128 << 20;
/// Memory for adding local entries to an index, bytes: the least that the library takes.
pub const DIRECTORY_LOCAL_INDEX_BYTES: usize = 15_000_000;
/// Longest key of an entry, bytes: as hexadecimal digits it must fit a file name.
pub const DIRECTORY_KEY_BYTES_MAX: usize = 100;
/// Age at which the directory looks for a new generation, new members and local files, ms.
pub const DIRECTORY_REFRESH_MS: u64 = 2_000;
/// Age at which members that had a device are asked again whether they still have one, ms.
pub const DIRECTORY_RECHECK_MS: u64 = 10 * 60 * 1000;
/// Users read at once from the store.
pub const DIRECTORY_USERS_PER_READ: usize = 1_000;
/// Searches at the same time: they are computation, more than the cores only wait for each other.
pub const DIRECTORY_SEARCHES_MAX: usize = 4;
/// Entries in one page.
pub const DIRECTORY_PAGE_MAX: usize = 50;
/// Entries that pages may skip: further back nobody reads, one searches better.
pub const DIRECTORY_OFFSET_MAX: usize = 500;
/// Characters of a search text.
pub const DIRECTORY_TEXT_CHARS_MAX: usize = 200;
/// Values of one filter.
pub const DIRECTORY_VALUES_MAX: usize = 50;
/// Widest radius, km: a region.
pub const DIRECTORY_RADIUS_KM_MAX: u32 = 200;
/// Values listed in one facet.
pub const DIRECTORY_FACETS_MAX: usize = 20;
/// Found entries that are counted one by one for facets, some 20 ns each; more are counted as sets, one for each value.
pub const DIRECTORY_COUNTED_ONE_BY_ONE: usize = 200_000;
/// Bytes of answers of the index that are kept: the hundred most frequent words of the whole country, or every word
/// that is asked for in a department.
pub const DIRECTORY_ANSWERS_BYTES: usize = 64 << 20;
/// Searches of one user: as fast as somebody types, then one a second.
pub const DIRECTORY_SEARCH_RATE: Rate = Rate { burst: 120, refill_ms: 1_000 };
/// Different entries that one user may see in a day: a busy secretary needs a few hundred, a copy of a
/// department 10 000.
pub const DIRECTORY_ENTRIES_PER_DAY: usize = 1_500;
/// Users whose counts are kept; the one who searched longest ago is forgotten first.
pub const DIRECTORY_HARVEST_USERS_MAX: usize = 4_096;
/// Characters of the note on a card.
pub const CARD_NOTE_CHARS_MAX: usize = 280;
/// Quiet hours on a card: one for each day, and naps.
pub const CARD_QUIET_HOURS_MAX: usize = 14;
/// Periods on duty on a card: a year of weekends.
pub const CARD_PERIODS_MAX: usize = 120;
/// Groups with a rule: more than a territory has, and each costs the reading of its record and roster at every look.
pub const GROUP_RULES_MAX: usize = 200;
/// Groups that are listed: more than a territory has.
pub const LISTINGS_MAX: usize = 500;
/// Listed groups in one answer: more than somebody reads.
pub const LISTINGS_PER_ANSWER_MAX: usize = 100;
/// Characters of the title of a listed group: as long as a group's own.
pub const LISTING_TITLE_CHARS_MAX: usize = 128;
/// Characters that say what a listed group is for: a few lines.
pub const LISTING_ABOUT_CHARS_MAX: usize = 280;
/// Requests to join that wait in one group: all of them fit into a frame.
pub const JOINS_PER_GROUP_MAX: usize = 200;
/// Requests to join of one user that wait.
pub const JOINS_PER_USER_MAX: usize = 20;
/// Who was declined may ask again after this time, ms.
pub const JOIN_AGAIN_MS: u64 = DAY_MS;
/// Users to add, and users to remove, that one frame tells of: as many as one command of a client takes.
pub const MEMBERSHIP_DUE_MAX: usize = 500;
/// What is still due after this time is told again, ms: a device may have taken it and been stopped.
pub const MEMBERSHIP_REPEAT_MS: u64 = 10 * 60 * 1000;
/// Pause between two looks at groups that follow the directory: who has left reads on as long; each reads rosters.
pub const MEMBERSHIP_LOOK: Duration = Duration::from_secs(2);
/// People behind one shared inbox.
pub const INBOX_USERS_MAX: usize = 50;
/// Shared inboxes that one user may be behind.
pub const INBOXES_PER_USER_MAX: usize = 50;
/// Where `init` looks for a free port: below those of outgoing connections, which would be in the way later.
pub const FREE_PORTS: Range<u16> = 10_000..32_000;
/// Ports tried before `init` says that none is free.
pub const FREE_PORT_TRIES: usize = 100;
