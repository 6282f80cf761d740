//! Memory that frames are read into and that is written to storage as it lies.

use std::sync::Mutex;

/// What direct writes must be aligned to, in memory and in the file.
pub const BLOCK_BYTES: usize = 4096;
/// One frame fits, and many small ones.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Chunks beyond these are given back to the system.
const POOL_CHUNKS_MAX: usize = 8;

/// Writes to so many bytes of new memory, and gives them back to the system. A page that a virtual
/// machine has not used for a while costs its first user several times as much.
#[allow(clippy::slow_vector_initialization)]
pub fn touch(bytes: usize) {
    let mut memory = Vec::with_capacity(bytes);
    memory.resize(bytes, 1u8);
    std::hint::black_box(&memory);
}

/// Aligned bytes, touched once and reused.
pub struct Chunk {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Chunk {
    // Zeros that were written: `vec![0; n]` leaves the first touch to whoever is measured.
    #[allow(clippy::slow_vector_initialization)]
    fn new() -> Self {
        let mut memory = Vec::with_capacity(CHUNK_BYTES + BLOCK_BYTES);
        memory.resize(CHUNK_BYTES + BLOCK_BYTES, 0);
        let start = memory.as_ptr().align_offset(BLOCK_BYTES);
        Self {
            memory,
            start,
            filled: 0,
        }
    }

    /// At most `limit` bytes that can be read into.
    pub fn room(&mut self, limit: usize) -> &mut [u8] {
        let from = self.start + self.filled;
        let to = (from + limit).min(self.start + CHUNK_BYTES);
        &mut self.memory[from..to]
    }

    pub fn fill(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.filled]
    }

    /// The first `bytes`, and what is behind them up to the next whole block.
    pub fn blocks(&self, bytes: usize) -> &[u8] {
        &self.memory[self.start..self.start + bytes.next_multiple_of(BLOCK_BYTES)]
    }

    pub fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// Drops the first `bytes`.
    pub fn drop_front(&mut self, bytes: usize) {
        let from = self.start + bytes;
        self.memory
            .copy_within(from..self.start + self.filled, self.start);
        self.filled -= bytes;
    }
}

/// Chunks that are free: warm memory instead of new one.
#[derive(Default)]
pub struct Pool {
    free: Mutex<Vec<Chunk>>,
}

impl Pool {
    pub fn take(&self) -> Chunk {
        let free = self.free.lock().expect("no holder panics").pop();
        free.unwrap_or_else(Chunk::new)
    }

    pub fn give(&self, mut chunk: Chunk) {
        chunk.filled = 0;
        let mut free = self.free.lock().expect("no holder panics");
        if free.len() < POOL_CHUNKS_MAX {
            free.push(chunk);
        }
    }
}
