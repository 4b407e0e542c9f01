//! One binary for all decoders: `CERCLE_FUZZ_TARGET` names the one to run.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../targets.rs"]
mod targets;

static TARGET: LazyLock<String> = LazyLock::new(|| {
    std::env::var("CERCLE_FUZZ_TARGET").expect("CERCLE_FUZZ_TARGET names a target of targets.rs")
});

fuzz_target!(|data: &[u8]| targets::run(&TARGET, data));
