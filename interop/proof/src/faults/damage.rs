//! Files damaged while the broker was stopped: a bit flipped, a file cut short.
//!
//! The start either serves everything outside the damaged frame, and answers reads of that one with
//! Kafka's own error, or refuses, says how to restore, and has changed nothing. Only what was being
//! written at a kill may be cut off the end, put aside and told; and a log whose last file lost its
//! end looks just like that, so there the loss must be told too.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use crate::load::ledger::Ledger;
use crate::load::producer::Pace;
use crate::load::server::Started;
use crate::load::verify::{Allowance, Verifier};
use crate::load::{Load, Shape};

/// These rounds are quick.
const ROUNDS_FACTOR: u32 = 4;
/// So many damages are done to copies of one folder.
const ROUNDS_A_FOLDER: u32 = 8;
const LOAD_MS: std::ops::Range<u64> = 300..700;
/// The log closes its last group within this time of silence.
const IDLE: Duration = Duration::from_millis(150);
const SETTINGS: [(&str, &str); 4] = [
    ("storage-file-bytes-max", "1MiB"),
    ("storage-pool-bytes-max", "0"),
    ("storage-snapshot-bytes", "1MiB"),
    ("memory-tail-cache-bytes", "1MiB"),
];
/// What the broker says of a tail that it cut off.
const CUT: &str = "cut an unfinished write off the end of the log";

/// How the broker ended before the damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopped,
    KilledIdle,
    KilledBusy,
}

const ENDS: [End; 3] = [End::Stopped, End::KilledIdle, End::KilledBusy];

/// A folder as the broker left it, and what it had promised.
struct Left {
    data: PathBuf,
    ledger: Arc<Ledger>,
    end: End,
}

/// What was done to a file.
struct Damage {
    file: PathBuf,
    what: String,
    /// The end of the newest log file is gone: nothing on one disk tells that from a torn write.
    took_the_end: bool,
}

pub fn flips(bench: &mut Bench<'_>) -> Result<()> {
    rounds(bench, flip)
}

pub fn truncations(bench: &mut Bench<'_>) -> Result<()> {
    rounds(bench, truncate)
}

