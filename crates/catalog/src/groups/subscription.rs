//! The one thing read out of members' metadata: the topics of the "consumer" protocol type.

use std::collections::BTreeSet;

use super::group::Group;

const CONSUMER: &str = "consumer";

impl Group {
    /// The topics that the members subscribe to; `None` when they do not say: the group is of
    /// another type, gathers, or a member's metadata does not read as a subscription.
    pub(super) fn subscribed_topics(&self) -> Option<BTreeSet<&str>> {
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let chosen = member.protocols.iter().find(|own| own.name == protocol)?;
            topics.extend(read_topics(&chosen.metadata)?);
        }
        Some(topics)
    }
}

/// Topics of Kafka's `ConsumerProtocolSubscription`, any version: version int16, then an array of
/// strings, all big-endian.
fn read_topics(metadata: &[u8]) -> Option<Vec<&str>> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    if i16::from_be_bytes(*version) < 0 || count > rest.len() / 2 {
        return None;
    }
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        topics.push(std::str::from_utf8(name).ok()?);
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::read_topics;
    use proptest::prelude::*;

    #[test]
    fn the_topics_of_a_subscription_are_found() {
        let metadata = b"\x00\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        assert_eq!(read_topics(metadata), Some(vec!["a", "bc"]));
    }

    proptest! {
        #[test]
        fn random_metadata_never_panics(bytes: Vec<u8>) {
            let _ = read_topics(&bytes);
        }
    }
}
