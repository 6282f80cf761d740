//! A look at a log without opening it: nothing is written, nothing is cut, everything is checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use levada_env::Env;
use levada_model::{LogPosition, SegmentId};

use crate::error::{WalError, io_error};
use crate::files::Files;
use crate::format::{FRAME_HEADER_BYTES, GroupKind};
use crate::recovery::{check_ends, check_start, spans_on_disk};
use crate::seen::{Command, WalkedGroup};
use crate::tail::{QUARANTINE_DIR, QUARANTINE_SUFFIX, used_bytes};
use crate::walk::{Step, Walk};

/// What is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// A data frame: what of it can still be read, its reader's checksums tell.
    Data,
    /// A command, which is there a second time.
    Command,
    /// Second copies of commands, which are there a first time.
    Copies,
    /// Commands that a snapshot has in it: nobody needs them any more.
    OldCommands,
    /// The end of the log, which is not a whole group: an unfinished write, or damage to the last
    /// group. Opening puts it into quarantine.
    Tail,
}

/// A damaged place in a file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub kind: DamageKind,
    pub segment: SegmentId,
    pub path: PathBuf,
    /// Where in the file.
    pub offset: u64,
    pub bytes: u64,
}

/// What the look found.
#[derive(Default)]
pub struct Survey {
    /// Why opening would be refused.
    pub refused: Option<String>,
    /// Whether the log was stopped cleanly.
    pub sealed: bool,
    pub groups: u64,
    /// Files with their sizes, in order.
    pub files: Vec<(SegmentId, u64)>,
    pub damage: Vec<Damage>,
    /// What earlier openings put into quarantine, with sizes.
    pub quarantine: Vec<(PathBuf, u64)>,
    /// The commands behind `replay_after`, up to the first that is lost.
    pub commands: Vec<(LogPosition, Bytes)>,
    reader: Option<Arc<Files>>,
}

impl Survey {
    /// Bytes of a file as they are stored, as [`crate::Wal::read`] would give them. Blocks.
    ///
    /// # Errors
    /// As there.
    pub fn read(&self, file: SegmentId, offset: u64, bytes: u32) -> Result<Bytes, WalError> {
        let reader = self.reader.as_ref().ok_or(WalError::NoSuchFile(file.0))?;
        reader.read(file.0, offset, BytesMut::zeroed(bytes as usize))
    }
}

