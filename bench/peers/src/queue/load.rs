//! The loop over all connections: what each does next, and what came back.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use levada_load::{Asked, Figures, Latencies, Pace, Tally, Turn, latencies};
use rustix::event::{PollFd, Timespec, poll};

use super::bodies::Seen;
use super::client::{Client, Said};
use super::{Args, Kind, Report};
use crate::wire::{STALL_MAX, Wire};

/// How long the thread waits at most before it looks around.
const NAP: Duration = Duration::from_millis(50);

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Sending(u32),
    Receiving,
    Acknowledging(u32),
}

struct Connection<C> {
    wire: Wire,
    client: C,
    phase: Phase,
    /// Messages that the turn sends.
    count: u32,
    /// When the step under way began, or was due.
    since: Duration,
    /// When the turn began, or was due.
    began: Duration,
}

/// Each step of a turn by itself.
struct Steps {
    send: Latencies,
    receive: Latencies,
    acknowledge: Latencies,
}

struct Load<'a> {
    args: &'a Args,
    clock: Instant,
    pace: Pace,
    next: Option<Turn>,
    /// The number of the next message (or queue).
    number: u64,
    end: u64,
    seen: Seen,
    acknowledged: u64,
    done: u64,
    tally: Tally,
    steps: Steps,
    /// When the last message was done.
    last: Duration,
}

/// Runs the load.
///
/// # Errors
/// When the server goes, refuses, or nothing moves any more.
pub fn run<C: Client>(args: &Args) -> Result<Report> {
    let open = |_| {
        let mut wire = Wire::open(&args.broker)?;
        let client = C::open(&mut wire, args)?;
        Ok(Connection {
            wire,
            client,
            phase: Phase::Idle,
            count: 0,
            since: Duration::ZERO,
            began: Duration::ZERO,
        })
    };
    let mut connections: Vec<Connection<C>> =
        (0..args.connections).map(open).collect::<Result<_>>()?;
    let mut load = Load::new(args);
    load.drive(&mut connections)?;
    Ok(load.report())
}

impl<'a> Load<'a> {
    fn new(args: &'a Args) -> Self {
        let (batch, turns) = match args.kind {
            Kind::Create => (1, args.count),
            // One queue of a hundred, a batch to each.
            Kind::Touch => (args.batch, args.count.div_ceil(100) * u64::from(args.batch)),
            _ => (args.batch, args.count),
        };
        let pace = Pace::new(args.rate, batch, turns, Duration::ZERO);
        let next = (args.kind != Kind::Receive).then(|| pace.take()).flatten();
        let numbers = args.backlog + turns;
        Self {
            args,
            clock: Instant::now(),
            pace,
            next,
            number: args.backlog,
            end: numbers,
            seen: Seen::new(args.size, numbers, args.groups, args.may_repeat),
            acknowledged: 0,
            done: 0,
            tally: Tally::default(),
            steps: Steps {
                send: latencies(),
                receive: latencies(),
                acknowledge: latencies(),
            },
            last: Duration::ZERO,
        }
    }

    /// Messages to be done.
    fn wanted(&self) -> u64 {
        self.end - self.args.backlog
    }

