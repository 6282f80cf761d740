//! Random values of every message, from a seed, for tests (feature `sample`).

use bytes::Bytes;

use crate::field::{Nullable, Version};
use crate::message::Message;
use crate::types::{KStr, Records, Uuid};

/// Repeatable numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Source(u64);

impl Source {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// `true` once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A number of 64 bits, often one at an edge.
    fn integer(&mut self) -> i64 {
        let any = self.number();
        match any % 8 {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            4 => 1,
            _ => self.number() as i64,
        }
    }

    /// A length: mostly short, at times beyond one byte of a varint or beyond what is copied.
    fn length(&mut self) -> usize {
        let bound = if self.once_in(16) { 700 } else { 12 };
        self.below(bound) as usize
    }
}

/// A value that can be made up.
pub trait Sample: Sized {
    /// A random value with only what `version` carries; the rest is the default.
    fn sample(source: &mut Source, version: Version) -> Self;

    /// Puts one default element into each empty array, so that the defaults of parts show.
    fn unfold(&mut self) {}
}

/// A random message with only what `version` carries.
pub fn message<M: Message + Sample>(source: &mut Source, version: i16) -> M {
    M::sample(source, M::wire_version(version))
}

/// The default message with one default element in each array.
pub fn unfolded<M: Message + Sample>() -> M {
    let mut message = M::default();
    message.unfold();
    message
}

macro_rules! integers {
    ($($ty:ty)*) => {$(
        impl Sample for $ty {
            fn sample(source: &mut Source, _: Version) -> Self {
                source.integer() as $ty
            }
        }
    )*};
}

integers!(i8 i16 i32 i64);

impl Sample for bool {
    fn sample(source: &mut Source, _: Version) -> Self {
        source.once_in(2)
    }
}

impl Sample for Uuid {
    fn sample(source: &mut Source, _: Version) -> Self {
        let half = u128::from(source.number());
        Self((half << 64 | u128::from(source.number())).to_be_bytes())
    }
}

impl Sample for KStr {
    fn sample(source: &mut Source, _: Version) -> Self {
        let length = source.length();
        let letters = ['a', 'Z', '0', '-', ' ', 'é', '☂', '🜁', '\u{0}'];
        (0..length)
            .map(|_| letters[source.below(letters.len() as u64) as usize])
            .collect::<String>()
            .into()
    }
}

impl Sample for Bytes {
    fn sample(source: &mut Source, _: Version) -> Self {
        let length = source.length();
        (0..length).map(|_| source.number() as u8).collect()
    }
}

impl Sample for Records {
    fn sample(source: &mut Source, version: Version) -> Self {
        let pieces = 1 + source.below(3);
        Self {
            pieces: (0..pieces)
                .map(|_| Bytes::sample(source, version))
                .collect(),
        }
    }
}

impl<T: Sample + Default> Sample for Vec<T> {
    fn sample(source: &mut Source, version: Version) -> Self {
        let bound = if size_of::<T>() <= 8 && source.once_in(8) {
            200
        } else {
            4
        };
        let count = source.below(bound);
        (0..count).map(|_| T::sample(source, version)).collect()
    }

    fn unfold(&mut self) {
        if self.is_empty() {
            self.push(T::default());
        }
        self.iter_mut().for_each(T::unfold);
    }
}

impl<T: Sample + Nullable> Sample for Option<T> {
    fn sample(source: &mut Source, version: Version) -> Self {
        (!source.once_in(4)).then(|| T::sample(source, version))
    }

    fn unfold(&mut self) {
        self.iter_mut().for_each(T::unfold);
    }
}
