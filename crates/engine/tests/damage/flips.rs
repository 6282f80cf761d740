//! One flipped bit, anywhere.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use levada_env::{Fs, SeededRandom, fault::FaultFs};
use levada_wal::FrameKind;

use crate::{
    check::{Outcome, check, summary},
    folder::{Expected, value, write},
    layout::{Frame, files, frames},
    run,
    survey::look,
};

/// How a stored index run begins.
pub const INDEX_RUN: &[u8] = b"XIVL";

/// The folder, and what is known of it.
pub struct World {
    pub fs: FaultFs,
    pub expected: Expected,
    pub files: Vec<(PathBuf, Vec<u8>)>,
    pub frames: Vec<Frame>,
}

pub fn world() -> World {
    let fs = FaultFs::new(1);
    let expected = run(write(&fs));
    let files = files(&fs);
    let frames = frames(&files);
    World {
        fs,
        expected,
        files,
        frames,
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "log")
}

fn hit<'a>(world: &'a World, path: &Path, at: u64) -> Option<&'a Frame> {
    let mut frames = world.frames.iter();
    frames.find(|frame| frame.path == path && frame.range.contains(&at))
}

/// The data frames that hold a record.
pub fn holders<'a>(world: &'a World, text: &'a str) -> impl Iterator<Item = &'a Frame> {
    world.frames.iter().filter(move |frame| holds(frame, text))
}

fn holds(frame: &Frame, text: &str) -> bool {
    let mut payload = frame.payload.windows(text.len());
    frame.kind == FrameKind::Data && payload.any(|w| w == text.as_bytes())
}

/// What must hold of a folder in which one bit of `path` was flipped at `at`.
fn judge(
    world: &World,
    (path, at): (&Path, u64),
    fs: &FaultFs,
    twice: bool,
) -> Result<Outcome, String> {
    let looked = if twice { Some(look(fs)?) } else { None };
    let mut outcome = run(check(fs, &world.expected, twice))?;
    outcome.lost.sort_unstable();
    if let Some(looked) = looked
        && (looked.lost != outcome.lost || looked.refused.is_some())
    {
        let (told, refused) = (summary(&looked.lost), looked.refused);
        return Err(format!(
            "a look told {told:?} {refused:?}: {:?}",
            summary(&outcome.lost)
        ));
    }
    let frame = hit(world, path, at);
    for (topic, partition, offset) in &outcome.lost {
        let text = value((topic, *partition), *offset);
        if !frame.is_some_and(|frame| holds(frame, &text)) {
            let lost = summary(&outcome.lost);
            return Err(format!("lost outside of the frame that was hit: {lost:?}"));
        }
    }
    for (path, bytes) in &world.files {
        let now = fs
            .read(path)
            .map_err(|_| format!("{} is gone", path.display()))?;
        if now.len() < bytes.len() && outcome.recovered.torn.is_none() {
            return Err(format!("{} was cut", path.display()));
        }
    }
    Ok(outcome)
}

#[test]
fn the_folder_holds_everything_that_is_stored() {
    let world = world();
    let of = |kind| world.frames.iter().filter(move |frame| frame.kind == kind);
    assert!(of(FrameKind::Command).count() > 20);
    assert!(of(FrameKind::CommandCopy).count() > 20);
    assert!(of(FrameKind::Data).count() > 20);
    let runs = of(FrameKind::Data).filter(|frame| frame.payload.starts_with(INDEX_RUN));
    assert!(runs.count() > 2, "index runs");
    let logs = world.files.iter().filter(|(path, _)| is_log(path));
    assert!(logs.count() > 2);
    let snapshots = world.files.iter().filter(|(path, _)| !is_log(path));
    assert_eq!(snapshots.count(), 2);
    let outcome = run(check(&world.fs.image(2), &world.expected, true)).unwrap();
    assert!(outcome.lost.is_empty() && outcome.recovered.damaged.is_empty());
}

/// Each n-th target is hit, so that the test takes seconds.
const EVERY: usize = 13;
/// Each n-th of those is opened twice.
const TWICE_EVERY: usize = 4;
/// One byte in so many is hit where nothing but zeros lie around it.
const PADDING_STEP: usize = 61;
const PADDING_BYTES: usize = 64;

/// Bytes to hit: all that mean something, and some of the zeros between.
fn targets(bytes: &[u8]) -> Vec<usize> {
    let every = std::env::var("LEVADA_DAMAGE_EVERY");
    let every = every.map_or(EVERY, |n| n.parse().unwrap());
    let zero = |at: usize| bytes.get(at).is_none_or(|byte| *byte == 0);
    let mut padding = 0;
    let mut found = Vec::new();
    for at in 0..bytes.len() {
        padding = if zero(at) { padding + 1 } else { 0 };
        if padding < PADDING_BYTES || at.is_multiple_of(PADDING_STEP) {
            found.push(at);
        }
    }
    found.into_iter().step_by(every).collect()
}

/// Flips a bit of each target, shared out between threads; gives how many flips cost records.
fn flip_all(world: &World, failures: &Mutex<Vec<String>>) -> (usize, usize) {
    let mut flips = Vec::new();
    let random = SeededRandom::new(5);
    for (path, bytes) in &world.files {
        let of = |at| (path, at as u64, random.below(8) as u8);
        flips.extend(targets(bytes).into_iter().map(of));
    }
    let costly = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let n = next.fetch_add(1, Relaxed);
            let Some((path, at, bit)) = flips.get(n) else {
                break;
            };
            let fs = world.fs.image(7);
            fs.flip_bit(path, *at, *bit).unwrap();
            match judge(world, (path, *at), &fs, n.is_multiple_of(TWICE_EVERY)) {
                Ok(outcome) if outcome.lost.is_empty() => {}
                Ok(_) => drop(costly.fetch_add(1, Relaxed)),
                Err(why) => {
                    let place = format!("{} {at} bit {bit}", path.display());
                    failures.lock().unwrap().push(format!("{place}: {why}"));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads.min(4) {
            scope.spawn(work);
        }
    });
    (flips.len(), costly.into_inner())
}

#[test]
fn a_flipped_bit_costs_the_frame_it_hit_and_no_other() {
    let world = world();
    let failures = Mutex::default();
    let (flips, costly) = flip_all(&world, &failures);
    let failures = failures.into_inner().unwrap();
    let count = failures.len();
    assert!(failures.is_empty(), "{count} of {flips}: {failures:#?}");
    assert!(costly > flips / 20, "{costly} of {flips} cost records");
    println!("{costly} of {flips} flips cost records");
}
