//! Reading what is stored.

use bytes::{Bytes, BytesMut};
use levada_model::SegmentId;

use super::Wal;
use crate::error::WalError;

impl Wal {
    /// `bytes` bytes at `offset` of a file. They are as stored; the checksum of the frame is not
    /// looked at, because a part of a frame is read without the rest: **whoever reads has to check
    /// what it got**. Blocks.
    ///
    /// # Errors
    /// [`WalError::Corrupt`] when there are not so many bytes, or they are not safe yet;
    /// [`WalError::NoSuchFile`]; [`WalError::Io`].
    pub fn read(&self, file: SegmentId, offset: u64, bytes: u32) -> Result<Bytes, WalError> {
        let buffer = self.buffer_for(file, offset, bytes)?;
        self.read_into(file, offset, buffer)
    }

    /// A buffer for so many bytes of a file, made only once it is known that the file holds them:
    /// a damaged length must not cost memory. Does not block.
    ///
    /// # Errors
    /// [`WalError::Corrupt`], [`WalError::NoSuchFile`] as in [`Wal::read`].
    pub fn buffer_for(
        &self,
        file: SegmentId,
        offset: u64,
        bytes: u32,
    ) -> Result<BytesMut, WalError> {
        let bytes = bytes as usize;
        self.inner.files.check_held(file.0, offset, bytes)?;
        Ok(BytesMut::zeroed(bytes))
    }

    /// The same into all of `buffer`: whoever frees it should be the one who made it, or the
    /// allocator keeps memory for every thread that ever read.
    ///
    /// # Errors
    /// As [`Wal::read`].
    pub fn read_into(
        &self,
        file: SegmentId,
        offset: u64,
        buffer: BytesMut,
    ) -> Result<Bytes, WalError> {
        self.inner.files.read(file.0, offset, buffer)
    }

    /// The same when the bytes are in memory. Does not block.
    ///
    /// # Errors
    /// The buffer, when they are not: then [`Wal::read_into`] says what there is.
    pub fn read_cached(
        &self,
        file: SegmentId,
        offset: u64,
        buffer: BytesMut,
    ) -> Result<Bytes, BytesMut> {
        self.inner.files.read_cached(file.0, offset, buffer)
    }
}
