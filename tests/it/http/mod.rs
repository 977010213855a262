//! The way in, over raw sockets: what a connection may cost, and how it ends.

mod aborts;
mod bounds;
mod deadlines;
pub(crate) mod desk;
mod drain;
mod two;
