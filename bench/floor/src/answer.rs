//! The answers of the two hot requests, written by hand: Produce version 9 and Fetch version 12.

fn uvarint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Puts the frame's size before what was written from `start` on, `more` bytes of it elsewhere.
fn close(bytes: &mut [u8], start: usize, more: usize) {
    let size = (bytes.len() - start - 4 + more) as u32;
    bytes[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Adds the acknowledgement of one batch.
pub fn produce(bytes: &mut Vec<u8>, correlation_id: i32, topic: &[u8], base: i64) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&correlation_id.to_be_bytes());
    bytes.extend_from_slice(&[0, 2]); // no tags, one topic
    uvarint(bytes, topic.len() + 1);
    bytes.extend_from_slice(topic);
    bytes.push(2); // one partition: index 0, no error
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(&base.to_be_bytes());
    bytes.extend_from_slice(&(-1i64).to_be_bytes());
    bytes.extend_from_slice(&0i64.to_be_bytes());
    bytes.extend_from_slice(&[1, 0, 0, 0]); // no record's error, no message, no tags twice
    bytes.extend_from_slice(&[0; 5]); // no throttling, no tags
    close(bytes, start, 0);
}

/// What stands before and behind the records of an answer to a fetch of partition 0.
pub fn fetch(correlation_id: i32, topic: &[u8], end: i64, records: usize) -> (Vec<u8>, [u8; 3]) {
    let tail = [0; 3];
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&correlation_id.to_be_bytes());
    bytes.extend_from_slice(&[0; 11]); // no tags, no throttling, no error, no session
    bytes.push(2); // one topic
    uvarint(&mut bytes, topic.len() + 1);
    bytes.extend_from_slice(topic);
    bytes.push(2); // one partition: index 0, no error
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(&end.to_be_bytes());
    bytes.extend_from_slice(&end.to_be_bytes());
    bytes.extend_from_slice(&0i64.to_be_bytes());
    bytes.push(0); // no aborted transactions
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    uvarint(&mut bytes, records + 1);
    close(&mut bytes, 0, records + tail.len());
    (bytes, tail)
}
