//! File and function sizes, with a ratchet: what is too long today stands in `xtask/tidy.ratchet`
//! with its size, which may only shrink.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::sources::{Source, indentation, item_end};
use crate::process;

/// STYLE.md says about 400 and about 70; this is "about".
const FILE_LINES_MAX: usize = 430;
const FUNCTION_LINES_MAX: usize = 76;

fn ratchet_path() -> PathBuf {
    process::repository().join("xtask/tidy.ratchet")
}

/// Every file or function that is too long and not in the ratchet, or longer than it says.
///
/// # Errors
/// When the ratchet cannot be read or written.
pub fn check(sources: &[Source], bless: bool) -> Result<Vec<String>> {
    let text = fs::read_to_string(ratchet_path()).unwrap_or_default();
    let ratchet = parse(&text)?;
    let sizes = measure(sources);
    if bless {
        fs::write(ratchet_path(), render(&text, &ratchet, &sizes))?;
    }
    Ok(compare(&ratchet, &sizes))
}

/// Sizes of everything above its limit: `file PATH` or `fn PATH::NAME`, in lines without tests.
fn measure(sources: &[Source]) -> BTreeMap<String, usize> {
    let mut sizes = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let length = source.is_test.iter().filter(|is_test| !**is_test).count();
        if length > FILE_LINES_MAX {
            sizes.insert(format!("file {}", source.path), length);
        }
        for (name, length) in functions(source) {
            if length > FUNCTION_LINES_MAX {
                let entry = sizes
                    .entry(format!("fn {}::{name}", source.path))
                    .or_default();
                *entry = length.max(*entry);
            }
        }
    }
    sizes
}

/// Name and length of each function outside tests, its signature included.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        if source.is_test[index] {
            continue;
        }
        let Some(name) = function_name(line.trim_start()) else {
            continue;
        };
        let end = item_end(&source.lines, index, indentation(line));
        found.push((name.to_owned(), end - index + 1));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line;
    for word in [
        "pub(crate) ",
        "pub(super) ",
        "pub ",
        "const ",
        "async ",
        "unsafe ",
    ] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    rest.get(..end)
}

fn compare(ratchet: &BTreeMap<String, usize>, sizes: &BTreeMap<String, usize>) -> Vec<String> {
    let mut faults = Vec::new();
    for (what, size) in sizes {
        match ratchet.get(what) {
            None => faults.push(format!("{what} has {size} lines: split it")),
            Some(limit) if size > limit => {
                faults.push(format!(
                    "{what} grew from {limit} to {size} lines: it may only shrink"
                ));
            }
            Some(_) => {}
        }
    }
    for what in ratchet.keys().filter(|what| !sizes.contains_key(*what)) {
        faults.push(format!(
            "{what} is no longer too long: `cargo xtask tidy --bless` drops it"
        ));
    }
    faults
}

fn parse(text: &str) -> Result<BTreeMap<String, usize>> {
    let mut ratchet = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (what, size) = line
            .rsplit_once(' ')
            .and_then(|(what, size)| Some((what, size.parse().ok()?)))
            .with_context(|| format!("xtask/tidy.ratchet: not `file|fn PATH SIZE`: {line}"))?;
        ratchet.insert(what.to_owned(), size);
    }
    Ok(ratchet)
}

/// The ratchet with the comments it had, and each entry at the smaller of its two sizes.
fn render(
    text: &str,
    ratchet: &BTreeMap<String, usize>,
    sizes: &BTreeMap<String, usize>,
) -> String {
    let mut out: String = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    for (what, limit) in ratchet {
        if let Some(size) = sizes.get(what) {
            out.push_str(&format!("{what} {}\n", size.min(limit)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, usize)]) -> BTreeMap<String, usize> {
        entries
            .iter()
            .map(|(what, size)| ((*what).to_owned(), *size))
            .collect()
    }

    #[test]
    fn a_listed_size_may_shrink_and_not_grow() {
        let ratchet = map(&[("file a", 500)]);
        assert!(compare(&ratchet, &map(&[("file a", 480)])).is_empty());
        assert_eq!(compare(&ratchet, &map(&[("file a", 501)])).len(), 1);
        assert_eq!(compare(&ratchet, &map(&[])).len(), 1);
        assert_eq!(compare(&map(&[]), &ratchet).len(), 1);
    }

    #[test]
    fn bless_lowers_and_drops_but_never_adds() {
        let text = "# why\nfile a 500\nfile b 500\n";
        let ratchet = parse(text).expect("valid");
        let blessed = render(text, &ratchet, &map(&[("file a", 450), ("file c", 900)]));
        assert_eq!(blessed, "# why\nfile a 450\n");
    }

    #[test]
    fn names_of_functions_are_found_behind_their_qualifiers() {
        assert_eq!(
            function_name("pub(crate) async fn serve<T>(t: T) {"),
            Some("serve")
        );
        assert_eq!(function_name("let f = fn_name(1);"), None);
    }
}
