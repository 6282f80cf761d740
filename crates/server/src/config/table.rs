//! The table of settings: name, type, default, bounds and what it does.

use super::value::{
    Address, ByteCount, Durability, FilePath, Folder, Json, Listen, LogFormat, LogLevel, Maybe,
    Region, Value,
};

/// A value's canonical text and, if it is one, its number; or what is wrong with it.
type Checked = Result<(String, Option<u64>), String>;
type Check = fn(&str) -> Checked;

/// One row of the table.
#[derive(Debug)]
pub struct Setting {
    pub section: &'static str,
    pub name: &'static str,
    /// One or two sentences; the first says it all.
    pub doc: &'static [&'static str],
    pub default: &'static str,
    /// What values it takes, for people.
    pub kind: &'static str,
    pub json: Json,
    /// Smallest and largest number it takes.
    pub bounds: Option<(u64, u64)>,
    /// A flag shorter than `--section-name`.
    short_flag: Option<&'static str>,
    check: Check,
}

impl Setting {
    /// `section.name`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `LEVADA_SECTION_NAME`.
    #[must_use]
    pub fn environment(&self) -> String {
        format!("LEVADA_{}_{}", self.section, self.name).to_uppercase()
    }

    /// The flag's name without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        match self.short_flag {
            Some(flag) => flag.to_owned(),
            None => format!("{}-{}", self.section, self.name).replace('_', "-"),
        }
    }

    /// Whether the flag is one of the few that every user meets.
    #[must_use]
    pub fn is_common(&self) -> bool {
        self.short_flag.is_some()
    }

    /// What it does, on one line.
    #[must_use]
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.doc.iter().map(|line| line.trim()).collect();
        lines.join(" ")
    }

    /// The canonical text of a value.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with the setting's name.
    pub fn check(&self, text: &str) -> Result<String, String> {
        let (canonical, number) = (self.check)(text)?;
        if let (Some((low, high)), Some(number)) = (self.bounds, number)
            && !(low..=high).contains(&number)
        {
            return Err(format!("is {text}, but must be between {low} and {high}"));
        }
        Ok(canonical)
    }

    /// A value as JSON: byte counts as plain numbers.
    #[must_use]
    pub fn to_json(&self, text: &str) -> serde_json::Value {
        match (self.json, (self.check)(text)) {
            (Json::Number, Ok((_, Some(number)))) => number.into(),
            (Json::Bool, _) => (text == "true").into(),
            _ => text.into(),
        }
    }
}

fn check_as<T: Value>(text: &str) -> Checked {
    let value = T::parse(text)?;
    Ok((value.to_string(), value.number()))
}

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

