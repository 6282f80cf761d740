//! Damage to what was safely written: it costs one frame, is told, and is never cut off.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use levada_env::fault::{Crash, FaultFs, FaultPlan};
use levada_env::{Env, Fs, SeededRandom};
use levada_model::LogPosition;
use levada_wal::{
    Appended, DamageKind, DamagedRange, FrameKind, Recovered, Survey, Wal, WalConfig, WalError,
    format::GroupHeader,
};

const DIR: &str = "/wal";

struct Written {
    commands: Vec<(LogPosition, Bytes)>,
    data: Vec<(Appended, Bytes)>,
}

fn config() -> WalConfig {
    WalConfig {
        file_bytes_max: 128 << 10,
        group_bytes_max: 32 << 10,
        pool_bytes_max: 0,
        reserve_bytes: 0,
        ..WalConfig::default()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}

fn env(fs: &FaultFs) -> Env {
    Env::simulated(7, Arc::new(fs.clone()))
}

/// A log of several files, closed by a marker, then killed.
async fn write(fs: &FaultFs, seed: u64) -> Written {
    let random = SeededRandom::new(seed);
    let env = env(fs);
    let (wal, _) = Wal::open(&env, Path::new(DIR), config()).unwrap();
    let mut written = Written {
        commands: Vec::new(),
        data: Vec::new(),
    };
    for i in 0..60u64 {
        for _ in 0..=random.below(2) {
            let body = Bytes::from(vec![i as u8 + 1; 1 + random.below(9000) as usize]);
            written.data.push((
                wal.append(FrameKind::Data, vec![body.clone()]).unwrap(),
                body,
            ));
        }
        let payload = Bytes::from(format!("command {i}"));
        let command = wal
            .append(FrameKind::Command, vec![payload.clone()])
            .unwrap();
        written.commands.push((command.position, payload));
        if random.one_in(2) || i == 59 {
            wal.sync_to(command).await.unwrap();
        }
    }
    env.sleep(std::time::Duration::from_millis(50)).await;
    drop(wal);
    fs.crash(Crash::Kill);
    written
}

fn look(fs: &FaultFs) -> Survey {
    let files = |fs: &FaultFs| {
        log_files(fs)
            .iter()
            .map(|(p, _)| fs.read(p).unwrap())
            .collect()
    };
    let before: Vec<Vec<u8>> = files(fs);
    let survey = levada_wal::survey(&env(fs), Path::new(DIR), LogPosition(0), &mut |_, _| {});
    assert_eq!(files(fs), before, "a look changes nothing");
    survey.unwrap()
}

/// A look tells beforehand what opening finds.
fn assert_same(survey: &Survey, recovered: &Recovered, written: &Written) {
    assert_eq!(survey.refused, None);
    assert_eq!(survey.commands, written.commands);
    let of = |kind| {
        survey
            .damage
            .iter()
            .filter(move |damage| damage.kind == kind)
    };
    let data: Vec<_> = of(DamageKind::Data)
        .map(|damage| DamagedRange {
            path: damage.path.clone(),
            offset: damage.offset,
            bytes: damage.bytes,
        })
        .collect();
    assert_eq!(data, recovered.damaged);
    let mended = of(DamageKind::Command).count() as u64;
    assert_eq!(mended, recovered.commands_mended);
    assert_eq!(
        of(DamageKind::Tail).map(|tail| tail.bytes).sum::<u64>(),
        recovered.torn.as_ref().map_or(0, |torn| torn.bytes)
    );
}

trait Hits {
    fn hits(&self, place: &Appended, body: &Bytes) -> bool;
}

impl Hits for DamagedRange {
    fn hits(&self, place: &Appended, body: &Bytes) -> bool {
        self.path.ends_with(format!("{:020}.log", place.file.0))
            && self.offset < place.offset_in_file + body.len() as u64
            && place.offset_in_file < self.offset + self.bytes
    }
}

fn commands(wal: &Wal) -> Vec<(LogPosition, Bytes)> {
    let mut found = Vec::new();
    wal.replay::<WalError>(LogPosition(0), |position, payload| {
        found.push((position, payload));
        Ok(())
    })
    .unwrap();
    found
}

fn open(fs: &FaultFs) -> Result<(Wal, Recovered), WalError> {
    Wal::open(&env(fs), Path::new(DIR), config())
}

fn log_files(fs: &FaultFs) -> Vec<(std::path::PathBuf, u64)> {
    let names = fs.read_dir(Path::new(DIR)).unwrap();
    let logs = names.iter().filter(|name| name.ends_with(".log"));
    logs.map(|name| Path::new(DIR).join(name))
        .map(|p| (p.clone(), fs.len(&p).unwrap()))
        .collect()
}

#[test]
fn a_flipped_bit_anywhere_costs_at_most_the_frame_it_hit() {
    let mut damaged = 0;
    for seed in 0..400 {
        let fs = FaultFs::new(seed);
        let outcome = run(async {
            let written = write(&fs, seed % 7).await;
            let random = SeededRandom::new(seed);
            let files = log_files(&fs);
            assert!(files.len() > 2);
            let (path, bytes) = &files[random.below(files.len() as u64) as usize];
            fs.flip_bit(path, random.below(*bytes), random.below(8) as u8)
                .unwrap();
            let survey = seed.is_multiple_of(4).then(|| look(&fs));
            let (wal, recovered) = open(&fs).unwrap();
            if let Some(survey) = survey {
                assert_same(&survey, &recovered, &written);
            }
            assert_eq!(
                commands(&wal),
                written.commands,
                "seed {seed}: {recovered:?}"
            );
            let mut lost = 0;
            for (place, body) in &written.data {
                let read = wal.read(place.file, place.offset_in_file, body.len() as u32);
                let damaged = recovered
                    .damaged
                    .iter()
                    .any(|damaged| damaged.hits(place, body));
                assert_eq!(
                    read.unwrap() != *body,
                    damaged,
                    "seed {seed}: {recovered:?}"
                );
                lost += usize::from(damaged);
            }
            assert_eq!(lost, recovered.damaged.len(), "seed {seed}");
            assert!(lost <= 1, "seed {seed}: {recovered:?}");
            lost
        });
        damaged += outcome;
    }
    assert!(damaged > 200, "{damaged} of 400 hit data");
}

#[test]
fn a_command_damaged_in_both_copies_is_refused_and_nothing_is_changed() {
    run(async {
        let fs = FaultFs::new(1);
        let written = write(&fs, 3).await;
        let (_, victim) = &written.commands[30];
        let mut hits = 0;
        for (path, _) in log_files(&fs) {
            let bytes = fs.read(&path).unwrap();
            for at in 0..bytes.len() - victim.len() {
                if bytes[at..].starts_with(victim) {
                    fs.flip_bit(&path, at as u64, 0).unwrap();
                    hits += 1;
                }
            }
        }
        assert_eq!(hits, 2, "each command is stored twice");
        let before: Vec<_> = log_files(&fs);
        let survey = look(&fs);
        let error = open(&fs).unwrap_err();
        assert!(matches!(error, WalError::Damaged { .. }), "{error}");
        assert_eq!(survey.refused, Some(error.to_string()));
        let text = error.to_string();
        assert!(text.contains(".log") && text.contains("Restore"), "{text}");
        assert_eq!(log_files(&fs), before);
    });
}

/// Where each group begins: file and offset.
fn group_starts(fs: &FaultFs) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for (path, _) in log_files(fs) {
        let bytes = fs.read(&path).unwrap();
        let mut at = 0;
        while let Some((header, _)) = bytes.get(at..).and_then(GroupHeader::decode) {
            found.push((path.clone(), at as u64));
            at += header.total_bytes as usize;
        }
    }
    found
}

