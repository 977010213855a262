//! Signing keys: published, signing, verifying, retired.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use callslip::{
    oauth::rotation::{Rotation, Urgency},
    tenants::Role,
};
use serde_json::Value;
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinSet;

use crate::support::{Assistant, MASTER_KEY, Terminal, TestApp};

impl TestApp {
    pub(super) fn rotation(&self) -> Rotation {
        Rotation {
            db: self.db().clone(),
            clock: self.clock.clone(),
            master_key: self.parts.master_key.clone(),
        }
    }

    async fn sweep(&self) {
        self.app.forget(self.db(), &self.clock).await.unwrap();
    }

    /// The names in the key set, the last to sign first.
    async fn kids(&self) -> Vec<String> {
        let document = self.get("/oauth/jwks.json").await.json();
        let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        document["keys"].as_array().unwrap().iter().map(kid).collect()
    }
}

fn text(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap().to_owned()
}

/// What a part of a JWT says.
fn part(token: &str, place: usize) -> Value {
    serde_json::from_slice(&B64.decode(token.split('.').nth(place).unwrap()).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// [M-08] A key is in the key set six minutes before its first signature and longer, in public
/// members alone, under a name of its own; the set may be cached for five.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_key_is_published_before_it_signs(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_SIGNING_KEY_DAYS", "7")]).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let assistant = app.assistant().await;
    let mut tokens = assistant.tokens(&mut ada.sign_in().await, &[]).await;
    let old = kid(&text(&tokens, "access_token"));
    app.clock.advance(Duration::days(7) - Duration::minutes(1));
    app.sweep().await;
    assert_eq!(app.kids().await, [old.as_str()], "its time has not come");
    app.clock.advance(Duration::minutes(1));
    app.sweep().await;
    let kids = app.kids().await;
    assert_eq!(kids.len(), 2);
    assert_eq!(kids[1], old);
    let document = app.get("/oauth/jwks.json").await;
    assert_eq!(document.header("cache-control"), "public, max-age=300");
    for key in document.json()["keys"].as_array().unwrap() {
        let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x"]));
    }
    // 300 seconds of cache and a minute on top, and then some.
    for (minutes, signs) in [(0, &kids[1]), (6, &kids[1]), (3, &kids[1]), (1, &kids[0])] {
        app.clock.advance(Duration::minutes(minutes));
        app.sweep().await;
        tokens = assistant.refresh(&text(&tokens, "refresh_token"), &[]).await.json();
        assert_eq!(kid(&text(&tokens, "access_token")), *signs);
        assert_eq!(app.kids().await, kids, "the sweep publishes one");
    }
    // What the old key signed can live for an hour; the key stays for two.
    app.clock.advance(Duration::minutes(119));
    app.sweep().await;
    assert_eq!(app.kids().await, kids);
    app.clock.advance(Duration::minutes(1));
    app.sweep().await;
    assert_eq!(app.kids().await, kids[..1]);
    let sealed = sqlx::query_scalar!("select sealed_key from signing_keys where kid = $1", old);
    assert_eq!(sealed.fetch_one(&pool).await.unwrap(), b"", "its private half is kept");
}

/// An assistant that calls one node and refreshes at the other, as if behind a balancer.
struct Caller {
    assistant: Assistant,
    nodes: [TestApp; 2],
    tokens: Value,
    kids: BTreeSet<String>,
}

impl Caller {
    /// Refresh when a third of the token's life is left, and call both nodes.
    async fn round(&mut self, turn: usize) -> Result<(), String> {
        let exp = part(&text(&self.tokens, "access_token"), 1)["exp"].as_i64().unwrap();
        let [here, there] = [&self.nodes[turn % 2], &self.nodes[(turn + 1) % 2]];
        if exp - here.clock.now().unix_timestamp() < 20 * 60 || turn.is_multiple_of(5) {
            let refresh_token = text(&self.tokens, "refresh_token");
            let answer = self.assistant.at(here).refresh(&refresh_token, &[]).await;
            if answer.status != 200 {
                return Err(format!("refreshing: {}", answer.text()));
            }
            self.tokens = answer.json();
        }
        let token = text(&self.tokens, "access_token");
        self.kids.insert(kid(&token));
        for node in [there, here] {
            let answer = node.ping("/mcp", &format!("Bearer {token}"), &[]).await;
            if answer.status != 200 {
                return Err(format!("calling with {}: {}", kid(&token), answer.status));
            }
        }
        Ok(())
    }
}

/// The rounds that each caller has made.
type Rounds = Arc<Vec<AtomicUsize>>;

/// Let every caller make two whole rounds.
async fn go_on(rounds: &Rounds, stop: &AtomicBool) {
    let goal: Vec<usize> = rounds.iter().map(|made| made.load(Ordering::SeqCst) + 3).collect();
    let behind = |(made, goal): (&AtomicUsize, &usize)| made.load(Ordering::SeqCst) < *goal;
    while rounds.iter().zip(&goal).any(behind) && !stop.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
}

/// [J-07] Two nodes under load while keys are published, begin to sign and retire: nobody is
/// refused. Then a key is retired in an emergency: at once both nodes refuse what it signed, and
/// take what its successor signs.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nobody_notices_a_rotation(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let nodes = [app.clone(), app.twin().await];
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let rounds: Rounds = Arc::new((0..8).map(|_| AtomicUsize::new(0)).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for number in 0..rounds.len() {
        let assistant = app.assistant().await;
        let tokens = assistant.tokens(&mut browser, &[]).await;
        let (rounds, stop) = (Arc::clone(&rounds), Arc::clone(&stop));
        let mut caller =
            Caller { assistant, nodes: nodes.clone(), tokens, kids: BTreeSet::default() };
        load.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let turn = rounds[number].fetch_add(1, Ordering::SeqCst);
                if let Err(refused) = caller.round(turn).await {
                    stop.store(true, Ordering::SeqCst);
                    return Err(refused);
                }
            }
            Ok(caller)
        });
    }
    let first = app.kids().await.pop().unwrap();
    app.rotation().rotate().await.unwrap();
    // Published, ten minutes; signs; and two hours until the first one is retired.
    for step in 0..28 {
        go_on(&rounds, &stop).await;
        app.clock.advance(Duration::minutes(5));
        nodes[step % 2].sweep().await;
    }
    go_on(&rounds, &stop).await;
    stop.store(true, Ordering::SeqCst);
    let ended = load.join_all().await;
    let callers: Vec<Caller> = ended.into_iter().collect::<Result<_, _>>().unwrap();
    let second = app.kids().await.pop().unwrap();
    assert_ne!(first, second);
    for caller in &callers {
        assert_eq!(caller.kids, BTreeSet::from([first.clone(), second.clone()]));
    }

    app.clock.advance(Duration::minutes(1));
    app.rotation().retire(&second, Urgency::Emergency).await.unwrap().unwrap();
    for (place, caller) in callers.iter().enumerate() {
        let token = text(&caller.tokens, "access_token");
        for node in &nodes {
            assert_eq!(node.ping("/mcp", &format!("Bearer {token}"), &[]).await.status, 401);
        }
        let here = caller.assistant.at(&nodes[place % 2]);
        let renewed = here.refresh(&text(&caller.tokens, "refresh_token"), &[]).await.json();
        for node in &nodes {
            assert_eq!(
                node.ping("/mcp", &format!("Bearer {}", text(&renewed, "access_token")), &[])
                    .await
                    .status,
                200
            );
        }
    }
}

