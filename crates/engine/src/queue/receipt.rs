//! Receipts: what names one delivery of a message, signed, so that no broker keeps sessions.

use hmac::{Hmac, KeyInit, Mac};
use levada_catalog::queues::ReceiptKey;
use levada_model::{Offset, TopicId};
use sha2::Sha256;

use super::QueueError;

/// A delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub topic: TopicId,
    pub partition: i32,
    pub offset: Offset,
    pub attempts: u32,
    /// When it was received.
    pub received_ms: i64,
}

const CONTENT_BYTES: usize = 40;
/// Enough of the MAC that nobody guesses it.
const MAC_BYTES: usize = 16;
const RECEIPT_BYTES: usize = CONTENT_BYTES + MAC_BYTES;

impl Receipt {
    /// Topic, partition, offset, attempts and time, big endian; then the MAC; as hexadecimal digits.
    pub fn sign(&self, key: &ReceiptKey) -> String {
        let content = self.content();
        let mac = mac(key, &content).finalize().into_bytes();
        let bytes = content.iter().chain(mac.iter().take(MAC_BYTES));
        let mut text = String::with_capacity(2 * RECEIPT_BYTES);
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text
    }

    /// Reads a receipt that [`Receipt::sign`] made for a queue of this topic.
    ///
    /// # Errors
    /// [`QueueError::InvalidReceipt`].
    pub fn verify(text: &str, topic: TopicId, key: &ReceiptKey) -> Result<Self, QueueError> {
        let bytes = digits(text).ok_or(QueueError::InvalidReceipt)?;
        let (content, sum) = bytes.split_at(CONTENT_BYTES);
        // Compares in constant time.
        mac(key, content)
            .verify_truncated_left(sum)
            .map_err(|_| QueueError::InvalidReceipt)?;
        let receipt = Self::read(content).ok_or(QueueError::InvalidReceipt)?;
        match receipt.topic == topic {
            true => Ok(receipt),
            false => Err(QueueError::InvalidReceipt),
        }
    }

    fn content(&self) -> [u8; CONTENT_BYTES] {
        let mut content = [0; CONTENT_BYTES];
        content[..16].copy_from_slice(&self.topic.0);
        content[16..20].copy_from_slice(&self.partition.to_be_bytes());
        content[20..28].copy_from_slice(&self.offset.0.to_be_bytes());
        content[28..32].copy_from_slice(&self.attempts.to_be_bytes());
        content[32..].copy_from_slice(&self.received_ms.to_be_bytes());
        content
    }

    fn read(content: &[u8]) -> Option<Self> {
        let (topic, rest) = content.split_first_chunk::<16>()?;
        let (partition, rest) = rest.split_first_chunk::<4>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (attempts, rest) = rest.split_first_chunk::<4>()?;
        Some(Self {
            topic: TopicId(*topic),
            partition: i32::from_be_bytes(*partition),
            offset: Offset(i64::from_be_bytes(*offset)),
            attempts: u32::from_be_bytes(*attempts),
            received_ms: i64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

fn mac(key: &ReceiptKey, content: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
    mac.update(content);
    mac
}

fn digits(text: &str) -> Option<[u8; RECEIPT_BYTES]> {
    let text = text.as_bytes();
    if text.len() != 2 * RECEIPT_BYTES {
        return None;
    }
    let mut bytes = [0; RECEIPT_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        for digit in pair {
            let digit = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(digit).ok()?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ReceiptKey = ReceiptKey([7; 32]);
    const TOPIC: TopicId = TopicId([1; 16]);

    fn receipt() -> Receipt {
        Receipt {
            topic: TOPIC,
            partition: 3,
            offset: Offset(1 << 40),
            attempts: 9,
            received_ms: 1 << 41,
        }
    }

    #[test]
    fn a_receipt_reads_back() {
        let text = receipt().sign(&KEY);
        assert_eq!(Receipt::verify(&text, TOPIC, &KEY), Ok(receipt()));
    }

    #[test]
    fn a_receipt_with_any_digit_changed_is_refused() {
        let text = receipt().sign(&KEY);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            let read = Receipt::verify(&changed, TOPIC, &KEY);
            assert_eq!(read, Err(QueueError::InvalidReceipt), "digit {at}");
        }
    }

    #[test]
    fn a_receipt_of_another_queue_key_or_length_is_refused() {
        let text = receipt().sign(&KEY);
        let other = ReceiptKey([8; 32]);
        for read in [
            Receipt::verify(&text, TopicId([2; 16]), &KEY),
            Receipt::verify(&text, TOPIC, &other),
            Receipt::verify(&text[1..], TOPIC, &KEY),
            Receipt::verify("", TOPIC, &KEY),
            Receipt::verify(&"é".repeat(RECEIPT_BYTES), TOPIC, &KEY),
        ] {
            assert_eq!(read, Err(QueueError::InvalidReceipt));
        }
    }
}
