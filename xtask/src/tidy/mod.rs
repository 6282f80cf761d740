//! `cargo xtask tidy`: the rules of STYLE.md that a machine can check.

mod floors;
mod sizes;
mod sources;
mod words;

use anyhow::Result;

use crate::report::Tally;

#[derive(clap::Args, Default)]
pub struct Options {
    /// Lower the sizes in xtask/tidy.ratchet to what they are now (never raises one)
    #[arg(long)]
    pub bless: bool,
}

/// Runs every rule; each broken one is printed with file, line and what to do.
///
/// # Errors
/// When the repository cannot be read.
pub fn run(options: &Options) -> Result<Tally> {
    let sources = sources::read()?;
    let mut tally = Tally::default();
    let mut rule = |name: &str, faults: Vec<String>| {
        for fault in &faults {
            println!("tidy: {name}: {fault}");
        }
        tally += Tally::of(faults.is_empty());
    };
    rule("floors", floors::check()?);
    rule("sizes", sizes::check(&sources, options.bless)?);
    rule("module docs", words::undocumented(&sources));
    rule("banned words", words::banned(&sources));
    rule("sleeping tests", words::sleeping(&sources));
    Ok(tally)
}
