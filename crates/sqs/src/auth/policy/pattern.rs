//! Texts of a policy with `*` (any letters) and `?` (any one) in them.

/// Whether all of `text` is what `pattern` says. Takes at most the product of their lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // The last `*`, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), text.get(read)) {
            (Some(b'*'), _) => {
                star = Some((at, read));
                at += 1;
            }
            (Some(b'?'), Some(_)) => (at, read) = (at + 1, read + 1),
            (Some(wanted), Some(found)) if wanted == found => (at, read) = (at + 1, read + 1),
            (None, None) => return true,
            _ => match star {
                Some((place, taken)) if taken < text.len() => {
                    star = Some((place, taken + 1));
                    (at, read) = (place + 1, taken + 1);
                }
                _ => return false,
            },
        }
    }
}

/// As [`matches`], each of the six parts of an ARN for itself: a `*` does not reach over a colon
/// of the first five.
pub fn arn_matches(pattern: &str, arn: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.splitn(6, ':'), arn.splitn(6, ':'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if matches(pattern, part) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_letters() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abcbc"),
            ("a?c", "abc"),
            ("*b*", "abc"),
            ("**", "x"),
            ("send*", "sendmessage"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("?", ""),
            ("a*d", "abc"),
            ("a?c", "ac"),
            ("*?x", "ax?"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        let (pattern, text) = ("*a".repeat(4000), "a".repeat(3999));
        assert!(!matches(&pattern, &text));
    }

    #[test]
    fn a_star_in_an_arn_stays_in_its_part() {
        let arn = "arn:aws:iam::000000000000:user/ann";
        assert!(arn_matches("arn:aws:iam::*:user/*", arn));
        assert!(!arn_matches("arn:*:user/ann", arn));
        assert!(!arn_matches("arn:aws:iam::1*:user/ann", arn));
    }
}
