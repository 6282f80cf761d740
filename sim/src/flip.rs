//! Flips one bit of what is stored, and says which records that may cost: those of the frame that
//! it hits, or none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use levada_env::fault::FaultFs;
use levada_env::{Fs, SeededRandom};
use levada_model::Offset;
use levada_records::{Batch, Batches};
use levada_wal::FrameKind;
use levada_wal::format::GroupHeader;
use levada_wal::format::{BLOCK_BYTES, FRAME_HEADER_BYTES, FrameHeader, GROUP_HEADER_BYTES};

use crate::history::{Answer, Cost, History, Op, Outcome, Place, RecordId, What};
use crate::world::UNIQUE_NAME;

const LOG_DIR: &str = "/data/wal";
const SNAPSHOT_DIR: &str = "/data/snapshot";
/// Most bytes that a batch may take when it is decompressed.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A stretch of a file and the records that lie in it.
struct Stretch {
    path: PathBuf,
    offset: u64,
    bytes: u64,
    records: Vec<Vec<RecordId>>,
}

/// A flip that was made.
pub struct Flip {
    pub what: String,
    pub may_cost: Vec<Cost>,
}

/// Flips a bit in a frame of records. `None`: there is no frame whose records are all known to be
/// acknowledged, and whose place in the log is beyond doubt.
pub fn flip_records(disk: &FaultFs, random: &SeededRandom, history: &History) -> Option<Flip> {
    let places = acknowledged(history);
    let mut frames = Vec::new();
    for stretch in stretches(disk, true) {
        if let Some(costs) = costs(&stretch.records, &places) {
            frames.push((stretch, costs));
        }
    }
    let index = random.below(frames.len() as u64) as usize;
    let (stretch, may_cost) = frames.into_iter().nth(index)?;
    let what = flip(disk, random, &stretch)?;
    Some(Flip { what, may_cost })
}

/// Flips a bit that must cost nothing: of a command, which stands twice, of headers and tables, or
/// of a snapshot. Only once in a run: two such flips may hit both copies.
pub fn flip_redundant(disk: &FaultFs, random: &SeededRandom) -> Option<Flip> {
    let mut all = stretches(disk, false);
    let image = disk.image(0);
    for name in image.read_dir(Path::new(SNAPSHOT_DIR)).unwrap_or_default() {
        let path = Path::new(SNAPSHOT_DIR).join(name);
        let bytes = image.len(&path).unwrap_or(0);
        let is_snapshot = path.extension().is_some_and(|end| end == "snap");
        if is_snapshot && bytes > 0 {
            all.push(Stretch {
                path,
                offset: 0,
                bytes,
                records: Vec::new(),
            });
        }
    }
    let index = random.below(all.len() as u64) as usize;
    let what = flip(disk, random, all.get(index)?)?;
    Some(Flip {
        what,
        may_cost: Vec::new(),
    })
}

fn flip(disk: &FaultFs, random: &SeededRandom, stretch: &Stretch) -> Option<String> {
    let offset = stretch.offset + random.below(stretch.bytes);
    let bit = random.below(8) as u8;
    disk.flip_bit(&stretch.path, offset, bit).ok()?;
    let path = stretch.path.display();
    Some(format!("bit {bit} of byte {offset} of {path} flipped"))
}

/// The payloads of data frames with records, or everything that is there twice, in groups that are
/// not the last: behind each lies one that is known to be synced.
fn stretches(disk: &FaultFs, data: bool) -> Vec<Stretch> {
    let image = disk.image(0);
    let mut groups = BTreeMap::new();
    for name in image.read_dir(Path::new(LOG_DIR)).unwrap_or_default() {
        let path = Path::new(LOG_DIR).join(name);
        if path.extension().is_some_and(|end| end == "log") {
            let bytes = Bytes::from(image.read(&path).unwrap_or_default());
            scan(&path, &bytes, &mut groups);
        }
    }
    let synced = groups.values().map(|(header, ..)| header.synced).max();
    let headers: Vec<GroupHeader> = groups.values().map(|(header, ..)| *header).collect();
    let mut found = Vec::new();
    for (index, (header, path, at, bytes)) in groups.values().enumerate() {
        let followed = headers.get(index + 1);
        if followed.is_some_and(|next| Some(next.end()) <= synced) {
            frames(header, path, *at, bytes, data, &mut found);
        }
    }
    found
}

