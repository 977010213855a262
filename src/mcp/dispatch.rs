//! From a request to its answer: the methods of both eras, decided as MCP's transports say.

use std::time::{Duration, Instant};

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{
    caller::Caller,
    challenge::{NEEDED, challenge, refuse},
    era::{self, Era},
    jsonrpc::{self, Request, RpcError, code},
    notes::Notes,
    reading::Readers,
    record, server_info,
    tools::{self, Handles, Outcome, Status, Tool},
};
use crate::{
    audit::{self, Event, Origin},
    clock::{Clock, LEEWAY},
    deadline,
    fault::Fault,
    oauth::{challenge::Reason, liveness::Liveness},
    questions::Questions,
    search::Search,
};

/// What is left of [`deadline::ANSWER`] when a tool has taken all it may: for its record, and for
/// asking once more whether its token lives.
const AFTERWARDS: Duration = Duration::from_secs(3);
const TOO_SLOW: &str = "The documents did not answer in time; try again, or ask for less.";

/// For how long the word that a token lives is good. Nothing leaves later than a second after a
/// revocation was answered (spec row S-08).
const PROOF_LASTS: time::Duration = time::Duration::milliseconds(500);
const CHANGED: &str = "What this connection may read has changed meanwhile; ask again.";

/// What answers.
#[derive(Clone, Debug)]
pub(super) struct Dispatcher {
    pub(super) search: Search,
    pub(super) handles: Handles,
    pub(super) audit: audit::Log,
    pub(super) questions: Questions,
    pub(super) readers: Readers,
    pub(super) clock: Clock,
    pub(super) liveness: Liveness,
}

/// Who asks, and from where.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) caller: Caller,
    pub(super) origin: Origin,
    /// The protected resource metadata of the URL that was called.
    pub(super) metadata_url: String,
    /// What it hears before the answer, if it wants to.
    pub(super) notes: Option<Notes>,
}

impl Dispatcher {
    /// Answer one request.
    pub(super) async fn answer(
        &self,
        asker: &Asker,
        headers: &HeaderMap,
        request: &Request,
    ) -> Result<Response, RpcError> {
        let era = era::settle(headers, request)?;
        let result = match (era, request.method.as_str()) {
            (Era::Legacy, "initialize") => server_info::initialize(&request.params)
                .ok_or_else(|| invalid_params("protocolVersion must be a string"))?,
            (Era::Legacy, "ping") => json!({}),
            #[cfg(feature = "fixtures")]
            (Era::Legacy, "logging/setLevel") => json!({}),
            (Era::Modern, "server/discover") => server_info::discover(),
            (_, "tools/list") => list(era, &request.params)?,
            (_, "tools/call") => return self.call(asker, era, request).await,
            (_, method) => return Err(unknown_method(era, method)),
        };
        Ok(jsonrpc::success(StatusCode::OK, &request.id, &complete(era, result)))
    }

    async fn call(&self, asker: &Asker, era: Era, request: &Request) -> Result<Response, RpcError> {
        let Some(Value::String(name)) = request.params.get("name") else {
            return Err(invalid_params("name must be a string"));
        };
        let tool = Tool::find(name);
        if !asker.caller.granted().covers(NEEDED) {
            self.append(record::refusal(tool, asker, "refused", self.clock.now())).await?;
            return Ok(insufficient_scope(asker, era, request));
        }
        #[cfg(any(test, feature = "fixtures"))]
        if let Some(result) = super::fixtures::call(name, asker, request).await {
            return Ok(jsonrpc::success(StatusCode::OK, &request.id, &complete(era, result?)));
        }
        let Some(tool) = tool else {
            self.append(record::refusal(tool, asker, "unknown_tool", self.clock.now())).await?;
            return Err(invalid_params("Unknown tool"));
        };
        let begun = Instant::now();
        let mut unanswered = Unanswered { dispatcher: self, tool, asker, begun, is_settled: false };
        let outcome = self.run(tool, asker, request.params.get("arguments")).await;
        let took = begun.elapsed();
        let (_, mut proved_at) = asker.caller.proof();
        let allowed = self.still_allowed(asker, outcome, &mut proved_at).await?;
        unanswered.is_settled = true;
        let Some(outcome) = allowed else {
            return self.withhold(tool, asker).await;
        };
        record::count(tool, &outcome, took);
        let event = record::event(tool, asker, &outcome, took, self.clock.now());
        self.append(self.with_question(event, asker, tool.question(request)).await).await?;
        if let (Tool::Fetch, Ok(outcome)) = (tool, &outcome) {
            self.readers.note(asker, &outcome.documents);
        }
        // Making the event durable may have taken long too.
        let Some(outcome) = self.still_allowed(asker, outcome, &mut proved_at).await? else {
            return self.withhold(tool, asker).await;
        };
        let outcome = outcome.map_err(|fault| RpcError::fault(&fault))?;
        Ok(jsonrpc::success(StatusCode::OK, &request.id, &complete(era, outcome.result)))
    }

