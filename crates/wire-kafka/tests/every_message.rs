//! What must hold for every message in every version.

use bytes::Bytes;
use levada_wire_kafka::sample::{self, Sample, Source};
use levada_wire_kafka::{ApiKey, Message, Reader, Writer, for_each_api, messages::*};
use proptest::prelude::*;

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version);
    writer.finish().into_bytes()
}

/// What is encoded decodes to the same, with no byte left over; cut short anywhere it is an error.
fn check_round_trip<M: Message + Sample>(seed: u64, version: i16) {
    let message: M = sample::message(&mut Source::new(seed), version);
    let bytes = encode(&message, version);
    let mut reader = Reader::new(bytes.clone());
    let read = M::decode(&mut reader, version).unwrap();
    reader.expect_end().unwrap();
    assert_eq!(read, message, "{} v{version}", M::NAME);
    let cut = bytes.slice(..(seed as usize) % bytes.len().max(1));
    if cut.len() < bytes.len() {
        M::decode(&mut Reader::new(cut), version).expect_err(M::NAME);
    }
}

/// Memory that a decode of hostile bytes may take at its peak, see the constants in `reader.rs`;
/// a vector of pieces and reference counts come on top.
fn memory_bytes_max(length: usize) -> u64 {
    (64 * 1024 + 16 * length + 8 * 1024) as u64
}

fn check_hostile<M: Message>(bytes: &Bytes, version: i16) {
    let mut reader = Reader::new(bytes.clone());
    let used = allocation_counter::measure(|| drop(M::decode(&mut reader, version)));
    let bound = memory_bytes_max(bytes.len());
    assert!(used.bytes_max <= bound, "{} v{version}: {used:?}", M::NAME);
}

fn check_damaged<M: Message + Sample>(seed: u64, version: i16) {
    let source = &mut Source::new(seed);
    let mut bytes = encode(&sample::message::<M>(source, version), version).to_vec();
    for _ in 0..1 + source.below(3) {
        let place = source.below(bytes.len().max(1) as u64) as usize;
        if let Some(byte) = bytes.get_mut(place) {
            *byte = source.number() as u8;
        }
    }
    check_hostile::<M>(&bytes.into(), version);
}

macro_rules! for_every_version {
    ($($key:ident, $versions:expr, $advertised:expr, $request:ident => $response:ident;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(24))]

            #[test]
            fn every_version_of_every_message_survives_a_round_trip(seed: u64) {
                $(for version in $versions {
                    check_round_trip::<$request>(seed, version);
                    check_round_trip::<$response>(seed, version);
                })*
            }

            #[test]
            fn damaged_messages_never_panic_nor_take_more_memory_than_they_are_worth(seed: u64) {
                $(for version in $versions {
                    check_damaged::<$request>(seed, version);
                    check_damaged::<$response>(seed, version);
                })*
            }

            #[test]
            fn random_bytes_never_panic_nor_take_more_memory_than_they_are_worth(
                bytes in proptest::collection::vec(
                    prop_oneof![3 => 0u8..4, 1 => any::<u8>()], 0..20_000,
                )
            ) {
                let bytes = Bytes::from(bytes);
                $(for version in $versions {
                    check_hostile::<$request>(&bytes, version);
                    check_hostile::<$response>(&bytes, version);
                })*
            }
        }

        #[test]
        fn every_api_has_its_request_and_answer() {
            $(
                assert_eq!($request::NAME, format!("{}Request", ApiKey::$key.name()));
                assert_eq!($response::NAME, format!("{}Response", ApiKey::$key.name()));
                assert_eq!($request::FLEXIBLE_FROM, $response::FLEXIBLE_FROM);
            )*
        }
    };
}

for_each_api!(for_every_version);
