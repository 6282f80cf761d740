//! Places in a log as people write them: ends, offsets, times. And times as they read them.

use std::str::FromStr;

/// Milliseconds in a day.
const DAY_MS: i64 = 86_400_000;

/// Where in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Earliest,
    /// After the last record.
    Latest,
    Offset(i64),
    /// So many records before the end.
    Last(i64),
    /// The first record not older than this, milliseconds since the Unix epoch.
    Time(i64),
    /// So many milliseconds before now.
    Ago(i64),
}

impl Place {
    /// The time it stands for, if it stands for one.
    pub fn time_ms(self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Time(ms) => Some(ms),
            Self::Ago(ms) => Some(now_ms.saturating_sub(ms)),
            _ => None,
        }
    }
}

/// What is accepted, for help and errors.
pub const PLACE_HELP: &str = "earliest, latest, an offset (42), the last records (-10), \
     a time ago (-1h, -30m, -2d12h) or a time (2026-11-21T08:00:00Z, 2026-11-21)";

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" | "beginning" | "start" => return Ok(Self::Earliest),
            "latest" | "end" => return Ok(Self::Latest),
            "now" => return Ok(Self::Ago(0)),
            _ => {}
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(match number {
                0.. => Self::Offset(number),
                _ => Self::Last(number.saturating_neg()),
            });
        }
        if let Some(span) = text.strip_prefix('-').and_then(parse_span_ms) {
            return Ok(Self::Ago(span));
        }
        parse_time_ms(text)
            .map(Self::Time)
            .ok_or_else(|| format!("'{text}' is no place in a log: use {PLACE_HELP}"))
    }
}

/// A span such as `1h`, `90s`, `2d12h`, `500ms`.
pub fn parse_span_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let unit_end = behind
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => DAY_MS,
            "w" => 7 * DAY_MS,
            _ => return None,
        };
        let number: i64 = number.parse().ok()?;
        total = total.checked_add(number.checked_mul(unit_ms)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

/// A date, or a date and time (RFC 3339); without a zone it is UTC.
pub fn parse_time_ms(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = fixed(parts.next()?, 4)?;
    let month = fixed(parts.next()?, 2)?;
    let day = fixed(parts.next()?, 2)?;
    if parts.next().is_some() || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month)
    {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * DAY_MS;
    match time {
        Some(time) => Some(midnight + parse_clock_ms(time)?),
        None => Some(midnight),
    }
}

/// `hh:mm[:ss[.fff]]` with `Z`, an offset or nothing behind it, as milliseconds of the UTC day.
fn parse_clock_ms(text: &str) -> Option<i64> {
    let zone = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone);
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = whole.split(':');
    let hours = fixed(parts.next()?, 2)?;
    let minutes = fixed(parts.next()?, 2)?;
    let seconds = parts.next().map_or(Some(0), |part| fixed(part, 2))?;
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    if clock.contains('.') && (fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()))
    {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths.parse::<i64>().ok()?;
    let shift_ms = match zone {
        "" | "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let span = (fixed(hours, 2)? * 60 + fixed(minutes, 2)?) * 60_000;
            if zone.starts_with('-') { -span } else { span }
        }
    };
    Some(ms - shift_ms)
}

/// Exactly so many digits.
fn fixed(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, which repeats every 400 years.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A time as RFC 3339 in UTC with milliseconds; `-` for none (below zero).
pub fn show_time(ms: i64) -> String {
    if ms < 0 {
        return "-".to_owned();
    }
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let of_day = ms.rem_euclid(DAY_MS);
    let (seconds, thousandths) = (of_day / 1000, of_day % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{thousandths:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_every_form() {
        let place = |text: &str| text.parse::<Place>();
        assert_eq!(place("earliest"), Ok(Place::Earliest));
        assert_eq!(place("latest"), Ok(Place::Latest));
        assert_eq!(place("42"), Ok(Place::Offset(42)));
        assert_eq!(place("-10"), Ok(Place::Last(10)));
        assert_eq!(place("-1h"), Ok(Place::Ago(3_600_000)));
        assert_eq!(place("-2d12h"), Ok(Place::Ago(216_000_000)));
        assert_eq!(place("-500ms"), Ok(Place::Ago(500)));
        assert_eq!(place("2026-11-21"), Ok(Place::Time(1_795_219_200_000)));
        for wrong in [
            "",
            "-",
            "-h",
            "1h",
            "-1y",
            "2026-13-01",
            "2026-02-29",
            "tomorrow",
            "1.5",
        ] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let base = 1_795_240_800_000 + 120_000; // 2026-11-21T06:02:00Z
        assert_eq!(parse_time_ms("2026-11-21T06:02:00Z"), Some(base));
        assert_eq!(parse_time_ms("2026-11-21T06:02"), Some(base));
        assert_eq!(parse_time_ms("2026-11-21 06:02:00.25"), Some(base + 250));
        assert_eq!(parse_time_ms("2026-11-21T08:02:00+02:00"), Some(base));
        assert_eq!(parse_time_ms("2026-11-21T01:32:00-04:30"), Some(base));
        assert_eq!(parse_time_ms("1970-01-01"), Some(0));
        for wrong in [
            "2026-11-21T25:00",
            "2026-11-21T06:02:00.",
            "2026-11-21T06",
            "x",
            "é-é-é",
        ] {
            assert_eq!(parse_time_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_shown_time_reads_back() {
        for ms in [
            0,
            951_782_400_000,
            1_795_219_199_999,
            4_107_542_399_123,
            253_402_300_799_999,
        ] {
            assert_eq!(parse_time_ms(&show_time(ms)), Some(ms), "{}", show_time(ms));
        }
        assert_eq!(show_time(1_795_240_920_250), "2026-11-21T06:02:00.250Z");
        assert_eq!(show_time(-1), "-");
    }
}
