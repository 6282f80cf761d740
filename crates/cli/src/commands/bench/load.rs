//! Running the threads of a load, and what they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::oneshot;

use crate::context::Context;
use crate::error::{CliError, CliResult};

/// How long a thread sleeps at most before it looks whether it should stop.
pub const NAP: Duration = Duration::from_millis(50);
/// Without any progress for so long, a run has failed.
pub const STALL_MAX: Duration = Duration::from_secs(30);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// What the threads and the waiting command share.
#[derive(Default)]
pub struct Shared {
    /// Records that are done.
    pub done: AtomicU64,
    pub stop: AtomicBool,
}

impl Shared {
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs each piece of work on a thread of its own and waits for all, showing progress to a person.
/// The first error stops the others.
///
/// # Errors
/// Those of the work; [`CliError::Interrupted`] at Ctrl-C.
pub async fn run_threads<T, F>(
    context: &Context,
    shared: &Arc<Shared>,
    total: Option<u64>,
    work: Vec<F>,
) -> CliResult<Vec<T>>
where
    T: Send + 'static,
    F: FnOnce() -> CliResult<T> + Send + 'static,
{
    let mut waiting = Vec::with_capacity(work.len());
    for work in work {
        let (sender, receiver) = oneshot::channel();
        let stop = shared.clone();
        context
            .env
            .thread("bench", move || {
                let result = work();
                if result.is_err() {
                    stop.stop.store(true, Ordering::Relaxed);
                }
                let _ = sender.send(result);
            })
            .map_err(|error| CliError::Failed(format!("no thread for the load: {error}")))?;
        waiting.push(receiver);
    }
    let all =
        async {
            let mut results = Vec::with_capacity(waiting.len());
            for receiver in waiting {
                results.push(receiver.await.unwrap_or_else(|_| {
                    Err(CliError::Failed("a thread of the load died".to_owned()))
                }));
            }
            results.into_iter().collect::<CliResult<Vec<T>>>()
        };
    let result = tokio::select! {
        result = all => result,
        () = show_progress(context, shared, total) => Err(CliError::Interrupted),
        _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted),
    };
    shared.stop.store(true, Ordering::Relaxed);
    result
}

/// Shows a bar on a terminal; never completes.
async fn show_progress(context: &Context, shared: &Shared, total: Option<u64>) {
    if !context.person_on_stderr() {
        return std::future::pending().await;
    }
    let bar = ProgressBar::new(total.unwrap_or(0));
    let style = match total {
        Some(_) => "{bar:30} {human_pos}/{human_len} records, {per_sec}, {eta} left",
        None => "{human_pos} records, {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let bar = Cleared(bar);
    loop {
        bar.0.set_position(shared.done.load(Ordering::Relaxed));
        context.env.sleep(PROGRESS_INTERVAL).await;
    }
}

/// Takes the bar away when the work is done.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