#[test]
fn a_damaged_command_is_mended_from_a_group_whose_own_header_is_damaged() {
    run(async {
        let fs = FaultFs::new(1);
        let written = write(&fs, 3).await;
        let groups = group_starts(&fs);
        let mut mended = 0;
        for n in 2..groups.len() - 2 {
            let fs = fs.image(n as u64);
            let (path, at) = &groups[n];
            let bytes = fs.read(path).unwrap();
            let header = GroupHeader::decode(&bytes[*at as usize..]).unwrap().0;
            let end = at + header.frames_end;
            let last = &bytes[end as usize - 12..end as usize];
            if !last.windows(8).any(|word| word == b"command ") {
                continue; // Data stands last.
            }
            fs.flip_bit(path, end - 1, 3).unwrap();
            let (path, at) = &groups[n + 1];
            fs.flip_bit(path, at + 20, 3).unwrap();
            let survey = look(&fs);
            let (wal, recovered) = open(&fs).unwrap();
            assert_same(&survey, &recovered, &written);
            assert_eq!(recovered.commands_mended, 1, "group {n}");
            assert_eq!(commands(&wal), written.commands, "group {n}");
            mended += 1;
        }
        assert!(mended > 5, "{mended}");
    });
}

#[test]
fn a_group_lost_whole_is_known_by_the_next_ones_footer_when_its_head_is_damaged() {
    run(async {
        let fs = FaultFs::new(1);
        let written = write(&fs, 3).await;
        let groups = group_starts(&fs);
        for n in 1..groups.len() - 1 {
            let fs = fs.image(n as u64);
            let (path, at) = &groups[n];
            let bytes = fs.read(path).unwrap();
            let header = GroupHeader::decode(&bytes[*at as usize..]).unwrap().0;
            fs.flip_bit(path, at + 20, 3).unwrap();
            fs.flip_bit(path, at + header.total_bytes - 20, 3).unwrap();
            let (next, next_at) = &groups[n + 1];
            fs.flip_bit(next, next_at + 20, 3).unwrap();
            let (wal, recovered) = open(&fs).unwrap_or_else(|error| panic!("group {n}: {error}"));
            assert_eq!(commands(&wal), written.commands, "group {n}");
            assert_eq!(recovered.torn, None, "group {n}");
            assert_eq!(recovered.damaged.len(), 1, "group {n}: {recovered:?}");
            assert_eq!(recovered.damaged[0].bytes, header.total_bytes, "group {n}");
        }
    });
}