    /// The outcome, if its token lives: asked anew when the last word on that is old. Without what
    /// was found where the caller may read other stores by now; `None` when the token is dead.
    async fn still_allowed(
        &self,
        asker: &Asker,
        outcome: Result<Outcome, Fault>,
        proved_at: &mut OffsetDateTime,
    ) -> Result<Option<Result<Outcome, Fault>>, RpcError> {
        let now = self.clock.now();
        // A clock that was set back proves nothing either.
        if (now - *proved_at).abs() <= PROOF_LASTS {
            return Ok(Some(outcome));
        }
        let (claims, _) = asker.caller.proof();
        let alive = self.liveness.check(claims).await.map_err(|fault| RpcError::fault(&fault))?;
        *proved_at = now;
        Ok(match alive {
            Some(_) if claims.exp <= (now - LEEWAY).unix_timestamp() => None,
            Some(alive) if alive.vector_stores != asker.caller.vector_stores() => {
                Some(Ok(Outcome::refused(Status::Failed, CHANGED)))
            }
            Some(_) => Some(outcome),
            None => None,
        })
    }

    /// What was found stays here: the token died meanwhile.
    async fn withhold(&self, tool: Tool, asker: &Asker) -> Result<Response, RpcError> {
        self.append(record::refusal(Some(tool), asker, "revoked", self.clock.now())).await?;
        let (scheme, metadata_url) = (asker.caller.scheme(), asker.metadata_url.clone());
        Ok(refuse(&challenge(Reason::InvalidToken, scheme, metadata_url)))
    }

    /// The event with what is kept of its call's question.
    async fn with_question(&self, event: Event, asker: &Asker, question: Option<&str>) -> Event {
        let Some(question) = question else { return event };
        let scope = asker.caller.scope();
        if asker.caller.keeps_questions()
            && let Err(fault) = self.questions.keep(scope, event.id, question).await
        {
            // It is there for people to read; the record does without.
            fault.log();
        }
        event
            .with("query_characters", question.chars().count())
            .with("query_fingerprint", self.questions.fingerprint(scope.tenant_id(), question))
    }

    /// No answer without its audit event.
    async fn append(&self, event: Event) -> Result<(), RpcError> {
        self.audit.append(event).await.map_err(|not_durable| {
            tracing::error!(error = %not_durable, "a tool call was not answered");
            RpcError::unavailable()
        })
    }

    async fn run(
        &self,
        tool: Tool,
        asker: &Asker,
        arguments: Option<&Value>,
    ) -> Result<Outcome, Fault> {
        let limit = deadline::at_most(deadline::ANSWER).saturating_sub(AFTERWARDS);
        let with = (&self.search, &self.handles);
        // In a box: it is large, and everything around it would be as large as that.
        let call = || Box::pin(tool.call(with, &asker.caller, arguments));
        let running = async {
            match call().await {
                // Tools only read.
                Err(fault) if fault.is_lost_connection() => call().await,
                outcome => outcome,
            }
        };
        let running = Notes::during(asker.notes.as_ref(), running);
        match deadline::within(limit, running).await {
            Ok(outcome) => outcome,
            Err(_) => Ok(Outcome::refused(Status::Failed, TOO_SLOW)),
        }
    }
}

/// A call whose answer is not ready. When it is dropped so, its client has hung up, or we have
/// failed: nothing was told, and that is what goes on record.
struct Unanswered<'a> {
    dispatcher: &'a Dispatcher,
    tool: Tool,
    asker: &'a Asker,
    begun: Instant,
    is_settled: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let Dispatcher { audit, clock, .. } = self.dispatcher;
        let took = self.begun.elapsed();
        let event = record::unanswered(self.tool, self.asker, took, clock.now());
        let audit = audit.clone();
        tokio::spawn(async move {
            if let Err(not_durable) = audit.append(event).await {
                tracing::error!(error = %not_durable, "a call that was given up is not on record");
            }
        });
    }
}

fn list(era: Era, params: &Map<String, Value>) -> Result<Value, RpcError> {
    // There is one page, so no cursor is one of ours.
    if params.contains_key("cursor") {
        return Err(invalid_params("the cursor is unknown"));
    }
    let mut list = tools::list();
    #[cfg(feature = "fixtures")]
    super::fixtures::add_to(&mut list);
    if era == Era::Modern {
        tools::add_cache_hints(&mut list);
    }
    Ok(list)
}

/// What every modern result carries, and no legacy one.
fn complete(era: Era, mut result: Value) -> Value {
    if era == Era::Modern {
        result["resultType"] = "complete".into();
    }
    result
}

/// Modern transports fix 404; legacy clients take anything but 200 for a broken transport.
fn unknown_method(era: Era, method: &str) -> RpcError {
    let status = match era {
        Era::Modern => StatusCode::NOT_FOUND,
        Era::Legacy => StatusCode::OK,
    };
    let method: String = method.chars().filter(|c| !c.is_control()).take(100).collect();
    RpcError::new(status, code::METHOD_NOT_FOUND, format!("Method not found: {method}"))
}

/// No transport fixes a status for parameters that do not fit; in both eras clients read the error
/// from a 200 (what `_meta` lacks is another matter: see `era`).
fn invalid_params(message: &'static str) -> RpcError {
    RpcError::new(StatusCode::OK, code::INVALID_PARAMS, message)
}

/// 403 with its challenge, and in the body the form that ChatGPT reads it in.
fn insufficient_scope(asker: &Asker, era: Era, request: &Request) -> Response {
    let (scheme, metadata_url) = (asker.caller.scheme(), asker.metadata_url.clone());
    let challenge = challenge(Reason::InsufficientScope, scheme, metadata_url);
    let sentence = "This connection may not use the tool. Ask the user to connect again.";
    let mut result = Outcome::refused(Status::BadArguments, sentence).result;
    result["_meta"] = json!({ "mcp/www_authenticate": [challenge.value()] });
    let body = jsonrpc::success(StatusCode::FORBIDDEN, &request.id, &complete(era, result));
    challenge.onto(body)
}
