//! Callslip: connect private documents to AI assistants by pasting one URL.

pub mod clock;
pub mod db;
pub mod documents;
pub mod fault;
pub mod ids;
pub mod outbound;
pub mod search;
pub mod secret;
pub mod vector_stores;
