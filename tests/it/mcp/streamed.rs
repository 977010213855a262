//! Answers on a stream, for clients that want to hear of their call before it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{StatusCode, header},
    response::Response,
};
use callslip::deadline;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{
    eras::assert_no_null,
    slow,
    sse::{Event, Line, outcomes, until},
    stage::{Stage, call},
};
use crate::support::{Answer, openai_fake::Mode};

const BOTH: &str = "application/json, text/event-stream";
const SOON: Duration = Duration::from_secs(1);

/// A search that wants to hear how far it is.
fn listening_search() -> Value {
    let mut body = call("search", json!({ "query": "cats" }));
    body["params"]["_meta"] = json!({ "progressToken": "so far" });
    body
}

fn post(token: &str, accept: &str, body: &Value) -> Request<Body> {
    let peer: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    Request::post("/mcp")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::ACCEPT, accept)
        .extension(ConnectInfo(peer))
        .body(Body::from(body.to_string()))
        .unwrap()
}

async fn send(stage: &Stage, request: Request<Body>) -> Response {
    stage.app.app.router.clone().oneshot(request).await.unwrap()
}

/// A search that a store holds up, once the first word of it has come.
async fn held(stage: &Stage, fake: &crate::support::openai_fake::OpenAi, token: &str) -> Line {
    fake.behave(Mode::Held);
    let response = send(stage, post(token, BOTH, &listening_search())).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut line = Line::over(response);
    assert_eq!(line.headers[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(
        line.message().await,
        json!({
            "jsonrpc": "2.0", "method": "notifications/progress",
            "params": {
                "progressToken": "so far", "progress": 1, "total": 2,
                "message": "1 of 2 vector stores have answered",
            },
        })
    );
    line
}

async fn revoke(stage: &Stage, token: &str) {
    let fields = [("token", token), ("client_id", stage.client_id.as_str())];
    assert_eq!(stage.app.post_form("/oauth/revoke", None, &fields).await.status, 200);
    stage.app.clock.advance(time::Duration::seconds(1));
}

async fn last_outcome(stage: &Stage) -> Value {
    outcomes(stage).await.pop().unwrap_or_default()
}

/// What takes long is told of, then answered as ever, in both eras, and the stream ends; the answer
/// is on record by then.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_slow_search_says_how_far_it_is(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let token = stage.token().await;
    let mut line = held(&stage, &fake, &token).await;
    for (name, value) in
        [("cache-control", "no-store"), ("x-accel-buffering", "no"), ("ratelimit-policy", "token")]
    {
        assert!(line.headers[name].to_str().unwrap().contains(value), "{name}");
    }
    assert_eq!(outcomes(&stage).await.len(), 0);
    fake.release();
    let answer = line.message().await;
    assert_eq!(last_outcome(&stage).await, "answered");
    assert_no_null(&answer);
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(1)));
    assert!(answer["result"]["structuredContent"].to_string().contains("Cats"));
    assert!(answer["result"].get("resultType").is_none());
    assert_eq!(line.rest().await, (Vec::new(), true));

    fake.behave(Mode::Held);
    let (request, mut body) = stage.modern(call("search", json!({ "query": "cats" }))).await;
    body["params"]["_meta"]["progressToken"] = json!(7);
    let request = request.header(header::ACCEPT, BOTH);
    let peer: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    let request = request.extension(ConnectInfo(peer)).body(Body::from(body.to_string())).unwrap();
    let mut line = Line::over(send(&stage, request).await);
    assert_eq!(line.message().await["params"]["progressToken"], 7);
    fake.release();
    assert_eq!(line.message().await["result"]["resultType"], "complete");
    assert_eq!(line.rest().await, (Vec::new(), true));
}

/// Who does not ask, or does not read streams, is answered in JSON; so is everybody where the answer
/// comes quickly, or is no.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_need_there_is_no_stream(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let token = stage.token().await;
    let json = async |accept: &str, body: &Value| {
        let answer = Answer::read(send(&stage, post(&token, accept, body)).await).await;
        assert_eq!(answer.header("content-type"), "application/json");
        answer
    };
    let quick = json(BOTH, &listening_search()).await;
    assert!(quick.text().contains("Cats") && !quick.header("ratelimit").is_empty());
    let mut wrong = listening_search();
    wrong["params"]["name"] = json!("nothing");
    let wrong = json(BOTH, &wrong).await.json();
    assert_eq!((&wrong["error"]["code"], &wrong["id"]), (&json!(-32602), &json!(1)));

    for (accept, body) in
        [("*/*", listening_search()), (BOTH, call("search", json!({ "query": "cats" })))]
    {
        fake.behave(Mode::Held);
        let answer = json(accept, &body);
        let release = async {
            fake.arrived().await;
            tokio::time::sleep(SOON + SOON / 5).await; // the first word would have come
            fake.release();
        };
        let (answer, ()) = tokio::join!(answer, release);
        assert!(answer.text().contains("Cats"));
    }

    revoke(&stage, &token).await;
    let refused = Answer::read(send(&stage, post(&token, BOTH, &listening_search())).await).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

