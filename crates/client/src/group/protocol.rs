//! What consumers write into the opaque bytes of the group protocol (Kafka's ConsumerProtocol
//! Subscription and Assignment): read versions 0 and later, written as version 0 or 1.

use bytes::{Buf, BufMut, Bytes};
use levada_model::limits::TOPIC_NAME_BYTES_MAX;

/// What a member wants to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub topics: Vec<String>,
}

/// Writes a subscription, version 0.
pub fn write_subscription(topics: &[String]) -> Bytes {
    let mut out = Vec::new();
    out.put_i16(0);
    out.put_i32(topics.len() as i32);
    for topic in topics {
        put_string(&mut out, topic);
    }
    out.put_i32(-1);
    out.into()
}

/// Reads a subscription of any version; what later versions add is left aside.
pub fn read_subscription(bytes: &Bytes) -> Option<Subscription> {
    let mut rest = bytes.clone();
    rest.try_get_i16().ok()?;
    let count = rest.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        topics.push(get_string(&mut rest)?);
    }
    Some(Subscription { topics })
}

/// Writes an assignment, version 0: partitions by topic. `partitions` is sorted.
pub fn write_assignment(partitions: &[(String, i32)]) -> Bytes {
    let mut topics: Vec<(&str, Vec<i32>)> = Vec::new();
    for (topic, partition) in partitions {
        match topics.last_mut() {
            Some((last, list)) if *last == topic => list.push(*partition),
            _ => topics.push((topic, vec![*partition])),
        }
    }
    let mut out = Vec::new();
    out.put_i16(0);
    out.put_i32(topics.len() as i32);
    for (topic, list) in topics {
        put_string(&mut out, topic);
        out.put_i32(list.len() as i32);
        list.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.put_i32(-1);
    out.into()
}

/// Reads an assignment of any version. No bytes at all are an empty one.
pub fn read_assignment(bytes: &Bytes) -> Option<Vec<(String, i32)>> {
    let mut rest = bytes.clone();
    let mut partitions = Vec::new();
    if rest.is_empty() {
        return Some(partitions);
    }
    rest.try_get_i16().ok()?;
    for _ in 0..rest.try_get_i32().ok()? {
        let topic = get_string(&mut rest)?;
        for _ in 0..rest.try_get_i32().ok()? {
            partitions.push((topic.clone(), rest.try_get_i32().ok()?));
        }
    }
    Some(partitions)
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

/// A topic's name. It is repeated for each of its partitions: a longer one than any topic has would
/// take memory that the bytes are not worth.
fn get_string(rest: &mut Bytes) -> Option<String> {
    let length = usize::try_from(rest.try_get_i16().ok()?).ok()?;
    if length > rest.len().min(TOPIC_NAME_BYTES_MAX) {
        return None;
    }
    String::from_utf8(rest.split_to(length).to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_come_back(mut partitions in proptest::collection::vec(("[a-c]{1,3}", 0i32..5), 0..20)) {
            partitions.sort();
            partitions.dedup();
            let read = read_assignment(&write_assignment(&partitions));
            prop_assert_eq!(read, Some(partitions.clone()));
            let topics: Vec<String> = partitions.into_iter().map(|(topic, _)| topic).collect();
            let read = read_subscription(&write_subscription(&topics));
            prop_assert_eq!(read, Some(Subscription { topics }));
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = read_assignment(&bytes);
            let _ = read_subscription(&bytes);
        }
    }

    #[test]
    fn a_name_that_no_topic_has_is_not_repeated_for_each_partition() {
        let assigned = |name: String| write_assignment(&[(name.clone(), 0), (name, 1)]);
        let longest = "x".repeat(TOPIC_NAME_BYTES_MAX);
        assert!(read_assignment(&assigned(longest.clone())).is_some());
        assert_eq!(read_assignment(&assigned(longest + "x")), None);
    }

    #[test]
    fn a_huge_count_takes_nothing() {
        let bytes = Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, b'a']);
        assert_eq!(read_subscription(&bytes), None);
        assert_eq!(read_assignment(&bytes), None);
    }
}
