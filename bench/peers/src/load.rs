//! The kinds of load over any driver, each on one connection (latency: one to write, one to read).

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use levada_load::{Figures, Pace, Tally};

use crate::LoadArgs;
use crate::driver::{Driver, Place, Record};
use crate::wire::{STALL_MAX, Wire};

/// How long a thread waits at most before it looks around.
const NAP: Duration = Duration::from_millis(50);
/// Between the moment when the reader waits and the first record.
const HEAD_START: Duration = Duration::from_millis(300);

/// Half text, so that a server that compresses has something to do; the same for every record, so
/// that whoever reads can compare it.
fn value(size: u32) -> Vec<u8> {
    const TEXT: &[u8] = b"levada carries water to the fields ";
    let half = size / 2;
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let byte = |index: u32| {
        if index < half {
            return TEXT[index as usize % TEXT.len()];
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..size).map(byte).collect()
}

/// Writes `count` records and checks every acknowledgement, and afterwards how many are there.
///
/// # Errors
/// When the server goes, or nothing moves any more.
pub fn produce<D: Driver>(args: &LoadArgs) -> Result<Figures> {
    let mut wire = Wire::open(&args.broker)?;
    let mut driver = D::open(&mut wire)?;
    let before = driver.topic(&mut wire, &args.topic)?;
    driver.start_writing(&mut wire)?;
    let clock = Instant::now();
    let pace = Pace::new(args.rate, args.batch_records(), args.count, Duration::ZERO);
    let mut tally = write(&mut wire, &mut driver, args, &pace, clock)?;
    let span = clock.elapsed();
    let after = driver.topic(&mut wire, &args.topic)?;
    let grown = after
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    if let Some(grown) = grown.filter(|grown| *grown != tally.records) {
        let acknowledged = tally.records;
        tally.wrong(|| format!("the topic grew by {grown}, but {acknowledged} were acknowledged"));
    }
    let mut figures = Figures::new("produce", &tally, span, args.size);
    figures.verified = tally.errors == 0 && tally.records == args.count;
    Ok(figures)
}

/// A batch under way.
struct Sent {
    since: Duration,
    unacknowledged: u32,
}

fn write<D: Driver>(
    wire: &mut Wire,
    driver: &mut D,
    args: &LoadArgs,
    pace: &Pace,
    clock: Instant,
) -> Result<Tally> {
    let batch = args.batch_records();
    let rest = u32::try_from(args.count % u64::from(batch))?;
    let encode = |records| driver.encode(&args.topic, &value(args.size), records);
    let (mut full, mut smaller) = (encode(batch), encode(rest));
    let mut tally = Tally::default();
    let mut last: Option<Place> = None;
    let mut under_way: VecDeque<Sent> = VecDeque::new();
    let mut next = pace.take();
    let mut moved = clock.elapsed();
    while next.is_some() || !under_way.is_empty() {
        let now = clock.elapsed();
        while let Some(turn) = next {
            let is_full = under_way.len() >= args.in_flight as usize;
            if is_full || turn.due.is_some_and(|due| due > now) {
                break;
            }
            let (records, bytes) = match turn.is_last && rest > 0 {
                true => (rest, &mut smaller),
                false => (batch, &mut full),
            };
            driver.stamp(bytes, records);
            wire.queue(bytes);
            under_way.push_back(Sent {
                since: turn.due.unwrap_or(now),
                unacknowledged: records,
            });
            next = pace.take();
            moved = now;
        }
        wire.write()?;
        if wire.read()? {
            moved = clock.elapsed();
            take_acknowledgements(wire, driver, &mut under_way, &mut last, moved, &mut tally)?;
            continue;
        }
        let now = clock.elapsed();
        if !under_way.is_empty() && now.saturating_sub(moved) > STALL_MAX {
            bail!("no acknowledgement for {} s", STALL_MAX.as_secs());
        }
        let is_full = under_way.len() >= args.in_flight as usize;
        let due = next.and_then(|turn| turn.due).filter(|_| !is_full);
        wire.wait(due.map_or(NAP, |due| due.saturating_sub(now).min(NAP)))?;
    }
    tally.bytes = tally.records * u64::from(args.size);
    Ok(tally)
}

fn take_acknowledgements<D: Driver>(
    wire: &mut Wire,
    driver: &mut D,
    under_way: &mut VecDeque<Sent>,
    last: &mut Option<Place>,
    now: Duration,
    tally: &mut Tally,
) -> Result<()> {
    while let Some((taken, acknowledged)) = driver.acknowledged(wire.received())? {
        wire.consume(taken);
        if let Some(place) = acknowledged.place {
            if last.is_some_and(|last| !D::follows(last, place)) {
                tally.wrong(|| format!("a record was put at {place} after {last:?}"));
            }
            *last = Some(place);
        }
        tally.records += u64::from(acknowledged.records);
        let mut left = acknowledged.records;
        while left > 0 {
            let Some(first) = under_way.front_mut() else {
                tally.wrong(|| format!("{left} records are acknowledged, and none was sent"));
                break;
            };
            let of_first = left.min(first.unacknowledged);
            first.unacknowledged -= of_first;
            left -= of_first;
            if first.unacknowledged == 0 {
                tally.note(now.saturating_sub(first.since));
                tally.requests += 1;
                under_way.pop_front();
            }
        }
    }
    Ok(())
}

/// Reads `count` records from the start; each one's place and value are checked.
///
/// # Errors
/// As [`produce`].
pub fn consume<D: Driver>(args: &LoadArgs) -> Result<Figures> {
    let mut wire = Wire::open(&args.broker)?;
    let mut driver = D::open(&mut wire)?;
    driver.topic(&mut wire, &args.topic)?;
    driver.start_reading(&mut wire, &args.topic, true)?;
    let clock = Instant::now();
    let tally = read(&mut wire, &mut driver, args, clock, None)?;
    let mut figures = Figures::new("consume", &tally, clock.elapsed(), args.size);
    figures.verified = tally.errors == 0 && tally.records >= args.count;
    Ok(figures)
}

/// Reads until it has the count; with a pace, notes how long each record took from its due time.
fn read<D: Driver>(
    wire: &mut Wire,
    driver: &mut D,
    args: &LoadArgs,
    clock: Instant,
    pace: Option<&Pace>,
) -> Result<Tally> {
    let expected = value(args.size);
    let batch = u64::from(args.batch_records());
    let mut tally = Tally::default();
    let mut last: Option<Place> = None;
    let mut moved = Instant::now();
    while tally.records < args.count && tally.errors == 0 {
        driver.ask(wire);
        wire.write()?;
        if !wire.read()? {
            if moved.elapsed() > STALL_MAX {
                bail!("no record for {} s", STALL_MAX.as_secs());
            }
            wire.wait(NAP)?;
            continue;
        }
        moved = Instant::now();
        let now = clock.elapsed();
        let taken = driver.records(wire.received(), &mut |(place, value): Record<'_>| {
            if last.is_some_and(|last| !D::follows(last, place)) {
                tally.wrong(|| format!("a record at {place} after {last:?}"));
            }
            if value != expected {
                tally.wrong(|| format!("the record at {place} is not what was written"));
            }
            last = Some(place);
            if let Some(due) = pace.and_then(|pace| pace.due(tally.records / batch)) {
                tally.note(now.saturating_sub(due));
            }
            tally.records += 1;
        })?;
        wire.consume(taken);
    }
    tally.bytes = tally.records * u64::from(args.size);
    Ok(tally)
}

