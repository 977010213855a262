//! What is kept of a tool call: ids, counts and times. What is kept of its question is up to
//! [`crate::questions`].

use std::time::Duration;

use time::OffsetDateTime;

use super::{
    dispatch::Asker,
    tools::{Outcome, Tool},
};
use crate::{
    audit::{Event, Kind},
    fault::Fault,
};

/// The audit event of a call.
pub(super) fn event(
    tool: Tool,
    asker: &Asker,
    outcome: &Result<Outcome, Fault>,
    took: Duration,
    at: OffsetDateTime,
) -> Event {
    let event = ran(tool, asker, took, at).with("outcome", name(outcome));
    match outcome {
        Ok(outcome) => {
            let event = event
                .with("results", outcome.documents.len())
                .with("documents", outcome.documents.clone());
            if outcome.failed_stores == 0 {
                event
            } else {
                event.with("failed_stores", outcome.failed_stores)
            }
        }
        Err(_) => event,
    }
}

/// The audit event of a call that was given up before it had an answer.
pub(super) fn unanswered(tool: Tool, asker: &Asker, took: Duration, at: OffsetDateTime) -> Event {
    ran(tool, asker, took, at).with("outcome", "unanswered")
}

/// The audit event of a call that was turned away before its tool ran.
pub(super) fn refusal(
    tool: Option<Tool>,
    asker: &Asker,
    outcome: &'static str,
    at: OffsetDateTime,
) -> Event {
    let event = called(tool.map_or(Kind::UnknownTool, Tool::kind), asker, at);
    // What an unknown one was called may be anything at all: it is not kept.
    let event = match tool {
        Some(tool) => event.with("tool", tool.name()),
        None => event,
    };
    event.with("outcome", outcome)
}

fn ran(tool: Tool, asker: &Asker, took: Duration, at: OffsetDateTime) -> Event {
    called(tool.kind(), asker, at)
        .with("tool", tool.name())
        .with("latency_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

fn called(kind: Kind, asker: &Asker, at: OffsetDateTime) -> Event {
    let caller = &asker.caller;
    Event::new(kind, at)
        .tenant(caller.scope().tenant_id())
        .user(caller.user())
        .client(caller.client_id())
        .grant(caller.grant())
        .from(&asker.origin)
}

/// The same for the metrics.
pub(super) fn count(tool: Tool, outcome: &Result<Outcome, Fault>, took: Duration) {
    let (tool, outcome) = (tool.name(), name(outcome));
    metrics::counter!("callslip_tool_calls_total", "tool" => tool, "outcome" => outcome)
        .increment(1);
    metrics::histogram!("callslip_tool_call_seconds", "tool" => tool).record(took.as_secs_f64());
}

fn name(outcome: &Result<Outcome, Fault>) -> &'static str {
    outcome.as_ref().map_or("fault", |outcome| outcome.status.name())
}