type Group = (GroupHeader, PathBuf, usize, Bytes);

fn scan(path: &Path, bytes: &Bytes, groups: &mut BTreeMap<u64, Group>) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match GroupHeader::decode(rest) {
            Some((header, _)) if header.total_bytes as usize <= rest.len() => {
                let group = (header, path.to_owned(), at, bytes.clone());
                groups.insert(header.position, group);
                at += header.total_bytes as usize;
            }
            _ => at += BLOCK_BYTES as usize,
        }
    }
}

fn frames(
    header: &GroupHeader,
    path: &Path,
    at: usize,
    bytes: &Bytes,
    data: bool,
    found: &mut Vec<Stretch>,
) {
    let mut stretch = |from: usize, count: usize, records| {
        if count > 0 {
            found.push(Stretch {
                path: path.to_owned(),
                offset: from as u64,
                bytes: count as u64,
                records,
            });
        }
    };
    let mut next = at + GROUP_HEADER_BYTES;
    if !data {
        stretch(at, GROUP_HEADER_BYTES, Vec::new());
        let table = at + header.table_offset() as usize;
        stretch(table, at + header.total_bytes as usize - table, Vec::new());
    }
    for _ in 0..header.frame_count {
        let head = bytes.get(next..).unwrap_or_default();
        let Some(frame) = FrameHeader::decode(head, header.incarnation, header.position) else {
            return;
        };
        let (from, count) = (next + FRAME_HEADER_BYTES, frame.payload_bytes as usize);
        next = from + count;
        match (data, frame.kind) {
            (true, FrameKind::Data) => {
                let records = records(bytes.slice(from..next));
                stretch(from, count, records);
            }
            (false, FrameKind::Command) => stretch(from, count, Vec::new()),
            _ => {}
        }
    }
}

/// The records of each batch of a payload; nothing if it does not hold batches.
fn records(payload: Bytes) -> Vec<Vec<RecordId>> {
    let batches = Batches::new(payload).map(|batch| {
        let (_, bytes) = batch.ok()?;
        let batch = Batch::verify(&bytes, BATCH_BYTES_MAX).ok()?;
        let ids = batch.records().map(|record| {
            let value = record.ok()?.value.unwrap_or_default();
            Some(RecordId::read(&value))
        });
        ids.collect::<Option<Vec<_>>>()
    });
    batches.collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// What damage to these batches may cost; `None` if the place of one is not known.
fn costs(
    batches: &[Vec<RecordId>],
    places: &BTreeMap<RecordId, (Place, Offset)>,
) -> Option<Vec<Cost>> {
    if batches.is_empty() {
        return None;
    }
    let cost = |batch: &Vec<RecordId>| {
        let (at, from) = places.get(batch.first()?)?.clone();
        let until = from.plus(batch.len() as u64);
        Some(Cost { at, from, until })
    };
    batches.iter().map(cost).collect()
}

/// Where acknowledged records stand. A name that is used again does not tell whose they are.
fn acknowledged(history: &History) -> BTreeMap<RecordId, (Place, Offset)> {
    let mut produced = BTreeMap::new();
    let mut places = BTreeMap::new();
    for event in &history.events {
        match &event.what {
            What::Invoke {
                call,
                op: Op::Produce { at, records, .. },
                ..
            } => {
                produced.insert(*call, (at, records));
            }
            What::Return {
                call,
                outcome: Outcome::Ok(Answer::Appended { base }),
                ..
            } => {
                let Some((at, records)) = produced.get(call) else {
                    continue;
                };
                if at.topic.id.is_none() && !at.topic.name.starts_with(UNIQUE_NAME) {
                    continue;
                }
                for (index, record) in (0..).zip(records.iter()) {
                    places.insert(*record, ((*at).clone(), base.plus(index)));
                }
            }
            _ => {}
        }
    }
    places
}
