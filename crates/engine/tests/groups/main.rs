//! Consumer groups through the engine on memory backends, in paused time.
#![allow(clippy::disallowed_methods)]

mod offsets;
mod rounds;
mod sessions;
mod support;
