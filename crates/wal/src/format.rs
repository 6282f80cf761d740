//! The stored format of a log file, version 1. All numbers are little-endian.
//!
//! A file is a run of groups. Each starts at a multiple of [`BLOCK_BYTES`] and was written by one
//! write and made safe by one sync:
//!
//! ```text
//! header 128 | frame | frame | ... | zeros | table: copies of the frame headers | footer 128
//! frame = header 32 | payload
//! ```
//!
//! The footer repeats the header and the table repeats the frame headers, so that one flipped bit
//! never hides more than the payload it hits. A group begins with copies of the commands of the
//! group before it ([`FrameKind::CommandCopy`]): once a later group is there, each command exists
//! twice. Because a group fills whole blocks, a torn write never touches an earlier group.

use crc_fast::{CrcAlgorithm, Digest};

/// Groups start and end at multiples of this: no device tears across it into a neighbour.
pub const BLOCK_BYTES: u64 = 4096;
/// Size of a group's header and of its footer.
pub const GROUP_HEADER_BYTES: usize = 128;
/// Size of a frame's header and of its entry in the table.
pub const FRAME_HEADER_BYTES: usize = 32;
/// First bytes of every group: a name and the version of the format.
pub const MAGIC: [u8; 8] = *b"LVDAWAL\x01";

const _: () = assert!(GROUP_HEADER_BYTES * 2 + FRAME_HEADER_BYTES * 2 <= BLOCK_BYTES as usize);

/// What a frame holds. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Bytes that are read back by their place.
    Data = 1,
    /// A command, replayed in order.
    Command = 2,
    /// A second copy of a command of the group before.
    CommandCopy = 3,
}

impl FrameKind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Data),
            2 => Some(Self::Command),
            3 => Some(Self::CommandCopy),
            _ => None,
        }
    }
}

/// Why a group was written. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GroupKind {
    /// It carries appends.
    Frames = 1,
    /// It closes the group before it while the log is idle.
    Marker = 2,
    /// The log was stopped cleanly after it.
    Seal = 3,
}

impl GroupKind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Frames),
            2 => Some(Self::Marker),
            3 => Some(Self::Seal),
            _ => None,
        }
    }
}

/// A group's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// Why it was written.
    pub kind: GroupKind,
    /// The log it belongs to: random, made once.
    pub log_id: u64,
    /// Random, made at each opening and after each full disk: tells leftovers from the log.
    pub incarnation: u64,
    /// Byte position of the group in the log; the file's start plus the offset in the file.
    pub position: u64,
    /// Everything below was on stable storage when this group was written.
    pub synced: u64,
    /// Position of the group before, or `u64::MAX` for the very first.
    pub previous_position: u64,
    /// Checksum of the header of the group before: groups form a chain.
    pub previous_checksum: u64,
    /// Length with footer, a multiple of [`BLOCK_BYTES`].
    pub total_bytes: u64,
    /// Bytes from the start of the group to the end of its last frame.
    pub frames_end: u64,
    /// Frames, copies included.
    pub frame_count: u32,
    /// How many of the first frames are copies of commands of the group before.
    pub copy_count: u32,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it holds.
    pub kind: FrameKind,
    /// Bytes of payload.
    pub payload_bytes: u32,
    /// Position of the frame in the log; for a copy, that of the original.
    pub position: u64,
    /// CRC-64/NVME of the payload.
    pub checksum: u64,
}

/// Checksum over the pieces of one payload.
#[must_use]
pub fn checksum<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    for piece in pieces {
        digest.update(piece);
    }
    digest.finalize()
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

