//! Whole frames and hostile bytes.

use bytes::{Buf, Bytes};
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::messages::*;
use levada_wire_kafka::{ApiKey, KStr, Message, Reader, Records, Uuid, WireError, Writer};

#[test]
fn a_huge_count_is_refused_before_memory_is_taken() {
    let body = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0]);
    let error = MetadataRequest::decode(&mut Reader::new(body), 0).unwrap_err();
    assert!(matches!(error, WireError::Truncated { .. }), "{error}");
}

#[test]
fn a_negative_count_is_refused() {
    let body = Bytes::from_static(&[0xff, 0xff, 0xff, 0xfe]);
    let error = MetadataRequest::decode(&mut Reader::new(body.clone()), 1).unwrap_err();
    assert_eq!(error, WireError::BadLength(-2));
    let null = Bytes::from_static(&[0xff; 4]);
    assert!(MetadataRequest::decode(&mut Reader::new(null.clone()), 0).is_err());
    let all = MetadataRequest::decode(&mut Reader::new(null), 1).unwrap();
    assert_eq!(all.topics, None);
}

#[test]
fn a_frame_begins_with_its_size_and_refers_to_records() {
    let batch = Bytes::from(vec![7u8; 4096]);
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: KStr::from_static("flights"),
            partitions: vec![PartitionData {
                records: Some(Records {
                    pieces: vec![batch.clone(), batch.slice(..300)],
                }),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut writer = Writer::framed();
    ResponseHeader { correlation_id: 5 }.encode(&mut writer, ApiKey::Fetch, 12);
    response.encode(&mut writer, 12);
    let frame = writer.finish();
    assert!(frame.pieces().any(|piece| piece.as_ptr() == batch.as_ptr()));
    let length = frame.remaining();
    let mut bytes = frame.into_bytes();
    assert_eq!(bytes.get_i32() as usize, length - 4);

    let start = bytes.as_ptr() as usize;
    let mut reader = Reader::new(bytes.clone());
    let header = ResponseHeader::decode(&mut reader, ApiKey::Fetch, 12).unwrap();
    assert_eq!(header.correlation_id, 5);
    let read = FetchResponse::decode(&mut reader, 12).unwrap();
    reader.expect_end().unwrap();
    assert_eq!(read, response);
    let records = read.responses[0].partitions[0].records.as_ref().unwrap();
    let at = records.pieces[0].as_ptr() as usize;
    assert!((start..start + length).contains(&at), "records were copied");
}

#[test]
fn headers_follow_the_version_of_the_body() {
    for (key, version, size) in [
        (ApiKey::Produce, 8, 12),
        (ApiKey::Produce, 9, 13),
        (ApiKey::ApiVersions, 3, 13),
    ] {
        let header = RequestHeader {
            api_key: key.code(),
            api_version: version,
            correlation_id: 9,
            client_id: Some(KStr::from_static("me")),
        };
        let mut writer = Writer::new();
        header.encode(&mut writer);
        assert_eq!(writer.len(), size);
        let mut reader = Reader::new(writer.finish().into_bytes());
        assert_eq!(RequestHeader::decode(&mut reader), Ok(header));
        assert_eq!(reader.remaining(), 0);
    }
    let mut writer = Writer::new();
    ResponseHeader { correlation_id: 1 }.encode(&mut writer, ApiKey::ApiVersions, 4);
    assert_eq!(writer.len(), 4);
}

#[test]
fn ids_show_as_kafka_shows_them() {
    assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    let one = Uuid(1u128.to_be_bytes());
    assert_eq!(one.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(Uuid([0xff; 16]).to_string(), "_____________________w");
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    // HeartbeatResponse v4: throttle time, error, then one field with tag 99 of two bytes.
    let body = Bytes::from_static(&[0, 0, 0, 1, 0, 27, 1, 99, 2, 0xaa, 0xbb]);
    let mut reader = Reader::new(body);
    let read = HeartbeatResponse::decode(&mut reader, 4).unwrap();
    reader.expect_end().unwrap();
    assert_eq!((read.throttle_time_ms, read.error_code), (1, 27));
}

#[test]
fn an_array_that_is_worth_little_is_refused() {
    // A Metadata request of four million unnamed topics: two bytes of zero for each.
    let mut body = 4_000_000i32.to_be_bytes().to_vec();
    body.resize(16_000_000, 0);
    let read = MetadataRequest::decode(&mut Reader::new(body.into()), 1);
    assert!(matches!(read, Err(WireError::TooDense(_))));
}
