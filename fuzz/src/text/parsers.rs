//! The command line's own parsers. The command is a binary, nobody can link it: they are compiled
//! in here as they stand there.
#![allow(dead_code)]

#[path = "../../../crates/cli/src/lines.rs"]
pub mod lines;
#[path = "../../../crates/cli/src/commands/consume/template.rs"]
pub mod template;
#[path = "../../../crates/cli/src/when.rs"]
pub mod when;
