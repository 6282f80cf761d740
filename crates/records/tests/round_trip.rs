//! What is built reads back, in every compression; damage and bombs are refused without a panic.

use bytes::Bytes;
use levada_model::batch;
use levada_records::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Debug)]
struct Owned {
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn any_record() -> impl Strategy<Value = Owned> {
    (
        1_600_000_000_000i64..1_800_000_000_000,
        option::of(vec(any::<u8>(), 0..40)),
        option::of(vec(any::<u8>(), 0..4000)),
        vec((".{0,12}", option::of(vec(any::<u8>(), 0..20))), 0..4),
    )
        .prop_map(|(timestamp_ms, key, value, headers)| Owned {
            timestamp_ms,
            key,
            value,
            headers,
        })
}

fn build(records: &[Owned], compression: Compression, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
            .collect();
        let new = NewRecord {
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let expected = builder.bytes() + builder.bytes_of(&new);
        builder.push(&new);
        assert_eq!(builder.bytes(), expected);
    }
    builder.finish(producer).unwrap()
}

fn any_compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(&Compression::ALL[..])
}

proptest! {
    #[test]
    fn records_come_back_from_every_compression(
        records in vec(any_record(), 1..30),
        compression in any_compression(),
        id in 0i64..10_000,
        base_sequence in 0i32..i32::MAX,
    ) {
        let producer = Producer { id, epoch: 3, base_sequence };
        let bytes = build(&records, compression, producer);
        let header = batch::check(&bytes).unwrap();
        prop_assert_eq!(header.total_bytes(), bytes.len());
        prop_assert_eq!(header.compression(), compression.id());
        prop_assert_eq!((header.producer_id, header.base_sequence), (id, base_sequence));
        let latest = records.iter().map(|record| record.timestamp_ms).max();
        prop_assert_eq!(Some(header.max_timestamp), latest);
        let opened = Batch::verify(&bytes, BYTES_MAX).unwrap();
        let read: Vec<Record> = opened.records().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), records.len());
        for (index, (read, sent)) in read.iter().zip(&records).enumerate() {
            prop_assert_eq!(opened.offset(read), index as i64);
            prop_assert_eq!(opened.timestamp_ms(read), sent.timestamp_ms);
            prop_assert_eq!(read.key.as_deref(), sent.key.as_deref());
            prop_assert_eq!(read.value.as_deref(), sent.value.as_deref());
            prop_assert_eq!(read.headers.len(), sent.headers.len());
            for (read, (key, value)) in read.headers.iter().zip(&sent.headers) {
                prop_assert_eq!(&read.key[..], key.as_bytes());
                prop_assert_eq!(read.value.as_deref(), value.as_deref());
            }
        }
    }

    #[test]
    fn another_producer_changes_nothing_else(
        records in vec(any_record(), 1..5),
        compression in any_compression(),
        id in 0i64..10_000,
        epoch in 0i16..100,
        base_sequence in 0i32..i32::MAX,
    ) {
        let producer = Producer { id, epoch, base_sequence };
        let renewed = with_producer(&build(&records, compression, Producer::NONE), producer).unwrap();
        prop_assert_eq!(renewed, build(&records, compression, producer));
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..600), compression in any_compression()) {
        let bytes = Bytes::from(bytes);
        let _ = decompress(compression, &bytes, BYTES_MAX);
        let _ = Batch::verify(&bytes, BYTES_MAX);
        let _ = with_producer(&bytes, Producer::NONE);
        for batch in Batches::new(bytes.clone()) {
            let _ = batch;
        }
        if let Ok(batch) = Batch::decode(&bytes, BYTES_MAX) {
            batch.records().for_each(drop);
        }
    }

    #[test]
    fn a_damaged_batch_gives_an_error_or_other_records_but_no_panic(
        records in vec(any_record(), 1..8),
        compression in any_compression(),
        damages in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = build(&records, compression, Producer::NONE).to_vec();
        for (place, value) in damages {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let bytes = Bytes::from(bytes);
        if let Ok(batch) = Batch::decode(&bytes, BYTES_MAX) {
            // A count that the bytes do not bear out ends the iteration with its error.
            prop_assert!(batch.records().take(BYTES_MAX).count() < BYTES_MAX);
        }
    }

    #[test]
    fn a_run_is_cut_into_its_batches_and_a_partial_one_left_out(
        counts in vec(1usize..5, 0..6),
        partial in 0usize..60,
    ) {
        let mut run = Vec::new();
        let record = Owned { timestamp_ms: 1, key: None, value: Some(vec![7; 50]), headers: vec![] };
        for count in &counts {
            run.extend_from_slice(&build(&vec![record.clone(); *count], Compression::None, Producer::NONE));
        }
        let whole = build(&[record], Compression::None, Producer::NONE);
        run.extend_from_slice(&whole[..partial]);
        let mut batches = Batches::new(run.into());
        let seen: Vec<usize> = batches
            .by_ref()
            .map(|batch| batch.unwrap().0.record_count as usize)
            .collect();
        prop_assert_eq!(seen, counts);
        prop_assert_eq!(batches.rest().len(), partial);
    }
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let zeros = vec![0u8; 4 << 20];
    for compression in Compression::ALL {
        let mut bomb = Vec::new();
        compress(compression, &zeros, &mut bomb).unwrap();
        let refused = decompress(compression, &bomb.into(), BYTES_MAX);
        let bytes_max = BYTES_MAX;
        assert_eq!(
            refused,
            Err(RecordsError::TooLarge { bytes_max }),
            "{compression}"
        );
    }
}

#[test]
fn exactly_the_allowed_size_is_accepted() {
    let data: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    for compression in Compression::ALL {
        let mut packed = Vec::new();
        compress(compression, &data, &mut packed).unwrap();
        let packed = Bytes::from(packed);
        let opened = decompress(compression, &packed, data.len()).unwrap();
        assert_eq!(&opened[..], &data[..], "{compression}");
        assert!(decompress(compression, &packed, data.len() - 1).is_err());
    }
}

#[test]
fn raw_snappy_and_joined_gzip_are_read_too() {
    let raw = snap::raw::Encoder::new()
        .compress_vec(b"hello hello hello")
        .unwrap();
    let opened = decompress(Compression::Snappy, &raw.into(), 100).unwrap();
    assert_eq!(&opened[..], b"hello hello hello");
    let mut joined = Vec::new();
    compress(Compression::Gzip, b"one,", &mut joined).unwrap();
    compress(Compression::Gzip, b"two", &mut joined).unwrap();
    let opened = decompress(Compression::Gzip, &joined.into(), 100).unwrap();
    assert_eq!(&opened[..], b"one,two");
}

#[test]
fn a_snappy_block_that_lies_about_its_length_takes_no_memory() {
    // 0xff 0xff 0xff 0xff 0x0f: claims 4 GiB.
    let lie = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    assert!(decompress(Compression::Snappy, &lie, usize::MAX).is_err());
}

#[test]
fn an_unknown_compression_and_a_wrong_crc_have_their_names() {
    let record = Owned {
        timestamp_ms: 1,
        key: None,
        value: None,
        headers: vec![],
    };
    let good = build(&[record], Compression::None, Producer::NONE);
    let mut unknown = good.to_vec();
    unknown[22] = 5;
    let error = Batch::decode(&unknown.into(), BYTES_MAX).unwrap_err();
    assert_eq!(error, levada_model::BatchError::Compression(5).into());
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let error = Batch::verify(&flipped.into(), BYTES_MAX).unwrap_err();
    assert_eq!(error, levada_model::BatchError::Crc.into());
}
