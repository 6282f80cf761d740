//! Where settings come from: the flag wins, then the environment, then the file, then the default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use levada_env::Env;
use thiserror::Error;

use super::table::{SECTIONS, SETTINGS, Settings, distance, nearest, setting};
use super::value::Durability;

/// What is wrong with the configuration, in words for the person who wrote it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Where a setting's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    File(PathBuf),
    /// The variable's name.
    Environment(String),
    /// The flag with its dashes.
    Flag(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// What was given, not yet put together.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The file that was named.
    pub file: Option<PathBuf>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// `section.name` and the text of the flag.
    pub flags: Vec<(String, String)>,
}

/// The settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// By `section.name`: the canonical text and its source.
    pub values: BTreeMap<String, (String, Source)>,
    /// What looks like a mistake but is no error.
    pub warnings: Vec<String>,
}

impl Layers {
    /// Reads the file, if one was named, and puts the layers together.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown setting, a value that is none.
    pub fn load(&self, env: &Env) -> Result<Loaded, ConfigError> {
        let text = match &self.file {
            None => None,
            Some(path) => Some((path.as_path(), read_text(env, path)?)),
        };
        self.combine(text.as_ref().map(|(path, text)| (*path, text.as_str())))
    }

    /// Puts the layers together; `file` is the file's name and text.
    ///
    /// # Errors
    /// An unknown setting, a value that is none, values that do not go together.
    pub fn combine(&self, file: Option<(&Path, &str)>) -> Result<Loaded, ConfigError> {
        let mut values: BTreeMap<String, (String, Source)> = SETTINGS
            .iter()
            .map(|row| (row.key(), (row.default.to_owned(), Source::Default)))
            .collect();
        if let Some((path, text)) = file {
            for (key, value) in file_values(path, text)? {
                values.insert(key, (value, Source::File(path.to_owned())));
            }
        }
        let mut warnings = Vec::new();
        for (name, text) in &self.environment {
            let Some(row) = SETTINGS.iter().find(|row| row.environment() == *name) else {
                warnings.extend(suspicious_variable(name));
                continue;
            };
            let value = row
                .check(text)
                .map_err(|wrong| ConfigError(format!("environment {name} {wrong}")))?;
            values.insert(row.key(), (value, Source::Environment(name.clone())));
        }
        for (key, text) in &self.flags {
            let row = SETTINGS
                .iter()
                .find(|row| row.key() == *key)
                .ok_or_else(|| ConfigError(format!("there is no setting {key}")))?;
            let flag = format!("--{}", row.flag());
            let value = row
                .check(text)
                .map_err(|wrong| ConfigError(format!("{flag} {wrong}")))?;
            values.insert(row.key(), (value, Source::Flag(flag)));
        }
        let settings = Settings::read(|section, name| {
            values
                .get(&format!("{section}.{name}"))
                .map_or_else(String::new, |(text, _)| text.clone())
        })
        .map_err(ConfigError)?;
        check_together(&settings, &mut warnings)?;
        Ok(Loaded {
            settings,
            values,
            warnings,
        })
    }
}

/// Rules that hold between settings.
fn check_together(settings: &Settings, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    let groups = &settings.groups;
    if groups.session_timeout_ms_min > groups.session_timeout_ms_max {
        return Err(ConfigError(format!(
            "groups.session_timeout_ms_min ({}) is over groups.session_timeout_ms_max ({})",
            groups.session_timeout_ms_min, groups.session_timeout_ms_max
        )));
    }
    if let Some(advertised) = &settings.kafka.advertised.0
        && advertised.port == 0
    {
        return Err(ConfigError(format!(
            "kafka.advertised is {advertised}, but clients cannot connect to port 0"
        )));
    }
    if settings.storage.durability == Durability::Os {
        warnings.push(
            "storage.durability is \"os\": acknowledged records can be lost when the machine loses power"
                .to_owned(),
        );
    }
    Ok(())
}

fn read_text(env: &Env, path: &Path) -> Result<String, ConfigError> {
    let cannot =
        |why: String| ConfigError(format!("cannot read the file {}: {why}", path.display()));
    let bytes = env.fs().read(path).map_err(|e| cannot(e.to_string()))?;
    String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8 text".to_owned()))
}

/// `section.name` and canonical text of every setting in the file.
fn file_values(path: &Path, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let at = |wrong: String| ConfigError(format!("{}: {wrong}", path.display()));
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| at(error.to_string()))?;
    let mut values = Vec::new();
    for (section, content) in &table {
        if !SECTIONS.iter().any(|(name, _)| name == section) {
            return Err(at(unknown_section(section)));
        }
        let content = content.as_table().ok_or_else(|| {
            at(format!(
                "{section} must be a section: write [{section}] on a line of its own"
            ))
        })?;
        for (name, value) in content {
            let row = setting(section, name).ok_or_else(|| at(unknown_name(section, name)))?;
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                other => {
                    return Err(at(format!(
                        "{section}.{name} is of type {}, but must be {}",
                        other.type_str(),
                        row.kind
                    )));
                }
            };
            let text = row
                .check(&text)
                .map_err(|wrong| at(format!("{section}.{name} {wrong}")))?;
            values.push((row.key(), text));
        }
    }
    Ok(values)
}

