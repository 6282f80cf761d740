//! Opening a log: what is kept, what is cut, what is reported.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use levada_env::{Env, File};

use crate::config::WalConfig;
use crate::error::{WalError, io_error};
use crate::files::{Files, parse_file_name};
use crate::format::{BLOCK_BYTES, GroupKind};
use crate::group::CommandCopy;
use crate::seen::{Command, WalkedGroup};
use crate::tail::{QUARANTINE_DIR, cut_tail, keep};
use crate::walk::{Step, Walk};

/// A range of data that is not as it was written: whoever reads from it has to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// The file.
    pub path: PathBuf,
    /// Where in the file.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// A tail that was cut: an unfinished write, or, within milliseconds of the last acknowledgement,
/// possibly damage to it. The bytes were put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Position at which the log now ends.
    pub position: u64,
    /// How many bytes were cut.
    pub bytes: u64,
    /// Where they are now.
    pub quarantine: PathBuf,
}

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Whether the log was made now.
    pub created: bool,
    /// Whether it had been stopped cleanly.
    pub sealed: bool,
    /// Where it ends; the next append lies after it.
    pub end: u64,
    /// Commands after `replay_after`.
    pub commands: u64,
    /// Commands that were damaged and taken from their copies.
    pub commands_mended: u64,
    /// Data that is not as it was written.
    pub damaged: Vec<DamagedRange>,
    /// The tail that was cut.
    pub torn: Option<TornTail>,
}

/// What the writer goes on from.
pub(crate) struct Tail {
    pub(crate) recovered: Recovered,
    pub(crate) log_id: u64,
    pub(crate) file: u64,
    pub(crate) position: u64,
    pub(crate) handle: Option<Arc<dyn File>>,
    /// Position and header checksum of the last group.
    pub(crate) previous: (u64, u64),
    pub(crate) commands: Vec<CommandCopy>,
    /// The last group carries appends and nothing has closed it.
    pub(crate) unclosed: bool,
}

impl Tail {
    /// How long the last file is, with what was prepared of it and is not written.
    pub(crate) fn prepared_bytes(&self) -> u64 {
        let length = self.handle.as_ref().and_then(|handle| handle.len().ok());
        length.unwrap_or(0)
    }
}

/// Checks the log after `config.replay_after`, mends its end, and makes what is kept safe.
pub(crate) fn recover(
    env: &Env,
    files: &Arc<Files>,
    names: &[String],
    config: &WalConfig,
) -> Result<Tail, WalError> {
    let spans = spans_on_disk(env, files, names)?;
    let after = config.replay_after.0;
    check_start(env, files.dir(), &spans, after)?;
    for (start, bytes) in &spans {
        files.set_bytes(*start, *bytes);
    }
    let mut walk = Walk::new(files.clone(), spans.clone(), after, false);
    let mut found = Found::default();
    let (file, position) = loop {
        match walk.step()? {
            Step::Group(group) => found.group(files, &group, after),
            Step::Hole {
                file,
                from,
                to,
                header_checksum,
                commands,
            } => {
                // The group after it may be cut as torn: what is written next takes its place.
                found.last = Some((from, header_checksum));
                found.last_kind = Some(GroupKind::Frames);
                found.hole(files, file, from, to, &commands, after);
            }
            Step::End { file, position } => break (file, position),
        }
    };
    check_ends(files, &spans, found.last.is_none(), file, position, after)?;
    let torn = cut_tail(env, files, &spans, file, position)?;
    found.recovered.torn = torn;
    let handle = keep(env, files, &spans, found.synced, file, position)?;
    files.set_bytes(file, position - file);
    if handle.is_none() {
        files.forget(file);
    }
    found.recovered.end = position;
    found.recovered.created = found.last.is_none();
    let log_id = found.log_id.unwrap_or_else(|| env.random_u64());
    Ok(Tail {
        log_id,
        file,
        position,
        handle,
        previous: found.last.unwrap_or((u64::MAX, 0)),
        commands: found.last_commands,
        unclosed: found.last_kind.is_none_or(|kind| kind == GroupKind::Frames),
        recovered: found.recovered,
    })
}

