//! Randomness: the system's, or a sequence that follows from a seed.

use parking_lot::Mutex;

/// Where chance comes from.
pub trait Random: Send + Sync {
    /// Fills all of `buf`.
    fn fill(&self, buf: &mut [u8]);
}

/// The operating system's generator, fit for keys.
pub struct OsRandom;

impl Random for OsRandom {
    /// # Panics
    /// When the system refuses to give random bytes: nothing safe can be done without them.
    fn fill(&self, buf: &mut [u8]) {
        fill_from_system(buf).expect("the operating system gives random bytes");
    }
}

#[cfg(target_os = "linux")]
fn fill_from_system(mut buf: &mut [u8]) -> std::io::Result<()> {
    while !buf.is_empty() {
        let filled = rustix::io::retry_on_intr(|| {
            rustix::rand::getrandom(&mut *buf, rustix::rand::GetRandomFlags::empty())
        })?;
        buf = &mut buf[filled..];
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn fill_from_system(buf: &mut [u8]) -> std::io::Result<()> {
    use std::io::Read;
    std::fs::File::open("/dev/urandom")?.read_exact(buf)
}

/// SplitMix64 from a seed: for tests and simulation only.
pub struct SeededRandom {
    state: Mutex<u64>,
}

impl SeededRandom {
    /// The same seed gives the same sequence.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(seed),
        }
    }

    /// The next number of the sequence.
    pub fn next_u64(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero when `bound` is zero.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.next_u64() % bound
        }
    }

    /// True once in `n` times on average; never when `n` is zero.
    pub fn one_in(&self, n: u64) -> bool {
        n != 0 && self.below(n) == 0
    }
}

impl Random for SeededRandom {
    fn fill(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let (mut a, mut b) = ([0; 37], [0; 37]);
        SeededRandom::new(7).fill(&mut a);
        SeededRandom::new(7).fill(&mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn the_system_fills_every_byte_of_a_large_buffer() {
        let mut buf = vec![0; 4096];
        OsRandom.fill(&mut buf);
        assert!(buf.chunks(64).all(|chunk| chunk.iter().any(|b| *b != 0)));
    }
}
