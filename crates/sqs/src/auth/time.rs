//! Points in time as requests and policies write them.

/// Seconds since 1970 of a date and a time of day, UTC; `None` for what no calendar has.
pub fn civil_seconds(date: [i64; 3], time: [i64; 3]) -> Option<i64> {
    let ([year, month, day], [hour, minute, second]) = (date, time);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time =
        (0..=23).contains(&hour) && (0..=59).contains(&minute) && (0..=60).contains(&second);
    if !is_date || !is_time || !(0..=9999).contains(&year) {
        return None;
    }
    // Days from the civil calendar, with years that begin in March.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The digits at a place of a text, as a number.
pub fn digits(text: &str, from: usize, to: usize) -> Option<i64> {
    let digits = text.get(from..to)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| digits.parse().ok())?
}

/// Seconds since 1970 of `2026-01-31`, `2026-01-31T23:59:59Z` (with parts of a second or without),
/// or of a number of seconds: what a policy may say.
pub fn policy_seconds(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let is_dashed = |at: usize| text.as_bytes().get(at) == Some(&b'-');
    if !is_dashed(4) || !is_dashed(7) {
        return None;
    }
    let date = [
        digits(text, 0, 4)?,
        digits(text, 5, 7)?,
        digits(text, 8, 10)?,
    ];
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return civil_seconds(date, [0; 3]);
    }
    let (time, parts) = (rest.get(..9)?, rest.get(9..)?.strip_suffix('Z')?);
    let is_fraction = |parts: &str| parts.bytes().all(|byte| byte.is_ascii_digit());
    let has_parts = parts.strip_prefix('.').is_some_and(is_fraction);
    let marks = [0, 3, 6].map(|at| time.as_bytes().get(at).copied());
    if marks != [Some(b'T'), Some(b':'), Some(b':')] || !(parts.is_empty() || has_parts) {
        return None;
    }
    let time = [
        digits(time, 1, 3)?,
        digits(time, 4, 6)?,
        digits(time, 7, 9)?,
    ];
    civil_seconds(date, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_writes_times_in_four_ways() {
        let noon = Some(1_769_860_800);
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.5Z",
            "1769860800",
        ] {
            assert_eq!(policy_seconds(text), noon, "{text}");
        }
        assert_eq!(policy_seconds("2026-01-31"), noon.map(|at| at - 12 * 3600));
        for wrong in [
            "",
            "2026-13-01",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00:00.xZ",
            "2026-01-3ü",
            "20260131T120000Z",
        ] {
            assert_eq!(policy_seconds(wrong), None, "{wrong}");
        }
    }
}