/// From the time at which a record is due to be sent until a consumer that waits has it.
///
/// # Errors
/// As [`produce`].
pub fn latency<D: Driver>(args: &LoadArgs) -> Result<Figures> {
    let mut wire = Wire::open(&args.broker)?;
    let mut driver = D::open(&mut wire)?;
    driver.topic(&mut wire, &args.topic)?;
    driver.start_writing(&mut wire)?;
    let clock = Instant::now();
    let start = clock.elapsed() + HEAD_START;
    let pace = || Pace::new(args.rate, args.batch_records(), args.count, start);
    let (ready, is_ready) = mpsc::channel();
    let (sent, received) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut wire = Wire::open(&args.broker)?;
            let mut driver = D::open(&mut wire)?;
            driver.start_reading(&mut wire, &args.topic, false)?;
            driver.ask(&mut wire);
            wire.write()?;
            // The writer waits for this; it has gone only when its own connection has failed.
            let _ = ready.send(());
            read(&mut wire, &mut driver, args, clock, Some(&pace()))
        });
        if is_ready.recv_timeout(HEAD_START / 2).is_err() {
            bail!("the reader was not there in time");
        }
        let sent = write(&mut wire, &mut driver, args, &pace(), clock)?;
        let received = reading.join().map_err(|_| anyhow!("the reader died"))??;
        Ok((sent, received))
    })?;
    let span = clock.elapsed().saturating_sub(start);
    let mut figures = Figures::new("latency", &received, span, args.size);
    figures.errors += sent.errors;
    figures.first_error = figures.first_error.or(sent.first_error.clone());
    let is_whole = |tally: &Tally| tally.records == args.count;
    figures.verified = figures.errors == 0 && is_whole(&sent) && is_whole(&received);
    Ok(figures)
}
