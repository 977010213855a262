//! What two tenants have under one name, and what one of them can tell by the time it takes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    camp::{Field, call, in_books},
    rows,
};
use crate::support::{ORIGIN, model_folder};

/// Pairs of times, taken in turn: medians within `apart`, and by Kolmogorov and Smirnov no reason to
/// think that they come from two clocks (p > 0.01).
fn are_alike(one: &[Duration], other: &[Duration], apart: Duration) -> Result<(), String> {
    let sorted = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort();
        times
    };
    let (one, other) = (sorted(one), sorted(other));
    let median = |times: &[Duration]| times[times.len() / 2];
    let share = |times: &[Duration], at: Duration| {
        times.partition_point(|time| *time <= at) as f64 / times.len() as f64
    };
    let furthest = one
        .iter()
        .chain(&other)
        .map(|at| (share(&one, *at) - share(&other, *at)).abs())
        .fold(0.0, f64::max);
    // 1.628: what a hundredth of all pairs of equals exceeds.
    let (n, m) = (one.len() as f64, other.len() as f64);
    let most = 1.628 * ((n + m) / (n * m)).sqrt();
    let (a, b) = (median(&one), median(&other));
    let said = format!("medians {a:?} and {b:?}, {furthest:.4} apart of {most:.4}");
    if a.abs_diff(b) <= apart && furthest <= most { Ok(()) } else { Err(said) }
}

/// Of a hundred pairs of equals one fails by chance: it is asked twice before it is believed.
async fn alike_in_time<T>(
    apart: Duration,
    mut sample: impl AsyncFnMut() -> (Vec<Duration>, Vec<Duration>, T),
) -> T {
    let (one, other, last) = sample().await;
    let Err(first) = are_alike(&one, &other, apart) else { return last };
    let (one, other, last) = sample().await;
    if let Err(second) = are_alike(&one, &other, apart) {
        panic!("{first}; again: {second}");
    }
    last
}

#[test]
fn the_test_of_times_is_not_blind() {
    let times = |shift: u64| -> Vec<Duration> {
        (0..2_000_u64).map(|n| Duration::from_micros(3_000 + (n * 7_919) % 1_000 + shift)).collect()
    };
    let two = Duration::from_millis(2);
    assert_eq!(are_alike(&times(0), &times(1), two), Ok(()));
    assert!(are_alike(&times(0), &times(100), two).is_err(), "a tenth of a millisecond shows");
}

/// [I-17] How long a fetch takes does not tell whether the other tenant has what it names: its
/// document under our own store's name, and its own id, against ids that nothing has.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_theirs_takes_as_long_as_what_is_not(pool: PgPool) {
    const SAMPLES: usize = 2_000;
    let field = Field::set(&pool).await;
    let document = field.zeta.documents[0];
    let nobodys = rows::neighbour(document.uuid()).into();
    let no_store = rows::neighbour(field.zeta.books.uuid()).into();
    for (theirs, nothing) in [
        (in_books(field.acme.books, document), in_books(field.acme.books, nobodys)),
        (field.zeta.volume(0), in_books(no_store, nobodys)),
    ] {
        let messages = [theirs, nothing].map(|id| call("fetch", &json!({ "id": id })));
        alike_in_time(Duration::from_millis(2), async || {
            let mut times = [Vec::new(), Vec::new()];
            let mut answers = [String::new(), String::new()];
            for n in 0..2 * SAMPLES {
                // Each first as often as second: what runs beside this hits both alike.
                let which = (n + n / 2) % 2;
                let started = Instant::now();
                let token = &field.acme.token;
                let answer = field.app.rpc("/mcp", token, &[], &messages[which]).await;
                times[which].push(started.elapsed());
                answers[which] = answer.text();
            }
            assert_eq!(answers[0], answers[1]);
            let [one, other] = times;
            (one, other, ())
        })
        .await;
    }
}

