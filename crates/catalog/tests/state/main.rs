//! The rules of the catalog, through its one door `apply`, its stored forms and its snapshots.

mod commits;
mod driver;
mod index;
mod producers;
mod properties;
mod queues;
mod snapshots;
mod stored;
mod support;
mod topics;
