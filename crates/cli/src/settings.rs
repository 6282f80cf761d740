//! One flag for every setting of the service, made from the settings table.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, FromArgMatches};
use levada_env::Env;
use levada_server::config::value::Json;
use levada_server::config::{Layers, Loaded, SETTINGS};

use crate::error::{CliError, CliResult};

/// The settings that flags gave: `section.name` and text.
#[derive(Clone, Debug, Default)]
pub struct SettingFlags(pub Vec<(String, String)>);

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|row| {
            let key = row.key();
            let text = matches.try_get_one::<String>(&key).ok()??.clone();
            Some((key, text))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().fold(command, |command, row| {
            let default = match row.default {
                "" => "empty",
                default => default,
            };
            let mut arg = Arg::new(row.key())
                .long(row.flag())
                .value_name(match row.json {
                    Json::Bool => "BOOL".to_owned(),
                    _ if row.kind.starts_with("host:port") => "ADDR".to_owned(),
                    _ if row.kind == "folder" => "DIR".to_owned(),
                    _ => row
                        .name
                        .rsplit('_')
                        .next()
                        .unwrap_or(row.name)
                        .to_uppercase(),
                })
                .help(format!(
                    "{} [default: {default}]",
                    row.text().trim_end_matches('.')
                ))
                .hide_short_help(!row.is_common());
            if row.json == Json::Bool {
                arg = arg
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// `--config FILE` and a flag for each setting.
#[derive(clap::Args, Clone, Debug)]
pub struct SettingArgs {
    /// A file of settings; `levada config default` prints one to start from
    #[arg(long, value_name = "FILE", env = "LEVADA_CONFIG")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub flags: SettingFlags,
}

impl SettingArgs {
    /// All layers put together: flags, environment, file, defaults.
    ///
    /// # Errors
    /// [`CliError::Usage`] for an unknown setting or a value that is none.
    pub fn load(&self, env: &Env) -> CliResult<Loaded> {
        let layers = Layers {
            file: self.config.clone(),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            flags: self.flags.0.clone(),
        };
        layers
            .load(env)
            .map_err(|error| CliError::Usage(error.to_string()))
    }
}