/// [J-07] The same from the command line, which no server sees: every node refuses the old key's
/// tokens on the next call, signs with the new key at once, and accepts what the other signed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_emergency_at_the_terminal_reaches_every_node(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (other, terminal) = (app.twin().await, Terminal::new(&pool));
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistants = [app.assistant().await, app.assistant().await.at(&other)];
    let mut tokens = Vec::new();
    for assistant in &assistants {
        tokens.push(assistant.tokens(&mut browser, &[]).await);
    }
    let token = text(&tokens[0], "access_token");
    assert!(app.accepts(&token).await && other.accepts(&token).await);
    let leaked = kid(&token);
    terminal.stdout(&format!("keys retire {leaked} --emergency --yes"), "", "");
    assert!(!app.accepts(&token).await && !other.accepts(&token).await);
    for (assistant, tokens) in assistants.iter().zip(&tokens) {
        let renewed = assistant.refresh(&text(tokens, "refresh_token"), &[]).await.json();
        let token = text(&renewed, "access_token");
        assert_ne!(kid(&token), leaked);
        assert!(app.accepts(&token).await && other.accepts(&token).await);
    }
    // A code is exchanged for a token of the new key too.
    let fresh = app.assistant().await.tokens(&mut browser, &[]).await;
    assert!(app.accepts(&text(&fresh, "access_token")).await);
    let events = sqlx::query_scalar!(
        r#"select detail->>'emergency' as "emergency!" from installation_events
            where kind = 'signing_key.retired' and detail->>'kid' = $1"#,
        leaked
    );
    assert_eq!(events.fetch_all(&pool).await.unwrap(), ["true"]);
}

