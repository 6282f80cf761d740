//! Text rules: module docs, words that must not stand in the repository, tests that sleep.

use super::sources::Source;

/// Within how many lines of its top a module says what it is.
const DOC_LINES_MAX: usize = 12;

/// Hosts of package registries: whoever builds this decides where packages come from. Written in
/// two halves, so that this file does not name them either.
const REGISTRY_HOSTS: [(&str, &str); 8] = [
    ("registry.npm", "js.org"),
    ("registry.yarn", "pkg.com"),
    ("files.python", "hosted.org"),
    ("pypi", ".org"),
    ("proxy.gol", "ang.org"),
    ("repo1.ma", "ven.org"),
    ("repo.maven.apa", "che.org"),
    ("deb.deb", "ian.org"),
];

const BANNED_IN_RUST: [(&str, &str, &str); 3] = [
    ("to", "do!(", "finish it or leave it out"),
    ("unimple", "mented!(", "finish it or leave it out"),
    ("#[ign", "ore", "an ignored test proves nothing"),
];

const SLEEPS: [&str; 2] = ["thread::sleep(", "time::sleep("];

/// Rust files without a `//!` line at their top.
pub fn undocumented(sources: &[Source]) -> Vec<String> {
    let rust = sources.iter().filter(|source| source.is_rust());
    rust.filter(|source| {
        !source
            .lines
            .iter()
            .take(DOC_LINES_MAX)
            .any(|line| line.starts_with("//!"))
    })
    .map(|source| {
        format!(
            "{}: begin with a `//!` line that says what it is",
            source.path
        )
    })
    .collect()
}

/// Registry hosts anywhere but in Cargo's own lock file, and unfinished or ignored Rust.
pub fn banned(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources
        .iter()
        .filter(|source| !source.path.ends_with("Cargo.lock"))
    {
        for (index, line) in source.lines.iter().enumerate() {
            let place = format!("{}:{}", source.path, index + 1);
            for (head, tail) in REGISTRY_HOSTS {
                if line.contains(&format!("{head}{tail}")) {
                    faults.push(format!("{place}: names the registry host {head}{tail}"));
                }
            }
            for (head, tail, why) in BANNED_IN_RUST {
                if source.is_rust() && line.contains(&format!("{head}{tail}")) {
                    faults.push(format!("{place}: {head}{tail}: {why}"));
                }
            }
        }
    }
    faults
}

/// Test code that waits for time to pass instead of for an event.
pub fn sleeping(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for (index, line) in source.lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_sleep = SLEEPS.iter().any(|sleep| code.contains(sleep));
            if source.is_test[index] && is_sleep {
                faults.push(format!("{}:{}: wait for the event", source.path, index + 1));
            }
        }
    }
    faults
}
