//! More than one flipped bit, and files that are not there.

use std::path::{Path, PathBuf};

use levada_env::{Fs, OpenMode, fault::FaultFs};
use levada_wal::FrameKind;

use crate::{
    check::{check, fetch},
    flips::{INDEX_RUN, World, holders, world},
    folder::{DIR, HELD, Knobs, open, value, write},
    layout::{Frame, files},
    run,
    survey::look,
};

/// The newest snapshot's position: commands behind it are replayed.
fn replayed_after(world: &World) -> u64 {
    let names = world.fs.read_dir(&Path::new(DIR).join("snapshot")).unwrap();
    let stem = |name: &String| name.strip_suffix(".snap").unwrap().parse().unwrap();
    names.iter().map(stem).max().unwrap()
}

fn flip_payload(fs: &FaultFs, frame: &Frame) {
    fs.flip_bit(&frame.path, frame.range.end - 2, 4).unwrap();
}

#[test]
fn a_command_damaged_in_both_copies_stops_the_start_and_nothing_is_changed() {
    let world = world();
    let after = replayed_after(&world);
    let of = |kind| world.frames.iter().filter(move |frame| frame.kind == kind);
    let (mut refused, mut opened) = (0, 0);
    for command in of(FrameKind::Command) {
        let fs = world.fs.image(1);
        flip_payload(&fs, command);
        let copy = of(FrameKind::CommandCopy).find(|copy| copy.position == command.position);
        flip_payload(&fs, copy.expect("each command has a copy"));
        let before = files(&fs);
        let outcome = run(check(&fs, &world.expected, false));
        if command.position <= after {
            assert!(outcome.unwrap().lost.is_empty());
            opened += 1;
            continue;
        }
        let why = outcome.unwrap_err();
        let name = command.path.file_name().unwrap().to_str().unwrap();
        assert!(why.contains(name) && why.contains("position"), "{why}");
        assert!(why.contains("Restore the folder from a copy"), "{why}");
        assert_eq!(look(&fs).unwrap().refused, Some(why));
        assert_eq!(files(&fs), before, "a refused start changes nothing");
        refused += 1;
    }
    assert!(refused > 3 && opened > 3, "{refused} {opened}");
}

#[test]
fn all_snapshots_damaged_stop_the_start_where_the_log_is_not_whole() {
    let world = world();
    let snapshots = Path::new(DIR).join("snapshot");
    for how in ["flipped", "emptied", "removed"] {
        let fs = world.fs.image(1);
        for name in fs.read_dir(&snapshots).unwrap() {
            let path = snapshots.join(name);
            match how {
                "flipped" => fs.flip_bit(&path, 99, 1).unwrap(),
                "emptied" => set_len(&fs, &path, 0),
                _ => fs.remove_file(&path).unwrap(),
            }
        }
        let before = files(&fs);
        let why = run(check(&fs, &world.expected, false)).unwrap_err();
        assert!(why.contains("Restore the folder from a copy"), "{why}");
        if how != "removed" {
            assert!(why.contains("none of the 2 snapshots"), "{how}: {why}");
        }
        assert!(look(&fs).unwrap().refused.is_some());
        assert_eq!(files(&fs), before, "a refused start changes nothing");
    }
}

fn set_len(fs: &FaultFs, path: &Path, bytes: u64) {
    let file = fs.open(path, OpenMode::ReadWrite).unwrap();
    file.set_len(bytes).unwrap();
}

fn logs(world: &World) -> Vec<(PathBuf, u64)> {
    let files = world.files.iter();
    let logs = files.filter(|(path, _)| path.extension().is_some_and(|ext| ext == "log"));
    logs.map(|(path, bytes)| (path.clone(), bytes.len() as u64))
        .collect()
}

/// Index runs: without one, records in other files are not found.
fn runs(world: &World) -> impl Iterator<Item = &Frame> {
    let frames = world.frames.iter();
    frames.filter(|frame| frame.payload.starts_with(INDEX_RUN))
}

