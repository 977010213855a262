//! What a client hears of its call before the answer: notifications that belong to it, for which it
//! asked (MCP, "Progress").

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    jsonrpc::{Id, Request},
    sse::event,
};
use crate::progress::{self, Report};

/// How many may wait to be sent. What does not fit is left out: the next one says more.
const MOST_WAITING: usize = 8;

/// The way to the client of one call.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    to: mpsc::Sender<Bytes>,
    /// By which the client knows what is in progress.
    token: Option<Id>,
}

impl Notes {
    /// For a request whose client takes an answer on a stream, and wants to hear something before
    /// it; with what it is to hear.
    pub(super) fn wanted(
        headers: &HeaderMap,
        request: &Request,
    ) -> Option<(Self, mpsc::Receiver<Bytes>)> {
        if !accepts_stream(headers) {
            return None;
        }
        let (to, heard) = mpsc::channel(MOST_WAITING);
        Some((Self::over(to, request)?, heard))
    }

    /// For a request that was posted to a stream.
    pub(super) fn over(to: mpsc::Sender<Bytes>, request: &Request) -> Option<Self> {
        if request.method != "tools/call" {
            return None;
        }
        let token = request.meta("progressToken").and_then(Id::parse);
        let is_wanted = token.is_some();
        #[cfg(any(test, feature = "fixtures"))]
        let is_wanted = is_wanted || super::fixtures::takes_logs(request);
        is_wanted.then_some(Self { to, token })
    }

    /// Do this, and let the client hear how far it is.
    pub(super) async fn during<T>(notes: Option<&Self>, work: impl Future<Output = T>) -> T {
        match notes.cloned() {
            Some(notes) => progress::heard_by(move |report| notes.progress(report), work).await,
            None => work.await,
        }
    }

    fn progress(&self, report: Report) {
        let Some(token) = &self.token else { return };
        let Report { done, total, message } = report;
        self.send(
            "notifications/progress",
            &json!({
                "progressToken": token, "progress": done, "total": total, "message": message,
            }),
        );
    }

    /// Send a notification.
    pub(super) fn send(&self, method: &str, params: &Value) {
        let note = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        let _ = self.to.try_send(event::message(note.to_string().as_bytes()));
    }
}

/// Whether `Accept` names streams. `*/*` does not: it is what clients send that only read JSON.
fn accepts_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/event-stream"))
            && !parts.any(|part| {
                let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                quality.and_then(|quality| quality.parse().ok()) == Some(0.0_f32)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::jsonrpc::{self, Message};

    fn hears(accept: &str, meta: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let params = format!(r#"{{"name":"search","_meta":{meta}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let Ok(Message::Request(request)) = jsonrpc::parse(body.as_bytes()) else { unreachable!() };
        Notes::wanted(&headers, &request).is_some()
    }

    #[test]
    fn only_who_asks_and_takes_streams_hears_something() {
        let both = "application/json, text/event-stream";
        for token in [r#""a""#, "7", "0", r#""""#] {
            assert!(hears(both, &format!(r#"{{"progressToken":{token}}}"#)), "{token}");
        }
        for token in ["null", "1.5", "{}", "[1]", "true"] {
            assert!(!hears(both, &format!(r#"{{"progressToken":{token}}}"#)), "{token}");
        }
        assert!(!hears(both, "{}"));
        let asks = r#"{"progressToken":1}"#;
        for accept in ["text/event-stream", "Text/Event-Stream;q=0.1", "a/b;q=0,text/event-stream"]
        {
            assert!(hears(accept, asks), "{accept}");
        }
        for accept in ["*/*", "application/json", "text/*", "text/event-stream;q=0.0", "text"] {
            assert!(!hears(accept, asks), "{accept}");
        }
    }
}
