//! Reads a log group by group, tells a torn tail from damage, and mends commands from their copies.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use levada_env::File;

use crate::error::{WalError, io_error};
use crate::files::Files;
use crate::format::{
    BLOCK_BYTES, FRAME_HEADER_BYTES, FrameHeader, FrameKind, GROUP_HEADER_BYTES, GroupHeader,
    checksum,
};

/// Bytes looked through at once in the search for a header.
const SEARCH_CHUNK_BYTES: usize = 1 << 20;

/// A command with its position.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) position: u64,
    pub(crate) checksum: u64,
    pub(crate) payload: Bytes,
}

/// A sound group, or one whose damage is known exactly.
#[derive(Debug)]
pub(crate) struct WalkedGroup {
    pub(crate) header: GroupHeader,
    pub(crate) header_checksum: u64,
    /// Start of its file.
    pub(crate) file: u64,
    /// In order; mended where needed.
    pub(crate) commands: Vec<Command>,
    /// Damaged ranges of data: offset in the file and length.
    pub(crate) damaged: Vec<(u64, u64)>,
    /// Commands taken from their copies.
    pub(crate) mended: u64,
}

/// What the next step of a walk found.
#[derive(Debug)]
pub(crate) enum Step {
    Group(WalkedGroup),
    /// A group that cannot be read at all, but whose commands all have copies: `from..to` is data
    /// that is lost.
    Hole {
        file: u64,
        from: u64,
        to: u64,
        commands: Vec<Command>,
    },
    /// The log ends here: start of the file, position.
    End {
        file: u64,
        position: u64,
    },
}

/// A group as it lies on disk.
struct Seen {
    header: GroupHeader,
    header_checksum: u64,
    commands: Vec<Command>,
    copies: Vec<Command>,
    /// Positions of commands whose payload is damaged.
    broken_commands: Vec<u64>,
    broken_data: Vec<(u64, u64)>,
    broken_copies: bool,
    /// From here on, frames could not even be told apart: position.
    unresolved: Option<u64>,
}

impl Seen {
    fn is_sound(&self) -> bool {
        self.broken_commands.is_empty()
            && self.broken_data.is_empty()
            && !self.broken_copies
            && self.unresolved.is_none()
    }
}

/// A walk over the files in `spans`.
pub(crate) struct Walk {
    files: Arc<Files>,
    /// Start and length on disk, in order.
    spans: Vec<(u64, u64)>,
    index: usize,
    position: u64,
    previous: Option<(u64, u64)>,
    /// Skip the payloads of data.
    commands_only: bool,
    /// Every log group carries this id; learnt from the first group.
    log_id: Option<u64>,
}

impl Walk {
    /// Starts at the file that holds `after`.
    pub(crate) fn new(
        files: Arc<Files>,
        spans: Vec<(u64, u64)>,
        after: u64,
        commands_only: bool,
    ) -> Self {
        let index = spans
            .partition_point(|(start, _)| *start <= after)
            .saturating_sub(1);
        let position = spans.get(index).map_or(0, |(start, _)| *start);
        Self {
            files,
            spans,
            index,
            position,
            previous: None,
            commands_only,
            log_id: None,
        }
    }

    fn span(&self) -> Option<(u64, u64)> {
        self.spans.get(self.index).copied()
    }

    /// The next group, hole or the end.
    ///
    /// # Errors
    /// When the log is damaged beyond mending, or cannot be read.
    pub(crate) fn step(&mut self) -> Result<Step, WalError> {
        if let Some((next, _)) = self.spans.get(self.index + 1)
            && *next == self.position
        {
            self.index += 1;
        }
        let Some((start, len)) = self.span() else {
            return Ok(Step::End {
                file: 0,
                position: 0,
            });
        };
        let file = self.files.handle(start)?;
        let seen = match self.read_header(&*file, start, len)? {
            Some((header, sum)) => Some(self.read_frames(&*file, start, header, sum)?),
            None => None,
        };
        match seen {
            Some(seen) if seen.is_sound() => {
                self.advance(&seen.header, seen.header_checksum);
                Ok(Step::Group(WalkedGroup {
                    header: seen.header,
                    header_checksum: seen.header_checksum,
                    file: start,
                    commands: seen.commands,
                    damaged: Vec::new(),
                    mended: 0,
                }))
            }
            seen => self.step_over_damage(start, seen),
        }
    }

    fn advance(&mut self, header: &GroupHeader, sum: u64) {
        self.log_id = Some(header.log_id);
        self.previous = Some((header.position, sum));
        self.position = header.end();
    }

