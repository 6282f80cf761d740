//! `levada config show|check|default`: the service's settings.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use levada_server::config::document::{default_toml, markdown};
use levada_server::config::{Layers, Loaded, SETTINGS, Source};
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::{Report, Table};
use crate::settings::SettingArgs;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print every setting, its value and where it came from
    Show(SettingArgs),
    /// Say whether a file of settings is valid
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a file with every setting, explained
    Default {
        /// As the Markdown page of the documentation
        #[arg(long)]
        markdown: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Usage`] for settings that are not valid.
pub async fn run(args: Args, context: Context) -> CliResult {
    match args.command {
        Command::Show(settings) => {
            let loaded = settings.load(&context.env)?;
            warn(&context, &loaded);
            context.print(&Shown::new(&loaded))
        }
        Command::Check { file } => check(file, &context),
        Command::Default { markdown: page } => {
            let text = if page { markdown() } else { default_toml() };
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            Ok(stdout.flush()?)
        }
    }
}

fn check(file: PathBuf, context: &Context) -> CliResult {
    let layers = Layers {
        file: Some(file.clone()),
        ..Layers::default()
    };
    let loaded = layers
        .load(&context.env)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    warn(context, &loaded);
    let set = loaded
        .values
        .values()
        .filter(|(_, source)| matches!(source, Source::File(_)))
        .count();
    context.say(format!("{}: valid, {set} settings", file.display()));
    Ok(())
}

fn warn(context: &Context, loaded: &Loaded) {
    for warning in &loaded.warnings {
        context.say(format!("warning: {warning}"));
    }
}

/// What `config show` prints.
#[derive(Serialize)]
#[serde(transparent)]
struct Shown(Vec<ShownSetting>);

#[derive(Serialize)]
struct ShownSetting {
    name: String,
    value: serde_json::Value,
    source: String,
    #[serde(skip)]
    text: String,
}

impl Shown {
    fn new(loaded: &Loaded) -> Self {
        let shown = SETTINGS.iter().filter_map(|row| {
            let (text, source) = loaded.values.get(&row.key())?;
            Some(ShownSetting {
                name: row.key(),
                value: row.to_json(text),
                source: source.to_string(),
                text: text.clone(),
            })
        });
        Self(shown.collect())
    }
}

impl Report for Shown {
    fn table(&self) -> Table {
        let mut table = Table::new(&["setting", "value", "source"]);
        for row in &self.0 {
            table.row([row.name.as_str(), row.text.as_str(), row.source.as_str()]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.name.clone()).collect()
    }
}
