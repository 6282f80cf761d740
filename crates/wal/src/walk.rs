//! Reads a log group by group, tells a torn tail from damage, and mends commands from their copies.

use std::sync::Arc;

use bytes::BytesMut;
use levada_env::File;

use crate::error::{WalError, io_error};
use crate::files::Files;
use crate::format::{
    BLOCK_BYTES, FRAME_HEADER_BYTES, FrameHeader, FrameKind, GROUP_HEADER_BYTES, GroupHeader,
    checksum,
};
use crate::search::{footer, head, search};
use crate::seen::{Command, Seen, WalkedGroup, mend};

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
        /// Checksum of its header, as the group after it knew it.
        header_checksum: u64,
        commands: Vec<Command>,
    },
    /// The log ends here: start of the file, position.
    End {
        file: u64,
        position: u64,
    },
}

/// Where a group should be: its position, and position and checksum of the one before it, if known.
type Place = (u64, Option<(u64, u64)>);

/// A walk over the files in `spans`.
pub(crate) struct Walk {
    files: Arc<Files>,
    /// Start and length on disk, in order.
    spans: Vec<(u64, u64)>,
    index: usize,
    position: u64,
    previous: Option<(u64, u64)>,
    /// Commands up to here are not needed.
    after: u64,
    /// Skip the payloads of data.
    commands_only: bool,
    /// Every log group carries this id; learnt from the first group.
    log_id: Option<u64>,
}

impl Walk {
    /// Starts at the file that holds `after`: the commands behind it are needed.
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
            after,
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
        let place = (self.position, self.previous);
        let seen = match self.read_header(&*file, (start, len), place)? {
            Some((header, sum)) => Some(self.read_frames(&*file, start, header, sum)?),
            None => None,
        };
        match seen {
            Some(seen) if seen.is_sound() => {
                self.advance(&seen.header, seen.header_checksum);
                Ok(Step::Group(seen.into_group(start)))
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
        let seen = match seen {
            Some(seen) if !seen.needs_copies(self.after) => {
                self.advance(&seen.header, seen.header_checksum);
                return Ok(Step::Group(seen.into_group(start)));
            }
            seen => seen,
        };
        let next = match &seen {
            _ if next.header.previous_position == position => Some(next),
            Some(seen) => self.group_after(seen)?,
            None => None,
        };
        let Some(next) = next else {
            return Err(lost(
                "the group after it is missing, so that its commands are lost",
            ));
        };
        let Some(seen) = seen else {
            if next.broken_copies {
                return Err(lost("the copies of its commands are damaged too"));
            }
            self.go_to(next.header.position);
            return Ok(Step::Hole {
                file: start,
                from: position,
                to: self.position,
                header_checksum: next.header.previous_checksum,
                commands: next.copies,
            });
        };
        let (header, sum) = (seen.header, seen.header_checksum);
        let group = mend(seen, &next, start, self.after).map_err(lost)?;
        self.advance(&header, sum);
        Ok(Step::Group(group))
    }

    /// Goes on at the group that starts at `position`, whatever was before it.
    pub(crate) fn go_to(&mut self, position: u64) {
        self.index = self.span_of(position);
        self.position = position;
        self.previous = None;
    }

    /// The file that holds `position`.
    fn span_of(&self, position: u64) -> usize {
        let after = self.spans.partition_point(|(s, _)| *s <= position);
        after.saturating_sub(1)
    }

    /// The group right behind one whose end is known, though its own header may be damaged.
    fn group_after(&self, seen: &Seen) -> Result<Option<Seen>, WalError> {
        let position = seen.header.end();
        let Some((start, len)) = self.spans.get(self.span_of(position)).copied() else {
            return Ok(None);
        };
        let file = self.files.handle(start)?;
        let previous = Some((seen.header.position, seen.header_checksum));
        match self.read_header(&*file, (start, len), (position, previous))? {
            Some((header, sum)) => self.read_frames(&*file, start, header, sum).map(Some),
            None => Ok(None),
        }
    }

    /// Steps over what [`Walk::step`] refused, to the next group that can be read; false when
    /// there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn skip(&mut self) -> Result<bool, WalError> {
        match self.find_group(self.position + BLOCK_BYTES, self.position)? {
            Some(next) => {
                self.go_to(next.header.position);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Where the next step begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The header at a position with the group before it, or its second copy at the end of the
    /// group.
    fn read_header(
        &self,
        file: &dyn File,
        (start, len): (u64, u64),
        place: Place,
    ) -> Result<Option<(GroupHeader, u64)>, WalError> {
        let position = place.0;
        let offset = position - start;
        let mut head = [0; GROUP_HEADER_BYTES];
        if offset + BLOCK_BYTES > len {
            return Ok(None);
        }
        self.read(file, start, &mut head, offset)?;
        let accepts = |header: &GroupHeader| self.accepts(header, start, len, place);
        if let Some((header, sum)) = GroupHeader::decode(&head) {
            return Ok(accepts(&header).then_some((header, sum)));
        }
        // Nothing was ever written here, or the first block of a group was lost with its head: in
        // both cases the search for a footer finds what there is to find.
        let read = |buffer: &mut [u8], at| self.read(file, start, buffer, at);
        let found = search(read, start, offset + BLOCK_BYTES, len, |bytes, at, end| {
            footer(bytes, at, end).filter(|(header, _)| header.position == position)
        })?;
        Ok(found.filter(|(header, _)| accepts(header)))
    }

    fn accepts(&self, header: &GroupHeader, start: u64, len: u64, place: Place) -> bool {
        let chained = place.1.is_none_or(|(position, sum)| {
            header.previous_position == position && header.previous_checksum == sum
        });
        header.position == place.0
            && header.end() - start <= len
            && self.log_id.is_none_or(|id| id == header.log_id)
            && chained
    }

    /// The first group from position `from` on that proves everything up to and beyond `proven`
    /// to have been synced.
    fn find_group(&self, from: u64, proven: u64) -> Result<Option<Seen>, WalError> {
        for (start, len) in self.spans.iter().skip(self.index).copied() {
            let file = self.files.handle(start)?;
            let first = from.max(start) - start;
            let read = |buffer: &mut [u8], at| self.read(&*file, start, buffer, at);
            let found = search(read, start, first, len, |bytes, at, position| {
                let fits = |(header, _): &(GroupHeader, u64)| {
                    header.position >= from.max(start)
                        && header.end() - start <= len
                        && self.log_id.is_none_or(|id| id == header.log_id)
                        && header.synced > proven
                };
                // The end of a group whose head is damaged comes before the next one's head.
                let ends = footer(bytes, at, position).filter(fits);
                ends.or_else(|| head(bytes, at, position).filter(fits))
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
