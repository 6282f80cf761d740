//! Names in the bucket, and the numbers in a segment's id.
//!
//! `PREFIX/writer/<epoch>` is claimed once by each journal that opens; its segments are
//! `PREFIX/segment/v<version>/<epoch>/<number>`. Hexadecimal of fixed width, so that names sort as
//! ids do. An id is the epoch (24 bits) and the number within it (40 bits): two writers never give
//! the same one, and a later writer's are larger.

use levada_model::SegmentId;
use object_store::path::Path;

use super::format;

const NUMBER_BITS: u32 = 40;
const EPOCH_MAX: u64 = (1 << 24) - 1;
const NUMBER_MAX: u64 = (1 << NUMBER_BITS) - 1;

/// The objects of one journal.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: Path,
}

impl Names {
    /// `prefix` may be empty.
    pub fn new(prefix: &str) -> Self {
        Names {
            prefix: Path::from(prefix),
        }
    }

    pub fn writers(&self) -> Path {
        self.prefix.clone().join("writer")
    }

    pub fn writer(&self, epoch: u64) -> Path {
        self.writers().join(format!("{epoch:06x}"))
    }

    pub fn segments(&self) -> Path {
        let version = format!("v{}", format::VERSION);
        self.prefix.clone().join("segment").join(version)
    }

    pub fn segment(&self, segment: SegmentId) -> Path {
        let (epoch, number) = (epoch(segment), segment.0 & NUMBER_MAX);
        let epoch = self.segments().join(format!("{epoch:06x}"));
        epoch.join(format!("{number:010x}"))
    }
}

/// The epoch that a claimed name stands for.
pub(super) fn parse_writer(path: &Path) -> Option<u64> {
    let epoch = u64::from_str_radix(path.filename()?, 16).ok()?;
    (epoch <= EPOCH_MAX).then_some(epoch)
}

/// The id that a segment's name stands for.
pub(super) fn parse_segment(path: &Path) -> Option<SegmentId> {
    let mut parts = path.as_ref().rsplit('/');
    let number = u64::from_str_radix(parts.next()?, 16).ok()?;
    let epoch = u64::from_str_radix(parts.next()?, 16).ok()?;
    segment_id(epoch, number)
}

/// `None` when the numbers are used up.
pub(super) fn segment_id(epoch: u64, number: u64) -> Option<SegmentId> {
    let fits = epoch <= EPOCH_MAX && number <= NUMBER_MAX;
    fits.then_some(SegmentId(epoch << NUMBER_BITS | number))
}

pub(super) fn epoch(segment: SegmentId) -> u64 {
    segment.0 >> NUMBER_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_segment_s_name_says_its_id_and_sorts_with_it(a: u64, b: u64) {
            let names = Names::new("some/cell");
            let (a, b) = (SegmentId(a), SegmentId(b));
            prop_assert_eq!(parse_segment(&names.segment(a)), Some(a));
            prop_assert_eq!(names.segment(a).cmp(&names.segment(b)), a.cmp(&b));
        }

        #[test]
        fn random_names_never_panic(name: String) {
            let _ = parse_segment(&Path::from(name.as_str()));
            let _ = parse_writer(&Path::from(name));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_have_no_id() {
        assert_eq!(segment_id(1, 2), Some(SegmentId((1 << 40) + 2)));
        assert_eq!(segment_id(EPOCH_MAX + 1, 0), None);
        assert_eq!(segment_id(0, NUMBER_MAX + 1), None);
        assert_eq!(parse_writer(&Names::new("").writer(9)), Some(9));
    }
}
