//! How streams end, and what they carry until then.

use std::time::Duration;

use axum::http::StatusCode;
use callslip::{http::Phase, mcp::StreamRules};
use serde_json::json;
use sqlx::PgPool;

use super::{Event, Line, elsewhere, get, listening, noted, under, until};
use crate::{
    mcp::{
        slow,
        stage::{Stage, call, ping},
    },
    support::openai_fake::Mode,
};

fn quick(rules: &mut StreamRules) {
    rules.recheck = Duration::from_millis(20);
}

/// A stream that has nothing to say says so, lest anybody in between takes it for dead.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_silent_stream_is_kept_alive(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let stage = under(stage, |rules| rules.keep_alive = Duration::from_millis(5)).await;
    let mut line = Line::open(&stage).await;
    for _ in 0..5 {
        assert_eq!(line.next().await, Event::Comment);
    }
    assert_eq!(line.ask(&stage, &ping()).await["id"], 1);
    assert_eq!(line.next().await, Event::Comment);
}

/// After a quarter of an hour, give or take, a stream ends cleanly, and the client opens
/// another.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_stream_lasts_a_quarter_of_an_hour(pool: PgPool) {
    let stage = under(Stage::new(&pool).await, quick).await;
    let mut line = Line::open(&stage).await;
    stage.app.clock.advance(time::Duration::seconds(11 * 60 + 55));
    assert_eq!(line.ask(&stage, &ping()).await["id"], 1);
    stage.app.clock.advance(time::Duration::seconds(6 * 60 + 10));
    assert_eq!(line.rest().await, (Vec::new(), true));
    let answer = line.post(&stage, &ping()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(Line::open(&stage).await.ask(&stage, &ping()).await["id"], 1);
}

/// A stream ends with the token that opened it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_stream_ends_with_its_token(pool: PgPool) {
    let stage = under(Stage::new(&pool).await, quick).await;
    let soon = stage.app.clock.now().unix_timestamp() + 120;
    let token = stage.token_but(json!({ "exp": soon })).await;
    let line = Line::try_open(&stage, get("/sse/", &token)).await;
    let mut line = line.map_err(|answer| answer.text()).unwrap();
    stage.app.clock.advance(time::Duration::seconds(100));
    assert_eq!(line.ask(&stage, &ping()).await["id"], 1);
    stage.app.clock.advance(time::Duration::seconds(21));
    assert_eq!(line.rest().await, (Vec::new(), true));
}

/// Who does not read is dropped, and its place is free.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn who_does_not_read_is_dropped(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let stage = under(stage, |rules| rules.patience = Duration::from_millis(50)).await;
    let mut line = Line::open(&stage).await;
    // What is posted is answered, and the answer stays where it is.
    assert_eq!(line.post(&stage, &ping()).await.status, StatusCode::ACCEPTED);
    until("the stream is forgotten", async || noted(&pool).await == 0).await;
    assert_eq!(line.post(&stage, &ping()).await.status, StatusCode::NOT_FOUND);
    let (messages, _) = line.rest().await;
    assert_eq!(messages, Vec::<String>::new());
}

/// Of what one stream asks, a few run and some wait; beyond that it is told to wait.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_stream_cannot_ask_without_end(pool: PgPool) {
    let here = Stage::new(&pool).await;
    let there = elsewhere(&here).await;
    for node in [&here, &there] {
        let line = Line::open(&here).await;
        let mut accepted = 0;
        let refused = loop {
            let answer = line.post(node, &ping()).await;
            if answer.status != StatusCode::ACCEPTED {
                break answer;
            }
            accepted += 1;
            assert!(accepted < 200, "nothing is read, and everything is taken");
        };
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!((refused.header("retry-after"), &refused.json()["id"]), ("1", &json!(1)));
    }
}

