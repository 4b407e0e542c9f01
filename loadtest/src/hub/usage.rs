//! What a process has used, as Linux counts it.

use std::fs;

use anyhow::Context;

/// Unit of processor time in `/proc`: Linux shows 100 ticks a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time and memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time of all its threads since it started, seconds.
    pub(crate) cpu_s: f64,
    /// Resident memory, MiB.
    pub(crate) resident_mib: f64,
}

impl Usage {
    /// Reads both.
    ///
    /// # Errors
    /// When there is no such process, or this is no Linux.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{pid}/{file}"))
                .with_context(|| format!("reading {file} of the hub"))
        };
        let cpu_s = cpu_seconds(&read("stat")?).context("processor time of the hub")?;
        let resident_mib = resident_mib(&read("status")?).context("memory of the hub")?;
        Ok(Self { cpu_s, resident_mib })
    }
}

/// Fields 14 and 15 of `/proc/<pid>/stat`; the second is the program's name in parentheses and may hold
/// anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_read_whatever_the_program_is_called() {
        let stat = "42 (a ) name) S 1 42 42 0 -1 4194560 500 0 0 0 150 50 0 0 20 0 3 0 100 1000 200";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(resident_mib("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t3\n"), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::of(std::process::id()).unwrap().resident_mib > 0.0);
    }
}
