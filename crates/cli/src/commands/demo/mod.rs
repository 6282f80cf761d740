//! `levada demo`: the service on an embedded store, and a year of real events through it.
//!
//! A producer and two consumer groups speak Kafka's protocol over the socket, as any client would:
//! one group keeps up and computes delays by carrier, one lags on purpose.

mod events;
mod figures;
mod history;
mod lag;
mod readers;
mod replay;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use levada_client::admin::NewTopic;
use levada_client::{Client, ClientError, ClientOptions};
use levada_env::Env;
use levada_server::Service;
use levada_server::config::Source;
use levada_server::config::value::LogLevel;
use levada_wire_kafka::ErrorCode;

use crate::commands::serve::{stop, storage_failed};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::logging;
use crate::output::Format;
use crate::settings::SettingArgs;
use crate::signals::StopSignals;
use crate::units::show_count;
use events::Events;
use figures::Figures;
use readers::Reading;
use replay::Progress;

const FLIGHTS: &str = "flights";
const WEATHER: &str = "weather";
const FLIGHTS_PARTITIONS: i32 = 4;
const FAST_GROUP: &str = "delays";
const SLOW_GROUP: &str = "archive";

/// How often progress is looked at, and how often a line says so where there is no terminal.
const TICK: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub struct Args {
    /// Stop at the end, with the figures as the last lines
    #[arg(long)]
    exit: bool,
    /// Replay only so many events
    #[arg(long, value_name = "N")]
    records: Option<usize>,
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Failed`] when the service does not start or a client's request fails.
pub async fn run(args: Args, context: Context) -> CliResult {
    let mut signals = StopSignals::listen()?;
    let service = start(&args, &context).await?;
    let shown = tokio::select! {
        shown = show(&args, &context, &service) => shown,
        why = service.failed() => return Err(storage_failed(&why)),
        _ = signals.next() => Err(CliError::Interrupted),
    };
    let scene = match shown {
        Ok(scene) => scene,
        Err(error) => {
            stop(service, &mut signals).await?;
            return Err(error);
        }
    };
    if args.exit {
        scene.end().await?;
        stop(service, &mut signals).await?;
        return print(&context, &scene.figures);
    }
    print(&context, &scene.figures)?;
    scene.slow.read_on.store(true, Relaxed);
    context.say(lines_to_paste(&service));
    tokio::select! {
        _ = signals.next() => {}
        why = service.failed() => return Err(storage_failed(&why)),
        why = scene.failed() => context.say(format!("the demo's readers stopped: {why}")),
    }
    context.say("stopping");
    scene.end().await?;
    stop(service, &mut signals).await
}

/// Starts the service, on other ports where the usual ones are taken and nobody has named any.
async fn start(args: &Args, context: &Context) -> CliResult<Service> {
    let mut settings = args.settings.clone();
    let loaded = settings.load(&context.env)?;
    for key in ["kafka.listen", "sqs.listen", "http.listen"] {
        let Some((address, Source::Default)) = loaded.values.get(key) else {
            continue;
        };
        if !is_free(&context.env, address).await {
            context.say(format!("{address} is taken: {key} gets a free port"));
            let free = (key.to_owned(), "127.0.0.1:0".to_owned());
            settings.flags.0.push(free);
        }
    }
    let loaded = settings.load(&context.env)?;
    let mut log = loaded.settings.log.clone();
    if matches!(loaded.values.get("log.level"), Some((_, Source::Default))) {
        log.level = LogLevel::Warn;
    }
    logging::start(&log);
    let service = Service::start(context.env.clone(), loaded.settings)
        .await
        .map_err(|error| CliError::Failed(error.to_string()))?;
    context.say(service.banner());
    let announced = service.announce().await;
    announced.map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(service)
}

/// The consumers that go on while the demo stays up, and what was found until then.
struct Scene {
    figures: Figures,
    fast: Arc<Reading>,
    slow: Arc<Reading>,
    readers: tokio::sync::Mutex<Vec<tokio::task::JoinHandle<CliResult>>>,
}

impl Scene {
    /// Resolves when a reader ends, which none does by itself.
    async fn failed(&self) -> String {
        let mut readers = self.readers.lock().await;
        let [fast, slow] = readers.as_mut_slice() else {
            return std::future::pending().await;
        };
        let ended = tokio::select! {
            ended = fast => ended,
            ended = slow => ended,
        };
        readers.clear();
        match ended {
            Ok(Ok(())) => "they were done".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Lets the readers commit and leave their groups.
    async fn end(&self) -> CliResult {
        self.fast.stop.store(true, Relaxed);
        self.slow.stop.store(true, Relaxed);
        for reader in self.readers.lock().await.drain(..) {
            reader
                .await
                .map_err(|error| CliError::Failed(error.to_string()))??;
        }
        Ok(())
    }
}

/// Replays the events with both groups reading, until one of them has caught up.
async fn show(args: &Args, context: &Context, service: &Service) -> CliResult<Scene> {
    let Some(kafka) = service.addresses().kafka else {
        return Err(CliError::Usage(
            "the demo needs the Kafka listener: kafka.listen is off".into(),
        ));
    };
    let env = &context.env;
    let events = env.blocking(Events::load).await?;
    let client = Client::connect(env, ClientOptions::new(&kafka.to_string())).await?;
    create_topics(&client).await?;
    let total = args.records.unwrap_or(usize::MAX).min(events.len());
    let progress = Arc::<Progress>::default();
    let (fast, slow) = (Reading::new(), Reading::new());
    let keeping_up = readers::keep_up(client.clone(), Arc::clone(&fast));
    let lagging = readers::fall_behind(client.clone(), Arc::clone(&progress), Arc::clone(&slow));
    let readers = vec![
        env.spawn("demo-delays", keeping_up),
        env.spawn("demo-archive", lagging),
    ];
    let replayed = tokio::select! {
        replayed = replay::replay(&client, &events, total, &progress) => replayed?,
        never = watch(context, total, &progress, &fast, &slow) => never,
    };
    lag::until_caught_up(&client, FAST_GROUP, &readers).await?;
    let mut lags = Vec::new();
    for group in [FAST_GROUP, SLOW_GROUP] {
        let lag_records = lag::committed_lag(&client, group).await?;
        lags.push(figures::GroupLag { group, lag_records });
    }
    let carriers = fast.delays.lock().values().cloned().collect();
    Ok(Scene {
        figures: Figures::new(&replayed, lags, carriers),
        fast,
        slow,
        readers: tokio::sync::Mutex::new(readers),
    })
}

async fn create_topics(client: &Client) -> CliResult {
    for (name, partitions) in [(FLIGHTS, FLIGHTS_PARTITIONS), (WEATHER, 1)] {
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: Some(partitions),
            replication: None,
            // The events are of 2013: by age they would be deleted at once.
            configs: vec![("retention.ms".into(), "-1".into())],
        };
        match client.create_topic(&topic, false).await {
            Err(error) if exists(&error) => {}
            result => result?,
        }
    }
    Ok(())
}

fn exists(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::TopicAlreadyExists)
}

/// Shows how far the replay is: a bar for a person, a line now and then for a log. Never ends.
async fn watch<T>(
    context: &Context,
    total: usize,
    progress: &Progress,
    fast: &Reading,
    slow: &Reading,
) -> T {
    let bar = bar(context, total);
    let mut said = context.env.monotonic();
    loop {
        context.env.sleep(TICK).await;
        let sent = progress.sent.load(Relaxed);
        let behind = |reading: &Reading| match u64::try_from(reading.lag.load(Relaxed)) {
            Ok(lag) => show_count(lag),
            Err(_) => "?".to_owned(),
        };
        let lags = format!(
            "behind: {FAST_GROUP} {}, {SLOW_GROUP} {}",
            behind(fast),
            behind(slow)
        );
        if let Some(bar) = &bar {
            bar.set_position(sent);
            bar.set_message(lags);
        } else if context.env.monotonic() - said >= LINE_EVERY {
            said = context.env.monotonic();
            let (sent, total) = (show_count(sent), show_count(total as u64));
            context.say(format!("{sent} of {total} events; {lags}"));
        }
    }
}

/// A bar that clears itself away when it is dropped.
fn bar(context: &Context, total: usize) -> Option<Bar> {
    if !context.person_on_stderr() {
        return None;
    }
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {per_sec}  {msg}")
    {
        bar.set_style(style);
    }
    Some(Bar(bar))
}

struct Bar(ProgressBar);

impl std::ops::Deref for Bar {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.0
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn print(context: &Context, figures: &Figures) -> CliResult {
    if context.format != Format::Table {
        return context.print(figures);
    }
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(figures.text().as_bytes())?;
    Ok(stdout.flush()?)
}

/// For each listener a line that a person can paste into another terminal.
fn lines_to_paste(service: &Service) -> String {
    let levada = std::env::args().next().unwrap_or_else(|| "levada".into());
    let mut text = String::from("\nIt stays up. In another terminal:\n");
    if let Some(kafka) = service.addresses().kafka {
        for line in [
            format!("kcat -b {kafka} -C -t {FLIGHTS} -o -5 -e"),
            format!("{levada} group describe {SLOW_GROUP} --broker {kafka}"),
            format!("{levada} consume {FLIGHTS} --from -5 --broker {kafka}"),
        ] {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if let Some(http) = service.addresses().http {
        text.push_str(&format!("  curl http://{http}/metrics\n"));
    }
    text.push_str("Stop it with Ctrl-C.");
    text
}

async fn is_free(env: &Env, address: &str) -> bool {
    let Ok(candidates) = env.resolve(address).await else {
        return false;
    };
    for candidate in candidates {
        if env.listen(candidate, 1).await.is_ok() {
            return true;
        }
    }
    false
}
