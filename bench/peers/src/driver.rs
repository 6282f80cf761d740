//! What a system's protocol has to offer to be measured.

use anyhow::Result;

use crate::wire::Wire;

/// Where a record lies in its stream, in the system's own order.
pub type Place = u128;

/// A record that was read: its place and its value.
pub type Record<'a> = (Place, &'a [u8]);

/// What an acknowledgement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// How many records; none when the server only talked.
    pub records: u32,
    /// Where the last of them lies, if this protocol tells a writer.
    pub place: Option<Place>,
}

/// One connection's protocol. Records are encoded once, as bytes that are sent many times.
pub trait Driver: Sized {
    /// Shakes hands on a fresh connection.
    ///
    /// # Errors
    /// When the server is not the one that was expected.
    fn open(wire: &mut Wire) -> Result<Self>;

    /// Makes the topic unless it is there; returns how many records it holds, if that can be asked.
    ///
    /// # Errors
    /// When the server refuses.
    fn topic(&mut self, wire: &mut Wire, topic: &str) -> Result<Option<u64>>;

    /// Starts to take acknowledgements on this connection.
    ///
    /// # Errors
    /// When the server refuses.
    fn start_writing(&mut self, wire: &mut Wire) -> Result<()>;

    /// The bytes that add a batch: so many records of this value.
    fn encode(&self, topic: &str, value: &[u8], records: u32) -> Vec<u8>;

    /// Numbers a batch of so many records that is about to be sent, where the protocol leaves that to
    /// the writer.
    fn stamp(&mut self, _batch: &mut [u8], _records: u32) {}

    /// The first acknowledgement in `bytes`, and how many of them it takes; None when it has not
    /// come whole.
    ///
    /// # Errors
    /// When the record was refused, or the answer is none of this protocol.
    fn acknowledged(&mut self, bytes: &[u8]) -> Result<Option<(usize, Acknowledged)>>;

    /// Starts to read a topic, from its beginning or from what comes next.
    ///
    /// # Errors
    /// When the server refuses.
    fn start_reading(&mut self, wire: &mut Wire, topic: &str, from_start: bool) -> Result<()>;

    /// Asks for records where nothing is under way any more.
    fn ask(&mut self, wire: &mut Wire);

    /// Hands out every whole record in `bytes`; returns how many of them are done with.
    ///
    /// # Errors
    /// When an answer is an error, or none of this protocol.
    fn records(&mut self, bytes: &[u8], each: &mut dyn FnMut(Record<'_>)) -> Result<usize>;

    /// Whether `next` may follow `last` with no record between them.
    fn follows(last: Place, next: Place) -> bool;
}