#[test]
fn a_group_lost_whole_before_a_torn_one_is_still_known_at_the_next_start() {
    run(async {
        let fs = FaultFs::new(1);
        write(&fs, 3).await;
        let groups = group_starts(&fs);
        let mut holes = 0;
        for n in 1..groups.len() - 1 {
            let fs = fs.image(n as u64);
            let ((path, at), (next, next_at)) = (&groups[n], &groups[n + 1]);
            let header = |path: &Path, at: u64| {
                let bytes = fs.read(path).unwrap();
                GroupHeader::decode(&bytes[at as usize..]).unwrap().0
            };
            let (lost, torn) = (header(path, *at), header(next, *next_at));
            // The log ends in the write of the group after it, which lacks a frame.
            for (later, _) in log_files(&fs).iter().filter(|(p, _)| p > next) {
                fs.remove_file(later).unwrap();
            }
            let file = fs.open(next, levada_env::OpenMode::ReadWrite).unwrap();
            file.set_len(next_at + torn.total_bytes).unwrap();
            if torn.frame_count == torn.copy_count {
                continue; // A marker has no frame of its own.
            }
            fs.flip_bit(next, next_at + torn.frames_end - 1, 3).unwrap();
            fs.flip_bit(path, at + 20, 3).unwrap();
            fs.flip_bit(path, at + lost.total_bytes - 20, 3).unwrap();
            let (wal, first) = open(&fs).unwrap();
            let found = commands(&wal);
            drop(wal);
            fs.crash(Crash::Kill);
            let again = open(&fs).unwrap_or_else(|error| panic!("group {n}: {error}"));
            assert_eq!(commands(&again.0), found, "group {n}");
            assert_eq!(again.1.damaged, first.damaged, "group {n}");
            holes += first.damaged.len();
        }
        assert!(holes > 5, "{holes}");
    });
}