/// Looks at the log in `dir` as an opening with `replay_after` would find it, and at what such an
/// opening does not check. `progress` is told bytes looked through and bytes in all. Blocks.
///
/// # Errors
/// [`WalError::Io`] when the folder cannot be listed.
pub fn survey(
    env: &Env,
    dir: &Path,
    replay_after: LogPosition,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Survey, WalError> {
    let mut survey = Survey::default();
    if !env.fs().exists(dir) {
        return Ok(survey);
    }
    let names = env.fs().read_dir(dir).map_err(io_error("list", dir))?;
    let files = Arc::new(Files::new(env.clone(), dir.to_owned()));
    let spans = spans_on_disk(env, &files, &names)?;
    for (start, bytes) in &spans {
        files.set_bytes(*start, *bytes);
        survey.files.push((SegmentId(*start), *bytes));
    }
    survey.reader = Some(files.clone());
    survey.quarantine = quarantine(env, dir);
    let start = check_start(env, dir, &spans, replay_after.0);
    survey.refused = start.err().map(|error| error.to_string());
    let mut look = Look {
        env,
        files,
        spans,
        after: replay_after.0,
        survey,
        progress,
    };
    look.at_old_files()?;
    look.at_replayed_files()?;
    Ok(look.survey)
}

struct Look<'a> {
    env: &'a Env,
    files: Arc<Files>,
    spans: Vec<(u64, u64)>,
    after: u64,
    survey: Survey,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Look<'_> {
    fn tell(&mut self, position: u64) {
        let done = |(start, bytes): &(u64, u64)| position.saturating_sub(*start).min(*bytes);
        let bytes = self.spans.iter().map(done).sum();
        let total = self.spans.iter().map(|(_, bytes)| bytes).sum();
        (self.progress)(bytes, total);
    }

    /// Where opening begins to look: files before it are only read from.
    fn replayed_from(&self) -> u64 {
        let index = self
            .spans
            .partition_point(|(start, _)| *start <= self.after);
        let span = self.spans.get(index.saturating_sub(1));
        span.map_or(0, |(start, _)| *start)
    }

    /// Files are missing between these, where nobody needed them any more.
    fn at_old_files(&mut self) -> Result<(), WalError> {
        let until = self.replayed_from();
        let Some((first, _)) = self.spans.first().copied() else {
            return Ok(());
        };
        let mut walk = Walk::new(self.files.clone(), self.spans.clone(), first, false);
        while walk.position() < until {
            self.tell(walk.position());
            if let Some(next) = self.gap_at(walk.position())? {
                walk.go_to(next);
                continue;
            }
            let position = walk.position();
            match walk.step() {
                Ok(Step::End { .. }) => return Ok(()),
                Ok(step) => self.note(step),
                Err(_) => {
                    if !walk.skip().unwrap_or(false) {
                        return Ok(());
                    }
                    let bytes = walk.position().min(until) - position;
                    self.damage(DamageKind::OldCommands, position, bytes);
                }
            }
        }
        Ok(())
    }

    /// The start of the next file, when nothing but missing files lies between it and `position`.
    fn gap_at(&self, position: u64) -> Result<Option<u64>, WalError> {
        let index = self.spans.partition_point(|(start, _)| *start <= position);
        let (Some((start, bytes)), Some((next, _))) = (
            self.spans.get(index.saturating_sub(1)).copied(),
            self.spans.get(index).copied(),
        ) else {
            return Ok(None);
        };
        let from = (position - start).min(bytes);
        let used = used_bytes(self.env, &self.files.path(start), from, bytes)?;
        Ok((used == 0).then_some(next))
    }

    fn at_replayed_files(&mut self) -> Result<(), WalError> {
        let mut walk = Walk::new(self.files.clone(), self.spans.clone(), self.after, false);
        loop {
            self.tell(walk.position());
            match walk.step() {
                Ok(Step::End { file, position }) => return self.end(file, position),
                Ok(step) => self.note(step),
                Err(error) => {
                    self.refuse(&error);
                    if !walk.skip().unwrap_or(false) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn refuse(&mut self, error: &WalError) {
        self.survey.refused.get_or_insert(error.to_string());
    }

    fn end(&mut self, file: u64, position: u64) -> Result<(), WalError> {
        let empty = self.survey.groups == 0;
        if let Err(error) = check_ends(&self.files, &self.spans, empty, file, position, self.after)
        {
            self.refuse(&error);
        }
        for (start, bytes) in self.spans.clone() {
            let from = position.saturating_sub(start).min(bytes);
            if start < file || from == bytes {
                continue;
            }
            let used = used_bytes(self.env, &self.files.path(start), from, bytes)?;
            if used > 0 {
                self.damage(DamageKind::Tail, start + from, used);
            }
        }
        self.tell(u64::MAX);
        Ok(())
    }

    fn note(&mut self, step: Step) {
        match step {
            Step::Group(group) => {
                self.survey.groups += 1;
                self.survey.sealed = group.header.kind == GroupKind::Seal;
                self.note_damage(&group);
                self.note_commands(group.commands);
            }
            Step::Hole {
                from, to, commands, ..
            } => {
                self.survey.groups += 1;
                self.damage(DamageKind::Data, from, to - from);
                self.note_commands(commands);
            }
            Step::End { .. } => {}
        }
    }

    fn note_damage(&mut self, group: &WalkedGroup) {
        for (offset, bytes) in &group.damaged {
            self.damage(DamageKind::Data, group.file + offset, *bytes);
        }
        for position in &group.mended {
            let mut commands = group.commands.iter();
            let command = commands.find(|command| command.position == *position);
            let payload = command.map_or(0, |command| command.payload.len());
            let bytes = (FRAME_HEADER_BYTES + payload) as u64;
            self.damage(DamageKind::Command, *position, bytes);
        }
        for position in &group.forgone {
            self.damage(
                DamageKind::OldCommands,
                *position,
                FRAME_HEADER_BYTES as u64,
            );
        }
        if group.broken_copies {
            let header = &group.header;
            self.damage(DamageKind::Copies, header.position, header.total_bytes);
        }
    }

    fn note_commands(&mut self, commands: Vec<Command>) {
        if self.survey.refused.is_some() {
            return;
        }
        let fresh = commands.into_iter().filter(|c| c.position > self.after);
        let fresh = fresh.map(|command| (LogPosition(command.position), command.payload));
        self.survey.commands.extend(fresh);
    }

    fn damage(&mut self, kind: DamageKind, position: u64, bytes: u64) {
        let index = self.spans.partition_point(|(start, _)| *start <= position);
        let span = self.spans.get(index.saturating_sub(1));
        let start = span.map_or(0, |(start, _)| *start);
        self.survey.damage.push(Damage {
            kind,
            segment: SegmentId(start),
            path: self.files.path(start),
            offset: position - start,
            bytes,
        });
    }
}

fn quarantine(env: &Env, dir: &Path) -> Vec<(PathBuf, u64)> {
    let dir = dir.join(QUARANTINE_DIR);
    let mut names = env.fs().read_dir(&dir).unwrap_or_default();
    names.retain(|name| name.ends_with(QUARANTINE_SUFFIX));
    let paths = names.into_iter().map(|name| dir.join(name));
    paths
        .map(|path| {
            let bytes = env.fs().len(&path).unwrap_or(0);
            (path, bytes)
        })
        .collect()
}
