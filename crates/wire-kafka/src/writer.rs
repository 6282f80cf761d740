//! Writing a frame: small fields are gathered in one buffer, large bytes go in by reference.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::reader::STRING_BYTES_MAX;
use crate::types::Uuid;

/// From this length on, bytes are referred to instead of copied.
pub const REFERENCE_BYTES_MIN: usize = 256;

/// The size that stands before each frame on a connection, in bytes.
pub const FRAME_SIZE_BYTES: usize = 4;

/// Collects the parts of one frame.
#[derive(Debug, Default)]
pub struct Writer {
    small: BytesMut,
    /// Large pieces, each with the place in `small` before which it belongs.
    large: Vec<(usize, Bytes)>,
    large_bytes: usize,
    framed: bool,
}

impl Writer {
    /// A writer of bare bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer whose result begins with the frame's size as Kafka's connections want it.
    pub fn framed() -> Self {
        let mut writer = Self {
            framed: true,
            ..Self::default()
        };
        writer.small.reserve(128);
        writer.small.put_i32(0);
        writer
    }

    /// Bytes written so far, a frame's size included.
    pub fn len(&self) -> usize {
        self.small.len() + self.large_bytes
    }

    /// Takes room for so many more small bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.small.reserve(bytes);
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame; with [`Writer::framed`] its size is filled in. A frame must stay under 2 GiB,
    /// which whoever gathers records has to see to.
    pub fn finish(mut self) -> Frame {
        if self.framed {
            let size = i32::try_from(self.len() - FRAME_SIZE_BYTES).unwrap_or(i32::MAX);
            if let Some(head) = self.small.get_mut(..FRAME_SIZE_BYTES) {
                head.copy_from_slice(&size.to_be_bytes());
            }
        }
        let length = self.len();
        let mut small = self.small.freeze();
        let mut pieces = VecDeque::with_capacity(self.large.len() * 2 + 1);
        let mut cut = 0;
        for (place, piece) in self.large {
            if place > cut {
                pieces.push_back(small.split_to(place - cut));
                cut = place;
            }
            pieces.push_back(piece);
        }
        if !small.is_empty() {
            pieces.push_back(small);
        }
        Frame {
            pieces,
            remaining: length,
        }
    }

    /// One byte: 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.small.put_u8(value.into());
    }

    /// One byte.
    pub fn i8(&mut self, value: i8) {
        self.small.put_i8(value);
    }

    /// Two bytes, the highest first.
    pub fn i16(&mut self, value: i16) {
        self.small.put_i16(value);
    }

    /// Four bytes, the highest first.
    pub fn i32(&mut self, value: i32) {
        self.small.put_i32(value);
    }

    /// Eight bytes, the highest first.
    pub fn i64(&mut self, value: i64) {
        self.small.put_i64(value);
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.small.put_slice(&value.0);
    }

    /// An unsigned integer in groups of seven bits, lowest first.
    pub fn uvarint(&mut self, mut value: u32) {
        while value > 0x7f {
            self.small.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.small.put_u8(value as u8);
    }

    /// Raw bytes: copied when short, referred to when long.
    pub fn raw(&mut self, piece: &Bytes) {
        if piece.len() < REFERENCE_BYTES_MIN {
            self.small.put_slice(piece);
        } else {
            self.large.push((self.small.len(), piece.clone()));
            self.large_bytes += piece.len();
        }
    }

    /// The length of bytes or the count of an array; `None` is null.
    pub(crate) fn length(&mut self, length: Option<usize>, flexible: bool) {
        if flexible {
            self.uvarint(length.map_or(0, |length| wire_u32(length).saturating_add(1)));
        } else {
            self.i32(length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX)));
        }
    }

    /// A string; what is longer than Kafka allows is cut at a character.
    pub(crate) fn string(&mut self, value: Option<&str>, flexible: bool) {
        let value = value.map(|text| &text[..text.floor_char_boundary(STRING_BYTES_MAX)]);
        if flexible {
            self.length(value.map(str::len), true);
        } else {
            self.i16(value.map_or(-1, |text| text.len() as i16));
        }
        self.small.put_slice(value.unwrap_or_default().as_bytes());
    }

    /// One tagged field (KIP-482) whose content `write` writes.
    pub(crate) fn tagged(&mut self, tag: u32, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::new();
        write(&mut inner);
        self.uvarint(tag);
        self.uvarint(wire_u32(inner.len()));
        for piece in inner.finish().pieces {
            self.raw(&piece);
        }
    }
}

fn wire_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A finished frame: pieces to be written one after the other, best by a vectored write, for
/// which it is a [`Buf`].
#[derive(Clone, Debug, Default)]
pub struct Frame {
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl Frame {
    /// The pieces that are still to be written.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// All of it in one piece; copies if there are several.
    pub fn into_bytes(mut self) -> Bytes {
        self.copy_to_bytes(self.remaining)
    }
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the frame's end");
        self.remaining -= count;
        while let Some(piece) = self.pieces.front_mut() {
            if piece.len() > count {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        assert!(length <= self.remaining, "copied past the frame's end");
        match self.pieces.front_mut() {
            Some(piece) if piece.len() == length => {
                self.remaining -= length;
                self.pieces.pop_front().unwrap_or_default()
            }
            _ => {
                let mut joined = BytesMut::with_capacity(length);
                joined.put(self.take(length));
                joined.freeze()
            }
        }
    }
}
