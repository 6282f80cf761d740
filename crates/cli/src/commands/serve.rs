//! `levada serve`: the service in the foreground until a signal stops it.

use levada_server::Service;
use levada_server::config::value::LogFormat;

use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::logging;
use crate::settings::SettingArgs;
use crate::signals::StopSignals;

const SETTINGS_HELP: &str = "\
It serves until Ctrl-C or SIGTERM, and goes on where it was when it is started again.
These flags are settings; each is also a line of the --config file and a variable of the
environment (kafka.num_partitions, LEVADA_KAFKA_NUM_PARTITIONS). A flag wins over the environment,
that over the file. `levada config show` prints each setting with where its value comes from.";

/// Every setting has a flag: --help lists them all, -h the common ones.
#[derive(clap::Args)]
#[command(after_help = SETTINGS_HELP)]
pub struct Args {
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Usage`] for settings that are not valid, [`CliError::Failed`] when the service does
/// not start, when its storage fails, or when it does not stop in order.
pub async fn run(args: Args, context: Context) -> CliResult {
    let loaded = args.settings.load(&context.env)?;
    logging::start(&loaded.settings.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let json = loaded.settings.log.format == LogFormat::Json;
    let mut signals = StopSignals::listen()?;
    let service = Service::start(context.env.clone(), loaded.settings)
        .await
        .map_err(|error| CliError::Failed(error.to_string()))?;
    if !json {
        context.say(service.banner());
    }
    if let Err(error) = service.announce().await {
        stop(service, &mut signals).await?;
        return Err(CliError::Failed(error.to_string()));
    }
    let addresses = service.addresses();
    tracing::info!(kafka = ?addresses.kafka, http = ?addresses.http, "ready");
    let signal = tokio::select! {
        signal = signals.next() => signal,
        why = service.failed() => return Err(storage_failed(&why)),
    };
    tracing::info!(signal, "stopping; a second signal stops at once");
    stop(service, &mut signals).await
}

/// Stops in order, unless another signal comes first.
///
/// # Errors
/// [`CliError::Interrupted`] at a second signal, [`CliError::Failed`] when the log was not closed.
pub async fn stop(service: Service, signals: &mut StopSignals) -> CliResult {
    let stopped = tokio::select! {
        stopped = service.stop() => stopped.map_err(CliError::Failed)?,
        _ = signals.next() => {
            tracing::warn!("stopped at once; the next start recovers the log");
            // Nothing may run on: tasks that still hold the log would go on writing.
            std::process::exit(i32::from(CliError::Interrupted.exit_code()));
        }
    };
    if stopped.connections_cut > 0 {
        tracing::warn!(
            connections = stopped.connections_cut,
            "cut connections that did not finish in time"
        );
    }
    tracing::info!("stopped");
    Ok(())
}

/// What a person reads when nothing can be promised any more.
pub fn storage_failed(why: &str) -> CliError {
    CliError::Failed(format!(
        "{why}. What was acknowledged is on disk; check the disk, then start again"
    ))
}
