//! Limits that several nodes share, and what becomes of them when Valkey does not answer.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use callslip::tenants::Role;
use proptest::collection::vec;
use redis::Script;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    mcp::stage::{Stage, call},
    support::{PASSWORD, TestApp, Valkey, property},
};

/// Two nodes with limits as they are, or a tenth of them.
async fn two_nodes(pool: &PgPool, valkey: &Valkey, scale: &str) -> [Stage; 2] {
    let url = valkey.url();
    let variables = [
        ("CALLSLIP_RATE_LIMIT_SCALE", scale),
        ("CALLSLIP_VALKEY_URL", url.as_str()),
        ("CALLSLIP_NODES", "2"),
    ];
    let here = Stage::with(pool, &variables).await;
    let there = Stage { app: here.app.twin().await, ..here.clone() };
    for node in [&here, &there] {
        node.app.app.limits.ready().await;
    }
    [here, there]
}

fn fetch() -> Value {
    call("fetch", json!({ "id": "nothing" }))
}

/// How many calls pass on these nodes in turn.
async fn passed(nodes: &[Stage], times: usize) -> usize {
    let mut passed = 0;
    for number in 0..times {
        let answer = nodes[number % nodes.len()].post(&fetch()).await;
        match answer.status {
            StatusCode::OK => passed += 1,
            status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text()),
        }
    }
    passed
}

/// [L-05] Two nodes let through together what one would.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nodes_count_together(pool: PgPool) {
    let valkey = Valkey::start().await;
    let nodes = two_nodes(&pool, &valkey, "0.1").await;
    assert_eq!(passed(&nodes, 10).await, 3);
    let names: Vec<String> =
        redis::cmd("KEYS").arg("*").query_async(&mut valkey.connection().await).await.unwrap();
    assert!(names.len() > 4, "{names:?}");
    for name in names {
        let told = name.strip_prefix("callslip:").unwrap_or_else(|| panic!("{name}"));
        let digest = told == "nodes" || told.len() == 32;
        assert!(digest, "names say nothing of whom they count: {name}");
    }
}

/// [FX-21] [L-05] Killed, frozen or emptied: no call fails, none gets more than a node's share, each
/// loses 20 ms at most, and who may not read still may not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_valkey_each_node_lets_its_share_through(pool: PgPool) {
    let mut valkey = Valkey::start().await;
    let nodes = two_nodes(&pool, &valkey, "0.1").await;

    // Emptied: this node still knows what it let through.
    assert_eq!(passed(&nodes[..1], 4).await, 3);
    let mut connection = valkey.connection().await;
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    assert_eq!(passed(&nodes[..1], 1).await, 0);

    for frozen in [true, false] {
        let stage = Stage::on(nodes[0].app.clone()).await;
        let stages = [stage.clone(), Stage { app: nodes[1].app.clone(), ..stage }];
        if frozen {
            valkey.freeze()
        } else {
            valkey.kill()
        }
        // Three at once for one node; one each for two.
        assert_eq!(passed(&stages, 10).await, 2);
        assert!(stages.iter().all(|stage| stage.app.app.limits.are_shared() == Some(false)));
        let forged = stages[0].token().await.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
        let refused = stages[0].send(stages[0].request_with("/mcp", &forged), &fetch()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        if frozen {
            valkey.thaw()
        } else {
            valkey.run().await
        }
        for node in &nodes {
            node.app.app.limits.ready().await;
        }
        // Valkey has not heard of it; the nodes have.
        let more = passed(&stages, 4).await;
        assert!(more <= 2, "{more}");
    }
}

/// [FX-21] A Valkey that says nothing costs a call 20 ms, and the next one nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_frozen_valkey_is_not_waited_for(pool: PgPool) {
    let valkey = Valkey::start().await;
    let [stage, _] = two_nodes(&pool, &valkey, "1000").await;
    let token = stage.token().await;
    let time = async || {
        let began = Instant::now();
        let answer = stage.send(stage.request_with("/mcp", &token), &fetch()).await;
        assert_eq!(answer.status, StatusCode::OK);
        began.elapsed()
    };
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        before.push(time().await);
    }
    valkey.freeze();
    let first = time().await;
    for _ in 0..20 {
        after.push(time().await);
    }
    let (before, after) = (median(before), median(after));
    // Generous, since other tests have the processor too: without a budget it would be for ever.
    assert!(first < before + Duration::from_millis(500), "{before:?} {first:?}");
    assert!(after < before + Duration::from_millis(20), "{before:?} {after:?}");
    valkey.thaw();
}

/// [T-12] However many try at the same time on however many nodes, no more fail than may; and where
/// Valkey does not answer, each node lets its share fail.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_parallel_burst_of_wrong_secrets_is_ten(pool: PgPool) {
    let mut valkey = Valkey::start().await;
    let nodes = two_nodes(&pool, &valkey, "1").await;
    let apps = nodes.map(|node| node.app);
    assert_eq!(burst(&apps, "guessed").await, 10);
    valkey.kill();
    let failed = burst(&apps, "guessed-again").await;
    assert!((1..=10).contains(&failed), "{failed}");
    assert_eq!(burst(&apps[..1], "guessed-alone").await, 5);
}

/// How many of 40 wrong secrets at the same time are looked at.
async fn burst(nodes: &[TestApp], client_id: &str) -> usize {
    let tries = (0..40).map(|number| {
        let (app, client_id) = (nodes[number % nodes.len()].clone(), client_id.to_owned());
        tokio::spawn(async move {
            let fields = [("token", "x"), ("client_id", &client_id), ("client_secret", "wrong")];
            app.post_form("/oauth/revoke", None, &fields).await.status.as_u16()
        })
    });
    let statuses = futures_util::future::join_all(tries).await;
    let statuses: Vec<u16> = statuses.into_iter().map(Result::unwrap).collect();
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    statuses.into_iter().filter(|status| *status == 401).count()
}

