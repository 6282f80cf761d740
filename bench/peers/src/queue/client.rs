//! What a protocol has to offer so that its queues can be measured.

use std::ops::Range;

use anyhow::{Result, bail};

use super::Args;
use crate::wire::Wire;

/// What an answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// So many messages are stored, or queues created.
    Sent(u32),
    /// The receive is over; its messages were handed out.
    Received,
    /// So many messages are done.
    Acknowledged(u32),
    /// Nothing that anybody waits for.
    Other,
}

/// Takes each body that comes.
pub type Each<'a> = dyn FnMut(&[u8]) + 'a;

/// One connection to a queue. Numbers of messages become bodies by [`super::bodies`].
pub trait Client: Sized {
    /// Shakes hands and makes the queue unless it is there.
    ///
    /// # Errors
    /// When the server is not the one that was expected.
    fn open(wire: &mut Wire, args: &Args) -> Result<Self>;

    /// Queues the bytes that send these messages.
    fn send(&mut self, wire: &mut Wire, numbers: Range<u64>);

    /// Asks for a batch; whether one is here already.
    fn receive(&mut self, wire: &mut Wire) -> bool;

    /// Acknowledges what was received; for how many of them an answer will come.
    fn acknowledge(&mut self, wire: &mut Wire) -> u32;

    /// Messages that were received and are not acknowledged.
    fn held(&self) -> u32;

    /// The first answer in `bytes`, and how many of them it takes; None when it has not come whole.
    ///
    /// # Errors
    /// When a message was refused, or the answer is none of this protocol.
    fn said(&mut self, bytes: &[u8], each: &mut Each<'_>) -> Result<Option<(usize, Said)>>;

    /// The server closes the connection after the last answer.
    fn is_closed(&self) -> bool {
        false
    }

    /// Creates the queue of this number.
    ///
    /// # Errors
    /// Where the protocol's queues are not measured by their number.
    fn create(&mut self, _: &mut Wire, _: u64) -> Result<()> {
        bail!("only queues of SQS are counted")
    }

    /// Turns to the queue of this number.
    ///
    /// # Errors
    /// As [`Client::create`].
    fn select(&mut self, _: u64) -> Result<()> {
        bail!("only queues of SQS are counted")
    }
}