/// Writes the sections' structs and the table from one list.
macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])*
        $section:ident: $struct:ident {
            $(
                $(#[doc = $doc:literal])*
                $name:ident: $type:ty = $default:literal
                    $(, within $low:literal..=$high:literal)?
                    $(, flag $flag:literal)?;
            )*
        }
    )*) => {
        /// All settings, checked.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($(#[doc = $section_doc])* pub $section: $struct,)*
        }

        $(
            $(#[doc = $section_doc])*
            #[derive(Clone, Debug)]
            pub struct $struct {
                $($(#[doc = $doc])* pub $name: $type,)*
            }
        )*

        /// Every section with what it is about.
        pub static SECTIONS: &[(&str, &[&str])] = &[
            $((stringify!($section), &[$($section_doc),*]),)*
        ];

        /// Every setting, section by section.
        pub static SETTINGS: &[Setting] = &[$($(
            Setting {
                section: stringify!($section),
                name: stringify!($name),
                doc: &[$($doc),*],
                default: $default,
                kind: <$type as Value>::KIND,
                json: <$type as Value>::JSON,
                bounds: optional!($(($low, $high))?),
                short_flag: optional!($($flag)?),
                check: check_as::<$type>,
            },
        )*)*];

        impl Settings {
            /// Takes every setting's text from `text_of(section, name)`.
            pub(super) fn read(
                text_of: impl Fn(&'static str, &'static str) -> String,
            ) -> Result<Self, String> {
                $(let $section = $struct {
                    $($name: <$type as Value>::parse(&text_of(stringify!($section), stringify!($name)))
                        .map_err(|wrong| format!("{}.{} {wrong}", stringify!($section), stringify!($name)))?,)*
                };)*
                Ok(Self { $($section),* })
            }
        }
    };
}

settings! {
    /// The Kafka listener.
    kafka: KafkaSection {
        /// Where Kafka clients connect. Port 0 lets the system choose.
        listen: Listen = "127.0.0.1:9092", flag "kafka";
        /// The address that clients are told to come back to. Empty: the address they reached.
        advertised: Maybe<Address> = "";
        /// Connections at a time; more are closed at once.
        connections_max: u32 = "20000", within 1..=1_000_000;
        /// The largest request; a connection that sends a larger one is closed.
        frame_bytes_max: ByteCount = "100MiB", within 1_048_576..=1_073_741_824;
        /// How long each MiB of a request may take to arrive once the request has begun.
        frame_timeout_ms: u64 = "30000", within 100..=3_600_000;
        /// The most that one fetch is answered with, but for a first batch that is larger.
        fetch_bytes_max: ByteCount = "16MiB", within 65_536..=1_073_741_824;
        /// A connection that is silent for so long is closed.
        idle_timeout_ms: u64 = "600000", within 1_000..=86_400_000;
        /// Every connection begins with a PROXY protocol header (haproxy, cloud load balancers).
        proxy_protocol: bool = "false";
        /// Asking for an unknown topic creates it.
        auto_create_topics: bool = "true";
        /// Partitions of a topic whose creator did not say how many.
        num_partitions: u32 = "1", within 1..=100_000;
    }
    /// The SQS listener.
    sqs: SqsSection {
        /// Where SQS clients connect. Port 0 lets the system choose.
        listen: Listen = "127.0.0.1:9324", flag "sqs";
        /// A file of access keys: an id, its secret, and perhaps a user name and a role (admin or
        /// policy) on each line. Empty: requests need no signature.
        access_keys_file: Maybe<FilePath> = "";
        /// The region in the ARNs of queues.
        region: Region = "us-east-1";
        /// Connections at a time; more are closed at once.
        connections_max: u32 = "20000", within 1..=1_000_000;
        /// Every connection begins with a PROXY protocol header (haproxy, cloud load balancers).
        proxy_protocol: bool = "false";
        /// How long a deleted queue's name cannot be used again; Amazon's service has 60000.
        deleted_name_wait_ms: u64 = "0", within 0..=600_000;
    }
    /// The HTTP listener: health and metrics.
    http: HttpSection {
        /// Where /healthz, /readyz and /metrics are served. Port 0 lets the system choose.
        listen: Listen = "127.0.0.1:8080", flag "http";
    }
    /// The data folder and the log in it.
    storage: StorageSection {
        /// The folder that holds everything.
        data: Folder = "./levada-data", flag "data";
        /// fsync: an acknowledged record is on stable storage. os: it is only handed to the
        /// operating system and is lost when the machine loses power.
        durability: Durability = "fsync";
        /// A log file is closed when it is this long.
        file_bytes_max: ByteCount = "128MiB", within 1_048_576..=4_294_967_296;
        /// Disk that is prepared ahead, so that writing stays fast.
        pool_bytes_max: ByteCount = "64MiB", within 0..=1_099_511_627_776;
        /// Disk set aside so that offset commits, deletes and retention go on when it is full.
        reserve_bytes: ByteCount = "32MiB", within 0..=1_099_511_627_776;
        /// A snapshot is taken when a restart would have to read more of the log than this.
        snapshot_bytes: ByteCount = "256MiB", within 1_048_576..=1_099_511_627_776;
        /// Dead bytes that may lie on disk before sparse log files are rewritten, beside half of the
        /// live ones.
        disk_slack_bytes: ByteCount = "256MiB", within 0..=1_099_511_627_776;
        /// How often retention runs and dead space is given back.
        maintenance_interval_ms: u64 = "10000", within 100..=3_600_000;
    }
    /// What the service may hold in memory.
    memory: MemorySection {
        /// The newest records, for readers that keep up.
        tail_cache_bytes: ByteCount = "96MiB", within 1_048_576..=1_099_511_627_776;
        /// Where records lie, of all partitions; beyond it older places are moved to the log.
        index_bytes: ByteCount = "96MiB", within 1_048_576..=1_099_511_627_776;
        /// Records received and not yet acknowledged; beyond it producers are held back.
        in_flight_bytes: ByteCount = "48MiB", within 1_048_576..=2_147_483_647;
        /// Requests of each listener, received and not yet answered; beyond it no more are read.
        request_bytes: ByteCount = "48MiB", within 1_048_576..=2_147_483_647;
        /// Answers of each listener that are not sent yet; beyond it fetches and receives wait.
        response_bytes: ByteCount = "48MiB", within 1_048_576..=2_147_483_647;
    }
    /// Consumer groups.
    groups: GroupsSection {
        /// The shortest session timeout that a member may ask for.
        session_timeout_ms_min: u32 = "6000", within 1..=86_400_000;
        /// The longest session timeout that a member may ask for.
        session_timeout_ms_max: u32 = "1800000", within 1..=86_400_000;
        /// How long the first round of an empty group waits for more members, prolonged while they
        /// come.
        initial_rebalance_delay_ms: u32 = "150", within 0..=60_000;
        /// Members of one group.
        members_max: u32 = "10000", within 1..=1_000_000;
        /// How long the offsets of a group without members are kept.
        offsets_retention_minutes: u32 = "10080", within 1..=5_256_000;
    }
    /// Idempotent producers.
    producers: ProducersSection {
        /// How long a producer that sends nothing is remembered.
        expiration_ms: u64 = "86400000", within 1_000..=31_536_000_000;
        /// Memory for all of them; the least recently used are forgotten first.
        state_bytes_max: ByteCount = "32MiB", within 1_048_576..=1_099_511_627_776;
    }
    /// What the service says about itself, on stderr.
    log: LogSection {
        /// The least important line that is still logged.
        level: LogLevel = "info";
        /// How a line looks.
        format: LogFormat = "text";
    }
    /// The process.
    server: ServerSection {
        /// Threads that serve connections. 0: one for each core but one, which the log's own thread
        /// needs.
        worker_threads: u32 = "0", within 0..=1_024;
        /// How long a stop waits for requests in flight.
        drain_timeout_ms: u64 = "5000", within 0..=7_000;
        /// Allow listeners that other machines can reach although nobody has to log in.
        insecure: bool = "false", flag "insecure";
    }
}

/// The row of `section.name`.
#[must_use]
pub fn setting(section: &str, name: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|row| row.section == section && row.name == name)
}

/// The candidate that looks most like `word`, if one looks like it at all.
#[must_use]
pub fn nearest(word: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, &candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in bytes.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let cost = (diagonal + usize::from(x != y))
                .min(*above + 1)
                .min(left + 1);
            diagonal = *above;
            *above = cost;
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_canonical_and_within_its_bounds() {
        for row in SETTINGS {
            assert_eq!(
                row.check(row.default).as_deref(),
                Ok(row.default),
                "{}",
                row.key()
            );
            assert!(row.text().ends_with('.'), "{} has no sentence", row.key());
        }
    }

    #[test]
    fn names_flags_and_variables_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for row in SETTINGS {
            assert!(seen.insert(row.key()));
            assert!(seen.insert(row.environment()));
            assert!(seen.insert(row.flag()));
        }
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kafka", "kafka"), 0);
        assert_eq!(distance("kafak", "kafka"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("listn", "listen"), 1);
    }
}