#[derive(Default)]
struct Found {
    recovered: Recovered,
    log_id: Option<u64>,
    last: Option<(u64, u64)>,
    last_kind: Option<GroupKind>,
    last_commands: Vec<CommandCopy>,
    synced: u64,
}

impl Found {
    fn group(&mut self, files: &Files, group: &WalkedGroup, after: u64) {
        self.log_id = Some(group.header.log_id);
        self.last = Some((group.header.position, group.header_checksum));
        self.last_kind = Some(group.header.kind);
        self.synced = self.synced.max(group.header.synced);
        self.recovered.sealed = group.header.kind == GroupKind::Seal;
        self.recovered.commands_mended += group.mended.len() as u64;
        self.commands(&group.commands, after);
        for (offset, bytes) in &group.damaged {
            self.damage(files, group.file, *offset, *bytes);
        }
    }

    fn hole(
        &mut self,
        files: &Files,
        file: u64,
        from: u64,
        to: u64,
        commands: &[Command],
        after: u64,
    ) {
        self.recovered.commands_mended += commands.len() as u64;
        self.commands(commands, after);
        self.damage(files, file, from - file, to - from);
    }

    fn commands(&mut self, commands: &[Command], after: u64) {
        let fresh = commands
            .iter()
            .filter(|command| command.position > after)
            .count();
        self.recovered.commands += fresh as u64;
        self.last_commands = commands
            .iter()
            .map(|command| CommandCopy {
                position: command.position,
                checksum: command.checksum,
                payload_bytes: u32::try_from(command.payload.len()).unwrap_or(u32::MAX),
                pieces: vec![command.payload.clone()],
            })
            .collect();
    }

    fn damage(&mut self, files: &Files, file: u64, offset: u64, bytes: u64) {
        self.recovered.damaged.push(DamagedRange {
            path: files.path(file),
            offset,
            bytes,
        });
    }
}

fn damaged(path: &Path, reason: String) -> WalError {
    WalError::Damaged {
        path: path.to_owned(),
        reason,
    }
}

/// Files of the log: start and length on disk, in order.
pub(crate) fn spans_on_disk(
    env: &Env,
    files: &Files,
    names: &[String],
) -> Result<Vec<(u64, u64)>, WalError> {
    let mut spans = Vec::new();
    for start in names.iter().filter_map(|name| parse_file_name(name)) {
        let path = files.path(start);
        let bytes = env.fs().len(&path).map_err(io_error("measure", &path))?;
        spans.push((start, bytes));
    }
    Ok(spans)
}

/// A log that lacks what is to be replayed is refused: it must never look empty or short.
pub(crate) fn check_start(
    env: &Env,
    dir: &Path,
    spans: &[(u64, u64)],
    after: u64,
) -> Result<(), WalError> {
    match spans.first() {
        None if after > 0 => Err(damaged(
            dir,
            format!("the snapshot was taken at position {after} but there is no log file"),
        )),
        Some((start, _)) if *start > after => Err(damaged(
            dir,
            format!(
                "its first file starts at position {start} but replay has to begin at {after}: \
                 a snapshot or a log file is missing"
            ),
        )),
        None if env.fs().exists(&dir.join(QUARANTINE_DIR)) => Err(damaged(
            dir,
            "there is no log file, but a quarantine: the log has been here before".into(),
        )),
        _ => Ok(()),
    }
}

/// The log must hold what the snapshot was taken of, and begin. Its first file begins with a marker
/// written when the log was made: without it (`empty`), only a crash in that very moment is innocent.
pub(crate) fn check_ends(
    files: &Files,
    spans: &[(u64, u64)],
    empty: bool,
    file: u64,
    position: u64,
    after: u64,
) -> Result<(), WalError> {
    if position <= after && after > 0 {
        return Err(damaged(
            &files.path(file),
            format!("it ends at position {position}, but the snapshot was taken at {after}"),
        ));
    }
    let log_bytes: u64 = spans.iter().map(|(_, bytes)| *bytes).sum();
    if empty && log_bytes > BLOCK_BYTES {
        return Err(damaged(
            &files.path(position),
            format!("no valid group was found in {log_bytes} bytes"),
        ));
    }
    Ok(())
}
