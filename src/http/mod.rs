//! What every surface shares: routes with their demands, pages, cookies, headers, addresses.

pub mod assets;
pub mod client_ip;
pub mod cookies;
pub mod csrf;
pub mod deadline;
mod draining;
pub mod encoding;
pub mod extract;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod headers;
pub mod host;
pub mod json;
pub mod multipart;
pub mod page;
pub mod panics;
pub mod request_id;
pub mod routes;
pub mod server;
mod shared;
pub mod unread;

pub use draining::{Draining, Phase};
pub use page::{Frame, Page, PageError, sentence};
pub use routes::{Access, Mounted, Routes};
pub use shared::{Share, Shared};
