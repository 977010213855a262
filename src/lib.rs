//! Callslip: connect private documents to AI assistants by pasting one URL.

pub mod clock;
pub mod db;
pub mod fault;
pub mod ids;
pub mod secret;