/// The last file's end cannot be told from an unfinished write; every other file's can.
#[test]
fn a_file_that_was_cut_or_removed_costs_what_it_held_or_stops_the_start() {
    let world = world();
    let logs = logs(&world);
    let mut opened = 0;
    for (path, bytes) in &logs[..logs.len() - 1] {
        for keep in [
            None,
            Some(0),
            Some(bytes / 2),
            Some(bytes - 4096),
            Some(bytes - 1),
        ] {
            let fs = world.fs.image(1);
            match keep {
                None => fs.remove_file(path).unwrap(),
                Some(keep) => set_len(&fs, path, keep),
            }
            let looked = look(&fs).unwrap();
            match run(check(&fs, &world.expected, true)) {
                Ok(mut outcome) => {
                    outcome.lost.sort_unstable();
                    assert_eq!(looked.lost, outcome.lost, "{path:?} {keep:?}");
                    assert_eq!(looked.refused, None);
                    for (topic, partition, offset) in outcome.lost {
                        let text = value((topic, partition), offset);
                        let mut leads = holders(&world, &text).chain(runs(&world));
                        assert!(leads.any(|frame| frame.path == *path), "{text} {path:?}");
                    }
                    opened += 1;
                }
                Err(why) => {
                    assert!(why.contains("Restore the folder from a copy"), "{why}");
                    assert_eq!(looked.refused, Some(why));
                }
            }
        }
    }
    assert!(
        opened > 3,
        "{opened}: these lie before what a start replays"
    );
}

#[test]
fn a_file_of_another_log_is_put_aside_and_nothing_else_is() {
    let world = world();
    let other = FaultFs::new(9);
    run(write(&other));
    let (path, bytes) = files(&other).remove(0);
    let fs = world.fs.image(1);
    let foreign = path.with_file_name("00000000000009999999.log");
    fs.write_atomic(&foreign, &bytes).unwrap();
    let outcome = run(check(&fs, &world.expected, true)).unwrap();
    assert!(outcome.lost.is_empty());
    assert!(outcome.recovered.torn.is_some(), "it is reported");
    let quarantine = Path::new(DIR).join("wal/quarantine");
    let name = &fs.read_dir(&quarantine).unwrap()[0];
    let kept = fs.read(&quarantine.join(name)).unwrap();
    assert!(bytes.starts_with(&kept) && bytes[kept.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_bit_that_flips_under_a_running_service_costs_its_readers_the_frame_only() {
    let world = world();
    run(async {
        let fs = world.fs.image(1);
        let open = open(&fs, &Knobs::STILL).await.unwrap();
        // Somewhere in the middle, so that records before and after it are there.
        let (at, hit) = (("orders", 1), 20);
        let text = value(at, hit);
        let frame = holders(&world, &text).last().unwrap();
        let mut payload = frame.payload.windows(text.len());
        let place = payload.position(|w| w == text.as_bytes()).unwrap();
        let in_file = frame.range.end as usize - frame.payload.len() + place;
        fs.flip_bit(&frame.path, in_file as u64, 0).unwrap();
        let before = fetch(&open, at, 0).await.unwrap();
        assert!(
            before.last().unwrap().0 < hit,
            "records before it are served"
        );
        for _ in 0..3 {
            fetch(&open, at, hit).await.unwrap_err();
        }
        for other in HELD.into_iter().filter(|held| *held != at) {
            let (start, _) = world.expected.ranges[&other];
            let records = fetch(&open, other, start).await.unwrap();
            assert!(records.iter().any(|record| record.0 == start), "{other:?}");
        }
        let after = fetch(&open, at, hit + 2).await.unwrap();
        assert_eq!(after[0].0, hit + 2, "what lies behind it is served");
        let counts = open.engine.metrics().snapshot();
        assert_eq!(counts.places_damaged, 1, "told once, not at each read");
        open.close().await;
    });
}
