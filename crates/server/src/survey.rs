//! A data folder looked at from outside: what is damaged, what that costs, what to do. Nothing is
//! written, nothing is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use levada_catalog::StateSettings;
use levada_engine::survey::{DamagedRecords, Stored, find_damaged};
use levada_env::{Env, LockResult};
use levada_model::{Extent, SegmentId};
use levada_sequencer::command_log::wal::{LogSurvey, WalLog};
use levada_sequencer::rebuild;
use levada_wal::{Damage, DamageKind};
use serde::Serialize;

use crate::identity::Identity;
use crate::storage::LOCK_FILE;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Ok,
    Warn,
    Critical,
}

/// Where something was found; keys are stable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    pub file: PathBuf,
    /// Where in the file, and how much of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(flatten)]
    pub records: Option<Records>,
}

/// Records of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Records {
    pub topic: String,
    pub partition: i32,
    pub first_offset: i64,
    pub last_offset: i64,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable name of what it is about.
    pub name: &'static str,
    pub severity: Severity,
    pub place: Option<Place>,
    pub found: String,
    pub advice: String,
}

const DISK_ADVICE: &str = "Nothing is lost. The disk gave back other bytes than were written: \
     check it (smartctl, dmesg) and keep a copy of the folder.";
const RECORDS_ADVICE: &str = "Readers get CORRUPT_MESSAGE at these offsets; all others are served. \
     Restore the folder from a copy if you need these records. To go on without them, stop the \
     group and move it behind them: levada group seek GROUP --topic TOPIC --partition P --to \
     OFFSET; or let the records before an offset go with Kafka's DeleteRecords.";
const REFUSED_ADVICE: &str = "The service will not start on this folder, so that nothing that was \
     acknowledged is lost silently. Keep the folder as it is and restore a copy of it from a \
     backup; nothing in it was changed.";
const TAIL_ADVICE: &str = "The next start moves these bytes into wal/quarantine and goes on before \
     them. After a crash this is a write that nobody was told to be safe. After a clean stop it \
     is damage: compare with a backup.";
const QUARANTINE_ADVICE: &str = "Earlier starts cut these bytes off the log. If they followed a \
     crash, they were never acknowledged: remove the files. If not, keep them and check the disk.";

