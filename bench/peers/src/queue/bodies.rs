//! Bodies that tell their message's number, and what was seen of them.

use levada_load::Tally;

/// A number's decimal digits, with zeros in front.
pub const DIGITS: usize = 16;

/// The body of message 0; only its digits differ from the others'.
pub fn template(size: u32) -> Vec<u8> {
    const TEXT: &[u8] = b" Levada carries water to the fields, message by message.";
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let rest = (size as usize).saturating_sub(DIGITS);
    let byte = |at: usize| {
        if at < rest / 2 {
            return TEXT[at % TEXT.len()];
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + (state >> 32) as u8 % 26
    };
    let mut body = vec![b'0'; DIGITS];
    body.extend((0..rest).map(byte));
    body
}

/// Writes a number's digits.
pub fn stamp(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Which messages came, each once, and in FIFO queues each group's in order.
pub struct Seen {
    expected: Vec<u8>,
    bits: Vec<u64>,
    numbers: u64,
    groups: Option<u64>,
    /// The last number of each group, plus one.
    last: Vec<u64>,
    may_repeat: bool,
    pub count: u64,
    pub repeated: u64,
}

impl Seen {
    /// Expects numbers below `numbers`.
    pub fn new(size: u32, numbers: u64, groups: Option<u64>, may_repeat: bool) -> Self {
        Self {
            expected: template(size),
            bits: vec![0; (numbers / 64) as usize + 1],
            numbers,
            groups,
            last: vec![0; groups.unwrap_or(0) as usize],
            may_repeat,
            count: 0,
            repeated: 0,
        }
    }

    /// Checks a body that was received.
    pub fn note(&mut self, body: &[u8], tally: &mut Tally) {
        self.count += 1;
        let digits = body.get(..DIGITS).unwrap_or_default();
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|t| t.parse().ok());
        let Some(number) = number.filter(|number: &u64| *number < self.numbers) else {
            return tally.wrong(|| "a body without a number that was sent".to_owned());
        };
        if body.get(DIGITS..) != self.expected.get(DIGITS..) {
            tally.wrong(|| format!("message {number} is not what was sent"));
        }
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.bits[word] & bit != 0 && self.may_repeat {
            self.repeated += 1;
        } else if self.bits[word] & bit != 0 {
            tally.wrong(|| format!("message {number} came twice"));
        }
        self.bits[word] |= bit;
        if let Some(groups) = self.groups {
            let last = &mut self.last[(number % groups) as usize];
            if *last > number {
                let before = *last - 1;
                tally.wrong(|| format!("message {number} came after {before} of its group"));
            }
            *last = number + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_seen_once_whole_and_in_the_order_of_its_group() {
        let body = |number| {
            let mut body = template(64);
            stamp(&mut body[..DIGITS], number);
            body
        };
        let mut seen = Seen::new(64, 10, Some(2), false);
        let mut tally = Tally::default();
        for number in [0, 1, 4, 3] {
            seen.note(&body(number), &mut tally);
        }
        assert_eq!((seen.count, tally.errors), (4, 0));
        let mut broken = body(5);
        broken[40] ^= 1;
        for wrong in [body(4), body(2), body(10), broken, b"short".to_vec()] {
            let before = tally.errors;
            seen.note(&wrong, &mut tally);
            assert!(tally.errors > before);
        }
        let mut lenient = Seen::new(64, 10, None, true);
        let mut tally = Tally::default();
        for number in [3, 3] {
            lenient.note(&body(number), &mut tally);
        }
        assert_eq!((lenient.repeated, tally.errors), (1, 0));
    }
}
