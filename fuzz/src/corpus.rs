//! The committed inputs of a target: `fuzz/corpus/NAME.hex`, one input a line in hexadecimal.
//!
//! Lines that begin with `#` say where the inputs below come from; an input that once broke
//! something is never removed.

use std::path::PathBuf;

/// Where a target's inputs are.
pub fn path(target: &str) -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.join("corpus").join(format!("{target}.hex"))
}

/// The inputs in a file's text.
///
/// # Errors
/// The number of a line that is not hexadecimal.
pub fn read(text: &str) -> Result<Vec<Vec<u8>>, usize> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
        .map(|(number, line)| bytes_of(line).ok_or(number + 1))
        .collect()
}

fn bytes_of(line: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = line
        .chars()
        .map(|digit| Some(digit.to_digit(16)? as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// An input as a line.
pub fn line(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The committed inputs of a target.
///
/// # Panics
/// When its file is missing or is not what [`read`] reads.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let path = path(target);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read(&text).unwrap_or_else(|line| panic!("{}:{line} is not hexadecimal", path.display()))
}
