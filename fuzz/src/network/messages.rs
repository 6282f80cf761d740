//! Every message of the protocol.
//!
//! The input is a byte that tells a request from an answer, the API's number and the version, two
//! bytes each, then a frame as it stands on the wire behind its size.

use bytes::{Buf, Bytes};
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::{ApiKey, Message, Reader, Request, Writer, for_each_api, messages::*};

/// First byte of an input that holds a request.
pub const REQUEST: u8 = 0;
/// ... and of one that holds an answer.
pub const ANSWER: u8 = 1;

pub fn check(input: &[u8]) {
    let mut bytes = Bytes::copy_from_slice(input);
    if bytes.len() < 5 {
        return;
    }
    let kind = bytes.get_u8();
    let (key, version) = (bytes.get_i16(), bytes.get_i16());
    if kind == REQUEST {
        request_of(key, version, bytes);
    } else {
        answer_of(key, version, bytes);
    }
}

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version);
    writer.finish().into_bytes()
}

/// What could be read is written so that it reads the same, byte for byte the second time.
fn is_stable<M: Message>(reader: &mut Reader, version: i16) {
    let Ok(message) = M::decode(reader, version) else {
        return;
    };
    let written = encode(&message, version);
    let mut again = Reader::new(written.clone());
    let read = M::decode(&mut again, version).expect("what we wrote can be read");
    again.expect_end().expect("nothing is left over");
    assert_eq!(read, message, "{} v{version}", M::NAME);
    assert_eq!(encode(&read, version), written, "{} v{version}", M::NAME);
}

fn request<M: Request>(bytes: Bytes, version: i16) {
    let mut reader = Reader::new(bytes);
    let Ok(header) = RequestHeader::decode(&mut reader) else {
        return;
    };
    let mut writer = Writer::new();
    header.encode(&mut writer);
    let mut again = Reader::new(writer.finish().into_bytes());
    assert_eq!(RequestHeader::decode(&mut again).as_ref(), Ok(&header));
    is_stable::<M>(&mut reader, version);
}

fn answer<M: Request>(bytes: Bytes, version: i16) {
    let mut reader = Reader::new(bytes);
    if ResponseHeader::decode(&mut reader, M::KEY, version).is_ok() {
        is_stable::<M::Response>(&mut reader, version);
    }
}

macro_rules! every_api {
    ($($key:ident, $versions:expr, $advertised:expr, $request:ident => $response:ident;)*) => {
        fn request_of(key: i16, version: i16, bytes: Bytes) {
            match ApiKey::try_from(key) {
                $(Ok(ApiKey::$key) if ($versions).contains(&version) => {
                    request::<$request>(bytes, version);
                })*
                _ => {}
            }
        }

        fn answer_of(key: i16, version: i16, bytes: Bytes) {
            match ApiKey::try_from(key) {
                $(Ok(ApiKey::$key) if ($versions).contains(&version) => {
                    answer::<$request>(bytes, version);
                })*
                _ => {}
            }
        }
    };
}

for_each_api!(every_api);
