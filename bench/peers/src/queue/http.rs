//! Answers of HTTP/1.1, as far as the load needs them.

use anyhow::{Context, Result, ensure};

use crate::wire::line;

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// The server closes the connection after it.
    pub is_last: bool,
}

/// The first whole answer in `bytes`, and how many of them it takes.
///
/// # Errors
/// When it is no answer, or its length is not announced.
pub fn answer(bytes: &[u8]) -> Result<Option<(usize, Answer<'_>)>> {
    let Some((mut at, status)) = line(bytes)? else {
        return Ok(None);
    };
    ensure!(status.starts_with(b"HTTP/1.1 "), "no answer of HTTP/1.1");
    let code = status.get(9..12).context("an answer without a status")?;
    let code = std::str::from_utf8(code)?.parse()?;
    let (mut length, mut is_last) = (None, false);
    loop {
        let Some((taken, header)) = line(&bytes[at..])? else {
            return Ok(None);
        };
        at += taken;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':');
        let (name, value) = header.split_at(colon.context("a header without a name")?);
        let value = value[1..].trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length = Some(std::str::from_utf8(value)?.parse::<usize>()?);
        } else if name.eq_ignore_ascii_case(b"connection") {
            is_last |= value.eq_ignore_ascii_case(b"close");
        }
    }
    let end = at + length.context("an answer that does not tell its length")?;
    let answer = |body| Answer {
        status: code,
        body,
        is_last,
    };
    Ok(bytes.get(at..end).map(|body| (end, answer(body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() -> Result<()> {
        let bytes = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 3\r\n\r\nabcHTTP";
        for cut in 0..bytes.len() {
            let found = answer(&bytes[..cut])?;
            let answer = Answer {
                status: 200,
                body: b"abc",
                is_last: false,
            };
            let whole = (bytes.len() - 4, answer);
            assert_eq!(found, (cut >= bytes.len() - 4).then_some(whole), "{cut}");
        }
        let last = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        assert!(last.is_some_and(|(_, answer)| answer.is_last));
        assert!(answer(b"HTTP/1.0 200 OK\r\n\r\n").is_err());
        assert!(answer(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        Ok(())
    }
}
