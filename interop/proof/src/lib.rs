//! Tools that prove a broker from outside, over the raw protocol: the script that is held against
//! Apache Kafka, and (as they come) the tests that kill it. They know the wire and nothing of ours.
#![allow(clippy::disallowed_methods)] // test tools: they run outside, on real clocks and sockets

pub mod batch;
pub mod connection;
pub mod faults;
pub mod hostile;
pub mod kill;
pub mod load;
pub mod lossy;
pub mod mount;
pub mod normalise;
pub mod observe;
pub mod proxy;
pub mod script;
pub mod session;
pub mod soak;
pub mod trend;
