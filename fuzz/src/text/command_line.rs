//! Places in a log, templates, lines of standard input.

use levada_client::consumer::ConsumedRecord;
use levada_records::Header;

use super::parsers::lines::Lines;
use super::parsers::template::{Printed, Template};
use super::parsers::when::{self, Place};

pub fn check(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        place(text);
        template(text, input);
    }
    lines(input);
}

fn place(text: &str) {
    if let Ok(place) = text.parse::<Place>() {
        for now_ms in [0, 1_800_000_000_000, i64::MAX] {
            let _ = place.time_ms(now_ms);
        }
    }
    let _ = when::parse_span_ms(text);
    if let Some(ms) = when::parse_time_ms(text)
        && ms >= 0
    {
        // What is shown reads as the same time.
        assert_eq!(
            when::parse_time_ms(&when::show_time(ms)),
            Some(ms),
            "{text}"
        );
    }
    if let Ok(ms) = text.parse::<i64>() {
        let _ = when::show_time(ms);
    }
}

fn template(text: &str, bytes: &[u8]) {
    let Ok(template) = text.parse::<Template>() else {
        return;
    };
    let record = ConsumedRecord {
        offset: i64::MAX,
        timestamp_ms: i64::MAX,
        key: Some(bytes.to_vec().into()),
        value: None,
        headers: vec![Header {
            key: bytes.to_vec().into(),
            value: Some("v".into()),
        }],
    };
    let printed = Printed {
        topic: "t",
        partition: i32::MIN,
        record: &record,
    };
    let mut out = Vec::new();
    template.print(printed, true, &mut out);
    let shown = String::from_utf8_lossy(&out);
    let is_plain = text.chars().all(|c| !c.is_control());
    let moves_cursor = shown
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t');
    assert!(!is_plain || !moves_cursor, "{shown:?}");
    serde_json::to_vec(&printed).expect("any record is JSON");
}

/// The same lines come out however the stream is cut.
fn lines(input: &[u8]) {
    let cut = |size: usize| {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in input.chunks(size) {
            lines.push(chunk);
            while let Ok(Some(line)) = lines.next_line() {
                found.push(line);
            }
        }
        found.extend(lines.rest());
        found
    };
    assert_eq!(cut(input.len().max(1)), cut(3));
}

/// Texts of every form.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "earliest",
        "-10",
        "-2d12h",
        "1w2d3h4m5s6ms",
        "2026-11-21T08:00:00.250+01:30",
        "2024-02-29 23:59",
        "{topic}/{partition}@{offset} {timestamp} {key} {value} {size} {headers}",
        "{{{header:trace}}}\\n\\t{timestamp_ms}",
        "one\r\n\ntwo\nthree",
        "9223372036854775807",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
