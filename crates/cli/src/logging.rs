//! Log lines on stderr.

use std::io::IsTerminal;

use levada_server::config::table::LogSection;
use levada_server::config::value::{LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging as the settings say. What libraries say is shown from `warn` on only.
pub fn start(settings: &LogSection) {
    let level = match settings.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new()
        .with_target("levada", level)
        .with_default(level.min(LevelFilter::WARN));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let layer = match settings.format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    // A second start in one process keeps the first one's settings.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}
