//! Index entries that were spilled out of memory.
//!
//! The first byte chooses: 0 the bytes as they are, else with a checksum that fits.

use crc_fast::{CrcAlgorithm, checksum};
use levada_engine::testing::{decode_index_run, encode_index_run};

pub fn check(input: &[u8]) {
    let Some((&choice, bytes)) = input.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if choice != 0 {
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &bytes) as u32;
        bytes.extend_from_slice(&crc.to_le_bytes());
    }
    let Ok(entries) = decode_index_run(&bytes) else {
        return;
    };
    for entry in &entries {
        assert!(entry.base < entry.end(), "{entry:?}");
        assert!(entry.base.0 >= 0, "{entry:?}");
    }
    let again = decode_index_run(&encode_index_run(&entries)).expect("what we wrote can be read");
    assert_eq!(again, entries);
}
