//! Makes the answers of two brokers comparable: what each chooses for itself (ids, ports, clocks,
//! words of error messages) becomes a symbol, numbered in the order of its first appearance.

use std::collections::BTreeMap;

/// Fields whose values become symbols: `name`, and what stands for "none" and is kept.
const SYMBOLS: &[(&str, &[&str])] = &[
    (
        "topic_id",
        &["Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])"],
    ),
    ("cluster_id", &["None", "\"\""]),
    ("member_id", &["\"\""]),
    ("leader", &["\"\""]),
    ("producer_id", &["-1"]),
    ("session_id", &["0"]),
    ("port", &["0", "-1"]),
    ("log_dir", &["\"\""]),
    ("client_host", &["\"\""]),
    ("total_bytes", &["-1"]),
];

/// What a look at the machine found: whether a second look finds the same is nobody's promise, so
/// there is one symbol for all. `name`, and what stands for "none" and is kept.
const MEASURED: &[(&str, &str)] = &[("usable_bytes", "-1")];

/// Fields that are left out: their words are free.
const FREE: &[&str] = &[
    "error_message",
    "batch_index_error_message",
    "documentation",
];

/// Times above this are the clock's, not the script's.
const CLOCK_MS_MIN: i64 = 1_000_000_000_000;
const TIMES: &[&str] = &[
    "timestamp",
    "base_timestamp",
    "max_timestamp",
    "log_append_time_ms",
];

/// Symbols given so far.
#[derive(Default)]
pub struct Normaliser {
    symbols: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl Normaliser {
    /// The text of a `{:?}` with symbols in place of chosen values.
    pub fn normalise(&mut self, debug: &str) -> String {
        let mut out = String::new();
        let mut rest = debug;
        while let Some(at) = rest.find(": ") {
            let (head, tail) = rest.split_at(at + 2);
            out += head;
            let name = last_word(&head[..at]);
            let value = value_of(tail);
            out += &self.replace(name, value);
            rest = if self.is_chosen(name) {
                &tail[value.len()..]
            } else {
                tail
            };
        }
        out + rest
    }

    fn is_chosen(&self, name: &str) -> bool {
        FREE.contains(&name)
            || TIMES.contains(&name)
            || MEASURED.iter().any(|(measured, _)| *measured == name)
            || SYMBOLS.iter().any(|(symbol, _)| *symbol == name)
    }

    /// What stands in place of the value of a chosen field; nothing for other fields.
    fn replace(&mut self, name: &str, value: &str) -> String {
        if FREE.contains(&name) {
            return "…".to_owned();
        }
        if TIMES.contains(&name) {
            let is_clock = value.parse().is_ok_and(|time: i64| time > CLOCK_MS_MIN);
            return if is_clock {
                "#now".to_owned()
            } else {
                value.to_owned()
            };
        }
        if let Some((measured, none)) = MEASURED.iter().find(|(measured, _)| *measured == name) {
            return match value == *none {
                true => value.to_owned(),
                false => format!("#{measured}"),
            };
        }
        let Some((symbol, kept)) = SYMBOLS.iter().find(|(symbol, _)| *symbol == name) else {
            return String::new();
        };
        if kept.contains(&value) {
            return value.to_owned();
        }
        // A group's leader is one of its members.
        let kind = if *symbol == "leader" {
            "member_id"
        } else {
            symbol
        };
        let count = self.counts.entry(kind).or_default();
        let text = self
            .symbols
            .entry(format!("{kind} {value}"))
            .or_insert_with(|| {
                *count += 1;
                format!("#{kind}{count}")
            });
        text.clone()
    }
}

fn last_word(text: &str) -> &str {
    let start = text
        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(0, |at| at + 1);
    &text[start..]
}

/// The value at the start of `text`: up to the comma or bracket that ends it.
fn value_of(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0_i32, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' | ',' | ' ' | ':' if depth == 0 => return &text[..at],
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_symbols_by_their_first_appearance() {
        let mut normaliser = Normaliser::default();
        let text = normaliser.normalise("A { member_id: \"x,y\", n: 1, leader: \"x,y\" }");
        assert_eq!(
            text,
            "A { member_id: #member_id1, n: 1, leader: #member_id1 }"
        );
        let text = normaliser.normalise("B { member_id: \"z\", port: 9092 }");
        assert_eq!(text, "B { member_id: #member_id2, port: #port1 }");
    }

    #[test]
    fn none_and_the_script_s_own_times_stay() {
        let mut normaliser = Normaliser::default();
        let same = "P { producer_id: -1, timestamp: 1000, topic: \"a: b\" }";
        assert_eq!(normaliser.normalise(same), same);
        assert_eq!(
            normaliser.normalise("P { timestamp: 1795238563279 }"),
            "P { timestamp: #now }"
        );
    }

    #[test]
    fn words_of_errors_are_free() {
        let mut normaliser = Normaliser::default();
        let text = normaliser.normalise("E { error_message: Some(\"a (b), c\"), error_code: 3 }");
        assert_eq!(text, "E { error_message: …, error_code: 3 }");
    }
}