#[test]
fn a_command_damaged_once_is_taken_from_its_copy() {
    run(async {
        let fs = FaultFs::new(1);
        let written = write(&fs, 3).await;
        let (position, _) = written.commands[30];
        let file = log_files(&fs);
        let start = |p: &Path| {
            p.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let (path, _) = file
            .iter()
            .rev()
            .find(|(p, _)| start(p) <= position.0)
            .unwrap();
        fs.flip_bit(path, position.0 - start(path) + 32, 5).unwrap();
        let (wal, recovered) = open(&fs).unwrap();
        assert_eq!(recovered.commands_mended, 1);
        assert!(recovered.damaged.is_empty() && recovered.torn.is_none());
        assert_eq!(commands(&wal), written.commands);
    });
}

#[test]
fn a_missing_file_is_refused() {
    run(async {
        for which in 0..3 {
            let fs = FaultFs::new(1);
            write(&fs, 3).await;
            let files = log_files(&fs);
            let (path, _) = &files[which];
            assert!(which < files.len() - 1);
            fs.remove_file(path).unwrap();
            let error = open(&fs).unwrap_err();
            assert!(
                matches!(error, WalError::Damaged { .. }),
                "{which}: {error}"
            );
        }
    });
}

#[test]
fn an_emptied_file_is_refused() {
    run(async {
        let fs = FaultFs::new(1);
        write(&fs, 3).await;
        let (path, bytes) = log_files(&fs)[0].clone();
        let file = fs.open(&path, levada_env::OpenMode::ReadWrite).unwrap();
        file.write_all_at(&vec![0; bytes as usize], 0).unwrap();
        assert!(matches!(open(&fs), Err(WalError::Damaged { .. })));
    });
}

#[test]
fn short_reads_are_read_on() {
    run(async {
        let fs = FaultFs::new(1);
        let written = write(&fs, 2).await;
        fs.set_plan(FaultPlan {
            short_read_one_in: 2,
            ..FaultPlan::default()
        });
        let (wal, _) = open(&fs).unwrap();
        assert_eq!(commands(&wal), written.commands);
        assert!(fs.counts().short_reads > 50);
    });
}

#[test]
fn a_failed_sync_is_final_for_everybody() {
    run(async {
        let fs = FaultFs::new(1);
        let (wal, _) = open(&fs).unwrap();
        let first = wal
            .append(FrameKind::Command, vec![Bytes::from_static(b"first")])
            .unwrap();
        wal.sync_to(first).await.unwrap();
        let failed = wal.failed();
        fs.fail_next_sync();
        let a = wal
            .append(FrameKind::Command, vec![Bytes::from_static(b"a")])
            .unwrap();
        let b = wal
            .append(FrameKind::Command, vec![Bytes::from_static(b"b")])
            .unwrap();
        let (wait_a, wait_b) = (wal.sync_to(a), wal.sync_to(b));
        assert!(matches!(wait_a.await, Err(WalError::Fatal(_))));
        assert!(matches!(wait_b.await, Err(WalError::Fatal(_))));
        assert!(matches!(failed.await, WalError::Fatal(_)));
        assert!(matches!(
            wal.append(FrameKind::Data, vec![]),
            Err(WalError::Fatal(_))
        ));
        assert!(wal.sync_to(first).await.is_ok(), "what was safe stays safe");
        drop(wal);
        // The cache shows bytes that the disk has lost: what is kept must be written again.
        fs.crash(Crash::Kill);
        let (wal, _) = open(&fs).unwrap();
        let found = commands(&wal);
        drop(wal);
        fs.crash(Crash::LoseUnsynced);
        let (wal, _) = open(&fs).unwrap();
        assert_eq!(commands(&wal), found);
        assert_eq!(found[0].1, "first");
    });
}