/// [H-10] Who hangs up takes the call back: its work ends, and that is on record.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn hanging_up_takes_the_call_back(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let token = stage.token().await;
    drop(held(&stage, &fake, &token).await);
    fake.arrived().await;
    timeout(SOON, fake.hung_up()).await.expect("the call goes on");
    until("it is on record", async || last_outcome(&stage).await == "unanswered").await;

    // Before there is anything to hear, too.
    fake.behave(Mode::Held);
    let asked = tokio::spawn({
        let (stage, request) = (stage.clone(), post(&token, BOTH, &listening_search()));
        async move { send(&stage, request).await }
    });
    fake.arrived().await;
    asked.abort();
    timeout(SOON, fake.hung_up()).await.expect("the call goes on");
    until("that is, too", async || outcomes(&stage).await.len() == 2).await;
}

/// A client that does not read holds its own call up, and neither the work for it nor its end.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn who_does_not_read_holds_up_nothing(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let token = stage.token().await;
    // Three seconds of it are kept for the record.
    let mut line =
        deadline::within(5 * SOON, held(&stage, &fake, &token)).await.expect("the first word");
    let begun = Instant::now();
    fake.hung_up().await;
    assert!(begun.elapsed() < 2 * SOON, "{:?}", begun.elapsed());
    until("it is on record", async || last_outcome(&stage).await == "failed").await;
    let result = &line.message().await["result"];
    assert_eq!(result["isError"], true, "{result}");
    assert!(result["content"][0]["text"].as_str().unwrap().contains("did not answer in time"));
}

/// [S-08] What is revoked while a call runs, or while its answer waits to be read, is not read any
/// more: the stream says that much, and ends.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_revoked_meanwhile_does_not_leave(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let withheld = async |mut line: Line| {
        let Event::Message(text) = line.next().await else { panic!("it breaks off") };
        assert!(!text.to_lowercase().contains("cats"), "{text}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!(1), &json!(40101)));
        assert_no_null(&error);
        assert_eq!(line.rest().await, (Vec::new(), true));
    };
    let token = stage.token().await;
    let line = held(&stage, &fake, &token).await;
    revoke(&stage, &token).await;
    fake.release();
    withheld(line).await;
    assert_eq!(last_outcome(&stage).await, "revoked");

    let token = stage.token().await;
    let line = held(&stage, &fake, &token).await;
    fake.release();
    until("the answer is made", async || last_outcome(&stage).await == "answered").await;
    revoke(&stage, &token).await;
    withheld(line).await;
}

/// [L-01] A call counts among those that run until its stream ends.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_open_stream_is_a_call_that_runs(pool: PgPool) {
    let tenth = ("CALLSLIP_RATE_LIMIT_SCALE", "0.1");
    let (stage, fake, _) = slow::stage_with(&pool, &[tenth]).await;
    let token = stage.token().await;
    let mut line = held(&stage, &fake, &token).await;
    let ping = || async {
        let request = stage.request_with("/mcp", &token);
        stage.send(request, &super::stage::ping()).await.status
    };
    assert_eq!(ping().await, StatusCode::TOO_MANY_REQUESTS);
    fake.release();
    assert!(line.message().await["result"].is_object());
    assert_eq!(line.rest().await, (Vec::new(), true));
    assert_eq!(ping().await, StatusCode::OK);
}

/// A notification that takes a request back is accepted and means nothing here: the request may be
/// another client's.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_request_is_not_taken_back_by_its_name(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let token = stage.token().await;
    let asked = slow::held(&stage, &fake, &token, &listening_search()).await;
    let cancelled = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 },
    });
    let answer = stage.send(stage.request_with("/mcp", &token), &cancelled).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::ACCEPTED, 0));
    fake.release();
    assert!(asked.await.unwrap().text().contains("Cats"));
}