/// [S-08] A stream whose token is revoked ends, and carries nothing of a call that was running or of
/// an answer that waited to be read.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_revoked_stream_ends_and_carries_nothing(pool: PgPool) {
    let (stage, fake, id) = slow::stage(&pool).await;
    let stage = under(stage, quick).await;
    let revoke = async |token: &str| {
        let fields = [("token", token), ("client_id", stage.client_id.as_str())];
        assert_eq!(stage.app.post_form("/oauth/revoke", None, &fields).await.status, 200);
    };
    let open = async |token: &str| {
        let line = Line::try_open(&stage, get("/sse/", token)).await;
        line.map_err(|answer| answer.text()).unwrap()
    };

    // Nothing is going on.
    let token = stage.token().await;
    let mut line = open(&token).await;
    revoke(&token).await;
    assert_eq!(line.rest().await.0, Vec::<String>::new());

    // A call runs.
    for (tool, arguments) in
        [("search", json!({ "query": "cats" })), ("fetch", json!({ "id": id }))]
    {
        let token = stage.token().await;
        let mut line = open(&token).await;
        fake.behave(Mode::Held);
        let body = call(tool, arguments);
        let asked = stage.send(stage.request_with(&line.endpoint, &token), &body).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED);
        fake.arrived().await;
        revoke(&token).await;
        stage.app.clock.advance(time::Duration::seconds(1));
        fake.release();
        assert_eq!(line.rest().await.0, Vec::<String>::new(), "{tool}");
    }

    // An answer has not been read yet.
    let token = stage.token().await;
    let mut line = open(&token).await;
    let before = stage.events().await.len();
    let body = call("search", json!({ "query": "cats" }));
    let asked = stage.send(stage.request_with(&line.endpoint, &token), &body).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    until("the answer is made", async || stage.events().await.len() > before).await;
    revoke(&token).await;
    stage.app.clock.advance(time::Duration::seconds(1));
    let (messages, _) = line.rest().await;
    assert_eq!(messages, Vec::<String>::new());
}

/// [S-08] The same for another token of the grant, with which a message was posted, on either node.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_message_whose_token_is_revoked_is_not_answered(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let there = elsewhere(&stage).await;
    for node in [&stage, &there] {
        let mut line = Line::open(&stage).await;
        let token = stage.token().await;
        fake.behave(Mode::Held);
        let body = call("search", json!({ "query": "cats" }));
        let asked = node.send(node.request_with(&line.endpoint, &token), &body).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED);
        fake.arrived().await;
        let fields = [("token", token.as_str()), ("client_id", stage.client_id.as_str())];
        assert_eq!(stage.app.post_form("/oauth/revoke", None, &fields).await.status, 200);
        stage.app.clock.advance(time::Duration::seconds(1));
        fake.release();
        assert_eq!(line.rest().await.0, Vec::<String>::new());
        let (_, detail) = stage.events().await.pop().unwrap();
        assert_eq!(detail["outcome"], "revoked");
    }
}

/// On its way out the server answers what it has accepted, takes nothing new, and ends its streams
/// at once, cleanly.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_leaving_server_ends_its_streams(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let (mut idle, mut busy) = (Line::open(&stage).await, Line::open(&stage).await);
    fake.behave(Mode::Held);
    let body = call("search", json!({ "query": "cats" }));
    assert_eq!(busy.post(&stage, &body).await.status, StatusCode::ACCEPTED);
    fake.arrived().await;

    stage.app.app.draining.advance(Phase::Leaving);
    assert_eq!(idle.ask(&stage, &ping()).await["id"], 1);
    stage.app.app.draining.advance(Phase::Closing);
    assert_eq!(idle.rest().await, (Vec::new(), true));
    until("the busy stream takes nothing new", async || {
        busy.post(&stage, &ping()).await.status == StatusCode::NOT_FOUND
    })
    .await;
    let refused = stage.app.send(get("/sse/", &stage.token().await)).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!refused.header("retry-after").is_empty());

    fake.release();
    let mut messages = Vec::new();
    let clean = loop {
        match busy.next().await {
            Event::Message(text) => messages.push(text),
            Event::Comment => {}
            Event::End(clean) => break clean,
        }
    };
    // The pings that were let in before the stream knew, and the search.
    assert!(clean && messages.iter().any(|text| text.contains("Cats")), "{messages:?}");
    until("both streams are forgotten", async || noted(&pool).await == 0).await;
}

/// Over a socket: a revoked stream is closed for its client, and a client that hangs up is noticed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn both_ends_notice_when_the_other_is_gone(pool: PgPool) {
    let (stage, origin) = listening(&pool).await;
    let url = format!("{origin}/sse/");
    drop(Line::connect(&url, &stage.token().await).await);
    until("the stream is forgotten", async || noted(&pool).await == 0).await;

    let token = stage.token().await;
    let mut line = Line::connect(&url, &token).await;
    sqlx::query!(
        "update oauth_grants set revoked_at = now(), revoked_for = 'user' where id = $1",
        stage.grant.uuid(),
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(line.rest().await, (Vec::new(), true));
    let answer = stage.send(stage.request_with(&line.endpoint, &token), &ping()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
