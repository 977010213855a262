//! What many forms and addresses carry.

use serde::Deserialize;

/// A form with nothing in it but its token.
#[derive(Debug, Deserialize)]
pub(super) struct Nothing {}

/// The address of a page after an act.
#[derive(Debug, Deserialize)]
pub(super) struct After {
    /// What the act was: [`super::Notice`].
    pub(super) notice: Option<String>,
}
