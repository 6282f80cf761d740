//! The broker's host: the whole service, from `Service::start` on.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use levada_env::{Env, Gate};
use levada_server::Service;
use levada_server::config::value::ByteCount;
use levada_server::config::{Layers, Settings};

use crate::history::Note;
use crate::plan::{PORT, Storage};
use crate::world::{Broker, CrashGate, World};

/// How often a running broker looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Runs until the host is crashed; it never returns.
pub async fn run(world: Arc<World>) -> turmoil::Result {
    let (env, gate) = world.broker_env();
    *world.broker.lock() = Broker::Starting;
    behind(gate, life(&world, env)).await;
    pending().await
}

async fn life(world: &World, env: Env) {
    let settings = settings(&world.plan.storage);
    let service = match Service::start(env.clone(), settings).await {
        Ok(service) => service,
        Err(error) => {
            *world.broker.lock() = Broker::Refused(error.to_string());
            return;
        }
    };
    if let Err(error) = service.announce().await {
        *world.broker.lock() = Broker::Refused(error.to_string());
        return pending().await;
    }
    world.recorder.note(Note::Start);
    *world.broker.lock() = Broker::Up;
    while !world.stop_asked.load(Relaxed) {
        if let Ok(why) = env.timeout(LOOK, service.failed()).await {
            *world.broker.lock() = Broker::Failed(why);
            return pending().await;
        }
    }
    let ended = match service.stop().await {
        Ok(_) => Broker::Stopped,
        Err(why) => Broker::Failed(why),
    };
    *world.broker.lock() = ended;
}

/// The main task stands behind the gate like every other.
async fn behind(gate: Arc<CrashGate>, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    poll_fn(|cx| match gate.enter() {
        true => work.as_mut().poll(cx),
        false => Poll::Pending,
    })
    .await;
}

/// Everything small, so that files turn over, snapshots are taken and retention acts within a run.
fn settings(storage: &Storage) -> Settings {
    let fixed = [
        ("storage.data", "/data"),
        ("kafka.listen", "0.0.0.0:9092"),
        ("http.listen", "off"),
        ("sqs.listen", "0.0.0.0:9324"),
        ("server.insecure", "true"),
        ("kafka.auto_create_topics", "false"),
        ("groups.initial_rebalance_delay_ms", "50"),
        ("groups.session_timeout_ms_min", "100"),
        ("storage.pool_bytes_max", "0"),
    ];
    let mut flags: Vec<(String, String)> = fixed
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    flags.push(("kafka.advertised".to_owned(), format!("broker:{PORT}")));
    let layers = Layers {
        flags,
        ..Layers::default()
    };
    let combined = layers.combine(None);
    let mut settings = combined.expect("the settings are valid").settings;
    // Smaller than a person may choose.
    settings.storage.file_bytes_max = ByteCount(storage.file_bytes_max);
    settings.storage.snapshot_bytes = ByteCount(storage.snapshot_bytes);
    settings.storage.reserve_bytes = ByteCount(storage.reserve_bytes);
    settings.storage.disk_slack_bytes = ByteCount(storage.disk_slack_bytes);
    settings.storage.maintenance_interval_ms = storage.maintenance_interval_ms;
    settings.memory.tail_cache_bytes = ByteCount(storage.tail_cache_bytes);
    settings
}
