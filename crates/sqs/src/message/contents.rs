//! What a message may consist of, and digests of it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use crate::limits::ID_MAX;

/// What the service says of other characters.
pub const ALLOWED: &str = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | \
    #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";

/// Whether every character is one that a message may have: those of XML 1.0.
pub fn is_allowed(text: &str) -> bool {
    let bytes = text.as_bytes();
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    // U+FFFE and U+FFFF are EF BF BE and EF BF BF, and no part of another character is.
    !bytes.iter().any(control)
        && (bytes.is_ascii()
            || !bytes
                .windows(3)
                .any(|window| matches!(window, [0xef, 0xbf, 0xbe | 0xbf])))
}

/// A message group id, deduplication id or attempt id: letters, digits and punctuation.
pub fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A record's value as a message body. What the service could not carry (a Kafka producer may have
/// written anything) is shown in base64 rather than with its bytes replaced.
pub fn body_text(body: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(body) {
        Ok(text) if is_allowed(text) => Cow::Borrowed(text),
        _ => Cow::Owned(STANDARD.encode(body)),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
    text
}

/// The digest that clients compare a body with.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_beyond_xml_are_not_allowed() {
        for good in ["", "a\tb\r\n", "ü€𝄞", "\u{fffd}\u{e000}\u{d7ff}\u{10ffff}"] {
            assert!(is_allowed(good), "{good:?}");
        }
        for bad in ["\0", "a\u{b}", "\u{1b}[0m", "\u{fffe}", "x\u{ffff}y"] {
            assert!(!is_allowed(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_body_that_cannot_be_shown_is_base64() {
        assert_eq!(body_text("grüß".as_bytes()), "grüß");
        assert_eq!(body_text(&[0xff, 0]), "/wA=");
        assert_eq!(body_text(b"\0"), "AA==");
    }

    #[test]
    fn digests_are_those_of_the_service() {
        // Recorded there: a message `msg`, a message `test`.
        assert_eq!(md5_hex(b"msg"), "6e2baaf3b97dbeef01c0043275f9a0e7");
        assert_eq!(md5_hex(b"test"), "098f6bcd4621d373cade4e832627b4f6");
    }

    #[test]
    fn ids_are_printable_and_short() {
        assert!(is_id("a!~Z9") && is_id(&"x".repeat(ID_MAX)));
        assert!(!is_id("") && !is_id("a b") && !is_id("ü") && !is_id(&"x".repeat(ID_MAX + 1)));
    }
}