fn unknown_section(section: &str) -> String {
    // A setting written without its section is the likelier mistake.
    if let Some(row) = SETTINGS.iter().find(|row| row.name == section) {
        return format!(
            "{section} stands outside a section: put it under [{}]",
            row.section
        );
    }
    let names = || SECTIONS.iter().map(|(name, _)| (*name).to_owned());
    match nearest(section, names()) {
        Some(name) => format!("there is no section [{section}]; did you mean [{name}]?"),
        None => format!(
            "there is no section [{section}]; the sections are {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

fn unknown_name(section: &str, name: &str) -> String {
    let keys = SETTINGS
        .iter()
        .filter(|row| row.section == section)
        .map(|row| row.name.to_owned());
    if let Some(row) = SETTINGS.iter().find(|row| row.name == name) {
        return format!(
            "there is no setting {section}.{name}; did you mean {}?",
            row.key()
        );
    }
    match nearest(name, keys) {
        Some(near) => {
            format!("there is no setting {section}.{name}; did you mean {section}.{near}?")
        }
        None => {
            format!("there is no setting {section}.{name}; `levada config default` lists them all")
        }
    }
}

/// A warning for a variable that is nearly a setting's. Other unknown names that begin with
/// `LEVADA_` are left alone: Kubernetes sets such for a service called `levada`.
fn suspicious_variable(name: &str) -> Option<String> {
    if !name.starts_with("LEVADA_") {
        return None;
    }
    SETTINGS
        .iter()
        .map(super::table::Setting::environment)
        .find(|known| distance(name, known) <= 2)
        .map(|known| {
            format!("the environment variable {name} is no setting; did you mean {known}?")
        })
}

#[cfg(test)]
mod tests {
    use super::super::value::{ByteCount, Listen};
    use super::*;

    fn with_file(text: &str) -> Result<Loaded, ConfigError> {
        Layers::default().combine(Some((Path::new("levada.toml"), text)))
    }

    fn message(text: &str) -> String {
        with_file(text).unwrap_err().0
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_file() {
        let mut layers = Layers::default();
        let file = "[kafka]\nlisten = \"127.0.0.1:1\"\nnum_partitions = 3\nconnections_max = 7\n";
        layers.environment = vec![
            ("LEVADA_KAFKA_LISTEN".into(), "127.0.0.1:2".into()),
            ("LEVADA_KAFKA_NUM_PARTITIONS".into(), "4".into()),
            ("PATH".into(), "/bin".into()),
        ];
        layers.flags = vec![("kafka.listen".into(), "127.0.0.1:3".into())];
        let loaded = layers
            .combine(Some((Path::new("levada.toml"), file)))
            .unwrap();
        let kafka = &loaded.settings.kafka;
        assert_eq!(kafka.listen.to_string(), "127.0.0.1:3");
        assert_eq!(kafka.num_partitions, 4);
        assert_eq!(kafka.connections_max, 7);
        assert_eq!(loaded.settings.http.listen.to_string(), "127.0.0.1:8080");
        let source = |key: &str| loaded.values[key].1.to_string();
        assert_eq!(source("kafka.listen"), "flag --kafka");
        assert_eq!(
            source("kafka.num_partitions"),
            "environment LEVADA_KAFKA_NUM_PARTITIONS"
        );
        assert_eq!(source("kafka.connections_max"), "file levada.toml");
        assert_eq!(source("http.listen"), "default");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one() {
        assert!(message("[kafka]\nlistn = \"off\"").contains("did you mean kafka.listen?"));
        assert!(message("[kafak]\nlisten = \"off\"").contains("did you mean [kafka]?"));
        assert!(
            message("[http]\nnum_partitions = 1").contains("did you mean kafka.num_partitions?")
        );
        assert!(message("num_partitions = 1").contains("put it under [kafka]"));
        assert!(message("[zzzzzzzz]").contains("the sections are kafka, sqs, http"));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let text = "[groups]\nsession_timeout_ms_min = 9000\nsession_timeout_ms_max = 8000\n";
        assert!(message(text).contains("is over groups.session_timeout_ms_max"));
        assert!(message("[kafka]\nadvertised = \"a:0\"").contains("port 0"));
    }

    #[test]
    fn a_value_that_is_none_is_refused_with_what_it_must_be() {
        assert!(message("[kafka]\nnum_partitions = 0").contains("between 1 and"));
        assert!(message("[kafka]\nnum_partitions = -1").contains("whole number"));
        assert!(message("[storage]\ndurability = \"yes\"").contains("fsync or os"));
        assert!(message("[kafka]\nproxy_protocol = [1]").contains("true or false"));
        assert!(message("[kafka]\nlisten = \"9092\"").contains("host:port"));
        assert!(message("kafka = 1").contains("[kafka]"));
        assert!(message("[kafka\n").contains("levada.toml"));
    }

    #[test]
    fn sizes_may_be_numbers_or_have_units() {
        let loaded =
            with_file("[memory]\ntail_cache_bytes = 2097152\nin_flight_bytes = \"256MiB\"")
                .unwrap();
        assert_eq!(loaded.settings.memory.tail_cache_bytes, ByteCount(2 << 20));
        assert_eq!(loaded.settings.memory.in_flight_bytes, ByteCount(256 << 20));
    }

    #[test]
    fn off_turns_a_listener_off() {
        let loaded = with_file("[http]\nlisten = \"off\"").unwrap();
        assert_eq!(loaded.settings.http.listen, Listen::Off);
    }

    #[test]
    fn a_variable_that_is_nearly_a_setting_is_warned_of_and_kubernetes_ones_are_not() {
        let layers = Layers {
            environment: vec![
                ("LEVADA_KAFKA_LISTN".into(), "x".into()),
                ("LEVADA_PORT_9092_TCP".into(), "x".into()),
                ("LEVADA_SERVICE_HOST".into(), "x".into()),
            ],
            ..Layers::default()
        };
        let warnings = layers.combine(None).unwrap().warnings;
        let about: Vec<_> = warnings.iter().filter(|w| w.contains("variable")).collect();
        assert_eq!(about.len(), 1, "{about:?}");
        assert!(about[0].contains("LEVADA_KAFKA_LISTEN"));
    }
}