/// What the terminal says, and what it does not do unasked.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn keys_are_kept_at_the_terminal(pool: PgPool) {
    let (app, terminal) = (TestApp::new(&pool).await, Terminal::new(&pool));
    let first = app.kids().await.pop().unwrap();
    let listed = terminal.stdout("keys list", "", "");
    assert!(listed.starts_with(&format!("{first}\tsigns\tpublished 2")), "{listed}");
    assert_eq!(listed.lines().count(), 1);

    let refused = terminal.refusal(&format!("keys retire {first} --yes"), "", "");
    assert!(refused.contains("callslip keys rotate"), "{refused}");
    assert!(terminal.refusal("keys retire nonsense --yes", "", "").contains("no such key"));

    let line = terminal.stdout("keys rotate", "", "");
    let (second, rest) = line.split_once('\t').unwrap();
    assert!(rest.starts_with("published\t"), "{line}");
    assert_eq!(terminal.stdout("keys rotate", "", ""), line, "there is a successor already");
    assert_eq!(terminal.stdout("keys list", "", "").lines().count(), 2);

    let retire = format!("keys retire {second}");
    assert!(terminal.refusal(&retire, "", "y\n").contains("--yes"), "nobody is at the terminal");
    terminal.stdout(&format!("{retire} --yes"), "", "");
    assert!(terminal.refusal(&format!("{retire} --yes"), "", "").contains("already"));
    let listed = terminal.stdout("keys list", "", "");
    assert!(listed.contains("\tretired\t") && listed.contains("\tretired 2"), "{listed}");
    assert!(listed.contains(&format!("{first}\tsigns")), "{listed}");
}

/// Nodes and commands that publish at the same moment publish one key.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_many_who_rotate_at_once_one_publishes(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let other = app.twin().await;
    let old = app.kids().await.pop().unwrap();
    app.clock.advance(Duration::days(91));
    let mut race = JoinSet::new();
    for place in 0..12 {
        let node = if place % 2 == 0 { app.clone() } else { other.clone() };
        race.spawn(async move {
            if place % 3 == 0 {
                node.rotation().rotate().await.unwrap();
            } else {
                node.sweep().await;
            }
        });
    }
    race.join_all().await;
    assert_eq!(app.count("signing_keys").await, 2);
    app.clock.advance(Duration::minutes(10));
    // Both emergencies at once, too, leave one key that signs.
    let (a, b) = (app.rotation(), other.rotation());
    let kids = sqlx::query_scalar!("select kid from signing_keys").fetch_all(&pool).await.unwrap();
    let signs = kids.into_iter().find(|kid| *kid != old).unwrap();
    let outcome =
        tokio::join!(a.retire(&signs, Urgency::Emergency), b.retire(&signs, Urgency::Emergency));
    assert_ne!(outcome.0.unwrap().is_ok(), outcome.1.unwrap().is_ok());
    assert_eq!(app.count("signing_keys where retired_at is null").await, 2);
}

/// A server with another master key says what is wrong, and a command adds no key that no server
/// could open.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn another_master_key_is_told_apart(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let kid = app.kids().await.pop().unwrap();
    let mut parts = app.parts.clone();
    let other = MASTER_KEY.replace('5', "6").repeat(32);
    parts.master_key = callslip::secret::seal::MasterKey::from_hex(&other).unwrap();
    let rotation = Rotation { master_key: parts.master_key.clone(), ..app.rotation() };
    let faults = [
        callslip::app::build(parts).await.unwrap_err().chain(),
        rotation.rotate().await.unwrap_err().chain(),
        rotation.retire(&kid, Urgency::Emergency).await.unwrap_err().chain(),
    ];
    for fault in faults {
        assert!(fault.contains(&kid) && fault.contains("CALLSLIP_MASTER_KEY"), "{fault}");
    }
    assert_eq!(app.count("signing_keys where retired_at is null").await, 1);
}
