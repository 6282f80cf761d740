//! Answers of HTTP/1.1, as far as the load needs them.

use anyhow::{Context, Result, bail, ensure};

use crate::wire::line;

/// The first whole answer in `bytes`: how many of them it takes, its status and its body.
///
/// # Errors
/// When it is no answer, or its length is not announced.
pub fn answer(bytes: &[u8]) -> Result<Option<(usize, u16, &[u8])>> {
    let Some((mut at, status)) = line(bytes)? else {
        return Ok(None);
    };
    ensure!(status.starts_with(b"HTTP/1.1 "), "no answer of HTTP/1.1");
    let code = status.get(9..12).context("an answer without a status")?;
    let code = std::str::from_utf8(code)?.parse()?;
    let mut length = None;
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
        } else if name.eq_ignore_ascii_case(b"connection") && value.eq_ignore_ascii_case(b"close") {
            bail!("the server keeps no connection");
        }
    }
    let end = at + length.context("an answer that does not tell its length")?;
    Ok(bytes.get(at..end).map(|body| (end, code, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() -> Result<()> {
        let bytes = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 3\r\n\r\nabcHTTP";
        for cut in 0..bytes.len() {
            let found = answer(&bytes[..cut])?;
            let whole = (bytes.len() - 4, 200, &b"abc"[..]);
            assert_eq!(found, (cut >= bytes.len() - 4).then_some(whole), "{cut}");
        }
        assert!(answer(b"HTTP/1.0 200 OK\r\n\r\n").is_err());
        assert!(answer(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        Ok(())
    }
}