/// [I-24] Bytes that the other tenant has are as new here as bytes that nobody has: the answer is the
/// same, takes as long, and makes a document of our own.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn bytes_of_theirs_are_new_here(pool: PgPool) {
    const SAMPLES: usize = 60;
    let field = Field::set(&pool).await;
    let [acme, zeta] = [&field.acme, &field.zeta];
    let mut ours = acme.owner.sign_in().await;
    let mut theirs = zeta.owner.sign_in().await;
    let stores = [acme.books.to_string(), zeta.books.to_string()];
    let text = |n: usize| format!("Leaflet {n:06} says what {n:06} leaflets say of the moorhen.");
    let mut next = 0;
    alike_in_time(Duration::from_millis(20), async || {
        let mut times = [Vec::new(), Vec::new()];
        let mut answers: [Vec<(u16, String)>; 2] = Default::default();
        for _ in 0..SAMPLES {
            let known = next;
            next += 2;
            let name = format!("their-{known}.txt");
            let store = [("store", stores[1].as_str())];
            let file = (name.as_str(), text(known));
            let path = "/t/zeta/documents";
            assert_eq!(theirs.upload(path, &store, (file.0, &file.1)).await.status, 303);
            field.app.drain_ingest().await;
            for which in [known / 2 % 2, 1 - known / 2 % 2] {
                let (name, body) = (format!("our-{}.txt", known + which), text(known + which));
                let store = [("store", stores[0].as_str())];
                let started = Instant::now();
                let answer = ours.upload("/t/acme/documents", &store, (&name, &body)).await;
                // Until it is there, as whoever looks for it sees.
                field.app.drain_ingest().await;
                times[which].push(started.elapsed());
                answers[which].push((answer.status.as_u16(), answer.location().to_owned()));
            }
        }
        assert_eq!(answers[0], answers[1]);
        let [one, other] = times;
        (one, other, ())
    })
    .await;
    let sql = "select count(*) from documents where tenant_id = $1 and source_key like '%our-%'";
    let kept: i64 =
        sqlx::query_scalar(sql).bind(acme.tenant.id.uuid()).fetch_one(&pool).await.unwrap();
    assert_eq!(usize::try_from(kept).unwrap(), next, "each is a document of ours");
    // And bytes of our own are known again, which takes us no second document.
    let store = [("store", stores[0].as_str())];
    assert_eq!(ours.upload("/t/acme/documents", &store, ("again.txt", &text(0))).await.status, 303);
    field.app.drain_ingest().await;
    let again: i64 =
        sqlx::query_scalar(sql).bind(acme.tenant.id.uuid()).fetch_one(&pool).await.unwrap();
    assert_eq!(again, kept);
}

/// Give acme a store and a document of the same ids as zeta's, with other words in it.
async fn copy_ids(pool: &PgPool, field: &Field) {
    let (from, to) = (field.zeta.tenant.id, field.acme.tenant.id);
    let document = field.zeta.documents[0];
    for table in ["vector_stores", "documents", "document_texts", "chunks", "chunk_index"] {
        let of = match table {
            "vector_stores" => format!("id = '{}'", field.zeta.books),
            "documents" => format!("id = '{document}'"),
            _ => format!("document_id = '{document}'"),
        };
        let sql = format!(
            "insert into {table}
             select (jsonb_populate_record(null::{table},
                       replace(replace(to_jsonb(t)::text, 'zanary', 'acanary'), $1::text, $2::text)
                       ::jsonb)).*
               from {table} t where tenant_id = $1::uuid and {of}"
        );
        let sql = sql.replace("'acanary')", "'acanary-twin')");
        let copied = sqlx::query(AssertSqlSafe(sql))
            .bind(from.to_string())
            .bind(to.to_string())
            .execute(pool)
            .await
            .unwrap();
        assert!(copied.rows_affected() > 0, "{table}");
    }
}

