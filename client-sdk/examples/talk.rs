//! How long a device takes to make a thread of 10 000 messages, and to search 20 000.
//!
//! `cargo run --release -p cercle-sdk --example talk`. One device writes them to groups of its own over a hub
//! in the same process; then its store is opened again, so that nothing is in memory. Leaves with 1 if a search
//! takes more than 200 ms or finds nothing.

#[path = "../tests/conversations/core_world.rs"]
#[expect(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr, reason = "made for tests")]
mod core_world;

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    core::{Command, Outcome, Settings},
    event::Event,
    message::{Body, Edit, Reaction, Text},
    search::Search,
    thread::view::Range,
};
use core_world::World;

/// Messages of the long thread; every tenth is an edit or a reaction.
const LONG_THREAD: usize = 10_000;
/// Further groups, and messages in each.
const GROUPS: usize = 20;
const MESSAGES_PER_GROUP: usize = 500;
const WORDS_PER_MESSAGE: usize = 15;
/// Messages written at once.
const BATCH: usize = 500;
const SEARCH_MS_MAX: f64 = 200.0;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut world = World::new();
    world.settings = Settings { lazy_updates: false, messages_per_second: 1_000_000, ..Settings::default() };
    world.enrol("anne").await;
    let mut words = Words(1);
    let long = world.conversation("long", &[0]).await;
    fill(&mut world, long, LONG_THREAD, &mut words).await;
    for number in 0..GROUPS {
        let group = world.conversation(&format!("group {number}"), &[0]).await;
        fill(&mut world, group, MESSAGES_PER_GROUP, &mut words).await;
    }
    world.devices[0].crash();
    world.devices[0].open();
    let core = world.devices[0].core();
    let (thread_ms, view) = timed(|| core.thread(long, Range::newest(50)));
    let shown = view.map_or(0, |view| view.messages.len());
    let (again_ms, _) = timed(|| core.thread(long, Range::newest(50)));
    let before = resident_kib();
    let (build_ms, _) = timed(|| core.search(&Search::everywhere("a", 1)));
    let index_kib = resident_kib().saturating_sub(before);
    let mut times = Vec::new();
    let mut hits = 0;
    for number in 0..200 {
        let (one, other) = (words.word(), words.word());
        // As people type: one letter, a beginning, a whole word, two words.
        let search = match number % 4 {
            0 => beginning(&one, 1),
            1 => beginning(&one, 2),
            2 => one,
            _ => format!("{one} {}", beginning(&other, 3)),
        };
        let (ms, found) = timed(|| core.search(&Search::everywhere(search, 50)));
        hits += found.map_or(0, |found| found.len());
        times.push(ms);
    }
    times.sort_by(f64::total_cmp);
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    print(&format!(
        "{{\"thread_messages\":{LONG_THREAD},\"thread_ms\":{thread_ms:.1},\"thread_again_ms\":{again_ms:.2},\
         \"searched_messages\":{},\"index_ms\":{build_ms:.0},\"index_kib\":{index_kib},\
         \"search_median_ms\":{median:.2},\"search_max_ms\":{longest:.2},\"hits\":{hits}}}",
        LONG_THREAD + GROUPS * MESSAGES_PER_GROUP
    ));
    if shown != 50 || hits == 0 || longest > SEARCH_MS_MAX {
        std::process::exit(1);
    }
}

/// Writes messages to a group and waits until they are in its log.
async fn fill(world: &mut World, group: GroupId, count: usize, words: &mut Words) {
    let mut last: Option<MessageId> = None;
    for start in (0..count).step_by(BATCH) {
        world.devices[0].events.clear();
        let size = BATCH.min(count - start);
        for number in start..start + size {
            let text = words.sentence();
            let body = match (number % 20, last) {
                (9, Some(message)) => Body::Edit(Edit { message, text: Text { text, ..Text::default() } }),
                (19, Some(message)) => {
                    Body::Reaction(Reaction { message, emoji: "👍".into(), removed: false })
                }
                _ => Body::text(text),
            };
            let is_text = matches!(body, Body::Text(_));
            world.start(0, Command::Send { group, draft: body.into() });
            if let Some((_, Ok(Outcome::Queued(message)))) = world.devices[0].finished.pop_back()
                && is_text
            {
                last = Some(message);
            }
        }
        world
            .until(|world| {
                let events = world.devices[0].events.iter();
                events.filter(|event| matches!(event, Event::MessageAccepted { .. })).count() >= size
            })
            .await;
    }
}

/// Invented words, some of them much more often than others, as in a language.
struct Words(u64);

impl Words {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn word(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "pan", "sé", "men", "ta", "cé", "phal", "or", "don", "nan", "ce", "vi", "rus", "plai", "gué",
            "ri", "son",
        ];
        // The product of two numbers is small much more often than large.
        let mut rank = (self.number() % 128) * (self.number() % 128);
        let mut word = String::from(PARTS[usize::try_from(rank / 1_024).unwrap_or(0) % 16]);
        while rank > 0 {
            word.push_str(PARTS[usize::try_from(rank % 16).unwrap_or(0)]);
            rank /= 16;
        }
        word
    }

    fn sentence(&mut self) -> String {
        let words: Vec<String> = (0..WORDS_PER_MESSAGE).map(|_| self.word()).collect();
        words.join(" ")
    }
}

fn beginning(word: &str, chars: usize) -> String {
    word.chars().take(chars).collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = std::time::Instant::now();
    let value = work();
    (started.elapsed().as_secs_f64() * 1_000.0, value)
}

/// Memory of this process, KiB; 0 where the system does not tell.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "the result of a benchmark")]
fn print(line: &str) {
    println!("{line}");
}
