//! Cutting a stream of bytes into lines.

use bytes::{Bytes, BytesMut};

/// Longest line that is taken for one record, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Gathers chunks and gives whole lines, without their end (`\n` or `\r\n`).
#[derive(Default)]
pub struct Lines {
    buffer: BytesMut,
    /// Up to where no line end was found.
    searched: usize,
}

impl Lines {
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line.
    ///
    /// # Errors
    /// When a line is longer than [`LINE_BYTES_MAX`].
    pub fn next_line(&mut self) -> Result<Option<Bytes>, String> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        if let Some(found) = unsearched.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(self.searched + found + 1).freeze();
            self.searched = 0;
            return Ok(Some(trimmed(line)));
        }
        self.searched = self.buffer.len();
        if self.buffer.len() > LINE_BYTES_MAX {
            return Err(format!(
                "a line is longer than {} MiB: send large values with --whole",
                LINE_BYTES_MAX >> 20
            ));
        }
        Ok(None)
    }

    /// What is left behind the last line end, at the end of the stream.
    pub fn rest(&mut self) -> Option<Bytes> {
        self.searched = 0;
        let rest = self.buffer.split().freeze();
        (!rest.is_empty()).then(|| trimmed(rest))
    }
}

fn trimmed(mut line: Bytes) -> Bytes {
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.truncate(line.len() - 1);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk);
            while let Some(line) = lines.next_line().unwrap() {
                found.push(line.to_vec());
            }
        }
        found.extend(lines.rest().map(|line| line.to_vec()));
        found
    }

    #[test]
    fn lines_are_the_same_however_the_stream_is_cut() {
        let text = b"one\r\n\ntwo\nthree";
        let whole = cut(&[text]);
        assert_eq!(
            whole,
            [
                b"one".to_vec(),
                b"".to_vec(),
                b"two".to_vec(),
                b"three".to_vec()
            ]
        );
        for at in 0..text.len() {
            assert_eq!(cut(&[&text[..at], &text[at..]]), whole);
        }
        assert_eq!(cut(&[b"end\n"]), [b"end".to_vec()]);
        assert!(cut(&[]).is_empty());
    }
}
