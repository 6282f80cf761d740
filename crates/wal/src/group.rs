//! A group while it is filled, and the bytes it becomes.

use std::io::IoSlice;

use bytes::Bytes;

use crate::format::{
    BLOCK_BYTES, FRAME_HEADER_BYTES, FrameHeader, FrameKind, GROUP_HEADER_BYTES, GroupHeader,
    GroupKind, group_total_bytes,
};

/// Where the file of a group comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSource {
    /// It is the file of the group before.
    Same,
    /// It starts a file: a pooled one if there is one.
    New,
    /// It starts a file in the space set aside for a full disk.
    Reserve,
}

/// A frame: its stored header and its payload, shared with whoever appended it.
#[derive(Debug)]
struct Frame {
    head: [u8; FRAME_HEADER_BYTES],
    pieces: Vec<Bytes>,
}

/// A command kept until the next group has repeated it.
#[derive(Clone, Debug)]
pub(crate) struct CommandCopy {
    pub(crate) position: u64,
    pub(crate) checksum: u64,
    pub(crate) payload_bytes: u32,
    pub(crate) pieces: Vec<Bytes>,
}

/// A group that has its place in the log and waits to be written.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) kind: GroupKind,
    pub(crate) position: u64,
    /// Start position of the file it lies in.
    pub(crate) file: u64,
    pub(crate) source: FileSource,
    pub(crate) commands: Vec<CommandCopy>,
    pub(crate) payload_bytes: u64,
    incarnation: u64,
    frames: Vec<Frame>,
    frames_end: u64,
    copy_count: u32,
}

/// What a group says about the log before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub(crate) log_id: u64,
    pub(crate) synced: u64,
    pub(crate) previous_position: u64,
    pub(crate) previous_checksum: u64,
}

impl Group {
    /// An empty group that begins with copies of `commands`.
    pub(crate) fn new(
        kind: GroupKind,
        position: u64,
        file: u64,
        source: FileSource,
        incarnation: u64,
        commands: &[CommandCopy],
    ) -> Self {
        let mut group = Self {
            kind,
            position,
            file,
            source,
            commands: Vec::new(),
            payload_bytes: 0,
            incarnation,
            frames: Vec::new(),
            frames_end: GROUP_HEADER_BYTES as u64,
            copy_count: 0,
        };
        for copy in commands {
            let head = FrameHeader {
                kind: FrameKind::CommandCopy,
                payload_bytes: copy.payload_bytes,
                position: copy.position,
                checksum: copy.checksum,
            };
            group.push_frame(&head, copy.pieces.clone());
            group.copy_count += 1;
        }
        group
    }

    /// Adds a frame and gives its position in the log.
    pub(crate) fn push(
        &mut self,
        kind: FrameKind,
        payload_bytes: u32,
        checksum: u64,
        pieces: Vec<Bytes>,
    ) -> u64 {
        let position = self.position + self.frames_end;
        if kind == FrameKind::Command {
            let pieces = pieces.clone();
            self.commands.push(CommandCopy {
                position,
                checksum,
                payload_bytes,
                pieces,
            });
        }
        self.payload_bytes += u64::from(payload_bytes);
        self.push_frame(
            &FrameHeader {
                kind,
                payload_bytes,
                position,
                checksum,
            },
            pieces,
        );
        position
    }

    fn push_frame(&mut self, head: &FrameHeader, pieces: Vec<Bytes>) {
        let head_bytes = head.encode(self.incarnation, self.position);
        self.frames.push(Frame {
            head: head_bytes,
            pieces,
        });
        self.frames_end += FRAME_HEADER_BYTES as u64 + u64::from(head.payload_bytes);
    }

    /// Frames that were appended, copies left out.
    pub(crate) fn appended_count(&self) -> usize {
        self.frames.len() - self.copy_count as usize
    }

    /// Length on disk as it stands.
    pub(crate) fn total_bytes(&self) -> u64 {
        group_total_bytes(self.frames_end, self.frames.len() as u64)
    }

    /// Length on disk with one more frame of `payload_bytes`.
    pub(crate) fn total_bytes_with(&self, payload_bytes: u64) -> u64 {
        let end = self.frames_end + FRAME_HEADER_BYTES as u64 + payload_bytes;
        group_total_bytes(end, self.frames.len() as u64 + 1)
    }

    /// Position just after the group.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.total_bytes()
    }

    /// The header as it is to be written.
    pub(crate) fn header(&self, chain: Chain) -> GroupHeader {
        GroupHeader {
            kind: self.kind,
            log_id: chain.log_id,
            incarnation: self.incarnation,
            position: self.position,
            synced: chain.synced,
            previous_position: chain.previous_position,
            previous_checksum: chain.previous_checksum,
            total_bytes: self.total_bytes(),
            frames_end: self.frames_end,
            frame_count: u32::try_from(self.frames.len()).unwrap_or(u32::MAX),
            copy_count: self.copy_count,
        }
    }

    /// What follows the last frame: zeros, the table of frame headers, the footer.
    pub(crate) fn trailer(&self, head: &[u8; GROUP_HEADER_BYTES]) -> Vec<u8> {
        let table = self.frames.len() * FRAME_HEADER_BYTES;
        let used = self.frames_end + (table + GROUP_HEADER_BYTES) as u64;
        let zeros = (self.total_bytes() - used) as usize;
        debug_assert!(zeros < BLOCK_BYTES as usize);
        let mut out = Vec::with_capacity(zeros + table + GROUP_HEADER_BYTES);
        out.resize(zeros, 0);
        for frame in &self.frames {
            out.extend_from_slice(&frame.head);
        }
        out.extend_from_slice(head);
        out
    }

    /// The whole group as slices for one vectored write.
    pub(crate) fn slices<'a>(&'a self, head: &'a [u8], trailer: &'a [u8]) -> Vec<IoSlice<'a>> {
        let mut slices = Vec::with_capacity(2 + self.frames.len() * 3);
        slices.push(IoSlice::new(head));
        for frame in &self.frames {
            slices.push(IoSlice::new(&frame.head));
            slices.extend(
                frame
                    .pieces
                    .iter()
                    .filter(|p| !p.is_empty())
                    .map(|p| IoSlice::new(p)),
            );
        }
        slices.push(IoSlice::new(trailer));
        slices
    }
}
