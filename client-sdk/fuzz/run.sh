#!/usr/bin/env bash
# Fuzzes decoders: run.sh SECONDS [TARGET...]; without targets all of them, one after the other.
# Needs no cargo-fuzz: the stable compiler takes the flags of libFuzzer when it is told so.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?how long each target runs, seconds}
shift
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cd corpus && ls)
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares"
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target the flags are for what is fuzzed only, not for what builds it.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" cargo build --release --target "$host" --quiet
for target in "${targets[@]}"; do
  mkdir -p "target/found/$target"
  echo "=== $target"
  CERCLE_FUZZ_TARGET=$target "target/$host/release/decode" "target/found/$target" "corpus/$target" \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="target/found/$target-" 2>&1 |
    grep -E "^(#[0-9]+.*(INITED|DONE|pulse)|stat::|==|SUMMARY|ERROR|thread|artifact|Test unit)" | tail -12
done