/// The operator sees whether nodes share their limits, and nothing of it where none shall.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_operator_sees_whether_limits_are_shared(pool: PgPool) {
    let mut valkey = Valkey::start().await;
    let [node, _] = two_nodes(&pool, &valkey, "1").await;
    let mut olga = node.app.operator("olga").await.sign_in().await;
    assert!(olga.get("/operator").await.text().contains("Valkey answers"));
    valkey.kill();
    assert_eq!(passed(&[node], 1).await, 1);
    assert!(olga.get("/operator").await.text().contains("Valkey does not answer"));
    let alone = TestApp::new(&pool).await.operator("olaf").await;
    assert!(!alone.sign_in().await.get("/operator").await.text().contains("Valkey"));
}

/// [L-05] Signing in, tokens and registering are counted together, and do not open when nobody
/// answers.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_strangers_may_try_is_never_open(pool: PgPool) {
    let mut valkey = Valkey::start().await;
    let nodes = two_nodes(&pool, &valkey, "1").await.map(|node| node.app);
    nodes[0].member("acme", "ada", Role::Reader).await;
    // An account's ten tries, by both nodes.
    assert_eq!(wrong_passwords(&nodes, "ada@acme.example").await, 10);
    assert_eq!(registrations(&nodes).await, 20);
    valkey.kill();
    // Five by each, and five more by one that has not heard of the other yet.
    let tried = wrong_passwords(&nodes, "bob@acme.example").await;
    assert!((5..=10).contains(&tried), "{tried}");
    let taken = registrations(&nodes).await;
    assert!(taken <= 5, "what is used up stays used up: {taken}");
}

/// How many of 24 wrong passwords are looked at.
async fn wrong_passwords(nodes: &[TestApp], email: &str) -> usize {
    let mut tried = 0;
    for number in 0..24 {
        let mut browser = nodes[number % nodes.len()].browser();
        let status = browser.sign_in(email, &format!("{PASSWORD}{number}"), "/").await.status;
        tried += usize::from(status != StatusCode::TOO_MANY_REQUESTS);
    }
    tried
}

/// How many of 30 registrations are taken.
async fn registrations(nodes: &[TestApp]) -> usize {
    let mut taken = 0;
    for number in 0..30 {
        let metadata = json!({ "redirect_uris": [format!("https://app-{number}.example/cb")] });
        let request = axum::extract::Request::post("/oauth/register")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(metadata.to_string()))
            .unwrap();
        let answer = nodes[number % nodes.len()].send(request).await;
        taken += usize::from(answer.status == StatusCode::CREATED);
    }
    taken
}

/// What the script should say: GCRA, written once more.
#[derive(Default)]
struct Model(u64);

impl Model {
    fn admit(&mut self, now: u64, cost: u64, whole: u64) -> Result<u64, u64> {
        let paid = self.0.clamp(now, now + whole) + cost;
        match paid.checked_sub(now + whole) {
            None | Some(0) => {
                self.0 = paid;
                Ok(now + whole - paid)
            }
            Some(over) => Err(over),
        }
    }
}

/// [L-01] The script decides as the model does, and over any window lets through no more than a burst
/// and what the window pays back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_lets_no_more_through_than_burst_and_rate() {
    /// The one line that the test replaces: there, time passes by itself.
    const CLOCK: &str = "local now = time[1] * 1000000 + time[2]";
    let source = include_str!("../../src/limits/shared/admit.lua");
    assert!(source.contains(CLOCK));
    let script = source.replace(CLOCK, "local now = tonumber(redis.call('GET', 'now'))");
    let script: &'static Script = Box::leak(Box::new(Script::new(&script)));
    let valkey = Valkey::start().await;
    let connection = valkey.connection().await;
    let steps = (1..60_u64, 1..20_u64, vec((0..90_000_000_u64, 1..30_u64), 1..60));
    property::each("tests/it/limits.seeds", steps, move |(period, burst, steps)| {
        let mut connection = connection.clone();
        async move {
            let (period, key) = (period * 100_000, uuid::Uuid::new_v4().to_string());
            let whole = period * burst;
            let (mut now, mut model) = (1_800_000_000_000_000_u64, Model::default());
            let mut admitted: Vec<(u64, u64)> = Vec::new();
            for (after, tenths) in steps {
                now += after;
                let cost = (period * tenths / 10).min(whole);
                redis::cmd("SET").arg("now").arg(now).exec_async(&mut connection).await.unwrap();
                let mut ask = script.prepare_invoke();
                ask.key(&key).arg(1).arg("lease").arg(1).arg(cost).arg(whole);
                let said: Vec<u64> = ask.invoke_async(&mut connection).await.unwrap();
                match model.admit(now, cost, whole) {
                    Ok(left) => {
                        assert_eq!(said, [0, left]);
                        admitted.push((now, cost));
                    }
                    Err(wait) => assert_eq!(said, [1, wait]),
                }
            }
            for (first, (begins, _)) in admitted.iter().enumerate() {
                let mut sum = 0;
                for (at, cost) in &admitted[first..] {
                    sum += cost;
                    assert!(sum <= whole + (at - begins), "{sum} in {}", at - begins);
                }
            }
        }
    })
    .await;
}