    /// Damage, or the end of the log: a later group that knew this one to be synced decides.
    fn step_over_damage(&mut self, start: u64, seen: Option<Seen>) -> Result<Step, WalError> {
        let position = self.position;
        let from = seen
            .as_ref()
            .map_or(position + BLOCK_BYTES, |seen| seen.header.end());
        let Some(next) = self.find_group(from, position)? else {
            return Ok(Step::End {
                file: start,
                position,
            });
        };
        let lost = |reason: &str| WalError::Damaged {
            path: self.files.path(start),
            reason: format!(
                "the group at {} (position {position}) is damaged although it was safely written, \
                 and {reason}",
                position - start
            ),
        };
        if next.header.previous_position != position {
            return Err(lost(
                "the group after it is missing, so that its commands are lost",
            ));
        }
        let Some(seen) = seen else {
            if next.broken_copies {
                return Err(lost("the copies of its commands are damaged too"));
            }
            let to = next.header.position;
            self.index = self
                .spans
                .partition_point(|(s, _)| *s <= to)
                .saturating_sub(1);
            self.position = to;
            self.previous = None;
            return Ok(Step::Hole {
                file: start,
                from: position,
                to,
                commands: next.copies,
            });
        };
        let group = mend(&seen, &next, start).map_err(lost)?;
        self.advance(&seen.header, seen.header_checksum);
        Ok(Step::Group(group))
    }

    /// The header at the present position, or its second copy at the end of the group.
    fn read_header(
        &self,
        file: &dyn File,
        start: u64,
        len: u64,
    ) -> Result<Option<(GroupHeader, u64)>, WalError> {
        let offset = self.position - start;
        let mut head = [0; GROUP_HEADER_BYTES];
        if offset + BLOCK_BYTES > len {
            return Ok(None);
        }
        self.read(file, start, &mut head, offset)?;
        if let Some((header, sum)) = GroupHeader::decode(&head) {
            return Ok(self.accepts(&header, start, len).then_some((header, sum)));
        }
        if head == [0; GROUP_HEADER_BYTES] {
            // Nothing was ever written here, or the first block of a group was lost with its head:
            // in both cases the search for a footer below finds what there is to find.
            tracing::trace!(position = self.position, "no group");
        }
        let found = self.search(file, start, offset + BLOCK_BYTES, len, |bytes, at| {
            let footer = at
                .checked_sub(GROUP_HEADER_BYTES)
                .and_then(|from| bytes.get(from..at))?;
            let (header, sum) = GroupHeader::decode(footer)?;
            (header.position == self.position).then_some((header, sum))
        })?;
        Ok(found.filter(|(header, _)| self.accepts(header, start, len)))
    }

    fn accepts(&self, header: &GroupHeader, start: u64, len: u64) -> bool {
        let chained = self.previous.is_none_or(|(position, sum)| {
            header.previous_position == position && header.previous_checksum == sum
        });
        header.position == self.position
            && header.end() - start <= len
            && self.log_id.is_none_or(|id| id == header.log_id)
            && chained
    }

    /// Calls `look` with a window and each block boundary in it (as an index into the window)
    /// between `from` and `to`. The window reaches one header further to both sides.
    fn search<T>(
        &self,
        file: &dyn File,
        start: u64,
        from: u64,
        to: u64,
        look: impl Fn(&[u8], usize) -> Option<T>,
    ) -> Result<Option<T>, WalError> {
        let margin = GROUP_HEADER_BYTES as u64;
        let mut at = from;
        let mut window = Vec::new();
        while at <= to {
            let base = at.saturating_sub(margin);
            let end = (at + SEARCH_CHUNK_BYTES as u64 + margin).min(to);
            window.resize(end.saturating_sub(base) as usize, 0);
            self.read(file, start, &mut window, base)?;
            let chunk_end = (at + SEARCH_CHUNK_BYTES as u64).min(to + 1);
            while at < chunk_end {
                if let Some(found) = look(&window, (at - base) as usize) {
                    return Ok(Some(found));
                }
                at += BLOCK_BYTES;
            }
        }
        Ok(None)
    }

    /// The first group from position `from` on that proves everything up to and beyond `proven`
    /// to have been synced.
    fn find_group(&self, from: u64, proven: u64) -> Result<Option<Seen>, WalError> {
        for (start, len) in self.spans.iter().skip(self.index).copied() {
            let file = self.files.handle(start)?;
            let first = from.max(start) - start;
            let found = self.search(&*file, start, first, len, |bytes, at| {
                let (header, sum) = GroupHeader::decode(bytes.get(at..)?)?;
                let fits = header.position >= from.max(start)
                    && (header.position - start).is_multiple_of(BLOCK_BYTES)
                    && header.end() - start <= len;
                let ours = self.log_id.is_none_or(|id| id == header.log_id);
                (fits && ours && header.synced > proven).then_some((header, sum))
            })?;
            if let Some((header, sum)) = found {
                return self.read_frames(&*file, start, header, sum).map(Some);
            }
        }
        Ok(None)
    }

