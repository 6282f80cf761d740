//! The largest value that anybody had seen before a moment, and where.

use levada_model::Offset;

/// Values with the events at which they were known, for questions of the form "what is the least
/// that a call must see that was invoked at event n".
#[derive(Debug, Default)]
pub struct Bounds {
    /// Ascending in both: the event that brought a value larger than all before it.
    steps: Vec<(usize, Offset)>,
}

impl Bounds {
    /// From pairs of an event and the value known since then.
    pub fn new(mut known: Vec<(usize, Offset)>) -> Bounds {
        known.sort_unstable();
        let mut steps: Vec<(usize, Offset)> = Vec::new();
        for (event, value) in known {
            if steps.last().is_none_or(|(_, largest)| value > *largest) {
                steps.push((event, value));
            }
        }
        Bounds { steps }
    }

    /// The event that brought the largest value known before an event, and the value.
    pub fn before(&self, event: usize) -> Option<(usize, Offset)> {
        let count = self.steps.partition_point(|(at, _)| *at < event);
        self.steps[..count].last().copied()
    }

    /// The largest value of all.
    pub fn largest(&self) -> Option<Offset> {
        self.steps.last().map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_before_a_moment_is_found_with_its_event() {
        let bounds = Bounds::new(vec![(9, Offset(4)), (2, Offset(3)), (5, Offset(1))]);
        assert_eq!(bounds.before(2), None);
        assert_eq!(bounds.before(3), Some((2, Offset(3))));
        assert_eq!(bounds.before(9), Some((2, Offset(3))));
        assert_eq!(bounds.before(10), Some((9, Offset(4))));
        assert_eq!(bounds.largest(), Some(Offset(4)));
    }
}
