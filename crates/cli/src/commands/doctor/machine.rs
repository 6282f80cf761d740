//! Checks of this machine: file limit, memory, clock, and a data folder.

use std::path::Path;
use std::time::Duration;

use levada_env::{Env, OpenMode};

use super::{Check, Status};
use crate::context::Context;
use crate::units::show_bytes;
use crate::when::show_time;

const FILES_WARN: u64 = 8192;
const FILES_CRITICAL: u64 = 512;
const MEMORY_WARN: u64 = 1 << 30;
const MEMORY_CRITICAL: u64 = 256 << 20;
const SPACE_WARN: u64 = 10 << 30;
const SPACE_CRITICAL: u64 = 1 << 30;
const FSYNC_US_WARN: u128 = 10_000;
const FSYNC_US_CRITICAL: u128 = 100_000;
/// Syncs that are timed, of a page each.
const FSYNCS: usize = 50;
const PAGE_BYTES: usize = 4096;
const PROBE_FILE: &str = "doctor.probe";
/// 2026-01-01: no clock that is right shows less.
const CLOCK_LEAST_MS: i64 = 1_767_225_600_000;
const CLOCK_MOST_MS: i64 = 4_102_444_800_000;

/// Adds the checks.
pub async fn check(data: Option<&Path>, fsync: bool, context: &Context, checks: &mut Vec<Check>) {
    checks.push(clock(context.env.now_ms()));
    checks.push(files());
    checks.extend(memory(&context.env));
    if let Some(folder) = data {
        let env = context.env.clone();
        let folder = folder.to_owned();
        let inner = env.clone();
        checks.extend(
            env.blocking(move || data_folder(&inner, &folder, fsync))
                .await,
        );
    }
}

fn clock(now_ms: i64) -> Check {
    let sane = (CLOCK_LEAST_MS..CLOCK_MOST_MS).contains(&now_ms);
    let status = if sane { Status::Ok } else { Status::Critical };
    let advice = "Set the clock (NTP): timestamps, retention and look-ups by time go by it.";
    Check::new("clock", status, show_time(now_ms), advice)
}

fn files() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let Some(limit) = limit else {
        return Check::ok("open files", "no limit");
    };
    Check::new(
        "open files",
        Status::at_least(&limit, &FILES_WARN, &FILES_CRITICAL),
        format!("{limit} at most"),
        "Each connection takes one: raise it with `ulimit -n 65536` or LimitNOFILE= in the unit.",
    )
}

#[cfg(target_os = "linux")]
fn memory(env: &Env) -> Option<Check> {
    let info = env.fs().read(Path::new("/proc/meminfo")).ok()?;
    let available = available_memory(&String::from_utf8_lossy(&info))?;
    Some(Check::new(
        "memory",
        Status::at_least(&available, &MEMORY_WARN, &MEMORY_CRITICAL),
        format!("{} available", show_bytes(available)),
        "The service holds up to 256 MiB for batches and its cache: leave it room.",
    ))
}

#[cfg(not(target_os = "linux"))]
fn memory(_env: &Env) -> Option<Check> {
    None
}

/// What `/proc/meminfo` calls MemAvailable, in bytes.
fn available_memory(info: &str) -> Option<u64> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn data_folder(env: &Env, folder: &Path, fsync: bool) -> Vec<Check> {
    let shown = folder.display();
    if !env.fs().exists(folder) {
        let found = format!("{shown} does not exist");
        let advice = "`levada serve --data DIR` makes it; check for a typing error.";
        return vec![Check::new("data folder", Status::Warn, found, advice)];
    }
    let mut checks = Vec::new();
    checks.push(match env.fs().available_bytes(folder) {
        Ok(free) => Check::new(
            "disk space",
            Status::at_least(&free, &SPACE_WARN, &SPACE_CRITICAL),
            format!("{} free for {shown}", show_bytes(free)),
            "Free space, or shorten retention.ms and retention.bytes of large topics: a full disk \
             refuses records until it has space again.",
        ),
        Err(error) => Check::new(
            "disk space",
            Status::Critical,
            format!("{shown}: {error}"),
            "The folder cannot be used as it is.",
        ),
    });
    if fsync {
        checks.push(fsync_speed(env, folder));
    }
    checks
}

fn fsync_speed(env: &Env, folder: &Path) -> Check {
    let shown = folder.display();
    match fsync_times(env, folder) {
        Ok(mut times) => {
            times.sort_unstable();
            let at = |part: usize| {
                times
                    .get(times.len() * part / 100)
                    .map_or(0, Duration::as_micros)
            };
            let (p50, p99) = (at(50), at(99));
            Check::new(
                "fsync",
                Status::at_most(&p50, &FSYNC_US_WARN, &FSYNC_US_CRITICAL),
                format!("p50 {p50} µs, p99 {p99} µs for {PAGE_BYTES} bytes"),
                "Every acknowledgement waits for one: use a local SSD or NVMe, not a network disk.",
            )
        }
        Err(error) => Check::new(
            "fsync",
            Status::Critical,
            format!("cannot write to {shown}: {error}"),
            "The service's user needs to write there.",
        ),
    }
}

/// Overwrites one page again and again, as a log with prepared files does.
fn fsync_times(env: &Env, folder: &Path) -> std::io::Result<Vec<Duration>> {
    let path = folder.join(PROBE_FILE);
    let file = env.fs().open(&path, OpenMode::Create)?;
    let page = [0x5a; PAGE_BYTES];
    let timed = (|| {
        file.write_all_at(&page, 0)?;
        file.sync_all()?;
        (0..FSYNCS)
            .map(|_| {
                let start = env.monotonic();
                file.write_all_at(&page, 0)?;
                file.sync_data()?;
                Ok(env.monotonic().saturating_sub(start))
            })
            .collect()
    })();
    env.fs().remove_file(&path)?;
    timed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_the_systems_words() {
        let info = "MemTotal:       24689104 kB\nMemAvailable:   23085708 kB\n";
        assert_eq!(available_memory(info), Some(23_085_708 * 1024));
        assert_eq!(available_memory("MemAvailable: many kB"), None);
        assert_eq!(available_memory(""), None);
    }

    #[test]
    fn a_clock_that_was_never_set_is_critical() {
        assert_eq!(clock(0).status, Status::Critical);
        assert_eq!(clock(CLOCK_LEAST_MS + 1).status, Status::Ok);
    }

    #[test]
    fn a_data_folder_that_is_fine_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let checks = data_folder(&Env::real(), folder.path(), true);
        assert_eq!(checks.len(), 2);
        assert_eq!(checks[1].name, "fsync");
        assert!(checks[1].found.starts_with("p50"), "{}", checks[1].found);
        assert!(Env::real().fs().read_dir(folder.path()).unwrap().is_empty());
    }
}