    fn read_frames(
        &self,
        file: &dyn File,
        start: u64,
        header: GroupHeader,
        header_checksum: u64,
    ) -> Result<Seen, WalError> {
        let base = header.position - start;
        let table_bytes = header.frame_count as usize * FRAME_HEADER_BYTES;
        let mut table = vec![0; table_bytes];
        self.read(file, start, &mut table, base + header.table_offset())?;
        let mut seen = Seen {
            header,
            header_checksum,
            commands: Vec::new(),
            copies: Vec::new(),
            broken_commands: Vec::new(),
            broken_data: Vec::new(),
            broken_copies: false,
            unresolved: None,
        };
        let mut at = GROUP_HEADER_BYTES as u64;
        for entry in table.chunks_exact(FRAME_HEADER_BYTES) {
            let mut head = [0; FRAME_HEADER_BYTES];
            self.read(file, start, &mut head, base + at)?;
            let (incarnation, group) = (header.incarnation, header.position);
            let own = FrameHeader::decode(&head, incarnation, group);
            let frame = own.or_else(|| FrameHeader::decode(entry, incarnation, group));
            let payload_at = at + FRAME_HEADER_BYTES as u64;
            let Some(frame) =
                frame.filter(|f| payload_at + u64::from(f.payload_bytes) <= header.frames_end)
            else {
                seen.unresolved = Some(header.position + at);
                break;
            };
            self.read_payload(file, start, &frame, base + payload_at, &mut seen)?;
            at = payload_at + u64::from(frame.payload_bytes);
        }
        Ok(seen)
    }

    fn read_payload(
        &self,
        file: &dyn File,
        start: u64,
        frame: &FrameHeader,
        offset: u64,
        seen: &mut Seen,
    ) -> Result<(), WalError> {
        if frame.kind == FrameKind::Data && self.commands_only {
            return Ok(());
        }
        let mut payload = BytesMut::zeroed(frame.payload_bytes as usize);
        self.read(file, start, &mut payload, offset)?;
        let sound = checksum([&payload[..]]) == frame.checksum;
        let command = || Command {
            position: frame.position,
            checksum: frame.checksum,
            payload: payload.freeze(),
        };
        match (frame.kind, sound) {
            (FrameKind::Data, true) => {}
            (FrameKind::Data, false) => {
                seen.broken_data
                    .push((offset, u64::from(frame.payload_bytes)));
            }
            (FrameKind::Command, true) => seen.commands.push(command()),
            (FrameKind::Command, false) => seen.broken_commands.push(frame.position),
            (FrameKind::CommandCopy, true) => seen.copies.push(command()),
            (FrameKind::CommandCopy, false) => seen.broken_copies = true,
        }
        Ok(())
    }

    fn read(
        &self,
        file: &dyn File,
        start: u64,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), WalError> {
        file.read_exact_at(buffer, offset)
            .map_err(io_error("read", &self.files.path(start)))
    }
}

/// A damaged group with its commands taken from the copies in the group after it.
fn mend(seen: &Seen, next: &Seen, start: u64) -> Result<WalkedGroup, &'static str> {
    let mut commands = seen.commands.clone();
    let mut damaged = seen.broken_data.clone();
    let mut mended = 0;
    if let Some(from) = seen.unresolved {
        if next.broken_copies || next.header.previous_position != seen.header.position {
            return Err("what remains of it cannot be told apart, nor do copies tell");
        }
        let end = seen.header.position + seen.header.frames_end;
        damaged.push((from - start, end - from));
    }
    for copy in &next.copies {
        let lost = seen.broken_commands.contains(&copy.position)
            || seen.unresolved.is_some_and(|from| copy.position >= from);
        if lost {
            commands.push(copy.clone());
            mended += 1;
        }
    }
    commands.sort_by_key(|command| command.position);
    let has = |p: &u64| commands.iter().any(|command| command.position == *p);
    if !seen.broken_commands.iter().all(has) {
        return Err("both copies of one of its commands are damaged");
    }
    Ok(WalkedGroup {
        header: seen.header,
        header_checksum: seen.header_checksum,
        file: start,
        commands,
        damaged,
        mended,
    })
}
