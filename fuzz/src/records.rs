//! Record batches as a producer sends them and as a consumer gets them.
//!
//! The first byte chooses: 0 a run of batches as it is; 1 to 5 the records of one batch in that
//! compression, behind a header and a CRC that fit, so that the fuzzer need not guess them; above,
//! bytes that go through each compressor and back.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use levada_model::batch::{self, HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC};
use levada_records::{Batch, Batches, Compression, RecordsError, compress, decompress};

/// What a batch may take when opened.
const OPENED_BYTES_MAX: usize = 1 << 20;
const CRC_FROM: usize = 21;
/// Behind the choice stand the counts that the header tells.
const COUNTS_BYTES: usize = 2;

pub fn check(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    match choice {
        0 => run(Bytes::copy_from_slice(rest)),
        1..=5 => one(choice - 1, rest),
        _ => there_and_back(rest),
    }
}

fn run(run: Bytes) {
    let _ = batch::check(&run);
    if let Ok(header) = batch::overlay(&run, 7, 0, Some(9)) {
        let mut stamped = run.to_vec();
        stamped[..HEADER_BYTES].copy_from_slice(&header);
        // The overlay keeps the CRC right or wrong as it was.
        let is_whole = |bytes: &[u8]| !matches!(batch::check(bytes), Err(batch::BatchError::Crc));
        assert_eq!(is_whole(&run), is_whole(&stamped));
    }
    let mut batches = Batches::new(run.clone());
    let mut cut = 0;
    for batch in batches.by_ref().flatten() {
        let (header, bytes) = batch;
        assert_eq!(bytes.len(), header.total_bytes());
        cut += bytes.len();
        open(&bytes);
    }
    assert!(cut + batches.rest().len() <= run.len());
}

fn open(bytes: &Bytes) {
    for opened in [
        Batch::verify(bytes, OPENED_BYTES_MAX),
        Batch::decode(bytes, OPENED_BYTES_MAX),
    ] {
        let Ok(batch) = opened else { continue };
        let last = i64::from(batch.header().last_offset_delta);
        let mut taken = 0;
        for record in batch.records() {
            let Ok(record) = record else { break };
            let _ = (batch.offset(&record), batch.timestamp_ms(&record));
            assert!((0..=last).contains(&i64::from(record.offset_delta)));
            let sizes = record.headers.iter().map(|header| header.key.len());
            taken += sizes.sum::<usize>() + record.value.map_or(0, |value| value.len());
        }
        assert!(taken <= OPENED_BYTES_MAX);
    }
}

fn one(compression: u8, rest: &[u8]) {
    let Some((counts, records)) = rest.split_first_chunk::<COUNTS_BYTES>() else {
        return;
    };
    open(&Bytes::from(sealed(compression, *counts, records)));
    let codec = Compression::ALL[usize::from(compression)];
    let packed = Bytes::copy_from_slice(records);
    for bytes_max in [0, 100, OPENED_BYTES_MAX] {
        match decompress(codec, &packed, bytes_max) {
            Ok(opened) => assert!(opened.len() <= bytes_max),
            Err(RecordsError::TooLarge { .. } | RecordsError::Compressed { .. }) => {}
            Err(other) => panic!("not an answer of decompress: {other}"),
        }
    }
}

/// A batch with a header that fits `records`.
pub fn sealed(compression: u8, counts: [u8; COUNTS_BYTES], records: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.extend_from_slice(records);
    let length = (bytes.len() - LENGTH_PREFIX_BYTES) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = MAGIC as u8;
    bytes[22] = compression;
    bytes[23..27].copy_from_slice(&i32::from(counts[0]).to_be_bytes());
    bytes[57..61].copy_from_slice(&i32::from(counts[1]).to_be_bytes());
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, &bytes[CRC_FROM..]) as u32;
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn there_and_back(bytes: &[u8]) {
    for codec in Compression::ALL {
        let mut packed = Vec::new();
        compress(codec, bytes, &mut packed).expect("any bytes can be packed");
        let opened = decompress(codec, &packed.into(), bytes.len()).expect("what we packed opens");
        assert_eq!(opened, bytes, "{codec}");
    }
}
