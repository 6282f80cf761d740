//! Reading primitives from one frame. Every length is checked against what is left.

use bytes::Bytes;

use crate::types::{KStr, Uuid};

/// The longest string that Kafka's protocol carries, in bytes.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Memory that the elements of a frame's arrays may take, in bytes: this much for each frame, ...
const MEMORY_BYTES_MIN: usize = 64 * 1024;

/// ... this much for each of the frame's first bytes, which the tersest honest message needs (an
/// array of names of one letter), ...
const MEMORY_FACTOR_DENSE: usize = 16;

/// ... which are so many, ...
const DENSE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// ... and this much for each byte beyond them: so large a frame is mostly records.
const MEMORY_FACTOR: usize = 4;

/// Why bytes are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the message ends too early: {needed} more bytes are needed, {left} are left")]
    Truncated { needed: usize, left: usize },
    #[error("{0} bytes are left over after the message")]
    LeftOver(usize),
    #[error("the length or count {0} is not valid")]
    BadLength(i64),
    #[error("a variable-length integer is longer than 32 bits")]
    BadVarint,
    #[error("{0} bytes of memory for arrays are more than a frame of this size is worth")]
    TooDense(usize),
    #[error("a string is not UTF-8")]
    NotUtf8,
    #[error("field `{0}` is null, which this version does not allow")]
    UnexpectedNull(&'static str),
    #[error("a field is null, which this version does not allow")]
    Null,
}

/// A cursor over the bytes of one frame; slices of it share the frame's memory.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    position: usize,
    /// Where what is being read ends: the frame, or the tagged field that is being read.
    end: usize,
    /// How much memory elements of arrays may still take.
    memory_left: usize,
}

impl Reader {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        let end = bytes.len();
        let dense = end.min(DENSE_BYTES_MAX);
        let memory_left =
            MEMORY_BYTES_MIN + dense * MEMORY_FACTOR_DENSE + (end - dense) * MEMORY_FACTOR;
        Self {
            bytes,
            position: 0,
            end,
            memory_left,
        }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// # Errors
    /// [`WireError::LeftOver`] unless every byte has been read.
    pub fn expect_end(&self) -> Result<(), WireError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(WireError::LeftOver(left)),
        }
    }

    /// What is left, without a copy.
    pub fn rest(&self) -> Bytes {
        self.bytes.slice(self.position..self.end)
    }

    fn take(&mut self, needed: usize) -> Result<&[u8], WireError> {
        let start = self.position;
        let left = self.remaining();
        match self
            .bytes
            .get(start..self.end)
            .and_then(|tail| tail.get(..needed))
        {
            Some(taken) => {
                self.position = start + needed;
                Ok(taken)
            }
            None => Err(WireError::Truncated { needed, left }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let left = self.remaining();
        self.take(N)?
            .try_into()
            .map_err(|_| WireError::Truncated { needed: N, left })
    }

    /// The next `length` bytes as a slice that shares the frame's memory.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if fewer are left.
    pub fn slice(&mut self, length: usize) -> Result<Bytes, WireError> {
        let start = self.position;
        self.take(length)?;
        Ok(self.bytes.slice(start..start + length))
    }

    /// # Errors
    /// [`WireError::Truncated`] at the end of the frame; so for all fixed sizes.
    pub fn bool(&mut self) -> Result<bool, WireError> {
        Ok(self.i8()? != 0)
    }

    /// # Errors
    /// See [`Reader::bool`].
    pub fn i8(&mut self) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    /// # Errors
    /// See [`Reader::bool`].
    pub fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// # Errors
    /// See [`Reader::bool`].
    pub fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// # Errors
    /// See [`Reader::bool`].
    pub fn i64(&mut self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// # Errors
    /// See [`Reader::bool`].
    pub fn uuid(&mut self) -> Result<Uuid, WireError> {
        Ok(Uuid(self.array()?))
    }

    /// An unsigned integer of up to 32 bits in groups of seven, lowest first.
    ///
    /// # Errors
    /// [`WireError::BadVarint`] if it does not fit, [`WireError::Truncated`].
    pub fn uvarint(&mut self) -> Result<u32, WireError> {
        let mut value = 0u32;
        for shift in [0u32, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let group = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                return Err(WireError::BadVarint);
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::BadVarint)
    }

    /// The length of bytes or the count of an array; `None` is null.
    pub(crate) fn length(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        if flexible {
            return Ok(self.uvarint()?.checked_sub(1).map(|length| length as usize));
        }
        match self.i32()? {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| WireError::BadLength(length.into())),
        }
    }

    /// Takes memory for elements out of what this frame is worth.
    pub(crate) fn charge(&mut self, memory: usize) -> Result<(), WireError> {
        self.memory_left = self
            .memory_left
            .checked_sub(memory)
            .ok_or(WireError::TooDense(memory))?;
        Ok(())
    }

    pub(crate) fn string(&mut self, flexible: bool) -> Result<Option<KStr>, WireError> {
        let length = if flexible {
            self.length(true)?
        } else {
            match self.i16()? {
                -1 => None,
                length => {
                    Some(usize::try_from(length).map_err(|_| WireError::BadLength(length.into()))?)
                }
            }
        };
        let Some(length) = length else {
            return Ok(None);
        };
        if length > STRING_BYTES_MAX {
            return Err(WireError::BadLength(length as i64));
        }
        let bytes = self.slice(length)?;
        KStr::try_from(bytes)
            .map(Some)
            .map_err(|_| WireError::NotUtf8)
    }

    /// Reads a section of tagged fields (KIP-482): `field` tells whether it knows the tag and has
    /// read the field; else it is skipped.
    pub(crate) fn tagged(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader) -> Result<bool, WireError>,
    ) -> Result<(), WireError> {
        let count = self.uvarint()?;
        for _ in 0..count {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            let left = self.remaining();
            if size > left {
                return Err(WireError::Truncated { needed: size, left });
            }
            let end = std::mem::replace(&mut self.end, self.position + size);
            if field(tag, self)? {
                self.expect_end()?;
            }
            self.position = self.end;
            self.end = end;
        }
        Ok(())
    }

    /// Skips a section of tagged fields of which none is known.
    pub(crate) fn skip_tagged(&mut self) -> Result<(), WireError> {
        self.tagged(|_, _| Ok(false))
    }
}
