//! The types a setting can have, and how each is written.

use std::fmt;
use std::path::PathBuf;

/// A type of setting: text in, a checked value out, and the one canonical text back.
pub trait Value: Sized + fmt::Display {
    /// What it is, in a few words for people.
    const KIND: &'static str;
    /// The JSON type `config show -o json` prints it as.
    const JSON: Json;

    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with the setting's name.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value as a number, if it is one: what a setting's bounds hold.
    fn number(&self) -> Option<u64> {
        None
    }
}

/// How a value looks in JSON and TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    Text,
    Number,
    Bool,
}

impl Value for bool {
    const KIND: &'static str = "true or false";
    const JSON: Json = Json::Bool;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("is `{text}`, but must be true or false")),
        }
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const KIND: &'static str = "number";
            const JSON: Json = Json::Number;

            fn parse(text: &str) -> Result<Self, String> {
                text.replace('_', "")
                    .parse()
                    .map_err(|_| format!("is `{text}`, but must be a whole number up to {}", <$type>::MAX))
            }

            fn number(&self) -> Option<u64> {
                Some(u64::from(*self))
            }
        }
    )*};
}
whole_number!(u16, u32, u64);

/// A number of bytes: `1048576` or `1MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

const BYTE_UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl ByteCount {
    /// As a `usize`; the largest there is where it does not fit.
    #[must_use]
    pub fn to_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in BYTE_UNITS {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Value for ByteCount {
    const KIND: &'static str = "bytes: 1048576, 64KiB, 8MiB, 1GiB";
    const JSON: Json = Json::Number;

    fn parse(text: &str) -> Result<Self, String> {
        let (digits, factor) = BYTE_UNITS
            .iter()
            .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
            .unwrap_or((text, 1));
        digits
            .trim()
            .replace('_', "")
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| {
                format!("is `{text}`, but must be a number of bytes such as 1048576, 64KiB or 1GiB")
            })
    }

    fn number(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// Where a listener stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Not at all.
    Off,
    /// At this address; port 0 lets the system choose.
    At(Address),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl Value for Listen {
    const KIND: &'static str = "host:port, or off";
    const JSON: Json = Json::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => Address::parse(text).map(Self::At),
        }
    }
}

/// A host (name or IP address, IPv6 in brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Value for Address {
    const KIND: &'static str = "host:port";
    const JSON: Json = Json::Text;

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("is `{text}`, but must be host:port, such as 127.0.0.1:9092");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => {
                return Err(format!("is `{text}`: write an IPv6 address as [::1]:9092"));
            }
            None => host,
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.parse().map_err(|_| wrong())?,
        })
    }
}

/// A setting that may be left out: the empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maybe<T>(pub Option<T>);

impl<T: fmt::Display> fmt::Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => Ok(()),
        }
    }
}

impl Value for Maybe<Address> {
    const KIND: &'static str = "host:port, or empty";
    const JSON: Json = Json::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self(None)),
            _ => Address::parse(text).map(|address| Self(Some(address))),
        }
    }
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(pub PathBuf);

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Value for Folder {
    const KIND: &'static str = "folder";
    const JSON: Json = Json::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("must name a folder".to_owned()),
            _ => Ok(Self(PathBuf::from(text))),
        }
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(pub PathBuf);

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Value for Maybe<FilePath> {
    const KIND: &'static str = "file, or empty";
    const JSON: Json = Json::Text;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "" => None,
            _ => Some(FilePath(PathBuf::from(text))),
        }))
    }
}

/// The name of a region, as clients of cloud services are configured for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(pub String);

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Value for Region {
    const KIND: &'static str = "region, such as us-east-1";
    const JSON: Json = Json::Text;

    fn parse(text: &str) -> Result<Self, String> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match (1..=64).contains(&text.len()) && text.bytes().all(legal) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "is `{text}`, but must be a region such as us-east-1"
            )),
        }
    }
}

/// A setting that is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $kind:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }

        impl Value for $name {
            const KIND: &'static str = $kind;
            const JSON: Json = Json::Text;

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(format!("is `{text}`, but must be {}", $kind)),
                }
            }
        }
    };
}

words! {
    /// When an acknowledged record counts as stored.
    Durability: "fsync or os" {
        /// Once it is on stable storage: it survives power loss.
        Fsync = "fsync",
        /// Once the operating system has it: it survives a crash of the process only.
        Os = "os",
    }
}

words! {
    /// How much is logged.
    LogLevel: "error, warn, info, debug or trace" {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

words! {
    /// How a log line looks.
    LogFormat: "text or json" {
        Text = "text",
        Json = "json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_and_without_units_and_written_shortest() {
        assert_eq!(ByteCount::parse("1048576"), Ok(ByteCount(1 << 20)));
        assert_eq!(ByteCount::parse("64 KiB"), Ok(ByteCount(64 << 10)));
        assert_eq!(ByteCount::parse("1_000"), Ok(ByteCount(1000)));
        assert_eq!(ByteCount(1 << 20).to_string(), "1MiB");
        assert_eq!(ByteCount(1500).to_string(), "1500");
        assert!(ByteCount::parse("64MB").is_err());
        assert!(ByteCount::parse("99999999999999GiB").is_err());
    }

    #[test]
    fn an_address_keeps_ipv6_apart_from_its_port() {
        let address = Address::parse("[::1]:9092").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 9092));
        assert_eq!(address.to_string(), "[::1]:9092");
        assert!(Address::parse("::1:9092").unwrap_err().contains("[::1]"));
        for wrong in ["9092", ":9092", "a:b", "a b:1", "host:70000", ""] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Listen::parse("off"), Ok(Listen::Off));
    }

    #[test]
    fn a_region_is_a_word_that_fits_into_an_arn() {
        assert_eq!(Region::parse("eu-west-1").unwrap().to_string(), "eu-west-1");
        for wrong in ["", "eu west", "a:b", "EU", &"x".repeat(65)] {
            assert!(Region::parse(wrong).is_err(), "{wrong}");
        }
    }
}
