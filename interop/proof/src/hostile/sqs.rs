//! The SQS port: what a client that behaves does there, and attacks with HTTP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Target;
use super::attacks::{FLOODERS, SLOW_PAUSE, connect, hold, repeat, wait_until_over};

/// The queue of the client that behaves, and one that stays empty.
const GOOD_QUEUE: &str = "good-queue";
const EMPTY_QUEUE: &str = "empty-queue";
const BODY_BYTES: usize = 8 * 1024;
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Connections that are only open, or hold half a head.
pub const IDLE: usize = 10_000;
/// Connections whose heads or bodies come a byte at a time.
pub const SLOW: usize = 2_000;
/// Connections that each wait for a message.
pub const POLLS: usize = 4_000;
/// Just below what is no large body, and the largest that is taken.
const SMALL_BODY: usize = 64 << 10;
const LARGE_BODY: usize = 4 << 20;

fn url(queue: &str) -> String {
    format!("http://h/000000000000/{queue}")
}

fn head(action: &str, length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: AmazonSQS.{action}\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// One request on a connection that stays open.
fn call(stream: &mut TcpStream, action: &str, request: &Value) -> Result<Value> {
    let body = request.to_string();
    let bytes = [head(action, body.len()).as_bytes(), body.as_bytes()].concat();
    stream.write_all(&bytes)?;
    let mut answer = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        if let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(answer.get(..at).unwrap_or_default());
            let head = head.to_ascii_lowercase();
            let mut lines = head.lines();
            let length = lines.find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.context("an answer without a length")?.parse()?;
            if let Some(body) = answer.get(at + 4..at + 4 + length) {
                ensure!(head.starts_with("http/1.1 200"), "{action}: {head}");
                return Ok(match body.is_empty() {
                    true => Value::Null,
                    false => serde_json::from_slice(body)?,
                });
            }
        }
        let read = stream.read(&mut part)?;
        ensure!(read > 0, "{action}: the connection ended");
        answer.extend(part.iter().take(read));
        ensure!(
            answer.len() < ANSWER_BYTES_MAX,
            "{action}: too long an answer"
        );
    }
}

/// Makes the queues of all.
///
/// # Errors
/// When the server refuses one.
pub fn create_queues(address: &str) -> Result<()> {
    let mut stream = connect(address)?;
    for queue in [GOOD_QUEUE, EMPTY_QUEUE] {
        call(&mut stream, "CreateQueue", &json!({"QueueName": queue}))?;
    }
    Ok(())
}

/// Sends a message, receives it and deletes it.
///
/// # Errors
/// When it is refused, or not answered within `patience`.
pub fn round(address: &str, known: &mut Option<TcpStream>, patience: Duration) -> Result<()> {
    let stream = match known {
        Some(stream) => stream,
        None => {
            let fresh = connect(address)?;
            fresh.set_read_timeout(Some(patience))?;
            fresh.set_write_timeout(Some(patience))?;
            known.insert(fresh)
        }
    };
    let url = url(GOOD_QUEUE);
    let send = json!({"QueueUrl": url, "MessageBody": "m".repeat(BODY_BYTES)});
    call(stream, "SendMessage", &send)?;
    let receive = json!({"QueueUrl": url, "WaitTimeSeconds": 5});
    let received = call(stream, "ReceiveMessage", &receive)?;
    let receipt = received["Messages"][0]["ReceiptHandle"].as_str();
    let receipt = receipt.context("what was sent was not received")?;
    let delete = json!({"QueueUrl": url, "ReceiptHandle": receipt});
    call(stream, "DeleteMessage", &delete).map(drop)
}

fn address<'a>(target: &Target<'a>) -> Result<&'a str> {
    target
        .sqs
        .context("the attack needs the address of the SQS listener")
}

