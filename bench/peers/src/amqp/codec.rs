//! Frames, methods and contents of AMQP 0-9-1, as far as the driver needs them.

use anyhow::{Result, bail, ensure};

use crate::fields::Reader;
use crate::wire::Wire;

/// Kinds of frames.
const METHOD: u8 = 1;
pub const CONTENT_HEADER: u8 = 2;
pub const CONTENT_BODY: u8 = 3;
/// A frame is its kind, channel and size, then what it carries, then an end.
const FRAME_HEAD_BYTES: usize = 7;
const FRAME_END: u8 = 0xce;
/// The smallest that a peer may ask for.
pub const FRAME_BYTES_MIN: usize = 4096;

/// Class and method.
pub type Id = (u16, u16);

pub const CONNECTION_START: Id = (10, 10);
pub const CONNECTION_START_OK: Id = (10, 11);
pub const CONNECTION_TUNE: Id = (10, 30);
pub const CONNECTION_TUNE_OK: Id = (10, 31);
pub const CONNECTION_OPEN: Id = (10, 40);
pub const CONNECTION_CLOSE: Id = (10, 50);
pub const CHANNEL_OPEN: Id = (20, 10);
pub const CHANNEL_CLOSE: Id = (20, 40);
pub const QUEUE_DECLARE: Id = (50, 10);
pub const BASIC_QOS: Id = (60, 10);
pub const BASIC_CONSUME: Id = (60, 20);
pub const BASIC_PUBLISH: Id = (60, 40);
pub const BASIC_RETURN: Id = (60, 50);
pub const BASIC_DELIVER: Id = (60, 60);
pub const BASIC_ACK: Id = (60, 80);
pub const BASIC_NACK: Id = (60, 120);
pub const CONFIRM_SELECT: Id = (85, 10);

/// Of a connection's own methods, and the one channel that we open.
pub const CONNECTION: u16 = 0;
pub const CHANNEL: u16 = 1;

/// The one property that a record has: its delivery mode, and that it is persistent.
const HAS_DELIVERY_MODE: u16 = 1 << 12;
const PERSISTENT: u8 = 2;

/// The frames of a record after its method: what it is, and its value in as many as it needs.
pub fn content(value: &[u8], frame_bytes_max: usize) -> Vec<u8> {
    let (class, _) = BASIC_PUBLISH;
    let mut header = class.to_be_bytes().to_vec();
    header.extend(0u16.to_be_bytes());
    header.extend((value.len() as u64).to_be_bytes());
    header.extend(HAS_DELIVERY_MODE.to_be_bytes());
    header.push(PERSISTENT);
    let mut frames = Vec::new();
    put_frame(&mut frames, CONTENT_HEADER, CHANNEL, &header);
    for part in value.chunks(frame_bytes_max - FRAME_HEAD_BYTES - 1) {
        put_frame(&mut frames, CONTENT_BODY, CHANNEL, part);
    }
    frames
}

/// Sends a method and waits for its answer, whose number is one higher; returns the arguments.
pub fn call(
    wire: &mut Wire,
    channel: u16,
    (class, number): Id,
    fill: impl FnOnce(&mut Vec<u8>),
) -> Result<Vec<u8>> {
    wire.queue(&method(channel, (class, number), fill));
    expect(wire, (class, number + 1))
}

/// Waits for a method; returns its arguments.
pub fn expect(wire: &mut Wire, wanted: Id) -> Result<Vec<u8>> {
    wire.answer(|bytes| {
        let Some((taken, id, arguments)) = received_method(bytes)? else {
            return Ok(None);
        };
        ensure!(
            id == wanted,
            "method {wanted:?} was due, the server sent {id:?}"
        );
        Ok(Some((taken, arguments.to_vec())))
    })
}

/// A method's frame.
pub fn method(channel: u16, (class, number): Id, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut fields = class.to_be_bytes().to_vec();
    fields.extend(number.to_be_bytes());
    fill(&mut fields);
    let mut bytes = Vec::new();
    put_frame(&mut bytes, METHOD, channel, &fields);
    bytes
}

fn put_frame(to: &mut Vec<u8>, kind: u8, channel: u16, carried: &[u8]) {
    to.push(kind);
    to.extend(channel.to_be_bytes());
    long(to, carried);
    to.push(FRAME_END);
}

/// At most 255 bytes: our own names.
pub fn short(to: &mut Vec<u8>, text: &str) {
    to.push(text.len() as u8);
    to.extend_from_slice(text.as_bytes());
}

/// A long string, a table, or what a frame carries.
pub fn long(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u32).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// The method at the start of `bytes`: how many of them it takes, and its arguments; None when it
/// has not come whole.
///
/// # Errors
/// When there is none, or it closes the channel or the connection.
pub fn received_method(bytes: &[u8]) -> Result<Option<(usize, Id, &[u8])>> {
    let Some((taken, carried)) = frame(bytes, METHOD)? else {
        return Ok(None);
    };
    let mut fields = Reader(carried);
    let id = (fields.u16()?, fields.u16()?);
    if matches!(id, CONNECTION_CLOSE | CHANNEL_CLOSE) {
        let (code, text_bytes) = (fields.u16()?, fields.u8()?);
        let text = String::from_utf8_lossy(fields.take(text_bytes.into())?);
        bail!("the server closes: {code} {text}");
    }
    Ok(Some((taken, id, fields.0)))
}

/// What the frame at the start of `bytes` carries, and how many of them it takes; None when it has
/// not come whole.
///
/// # Errors
/// When it is of another kind, or none.
pub fn frame(bytes: &[u8], wanted: u8) -> Result<Option<(usize, &[u8])>> {
    if bytes.len() < FRAME_HEAD_BYTES {
        return Ok(None);
    }
    let mut head = Reader(bytes);
    let (kind, _, size) = (head.u8()?, head.u16()?, head.u32()? as usize);
    ensure!(
        kind == wanted,
        "a frame of kind {wanted} was due, not of {kind}"
    );
    let Some((carried, end)) = head.0.split_at_checked(size) else {
        return Ok(None);
    };
    let Some(end) = end.first() else {
        return Ok(None);
    };
    ensure!(*end == FRAME_END, "a frame ends with {end:#04x}");
    Ok(Some((FRAME_HEAD_BYTES + size + 1, carried)))
}
