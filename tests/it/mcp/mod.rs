//! The MCP endpoint.
#![expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]

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
mod reading;
pub(crate) mod slow;
mod sse;
pub(crate) mod stage;
mod streamed;
mod tokens;
mod tools;
mod upstream;