/// [I-13] The same question, the same id of a document in a store of the same id, through the same
/// client: each token hears its own tenant, however the two take turns; what the one asked a moment
/// ago is remembered for the one alone. And no answer may be kept by anybody between.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn one_name_in_two_tenants_is_two_things(pool: PgPool) {
    let field = Field::with(&pool, &[("CALLSLIP_MODEL_DIR", model_folder())]).await;
    copy_ids(&pool, &field).await;
    let app = &field.app;
    let id = field.zeta.volume(0);
    let mut tokens = Vec::new();
    for (camp, mine, other) in
        [(&field.acme, "acanary", "zanary"), (&field.zeta, "zanary", "acanary")]
    {
        // One client for both.
        let mut browser = camp.reader.sign_in().await;
        let issued = field.acme.assistant.tokens(&mut browser, &[]).await;
        tokens.push((issued["access_token"].as_str().unwrap().to_owned(), mine, other));
    }
    copy_grants(&pool, &field).await;
    let question = json!({ "query": "The pelican 00 keeps its ledger in a harbour office." });
    let turn = async |round: usize| {
        let (token, mine, other) = &tokens[round % 2];
        let read = app.tool("/mcp", token, "fetch", json!({ "id": id })).await;
        let text = read["structuredContent"]["text"].to_string();
        assert!(text.contains(mine) && !text.contains(other), "{round} {read}");
        let found = app.tool("/mcp", token, "search", question.clone()).await.to_string();
        assert!(found.contains(mine) && !found.contains(other), "{round} {found}");
    };
    for round in 0..20 {
        turn(round).await;
    }
    for pair in 0..10 {
        tokio::join!(turn(pair), turn(pair + 1), turn(pair), turn(pair + 1));
    }
    let listing = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" } } } });
    let modern = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    let listed = app.rpc("/mcp", &tokens[0].0, &modern, &listing).await;
    assert_eq!(listed.json()["result"]["cacheScope"], "private", "{}", listed.text());
    let answer = app.rpc("/mcp", &tokens[0].0, &[], &call("search", &question)).await;
    assert!(answer.header("cache-control").contains("no-store"), "{:?}", answer.headers);
}

/// What was granted after the copy.
async fn copy_grants(pool: &PgPool, field: &Field) {
    sqlx::query(
        "insert into oauth_grant_vector_stores
         select tenant_id, id, $2 from oauth_grants where tenant_id = $1 on conflict do nothing",
    )
    .bind(field.acme.tenant.id.uuid())
    .bind(field.zeta.books.uuid())
    .execute(pool)
    .await
    .unwrap();
}

/// [I-22] A token of the other tenant's is no good for ours, and nobody else's client ends it or
/// hears of it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_other_tenants_tokens_are_not_ours_to_turn_over(pool: PgPool) {
    let field = Field::set(&pool).await;
    let (app, acme, zeta) = (&field.app, &field.acme, &field.zeta);
    let resource = |slug: &str| format!("{ORIGIN}/t/{slug}/mcp");
    let mut browser = zeta.reader.sign_in().await;
    let theirs = zeta.assistant.tokens(&mut browser, &[("resource", &resource("zeta"))]).await;
    let mut browser = acme.reader.sign_in().await;
    let ours = acme.assistant.tokens(&mut browser, &[("resource", &resource("acme"))]).await;
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();

    // Our refresh token, for their resource.
    let (kept, wanted) = (text(&ours, "refresh_token"), resource("zeta"));
    let refused = acme.assistant.refresh(&kept, &[("resource", &wanted)]).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]),
        (400, &json!("invalid_target"))
    );
    // A back end of ours that may introspect, and their tokens.
    let observer = app.back_end("acme", "Observer", &[("may", "introspect")]).await;
    let unknown = observer.introspect("no-token-at-all").await;
    for name in ["access_token", "refresh_token"] {
        let token = text(&theirs, name);
        let said = observer.introspect(&token).await;
        assert_eq!(said.status, unknown.status, "{}", said.text());
        assert_eq!(said.json(), json!({ "active": false }), "{name}");
        for client in [&acme.assistant, &observer] {
            let nothing = client.revoke("no-token-at-all").await;
            let revoked = client.revoke(&token).await;
            assert_eq!(
                (revoked.status, revoked.text()),
                (nothing.status, nothing.text()),
                "{name}"
            );
        }
    }
    let question = call("search", &json!({ "query": "zanary" }));
    let token = text(&theirs, "access_token");
    assert_eq!(app.rpc("/t/zeta/mcp", &token, &[], &question).await.status, 200, "it lives");
    let (kept, wanted) = (text(&theirs, "refresh_token"), resource("zeta"));
    let refreshed = zeta.assistant.refresh(&kept, &[("resource", &wanted)]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    // Their refresh token, by our client, for either: nothing for us. (It is in two hands then, and
    // ends for theirs too.)
    let stolen = text(&refreshed.json(), "refresh_token");
    for resource in [resource("zeta"), resource("acme")] {
        let refused = acme.assistant.refresh(&stolen, &[("resource", &resource)]).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status.as_u16(), error), (400, json!("invalid_grant")));
    }
}