/// Looks at the data folder `dir`. `progress` is told bytes looked through and bytes in all.
/// Blocks, for as long as reading the whole log takes.
pub fn survey(env: &Env, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Vec<Finding> {
    let lock_path = dir.join(LOCK_FILE);
    // Held until the end, so that no service starts and moves files meanwhile.
    let _lock = match env.fs().lock_shared(&lock_path) {
        Ok(LockResult::Held(lock)) => Some(lock),
        Ok(LockResult::Taken { pid }) => return vec![in_use(pid)],
        // Nobody has ever used it, or it is a copy without the lock.
        Err(_) => None,
    };
    let mut findings = identity(env, dir);
    match WalLog::survey(env, dir, progress) {
        Ok(found) => findings.extend(Report::of(found)),
        Err(error) => findings.push(critical("log", None, error.to_string(), REFUSED_ADVICE)),
    }
    findings
}

fn in_use(pid: Option<u32>) -> Finding {
    let holder = pid.map_or("a running service".to_owned(), |pid| {
        format!("the service with pid {pid}")
    });
    Finding {
        name: "log",
        severity: Severity::Warn,
        place: None,
        found: format!("not looked at: {holder} has the folder"),
        advice: "Stop the service to have its log checked, or check a copy of the folder. What a \
                 running service has met, its metrics tell: levada_damage_* and its log."
            .to_owned(),
    }
}

fn finding(
    name: &'static str,
    severity: Severity,
    place: Option<Place>,
    found: String,
    advice: &str,
) -> Finding {
    Finding {
        name,
        severity,
        place,
        found,
        advice: advice.to_owned(),
    }
}

fn critical(name: &'static str, place: Option<Place>, found: String, advice: &str) -> Finding {
    finding(name, Severity::Critical, place, found, advice)
}

fn warn(name: &'static str, place: Option<Place>, found: String, advice: &str) -> Finding {
    finding(name, Severity::Warn, place, found, advice)
}

fn file_place(file: PathBuf) -> Option<Place> {
    Some(Place {
        file,
        ..Place::default()
    })
}

fn identity(env: &Env, dir: &Path) -> Vec<Finding> {
    let damaged = Identity::survey(env, dir);
    let severe = damaged.len() > 1;
    let tell = |(path, why): (PathBuf, String)| {
        let found = format!("{}: {why}", path.display());
        match severe {
            true => critical("identity", file_place(path), found, REFUSED_ADVICE),
            false => warn("identity", file_place(path), found, DISK_ADVICE),
        }
    };
    damaged.into_iter().map(tell).collect()
}

struct Report {
    log: levada_wal::Survey,
    findings: Vec<Finding>,
}

impl Report {
    fn of(found: LogSurvey) -> Vec<Finding> {
        let mut report = Report {
            log: found.wal,
            findings: Vec::new(),
        };
        for snapshot in found.snapshots {
            if let Some(why) = snapshot.error {
                let place = file_place(snapshot.path);
                report
                    .findings
                    .push(warn("snapshot", place, why, DISK_ADVICE));
            }
        }
        // A start replays these commands too, so they are ours to trust.
        let lost = match rebuild(StateSettings::default(), found.found) {
            Ok(rebuilt) => find_damaged(&rebuilt.state, &Suspects::of(&report.log)),
            Err(error) => {
                let found = error.to_string();
                let refused = critical("start", None, found, REFUSED_ADVICE);
                report.findings.push(refused);
                Vec::new()
            }
        };
        report.tell_log();
        report.tell_damage(&lost);
        report.tell_quarantine();
        report.findings
    }

    fn tell_log(&mut self) {
        let log = &self.log;
        if let Some(why) = &log.refused {
            let refused = critical("start", None, why.clone(), REFUSED_ADVICE);
            self.findings.push(refused);
        }
        let bytes: u64 = log.files.iter().map(|(_, bytes)| bytes).sum();
        let (files, groups) = (log.files.len(), log.groups);
        let end = match log.sealed {
            true => "stopped cleanly",
            false => "not stopped cleanly, which a start mends",
        };
        let found = format!("{groups} groups in {files} files, {bytes} bytes checked; {end}");
        self.findings
            .push(finding("log", Severity::Ok, None, found, ""));
    }

    fn tell_damage(&mut self, lost: &[DamagedRecords]) {
        let mut told = BTreeSet::new();
        for damage in std::mem::take(&mut self.log.damage) {
            let mut costs = false;
            for (index, records) in lost.iter().enumerate() {
                let hit = damage.kind == DamageKind::Data && overlaps(&damage, records.extent);
                if hit {
                    costs = true;
                    told.insert(index);
                    self.findings.push(lost_records(records, Some(&damage)));
                }
            }
            if !costs {
                self.findings.push(harmless(damage));
            }
        }
        let untold = lost.iter().enumerate().filter(|(n, _)| !told.contains(n));
        self.findings
            .extend(untold.map(|(_, records)| lost_records(records, None)));
    }

    fn tell_quarantine(&mut self) {
        for (path, bytes) in std::mem::take(&mut self.log.quarantine) {
            let found = format!("{}: {bytes} bytes", path.display());
            let place = file_place(path);
            self.findings
                .push(warn("quarantine", place, found, QUARANTINE_ADVICE));
        }
    }
}

fn overlaps(damage: &Damage, extent: Extent) -> bool {
    damage.segment == extent.segment
        && damage.offset < extent.position + u64::from(extent.length)
        && extent.position < damage.offset + damage.bytes
}

fn lost_records(records: &DamagedRecords, damage: Option<&Damage>) -> Finding {
    let extent = records.extent;
    let (file, offset, bytes) = match damage {
        Some(damage) => (damage.path.clone(), damage.offset, damage.bytes),
        None => (
            PathBuf::from(format!("wal/{:020}.log", extent.segment.0)),
            extent.position,
            u64::from(extent.length),
        ),
    };
    let DamagedRecords {
        topic,
        partition,
        first,
        last,
        ..
    } = records;
    let found = format!(
        "topic {topic}, partition {partition}, offsets {first} to {last}: {bytes} bytes at \
         {offset} of {}: {}",
        file.display(),
        records.why
    );
    let place = Place {
        file,
        offset: Some(offset),
        bytes: Some(bytes),
        records: Some(Records {
            topic: topic.clone(),
            partition: *partition,
            first_offset: first.0,
            last_offset: last.0,
        }),
    };
    critical("records", Some(place), found, RECORDS_ADVICE)
}

/// Damage that costs no record.
fn harmless(damage: Damage) -> Finding {
    let what = match damage.kind {
        DamageKind::Data => "a data frame; every record in it that is still kept can be read",
        DamageKind::Command => "a command, which is read from its second copy",
        DamageKind::Copies => "second copies of commands, which are there a first time",
        DamageKind::OldCommands => "old commands, which the snapshots have in them",
        DamageKind::Tail => "the end of the log is no whole group",
    };
    let name = match damage.kind {
        DamageKind::Tail => "unfinished write",
        _ => "frame",
    };
    let advice = match damage.kind {
        DamageKind::Tail => TAIL_ADVICE,
        _ => DISK_ADVICE,
    };
    let (offset, bytes) = (damage.offset, damage.bytes);
    let file = damage.path.display();
    let found = format!("{bytes} bytes at {offset} of {file}: {what}");
    let place = Place {
        file: damage.path,
        offset: Some(offset),
        bytes: Some(bytes),
        records: None,
    };
    warn(name, Some(place), found, advice)
}

/// Where stored bytes may be damaged: in what the look found, and in what is not there.
struct Suspects<'a> {
    log: &'a levada_wal::Survey,
    files: BTreeMap<SegmentId, u64>,
    damage: BTreeMap<SegmentId, Vec<&'a Damage>>,
}

impl<'a> Suspects<'a> {
    fn of(log: &'a levada_wal::Survey) -> Self {
        let mut damage = BTreeMap::<_, Vec<_>>::new();
        for place in &log.damage {
            damage.entry(place.segment).or_default().push(place);
        }
        Self {
            log,
            files: log.files.iter().copied().collect(),
            damage,
        }
    }

    /// Whether no file begins where this one ends: then it may have been longer.
    fn is_cut(&self, segment: SegmentId, bytes: u64) -> bool {
        !self.files.contains_key(&SegmentId(segment.0 + bytes))
    }
}

impl Stored for Suspects<'_> {
    fn is_suspect(&self, extent: Extent) -> bool {
        let end = extent.position + u64::from(extent.length);
        let is_there = self.files.get(&extent.segment).is_some_and(|n| end <= *n);
        let mut damage = self.damage.get(&extent.segment).into_iter().flatten();
        !is_there || damage.any(|damage| overlaps(damage, extent))
    }

    fn is_segment_suspect(&self, segment: SegmentId) -> bool {
        let bytes = self.files.get(&segment);
        self.damage.contains_key(&segment) || bytes.is_none_or(|n| self.is_cut(segment, *n))
    }

    fn read(&self, extent: Extent) -> Result<Bytes, String> {
        let read = self
            .log
            .read(extent.segment, extent.position, extent.length);
        read.map_err(|error| error.to_string())
    }
}
