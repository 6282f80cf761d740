//! What a stranger can send over a socket.

pub mod answers;
pub mod connection;
pub mod messages;
pub mod proxy;
pub mod queues;
pub mod strangers;
