//! The page about the settings is what the table says.
#![allow(clippy::disallowed_methods)]

use std::path::Path;

use levada_server::config::document::markdown;

#[test]
fn the_configuration_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == markdown(),
        "docs/configuration.md is not current: run `cargo run -- config default --markdown > docs/configuration.md`"
    );
}
