//! What a person reads about the settings, written from the table.

use std::fmt::Write;

use super::table::{SECTIONS, SETTINGS, Setting};
use super::value::Json;

/// A configuration file with every setting at its default, explained and commented out.
#[must_use]
pub fn default_toml() -> String {
    let mut text = String::from(
        "# Levada's settings with their defaults. Take the # away to change one.\n\
         # The environment (LEVADA_SECTION_NAME) and flags win over this file.\n",
    );
    for (section, doc) in SECTIONS {
        let _ = write!(text, "\n# {}\n[{section}]\n", joined(doc));
        for row in SETTINGS.iter().filter(|row| row.section == *section) {
            for line in row.doc {
                let _ = writeln!(text, "# {}", line.trim());
            }
            let _ = writeln!(text, "#   {}", takes(row));
            let _ = writeln!(text, "#{} = {}", row.name, toml_value(row, row.default));
        }
    }
    text
}

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         <!-- Written by `levada config default --markdown > docs/configuration.md`. Do not edit. -->\n\n\
         Every setting can be given in three ways. The flag wins, then the environment, then the file.\n\n\
         - a TOML file, named by `levada serve --config FILE`: `name = value` under `[section]`\n\
         - the environment: `LEVADA_SECTION_NAME`\n\
         - a flag of `levada serve`\n\n\
         `levada config default` prints a file to start from, `levada config check FILE` checks one, and\n\
         `levada config show` prints what holds and where it came from. An unknown name is an error.\n\
         Sizes are numbers of bytes or carry a unit: `64KiB`, `8MiB`, `1GiB`.\n",
    );
    for (section, doc) in SECTIONS {
        let _ = write!(
            text,
            "\n## {section}\n\n{}\n\n| setting | default | takes | what it does | environment | flag |\n|---|---|---|---|---|---|\n",
            joined(doc)
        );
        for row in SETTINGS.iter().filter(|row| row.section == *section) {
            let default = match row.default {
                "" => "(empty)".to_owned(),
                default => format!("`{default}`"),
            };
            let _ = writeln!(
                text,
                "| `{}` | {default} | {} | {} | `{}` | `--{}` |",
                row.key(),
                takes(row),
                row.text(),
                row.environment(),
                row.flag()
            );
        }
    }
    text
}

fn joined(doc: &[&str]) -> String {
    let lines: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// The values it takes, with bounds and the unit that its name ends in.
fn takes(row: &Setting) -> String {
    let mut text = row.kind.to_owned();
    for (suffix, unit) in [("_ms", "milliseconds"), ("_minutes", "minutes")] {
        if row.name.ends_with(suffix) || row.name.contains(&format!("{suffix}_")) {
            text = format!("{text} of {unit}");
        }
    }
    if let Some((low, high)) = row.bounds {
        let _ = write!(text, " ({low} to {high})");
    }
    text
}

fn toml_value(row: &Setting, text: &str) -> String {
    match row.json {
        Json::Bool => text.to_owned(),
        Json::Number if text.bytes().all(|b| b.is_ascii_digit()) => text.to_owned(),
        _ => toml::Value::String(text.to_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::load::{Layers, Source};
    use super::*;

    #[test]
    fn the_default_file_is_a_valid_file_with_and_without_its_comment_signs() {
        let text = default_toml();
        let path = Path::new("default.toml");
        Layers::default().combine(Some((path, &text))).unwrap();
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let loaded = Layers::default()
            .combine(Some((path, &uncommented)))
            .unwrap();
        for row in SETTINGS {
            let (value, source) = &loaded.values[&row.key()];
            assert_eq!(value, row.default, "{}", row.key());
            assert!(matches!(source, Source::File(_)), "{}", row.key());
        }
    }
}
