//! What a posted request is answered: as Streamable HTTP would, but for the revision.

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use super::session::Delivery;
use crate::{
    deadline,
    limits::{Calls, Cost},
    mcp::{
        dispatch::Dispatcher,
        era,
        jsonrpc::{self, RpcError, code},
        server_info,
    },
};

/// The revision that this transport belongs to; whoever speaks a later one here speaks this too.
pub(in crate::mcp) const REVISION: &str = "2024-11-05";

/// The answer in JSON; `None` when the token died while the request ran.
pub(super) async fn answer(
    dispatcher: &Dispatcher,
    calls: &Calls,
    delivery: &Delivery,
) -> Option<Bytes> {
    // It was paid for when it was posted; what runs at the same time is bounded here.
    let call = delivery.asker.caller.call(Cost::Other);
    let answer = match calls.hold(&call).await {
        Ok(_held) => deadline::within(deadline::ANSWER, respond(dispatcher, delivery))
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into())),
        Err(limited) => Err(RpcError::limited(&limited)),
    };
    let response = answer
        .unwrap_or_else(|error| error.answering(Some(delivery.request.id.clone())).into_response());
    if response.status() == StatusCode::UNAUTHORIZED {
        return None;
    }
    // There are no statuses on a stream; everything else is in the body.
    axum::body::to_bytes(response.into_body(), usize::MAX).await.ok()
}

async fn respond(dispatcher: &Dispatcher, delivery: &Delivery) -> Result<Response, RpcError> {
    let Delivery { asker, request } = delivery;
    if era::body_is_modern(request) {
        let message = "Method not found: this transport ends with revision 2024-11-05, send \
                       initialize; for later ones POST to the URL of the stream itself";
        return Err(RpcError::new(StatusCode::OK, code::METHOD_NOT_FOUND, message));
    }
    if request.method == "initialize"
        && let Some(mut result) = server_info::initialize(&request.params)
    {
        result["protocolVersion"] = REVISION.into();
        return Ok(jsonrpc::success(StatusCode::OK, &request.id, &result));
    }
    // Headers mirror nothing in this revision.
    dispatcher.answer(asker, &HeaderMap::new(), request).await
}
