//! The MCP endpoint.

mod audit;
mod client;
mod eras;
mod front;
mod gate;
mod limits;
pub(crate) mod stage;
mod tools;
mod upstream;