    fn drive<C: Client>(&mut self, connections: &mut [Connection<C>]) -> Result<()> {
        for connection in connections.iter_mut() {
            self.begin(connection)?;
            // A server that pushes may have sent all that it will with its answer to the opening.
            self.take(connection, self.clock.elapsed())?;
            connection.wire.write()?;
        }
        let mut moved = self.clock.elapsed();
        while self.done < self.wanted() {
            ensure!(self.tally.errors == 0, "{:?}", self.tally.first_error);
            let now = self.clock.elapsed();
            let due = self.next.and_then(|turn| turn.due);
            let pause = due.map_or(NAP, |due| due.saturating_sub(now).min(NAP));
            let ready = wait(connections, pause)?;
            let is_quiet = ready.is_empty();
            for at in ready {
                let connection = &mut connections[at];
                connection.wire.write()?;
                while connection.wire.read()? {
                    moved = self.clock.elapsed();
                    self.take(connection, moved)?;
                }
                connection.wire.write()?;
            }
            if self.clock.elapsed().saturating_sub(moved) > STALL_MAX {
                bail!(
                    "nothing came for {} s: {} done",
                    STALL_MAX.as_secs(),
                    self.done
                );
            }
            for connection in connections.iter_mut() {
                // What was pushed and is less than a batch is all that there is.
                let is_waiting = matches!(connection.phase, Phase::Receiving | Phase::Idle);
                let takes = matches!(self.args.kind, Kind::Receive | Kind::Cycle);
                if is_quiet && takes && is_waiting && connection.client.held() > 0 {
                    self.acknowledge(connection, self.clock.elapsed());
                }
                if connection.phase == Phase::Idle {
                    self.begin(connection)?;
                }
            }
        }
        Ok(())
    }

    /// Starts the next step of a connection that does nothing.
    fn begin<C: Client>(&mut self, connection: &mut Connection<C>) -> Result<()> {
        let now = self.clock.elapsed();
        let Some(turn) = self
            .next
            .filter(|turn| turn.due.is_none_or(|due| due <= now))
        else {
            let takes = matches!(self.args.kind, Kind::Receive | Kind::Cycle);
            if takes && self.next.is_none() && self.seen.count < self.wanted() {
                connection.began = now;
                self.receive(connection, now);
            }
            return connection.wire.write();
        };
        self.next = self.pace.take();
        connection.began = turn.due.unwrap_or(now);
        connection.since = connection.began;
        let first = self.number;
        if self.args.kind == Kind::Create {
            self.number += 1;
            connection.phase = Phase::Sending(1);
            connection.client.create(&mut connection.wire, first)?;
            return connection.wire.write();
        }
        if self.args.kind == Kind::Touch {
            let nth = (first - self.args.backlog) / u64::from(self.args.batch);
            connection.client.select(nth)?;
        }
        self.number = (first + u64::from(self.args.batch)).min(self.end);
        connection.count = (self.number - first) as u32;
        connection.phase = Phase::Sending(connection.count);
        connection
            .client
            .send(&mut connection.wire, first..self.number);
        connection.wire.write()
    }

    fn receive<C: Client>(&mut self, connection: &mut Connection<C>, now: Duration) {
        connection.since = now;
        connection.phase = Phase::Receiving;
        if connection.client.receive(&mut connection.wire) {
            self.acknowledge(connection, now);
        }
    }

    fn acknowledge<C: Client>(&mut self, connection: &mut Connection<C>, now: Duration) {
        note(
            &mut self.steps.receive,
            now.saturating_sub(connection.since),
        );
        let held = connection.client.held();
        connection.since = now;
        connection.phase = Phase::Idle;
        if held == 0 {
            return;
        }
        if self.args.kind == Kind::Touch {
            return self.finish(connection, held, now);
        }
        match connection.client.acknowledge(&mut connection.wire) {
            0 => self.finish(connection, held, now),
            left => connection.phase = Phase::Acknowledging(left),
        }
    }

    /// A turn is over.
    fn finish<C: Client>(&mut self, connection: &mut Connection<C>, count: u32, now: Duration) {
        connection.phase = Phase::Idle;
        self.tally.note(now.saturating_sub(connection.began));
        self.tally.requests += 1;
        self.done += u64::from(count);
        self.last = now;
    }