type Hurt = fn(&mut Bench<'_>, &Path) -> Result<Damage>;

fn rounds(bench: &mut Bench<'_>, hurt: Hurt) -> Result<()> {
    let mut left = None;
    for round in 1..=bench.plan.rounds * ROUNDS_FACTOR {
        if (round - 1).is_multiple_of(ROUNDS_A_FOLDER) {
            let end = ENDS[(round / ROUNDS_A_FOLDER) as usize % ENDS.len()];
            if let Some(old) = left.replace(make(bench, end)?) {
                bench.close(&old.ledger, 0);
            }
        }
        let Some(left) = &left else { break };
        bench.outcome.rounds = round;
        let copy = bench.folder.join("damaged");
        fs::remove_dir_all(&copy).ok();
        copy_folder(&left.data, &copy)?;
        let damage = hurt(bench, &copy)?;
        bench.outcome.fired += 1;
        let when = format!("round {round}, {:?}, {}", left.end, damage.what);
        judge(bench, left, &copy, &damage, &when)?;
    }
    if let Some(left) = left {
        bench.close(&left.ledger, 0);
    }
    Ok(())
}

/// Runs the load for a while over a new folder.
fn make(bench: &mut Bench<'_>, end: End) -> Result<Left> {
    let data = bench.folder.join("left");
    fs::remove_dir_all(&data).ok();
    let mut server = bench.server(data.clone(), &SETTINGS)?;
    server.start()?;
    let shape = Shape {
        seed: bench.random.number() >> 16,
        pace: Pace {
            value_bytes: 100..3000,
            ..Pace::default()
        },
        ..Shape::default()
    };
    let mut load = Load::start(&shape, &server.address, &bench.folder)?;
    let ledger = Arc::clone(&load.ledger);
    thread::sleep(Duration::from_millis(bench.random.within(LOAD_MS)));
    match end {
        End::Stopped => {
            load.stop();
            server.shut_down()?;
        }
        End::KilledIdle => {
            load.stop();
            thread::sleep(IDLE);
            server.kill()?;
        }
        End::KilledBusy => server.kill()?,
    }
    drop(load);
    Ok(Left { data, ledger, end })
}

/// Starts the broker on the damaged folder and holds what it serves against the promises.
fn judge(
    bench: &mut Bench<'_>,
    left: &Left,
    copy: &Path,
    damage: &Damage,
    when: &str,
) -> Result<()> {
    let mut server = bench.server(copy.to_owned(), &SETTINGS)?;
    let log = server.log_bytes();
    match server.try_start()? {
        Started::Answers => {
            let was_cut = server.said_since(log).contains(CUT);
            let mut verifier = Verifier::new(&server.address);
            verifier.allowance = Allowance {
                damaged: true,
                cut: was_cut && (left.end == End::KilledBusy || damage.took_the_end),
                ..Allowance::default()
            };
            verifier.check(&left.ledger, true, when);
            bench.outcome.checked += verifier.read;
            let unreadable: i64 = verifier
                .damaged
                .iter()
                .map(|(_, range)| range.end - range.start)
                .sum();
            bench.count(match (verifier.damaged.is_empty(), verifier.cut) {
                (true, 0) => "starts, everything is there",
                (false, 0) => "starts, the damaged frame answers CORRUPT_MESSAGE",
                _ if damage.took_the_end => "starts, that its end is missing is told",
                _ => "starts, the end that was being written is put aside and told",
            });
            if !verifier.damaged.is_empty() {
                println!(
                    "{when}: {unreadable} records unreadable: {:?}",
                    verifier.damaged
                );
            }
        }
        Started::Refused(status) => {
            let said = server.said_since(log);
            let last = server.last_line();
            if status.code() != Some(1) || !last.to_lowercase().contains("restore") {
                left.ledger
                    .violation(format!("{when}: it ended with {status}: {last}"));
            }
            if said.contains("panicked") {
                left.ledger
                    .violation(format!("{when}: it panicked: {said}"));
            }
            bench.count("refuses and says how to restore");
            println!("{when}: {last}");
            undo(left, copy, damage)?;
            match server.start() {
                Ok(()) => {
                    let mut verifier = Verifier::new(&server.address);
                    verifier.check(&left.ledger, true, &format!("{when}, restored"));
                    bench.outcome.checked += verifier.read;
                }
                Err(error) => left.ledger.violation(format!(
                    "{when}: with the file restored it does not start: {error:#}"
                )),
            }
        }
    }
    if server.said_since(log).contains("panicked") {
        left.ledger.violation(format!("{when}: it panicked"));
    }
    server.kill()
}

fn undo(left: &Left, copy: &Path, damage: &Damage) -> Result<()> {
    let inside = damage.file.strip_prefix(copy)?;
    fs::copy(left.data.join(inside), &damage.file)?;
    Ok(())
}

/// A file of the folder by chance; large ones as likely as small ones.
fn any_file(bench: &mut Bench<'_>, folder: &Path) -> Result<(PathBuf, u64)> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.retain(|(_, bytes)| *bytes > 0);
    files.sort();
    let index = bench.random.within(0..files.len().max(1) as u64) as usize;
    files.get(index).cloned().context("an empty folder")
}

fn list(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push((entry.path(), metadata.len()));
        }
    }
    Ok(())
}

fn flip(bench: &mut Bench<'_>, folder: &Path) -> Result<Damage> {
    let (path, bytes) = any_file(bench, folder)?;
    let at = bench.random.within(0..bytes);
    let bit = bench.random.within(0..8);
    let file = File::options().read(true).write(true).open(&path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ (1 << bit)], at)?;
    let what = format!("bit {bit} at {at} of {bytes} in {}", name(&path));
    Ok(Damage {
        file: path,
        what,
        took_the_end: false,
    })
}

fn truncate(bench: &mut Bench<'_>, folder: &Path) -> Result<Damage> {
    let (path, bytes) = any_file(bench, folder)?;
    let length = bench.random.within(0..bytes);
    OpenOptions::new()
        .write(true)
        .open(&path)?
        .set_len(length)?;
    let what = format!("{} cut from {bytes} to {length}", name(&path));
    let mut files = Vec::new();
    list(folder, &mut files)?;
    let logs = files.iter().map(|(path, _)| name(path));
    let newest = logs.filter(|name| name.ends_with(".log")).max();
    Ok(Damage {
        took_the_end: newest.is_some_and(|newest| newest == name(&path)),
        file: path,
        what,
    })
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.metadata()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
