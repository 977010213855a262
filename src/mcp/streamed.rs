//! An answer on a stream, for a client that wants to hear of its call meanwhile: notifications,
//! then the answer, then the end (MCP transports, "Receiving Messages").
//!
//! The stream begins when there is something to hear. A call that is quicker is answered like every
//! other, with a status that says how it went; there is none on a stream, where all is in the body.
//!
//! The call runs in a task of its own: a client that does not read holds up nobody but itself. When
//! it hangs up, which is how a call is taken back here, the task ends.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use time::OffsetDateTime;
use tokio::{sync::mpsc, task::JoinSet};
use tracing::Instrument;

use super::{
    caller::Caller,
    dispatch::{Asker, Dispatcher},
    jsonrpc::{Id, Request, RpcError, code},
    sse::{
        event, handlers,
        outlet::{Item, Pass},
    },
};
use crate::{deadline, fault::Fault, limits::Admitted};

/// Between two signs of life, for whoever stands in between.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A request, and who asks.
pub(super) struct Asked {
    pub(super) asker: Asker,
    pub(super) headers: HeaderMap,
    pub(super) request: Request,
}

/// What came of it, and when.
type Done = (Result<Response, RpcError>, OffsetDateTime);

/// Answer a request whose client may hear something before.
pub(super) async fn answer(
    dispatcher: &Dispatcher,
    asked: Asked,
    mut heard: mpsc::Receiver<Bytes>,
    admitted: Admitted,
) -> Result<Response, RpcError> {
    let (caller, id) = (asked.asker.caller.clone(), asked.request.id.clone());
    let mut work = JoinSet::new();
    work.spawn(
        run(dispatcher.clone(), asked, deadline::at_most(deadline::ANSWER)).in_current_span(),
    );
    let mut response = tokio::select! {
        biased;
        Some(first) = heard.recv() => {
            let pass = Pass::new(caller.clone(), &dispatcher.liveness, &dispatcher.clock);
            let stream = Stream { first: Some(first), heard, work, pass, caller, id };
            return Ok(stream.begin(admitted));
        }
        done = work.join_next() => finished(done)?.0.map_err(|error| error.answering(Some(id)))?,
    };
    admitted.tell(response.headers_mut());
    Ok(response)
}

async fn run(dispatcher: Dispatcher, asked: Asked, limit: Duration) -> Done {
    let Asked { asker, headers, request } = &asked;
    let answer = deadline::within(limit, dispatcher.answer(asker, headers, request)).await;
    (answer.unwrap_or_else(|elapsed| Err(elapsed.into())), dispatcher.clock.now())
}

fn finished(done: Option<Result<Done, tokio::task::JoinError>>) -> Result<Done, RpcError> {
    let done = done.ok_or_else(|| Fault::new("a call has no end"));
    let done = done.and_then(|done| done.map_err(Fault::from));
    done.map_err(|fault| RpcError::fault(&fault))
}

/// What is still to come.
struct Stream {
    first: Option<Bytes>,
    heard: mpsc::Receiver<Bytes>,
    work: JoinSet<Done>,
    pass: Pass,
    caller: Caller,
    id: Id,
}

impl Stream {
    fn begin(self, admitted: Admitted) -> Response {
        let mut headers = HeaderMap::new();
        admitted.tell(&mut headers);
        // Until the end it counts among the calls that run.
        let state = Some((self, admitted));
        let body = Body::from_stream(stream::unfold(state, async |state| {
            let (mut stream, admitted) = state?;
            match stream.next().await {
                Part::Note(bytes) => Some((Ok::<_, Infallible>(bytes), Some((stream, admitted)))),
                Part::Last(bytes) => Some((Ok(bytes), None)),
            }
        }));
        (headers, handlers::stream(body)).into_response()
    }

    async fn next(&mut self) -> Part {
        if let Some(first) = self.first.take() {
            return Part::Note(first);
        }
        tokio::select! {
            biased;
            Some(note) = self.heard.recv() => Part::Note(note),
            done = self.work.join_next() => Part::Last(self.last(finished(done)).await),
            () = tokio::time::sleep(KEEP_ALIVE) => Part::Note(event::keep_alive()),
        }
    }

    /// The answer, if it may leave now: it may have waited for a client that did not read.
    async fn last(&self, done: Result<Done, RpcError>) -> Bytes {
        let id = || Some(self.id.clone());
        let (response, at) = match done {
            Ok((answer, at)) => {
                (answer.unwrap_or_else(|error| error.answering(id()).into_response()), at)
            }
            Err(error) => return as_event(error.answering(id()).into_response()).await,
        };
        if response.status() != StatusCode::UNAUTHORIZED {
            let (event, caller) = (as_event(response).await, self.caller.clone());
            if let Some(event) = self.pass.release(Item::Answer { event, caller, at }).await {
                return event;
            }
        }
        let message = "the answer is withheld: its access token is not known to be good any more";
        let withheld = RpcError::new(StatusCode::UNAUTHORIZED, code::WITHHELD, message);
        as_event(withheld.answering(id()).into_response()).await
    }
}

enum Part {
    Note(Bytes),
    Last(Bytes),
}

async fn as_event(response: Response) -> Bytes {
    // It was made in memory.
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    event::message(&body)
}
