//! Edits of bytes that are whole: how a fuzzer gets behind checksums and into the depth of formats.
//!
//! An edit is six bytes: what it does, where (three bytes, taken modulo the length), two bytes of
//! what. Formats whose parts carry checksums are sealed again after the edits if the input says so.

const EDIT_BYTES: usize = 6;
/// More would be another input altogether.
const EDITS_MAX: usize = 64;

/// Carries out the edits in `script` on `bytes`.
pub fn apply(bytes: &mut Vec<u8>, script: &[u8]) {
    for edit in script.chunks_exact(EDIT_BYTES).take(EDITS_MAX) {
        if bytes.is_empty() {
            return;
        }
        let at = u32::from_be_bytes([0, edit[1], edit[2], edit[3]]) as usize % bytes.len();
        let wide = u16::from_be_bytes([edit[4], edit[5]]);
        match edit[0] % 6 {
            0 => bytes[at] ^= edit[4],
            1 => bytes[at] = edit[4],
            2 => {
                for (byte, new) in bytes[at..].iter_mut().zip(wide.to_le_bytes()) {
                    *byte = new;
                }
            }
            3 => bytes.truncate(at),
            4 => {
                let end = (at + usize::from(wide)).min(bytes.len());
                bytes[at..end].fill(0);
            }
            _ => {
                let end = (at + usize::from(wide)).min(bytes.len());
                let copied = bytes[at..end].to_vec();
                bytes.extend_from_slice(&copied);
            }
        }
    }
}