impl GroupHeader {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> [u8; GROUP_HEADER_BYTES] {
        let mut out = [0; GROUP_HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8] = self.kind as u8;
        for (at, value) in [
            (16, self.log_id),
            (24, self.incarnation),
            (32, self.position),
            (40, self.synced),
            (48, self.previous_position),
            (56, self.previous_checksum),
            (64, self.total_bytes),
            (72, self.frames_end),
        ] {
            out[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        out[80..84].copy_from_slice(&self.frame_count.to_le_bytes());
        out[84..88].copy_from_slice(&self.copy_count.to_le_bytes());
        let sum = checksum([&out[..120]]);
        out[120..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads a stored header with its checksum; `None` when it is not one, or not a sound one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, u64)> {
        let bytes = bytes.get(..GROUP_HEADER_BYTES)?;
        let sum = read_u64(bytes, 120)?;
        if bytes[..8] != MAGIC || checksum([&bytes[..120]]) != sum {
            return None;
        }
        let header = Self {
            kind: GroupKind::of(bytes[8])?,
            log_id: read_u64(bytes, 16)?,
            incarnation: read_u64(bytes, 24)?,
            position: read_u64(bytes, 32)?,
            synced: read_u64(bytes, 40)?,
            previous_position: read_u64(bytes, 48)?,
            previous_checksum: read_u64(bytes, 56)?,
            total_bytes: read_u64(bytes, 64)?,
            frames_end: read_u64(bytes, 72)?,
            frame_count: read_u32(bytes, 80)?,
            copy_count: read_u32(bytes, 84)?,
        };
        header.is_coherent().then_some((header, sum))
    }

    /// The numbers fit each other: whoever holds such a header may compute with it.
    fn is_coherent(&self) -> bool {
        let table = u64::from(self.frame_count) * FRAME_HEADER_BYTES as u64;
        let header = GROUP_HEADER_BYTES as u64;
        self.total_bytes.is_multiple_of(BLOCK_BYTES)
            && self.position.is_multiple_of(BLOCK_BYTES)
            && self.position.checked_add(self.total_bytes).is_some()
            && self.frames_end >= header + table
            && self
                .frames_end
                .checked_add(table + header)
                .is_some_and(|n| n <= self.total_bytes)
            && self.copy_count <= self.frame_count
            && self.synced <= self.position
    }

    /// Position just after the group.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.position + self.total_bytes
    }

    /// Where in the group the table of frame headers starts.
    #[must_use]
    pub fn table_offset(&self) -> u64 {
        let table = u64::from(self.frame_count) * FRAME_HEADER_BYTES as u64;
        self.total_bytes - GROUP_HEADER_BYTES as u64 - table
    }
}

/// Length of a group whose frames end `frames_end` bytes in.
#[must_use]
pub fn group_total_bytes(frames_end: u64, frame_count: u64) -> u64 {
    (frames_end + frame_count * FRAME_HEADER_BYTES as u64 + GROUP_HEADER_BYTES as u64)
        .next_multiple_of(BLOCK_BYTES)
}

impl FrameHeader {
    /// The stored form. Its checksum is bound to the group, so that a leftover of another group
    /// at the same place is never taken for this frame.
    #[must_use]
    pub fn encode(&self, incarnation: u64, group: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[0] = self.kind as u8;
        out[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[8..16].copy_from_slice(&self.position.to_le_bytes());
        out[16..24].copy_from_slice(&self.checksum.to_le_bytes());
        let sum = bound_checksum(incarnation, group, &out[..24]);
        out[24..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads a stored frame header of the group at `group`; `None` when it is not a sound one.
    #[must_use]
    pub fn decode(bytes: &[u8], incarnation: u64, group: u64) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        if bound_checksum(incarnation, group, &bytes[..24]) != read_u64(bytes, 24)? {
            return None;
        }
        Some(Self {
            kind: FrameKind::of(bytes[0])?,
            payload_bytes: read_u32(bytes, 4)?,
            position: read_u64(bytes, 8)?,
            checksum: read_u64(bytes, 16)?,
        })
    }
}

fn bound_checksum(incarnation: u64, group: u64, bytes: &[u8]) -> u64 {
    checksum([
        &incarnation.to_le_bytes()[..],
        &group.to_le_bytes()[..],
        bytes,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(position: u64, blocks: u64, frames: u32, copies: u32) -> GroupHeader {
        let total_bytes = blocks * BLOCK_BYTES;
        GroupHeader {
            kind: GroupKind::Frames,
            log_id: 7,
            incarnation: 9,
            position: position * BLOCK_BYTES,
            synced: position * BLOCK_BYTES,
            previous_position: u64::MAX,
            previous_checksum: 3,
            total_bytes,
            frames_end: 128 + u64::from(frames) * 40,
            frame_count: frames,
            copy_count: copies,
        }
    }

    proptest! {
        #[test]
        fn a_group_header_comes_back(p in 0u64..1 << 40, blocks in 1u64..100, frames in 0u32..40) {
            let header = header(p, blocks, frames, frames / 2);
            prop_assert_eq!(GroupHeader::decode(&header.encode()).map(|d| d.0), Some(header));
        }

        #[test]
        fn a_frame_header_comes_back_only_in_its_own_group(position: u64, n: u32, sum: u64, other: u64) {
            let frame = FrameHeader { kind: FrameKind::Data, payload_bytes: n, position, checksum: sum };
            let bytes = frame.encode(5, 4096);
            prop_assert_eq!(FrameHeader::decode(&bytes, 5, 4096), Some(frame));
            if other != 5 {
                prop_assert_eq!(FrameHeader::decode(&bytes, other, 4096), None);
            }
        }

        #[test]
        fn any_flipped_bit_is_seen(bit in 0usize..GROUP_HEADER_BYTES * 8) {
            let mut bytes = header(3, 2, 4, 1).encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(GroupHeader::decode(&bytes).is_none());
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = GroupHeader::decode(&bytes);
            let _ = FrameHeader::decode(&bytes, 1, 2);
        }

        #[test]
        fn a_sound_checksum_over_wild_numbers_never_panics(words: [u64; 9], counts: [u32; 2]) {
            let mut bytes = [0u8; GROUP_HEADER_BYTES];
            bytes[..8].copy_from_slice(&MAGIC);
            bytes[8] = 1;
            for (i, word) in words.iter().enumerate() {
                bytes[16 + i * 8..24 + i * 8].copy_from_slice(&word.to_le_bytes());
            }
            bytes[80..84].copy_from_slice(&counts[0].to_le_bytes());
            bytes[84..88].copy_from_slice(&counts[1].to_le_bytes());
            let sum = checksum([&bytes[..120]]);
            bytes[120..].copy_from_slice(&sum.to_le_bytes());
            if let Some((header, _)) = GroupHeader::decode(&bytes) {
                prop_assert!(header.table_offset() >= header.frames_end);
            }
        }
    }
}
