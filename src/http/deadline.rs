//! An answer comes in time, or none does and the work for it ends (spec row Q-08).

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::error::Elapsed;

use crate::deadline;

/// Middleware: give up on an answer when nobody waits for it any more.
///
/// # Errors
/// What the slice says where its database does not answer.
pub async fn enforce<E>(request: Request, next: Next) -> Result<Response, E>
where
    E: From<Elapsed> + IntoResponse,
{
    Ok(deadline::within(deadline::ANSWER, next.run(request)).await?)
}
