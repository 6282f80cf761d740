//! The files under git, read once, with test code told apart.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process;

/// One text file under git.
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    pub lines: Vec<String>,
    /// For each line: does it belong to test code?
    pub is_test: Vec<bool>,
}

impl Source {
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn new(path: String, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let is_test = if is_test_file(&path) {
            vec![true; lines.len()]
        } else {
            mark_test_items(&lines)
        };
        Source {
            path,
            lines,
            is_test,
        }
    }
}

/// Integration tests, benches, and modules that only `#[cfg(test)]` declares.
fn is_test_file(path: &str) -> bool {
    path.contains("/tests/")
        || path.contains("/benches/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// Marks each item under `#[cfg(test)]`. Relies on rustfmt: an item that opens a brace ends at the
/// `}` of the same indentation.
fn mark_test_items(lines: &[String]) -> Vec<bool> {
    let mut is_test = vec![false; lines.len()];
    let mut index = 0;
    while index < lines.len() {
        let indent = indentation(&lines[index]);
        let line = lines[index].trim();
        if !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test") {
            index += 1;
            continue;
        }
        let end = item_end(lines, index, indent);
        is_test[index..=end].fill(true);
        index = end + 1;
    }
    is_test
}

/// The last line of the item whose first line (or attribute) is `start`.
pub fn item_end(lines: &[String], start: usize, indent: usize) -> usize {
    for (index, line) in lines.iter().enumerate().skip(start) {
        let text = line.trim_end();
        if text.is_empty() || indentation(line) != indent {
            continue;
        }
        let closes = text.trim_start().starts_with('}');
        let one_line = !text.trim_start().starts_with("#[")
            && (text.ends_with(';') || text.ends_with("{}") || text.ends_with(" }"));
        if closes || one_line {
            return index;
        }
    }
    lines.len() - 1
}

pub fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Reads every text file that git knows or would add.
///
/// # Errors
/// When git does not answer.
pub fn read() -> Result<Vec<Source>> {
    let mut list = process::command("git");
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let names = process::output(&mut list).context("`git ls-files` failed")?;
    let mut sources = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let path = Path::new(&process::repository()).join(name);
        // A file deleted but not yet committed is listed; data files are not UTF-8.
        if let Ok(text) = fs::read_to_string(path) {
            sources.push(Source::new(name.to_owned(), &text));
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_under_cfg_test_is_told_apart() {
        let text = "fn a() {\n}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
        let source = Source::new("crates/x/src/lib.rs".into(), text);
        assert_eq!(
            source.is_test,
            [false, false, true, true, true, true, true, false]
        );
    }

    #[test]
    fn a_test_only_declaration_ends_at_its_semicolon() {
        let text = "#[cfg(test)]\nmod tests;\nfn a() {\n}\n";
        let source = Source::new("crates/x/src/lib.rs".into(), text);
        assert_eq!(source.is_test, [true, true, false, false]);
    }

    #[test]
    fn integration_tests_are_tests_throughout() {
        let source = Source::new("crates/x/tests/serve.rs".into(), "fn a() {}\n");
        assert_eq!(source.is_test, [true]);
    }
}