/// Connections opened and dropped as fast as they come.
pub fn flood(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let address = address(target)?;
    let count = AtomicU64::new(0);
    ready.store(true, Ordering::Release);
    repeat(target, FLOODERS, |_| {
        if connect(address).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let count = count.into_inner();
    Ok(format!("{count} connections opened and dropped"))
}

/// Connections of which nothing comes, or half a head, some of them half closed.
pub fn idle(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let address = address(target)?;
    let silent = hold(address, IDLE / 2, &[])?;
    let half = hold(address, IDLE / 2, b"POST / HTTP/1.1\r\nHo")?;
    for stream in half.iter().step_by(2) {
        // The server may have closed it already.
        let _ = stream.shutdown(Shutdown::Write);
    }
    ready.store(true, Ordering::Release);
    wait_until_over(target);
    let count = silent.len() + half.len();
    Ok(format!(
        "{count} connections held, a quarter of them half closed"
    ))
}

/// The same beginning on many connections, then a byte now and then; whoever is closed comes again.
fn trickle(target: &Target<'_>, ready: &Arc<AtomicBool>, beginning: &[u8]) -> Result<String> {
    let address = address(target)?;
    let mut held = hold(address, SLOW, beginning)?;
    ready.store(true, Ordering::Release);
    let (mut bytes, mut again) = (0, 0);
    while !target.is_over() {
        for stream in &mut held {
            if stream.write_all(b"a").is_ok() {
                bytes += 1;
            } else if let Ok(mut fresh) = connect(address) {
                let _ = fresh.write_all(beginning);
                *stream = fresh;
                again += 1;
            }
        }
        thread::sleep(SLOW_PAUSE);
    }
    Ok(format!(
        "{bytes} single bytes over {SLOW} connections, {again} made again"
    ))
}

/// Heads that never end.
pub fn heads(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    trickle(target, ready, b"POST / HTTP/1.1\r\nHost: h\r\nX-Slow: ")
}

/// Bodies that never end, each of a size that is small for itself.
pub fn bodies(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    trickle(target, ready, head("SendMessage", SMALL_BODY).as_bytes())
}

/// The same of the largest size.
pub fn large_bodies(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    trickle(target, ready, head("SendMessage", LARGE_BODY).as_bytes())
}

/// Bodies of a size that nobody has.
pub fn claims(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let beginning = head("SendMessage", usize::MAX >> 1);
    trickle(target, ready, beginning.as_bytes())
}

/// Whole bodies of the largest size: lists in each other, and lists of very many.
pub fn deep(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let address = address(target)?;
    let bodies = [
        "[".repeat(LARGE_BODY),
        format!("[{}0]", "0,".repeat(LARGE_BODY / 2 - 2)),
    ];
    let count = AtomicU64::new(0);
    ready.store(true, Ordering::Release);
    repeat(target, FLOODERS, |random| {
        let Ok(mut stream) = connect(address) else {
            return;
        };
        let body = bodies
            .get(random.within(0..2) as usize)
            .map_or("", String::as_str);
        let sent = stream.write_all(head("SendMessage", body.len()).as_bytes());
        let sent = sent.and_then(|()| stream.write_all(body.as_bytes()));
        // A refusal may come before all is sent.
        let _ = sent.and_then(|()| stream.read(&mut [0; 512]));
        count.fetch_add(1, Ordering::Relaxed);
    });
    let count = count.into_inner();
    Ok(format!("{count} bodies of 4 MiB of lists"))
}

/// Long polls on a queue that stays empty.
pub fn polls(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let address = address(target)?;
    let request = json!({"QueueUrl": url(EMPTY_QUEUE), "WaitTimeSeconds": 20}).to_string();
    let bytes = head("ReceiveMessage", request.len()) + &request;
    let mut held = hold(address, POLLS, bytes.as_bytes())?;
    ready.store(true, Ordering::Release);
    let mut answer = [0; 2048];
    let mut asked = held.len();
    for stream in &held {
        stream.set_nonblocking(true)?;
    }
    while !target.is_over() {
        for stream in &mut held {
            if stream.read(&mut answer).is_ok_and(|read| read > 0)
                && stream.write_all(bytes.as_bytes()).is_ok()
            {
                asked += 1;
            }
        }
        thread::sleep(SLOW_PAUSE);
    }
    Ok(format!("{asked} long polls on {POLLS} connections"))
}
