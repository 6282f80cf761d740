//! The door to the network: accept, connection limits, PROXY protocol, drain. No protocol of ours.
//!
//! - [`Listener`] binds an address and hands each accepted [`Connection`] to a service, within a
//!   limit of connections.
//! - [`Drain`] stops accepting, tells the connections to finish what is in flight, and ends those
//!   that do not in time.
//! - [`proxy`] reads the header that a load balancer puts before a connection's first byte.
//! - [`LogGate`] keeps what strangers can cause out of the log after the first line.

mod drain;
mod gate;
mod listener;
pub mod proxy;

pub use drain::Drain;
pub use gate::LogGate;
pub use listener::{BindError, Connection, Listener, ListenerSettings, is_loopback};