    /// Takes every whole answer that a connection has.
    fn take<C: Client>(&mut self, connection: &mut Connection<C>, now: Duration) -> Result<()> {
        loop {
            let Connection { wire, client, .. } = &mut *connection;
            let (seen, tally) = (&mut self.seen, &mut self.tally);
            let mut each = |body: &[u8]| seen.note(body, tally);
            let Some((taken, said)) = client.said(wire.received(), &mut each)? else {
                return Ok(());
            };
            wire.consume(taken);
            if client.is_closed() {
                wire.reopen()?;
            }
            match (said, connection.phase) {
                (Said::Other, _) => {}
                (Said::Sent(count), Phase::Sending(left)) => {
                    self.sent(connection, left.saturating_sub(count), now)?;
                }
                (Said::Received, Phase::Receiving) => self.acknowledge(connection, now),
                // Pushed while the connection was busy with other things.
                (Said::Received, _) => {}
                (Said::Acknowledged(count), Phase::Acknowledging(left)) => {
                    let left = left.saturating_sub(count);
                    connection.phase = Phase::Acknowledging(left);
                    self.acknowledged += u64::from(count);
                    if left == 0 {
                        let span = now.saturating_sub(connection.since);
                        note(&mut self.steps.acknowledge, span);
                        let count = std::mem::take(&mut self.acknowledged);
                        self.finish(connection, count as u32, now);
                    }
                }
                _ => bail!("an answer that nobody waited for: {said:?}"),
            }
            if connection.phase == Phase::Idle {
                self.begin(connection)?;
            }
        }
    }

    fn sent<C: Client>(
        &mut self,
        connection: &mut Connection<C>,
        left: u32,
        now: Duration,
    ) -> Result<()> {
        connection.phase = Phase::Sending(left);
        if left > 0 {
            return Ok(());
        }
        note(&mut self.steps.send, now.saturating_sub(connection.since));
        match self.args.kind {
            Kind::Cycle | Kind::Touch => self.receive(connection, now),
            Kind::Create => self.finish(connection, 1, now),
            _ => self.finish(connection, connection.count, now),
        }
        connection.wire.write()
    }

    fn report(&self) -> Report {
        let kind = match self.args.kind {
            Kind::Send => "send",
            Kind::Receive => "receive",
            Kind::Cycle => "cycle",
            Kind::Create => "create",
            Kind::Touch => "touch",
        };
        let mut tally = Tally {
            records: self.done,
            bytes: self.done * u64::from(self.args.size),
            ..Tally::default()
        };
        tally.add(&self.tally);
        let mut figures = Figures::new(kind, &tally, self.last, self.args.size);
        let is_whole =
            matches!(self.args.kind, Kind::Send | Kind::Create) || self.seen.count >= self.wanted();
        figures.verified = tally.errors == 0 && self.done >= self.wanted() && is_whole;
        figures.describe(Asked {
            topic: self.args.queue.clone(),
            batch: self.args.batch,
            partitions: 1,
            connections: self.args.connections,
            in_flight: 1,
            rate: self.args.rate,
        });
        let us = |steps: &Latencies, quantile| steps.value_at_quantile(quantile) as f64 / 1e3;
        Report {
            figures,
            repeated: self.seen.repeated,
            send_p50_us: us(&self.steps.send, 0.5),
            send_p99_us: us(&self.steps.send, 0.99),
            receive_p50_us: us(&self.steps.receive, 0.5),
            receive_p99_us: us(&self.steps.receive, 0.99),
            acknowledge_p50_us: us(&self.steps.acknowledge, 0.5),
            acknowledge_p99_us: us(&self.steps.acknowledge, 0.99),
        }
    }
}

fn note(steps: &mut Latencies, span: Duration) {
    steps.saturating_record(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1));
}

/// Which connections have something to read, or can be written to again; none after `pause`.
fn wait<C>(connections: &[Connection<C>], pause: Duration) -> Result<Vec<usize>> {
    let mut polled: Vec<PollFd<'_>> = connections.iter().map(|one| one.wire.poll()).collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: pause.subsec_nanos().into(),
    };
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(std::io::Error::from(error).into()),
    }
    let ready = polled.iter().enumerate();
    let ready = ready.filter(|(_, one)| !one.revents().is_empty());
    Ok(ready.map(|(at, _)| at).collect())
}
