//! Numbered requests over several connections, as many under way on each as asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use levada_client::raw::{RawConnection, Template, wait_precisely};
use levada_env::Env;
use levada_load::Tally;
use levada_wire_kafka::Request;

use super::ScaleArgs;
use crate::commands::bench::load::{NAP, STALL_MAX, Shared, run_threads};
use crate::commands::bench::produce::stalled;

use crate::context::Context;
use crate::error::CliResult;

const CLIENT_ID: &str = "levada-bench";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests that do not depend on one another's answers.
pub trait Load: Send + Sync + 'static {
    type Request: Request;

    fn kind(&self) -> &'static str;

    /// What is done in all, as [`Load::check`] counts it.
    fn units(&self) -> u64;

    fn requests(&self) -> u64;

    fn request(&self, number: u64) -> Self::Request;

    /// How much the answer to this request says was done.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(
        &self,
        number: u64,
        answer: <Self::Request as Request>::Response,
    ) -> Result<u64, String>;
}

/// Sends all requests and checks their answers.
///
/// # Errors
/// When a connection breaks or nothing moves any more.
pub async fn drive<L: Load>(
    args: &ScaleArgs,
    context: &Context,
    address: &str,
    version: i16,
    load: Arc<L>,
) -> CliResult<Tally> {
    let shared = Arc::new(Shared::default());
    let next = Arc::new(AtomicU64::new(0));
    let total = load.units();
    let work = (0..args.connections).map(|_| {
        let worker = Worker {
            env: context.env.clone(),
            address: address.to_owned(),
            version,
            load: load.clone(),
            next: next.clone(),
            shared: shared.clone(),
            in_flight_max: args.in_flight as usize,
        };
        move || worker.run()
    });
    let mut tally = Tally::default();
    for part in run_threads(context, &shared, Some(total), work.collect()).await? {
        tally.add(&part);
    }
    Ok(tally)
}

struct Worker<L> {
    env: Env,
    address: String,
    version: i16,
    load: Arc<L>,
    next: Arc<AtomicU64>,
    shared: Arc<Shared>,
    in_flight_max: usize,
}

impl<L: Load> Worker<L> {
    fn run(self) -> CliResult<Tally> {
        wait_precisely();
        let mut connection = RawConnection::open(&self.address, CONNECT_TIMEOUT)?;
        let mut tally = Tally::default();
        let mut under_way: VecDeque<(u64, Duration)> = VecDeque::new();
        let mut more = true;
        let mut moved = self.env.monotonic();
        while (more || !under_way.is_empty()) && !self.shared.stopped() {
            while more && under_way.len() < self.in_flight_max {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                more = number < self.load.requests();
                if more {
                    let request = self.load.request(number);
                    let template = Template::new(&request, self.version, CLIENT_ID);
                    connection.queue(&template, number as i32);
                    tally.bytes += template.bytes() as u64;
                    under_way.push_back((number, self.env.monotonic()));
                }
            }
            connection.write()?;
            if connection.read()? {
                self.take_answers(&mut connection, &mut under_way, &mut tally)?;
                moved = self.env.monotonic();
                continue;
            }
            if self.env.monotonic().saturating_sub(moved) > STALL_MAX {
                return Err(stalled(&self.address));
            }
            connection.wait(NAP)?;
        }
        Ok(tally)
    }

    fn take_answers(
        &self,
        connection: &mut RawConnection,
        under_way: &mut VecDeque<(u64, Duration)>,
        tally: &mut Tally,
    ) -> CliResult {
        while let Some(frame) = connection.next_frame()? {
            let (id, answer) = connection.decode::<L::Request>(frame, self.version)?;
            let Some((number, since)) = under_way.pop_front() else {
                tally.wrong(|| format!("answer {id} to no request"));
                continue;
            };
            tally.note(self.env.monotonic().saturating_sub(since));
            tally.requests += 1;
            if id != number as i32 {
                tally.wrong(|| format!("answer {id} where {number} was due"));
                continue;
            }
            match self.load.check(number, answer) {
                Ok(done) => {
                    tally.records += done;
                    self.shared.done.fetch_add(done, Ordering::Relaxed);
                }
                Err(why) => tally.wrong(|| why),
            }
        }
        Ok(())
    }
}
