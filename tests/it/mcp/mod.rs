//! The MCP endpoint.

mod audit;
mod client;
mod dpop;
mod eras;
mod front;
mod gate;
mod limits;
mod slow;
pub(crate) mod stage;
mod tools;
mod upstream;
