//! The machine's clock jumps while the hub runs: a day ahead, an hour back, and right again.
//!
//! Nobody sets the clock of the machine that the tests run on. A small library, made by the system's C compiler and
//! loaded before the others, adds to what the system says the time is; a file says how much.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::{
    chaos::skip,
    world::{Hub, Person, Running, group},
};

/// Seconds are read from the file at each call; the clock that only goes forward is left as it is.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*system_s)(clockid_t, struct timespec *);
    if (!system_s) system_s = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = system_s(id, at);
    const char *path = getenv("CLOCK_OFFSET_FILE");
    if (result == 0 && id == CLOCK_REALTIME && path) {
        char text[32] = {0};
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atol(text);
            close(file);
        }
    }
    return result;
}
"#;

/// A clock that can be set, for the processes that it is put before.
pub(crate) struct HandClock {
    folder: TempDir,
}

impl HandClock {
    /// A clock that is right; `None` where nothing can be compiled.
    pub(crate) fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("clock.c"), LIBRARY).unwrap();
        let clock = Self { folder };
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(clock.library());
        compiler.arg(clock.folder.path().join("clock.c")).arg("-ldl");
        clock.set(0);
        compiler.output().is_ok_and(|made| made.status.success()).then_some(clock)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    fn offset(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Seconds ahead of the machine's clock from now on. Whole: whoever reads meanwhile has the one or the other.
    pub(crate) fn set(&self, seconds: i64) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, seconds.to_string()).unwrap();
        std::fs::rename(next, self.offset()).unwrap();
    }

    /// The variables that give a process this clock.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let path = |path: PathBuf| path.display().to_string();
        [("LD_PRELOAD", path(self.library())), ("CLOCK_OFFSET_FILE", path(self.offset()))]
    }

    /// Has a running hub go by this clock from now on.
    pub(crate) fn take_over(&self, hub: &mut Hub) {
        hub.stop();
        self.start(hub);
    }

    /// Starts a hub that goes by this clock.
    pub(crate) fn start(&self, hub: &mut Hub) {
        let [library, offset] = self.variables().map(|(name, value)| format!("{name}={value}"));
        hub.spawn_under(&["env", &library, &offset]);
    }
}

/// When the hub accepted each text of a group, milliseconds.
fn times(person: &Person, title: &str) -> Vec<i64> {
    let finished = person.run(&["--offline", "recv", "--all", title]);
    let texts = finished.of_type("message").filter(|line| line["kind"] == "text");
    texts.map(|line| line["at_ms"].as_i64().unwrap()).collect()
}

fn say(chat: &mut Running, text: &str) {
    chat.write(text);
    chat.until(|line| line["type"] == "accepted");
}

/// Somebody who connects at this moment gets what was said.
fn connects(person: &Person, title: &str, text: &str) {
    person.run(&["--timeout", "60", "recv"]).expect_exit(0);
    let texts = person.history(title);
    assert_eq!(texts.last().map(|(_, _, text)| text.as_str()), Some(text));
}

#[test]
fn a_clock_that_jumps_a_day_ahead_and_an_hour_back_loses_and_doubles_nothing() {
    let Some(clock) = HandClock::new() else {
        return skip("there is no C compiler, and so no other clock");
    };
    let mut hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Horloge");
    clock.take_over(&mut hub);
    let mut chat = alice.start(&["chat", "horloge"]);
    let mut said = Vec::new();
    let mut expected = |chat: &mut Running, text: &str| {
        say(chat, text);
        connects(&bob, "horloge", text);
        said.push(text.to_owned());
    };
    expected(&mut chat, "à l'heure");
    clock.set(86_400);
    expected(&mut chat, "demain");
    clock.set(-3_600);
    expected(&mut chat, "une heure plus tôt");
    // It is killed and starts again while its clock is wrong.
    hub.kill();
    clock.start(&mut hub);
    expected(&mut chat, "encore plus tôt");
    clock.set(0);
    expected(&mut chat, "de nouveau à l'heure");
    chat.end_input();
    assert_eq!(chat.wait().0, Some(0));
    // The clock was indeed another.
    let times = times(&bob, "horloge");
    let minutes: Vec<i64> = times.windows(2).map(|two| (two[1] - two[0]) / 60_000).collect();
    assert!(minutes[0] >= 24 * 60 && minutes[1] <= -24 * 60, "minutes between the messages: {minutes:?}");
    for person in [&alice, &bob] {
        person.run(&["recv"]).expect_exit(0);
        let texts: Vec<String> = person.history("horloge").into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(texts, said, "each once, in order");
    }
}
