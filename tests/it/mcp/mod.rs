//! The MCP endpoint.

mod audit;
mod card;
mod client;
mod dpop;
mod eras;
mod front;
mod gate;
mod limits;
mod malformed;
mod neutral;
mod onward;
pub(crate) mod slow;
mod sse;
pub(crate) mod stage;
mod tokens;
mod tools;
mod upstream;
