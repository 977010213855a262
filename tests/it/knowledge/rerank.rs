//! Who has the last word on the order of the best passages: a model behind an endpoint, where a store
//! has one; and what happens when it does not answer.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use callslip::{
    audit::Actor,
    search::Fetch,
    secret::Secret,
    vector_stores::{
        self,
        reranker::{self, Chosen, NewReranker},
    },
};
use serde_json::Value;
use sqlx::PgPool;

use super::Shelf;
use crate::support::{
    Terminal, TestApp,
    api_fake::Mode,
    reranker_fake::{KEY, Reranker},
    sink::Sink,
};

async fn stage(pool: &PgPool, slug: &str, fake: &Reranker) -> Shelf {
    let app = TestApp::with(pool, &[("CALLSLIP_OUTBOUND_ALLOW", &fake.host)]).await;
    Shelf::of(app, slug, &[&fake.host]).await
}

fn model(fake: &Reranker, model: &str) -> NewReranker {
    NewReranker {
        base_url: format!("{}/rerank", fake.base_url),
        model: model.to_owned(),
        api_key: Some(Secret::new(KEY.to_owned())),
    }
}

impl Shelf {
    async fn rerank(&self, new: NewReranker) -> Chosen {
        let (meaning, by) = (self.importer.meaning(), (self.store, &Actor::default()));
        reranker::choose(&meaning.context, self.scope, by, new).await.unwrap()
    }

    /// Why it failed last.
    async fn failure(&self) -> Option<String> {
        let mut tx = self.app.db().tenant(self.scope).await.unwrap();
        let reranker = reranker::store::find(&mut tx, self.store).await.unwrap().unwrap();
        reranker.failure.map(|failure| failure.reason)
    }

    /// Long enough that what failed is asked again.
    fn wait(&self) {
        self.app.clock.advance(time::Duration::minutes(1));
    }
}

/// The numbers of the items that the fake was sent in its first call.
fn sent(fake: &Reranker) -> Vec<usize> {
    let documents = fake.calls()[0].body["documents"].clone();
    let number = |text: &Value| text.as_str()?.split(' ').nth(1)?.parse().ok();
    documents.as_array().unwrap().iter().map(|text| number(text).unwrap()).collect()
}

/// Of the best thirty, those come first that it says; with every answer that servers give.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_reranker_has_the_last_word(pool: PgPool) {
    let fake = Reranker::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.items(0..40, "acme").await;
    let before = shelf.numbers("acme").await;
    assert!(fake.calls().is_empty());
    for name in ["plain", "other"] {
        assert_eq!(shelf.rerank(model(&fake, name)).await, Chosen::InUse);
        fake.behave(Mode::Working);
        let after = shelf.numbers("acme").await;
        let mut best = sent(&fake);
        assert_eq!((best.len(), &best[..5], fake.calls().len()), (30, before.as_slice(), 1));
        best.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        assert_eq!(after, best[..5], "{name}");
        assert_ne!(after, before);
        assert_eq!(fake.calls()[0].body["query"], "acme");
    }
    // Nothing is kept: each question is asked anew.
    shelf.numbers("acme").await;
    assert_eq!(fake.calls().len(), 2);
    // What it says nothing of follows in search's own order.
    assert_eq!(shelf.rerank(model(&fake, "brief")).await, Chosen::InUse);
    fake.behave(Mode::Working);
    let after = shelf.numbers("acme").await;
    let best = sent(&fake);
    let rest: Vec<usize> = best.iter().copied().filter(|n| !after[..2].contains(n)).collect();
    assert_eq!(after[2..], rest[..3]);
    // The citation is that of the passage.
    let hit = shelf.ask("acme").await.remove(0);
    let Fetch::Found(found) = shelf.fetch(&hit.id).await else { panic!() };
    assert!(found.text.starts_with(&format!("item {} of acme", after[0])), "{}", found.text);

    let (meaning, by) = (shelf.importer.meaning(), (shelf.store, &Actor::default()));
    assert!(reranker::remove(&meaning.context, shelf.scope, by).await.unwrap());
    assert!(!reranker::remove(&meaning.context, shelf.scope, by).await.unwrap());
    fake.behave(Mode::Working);
    assert_eq!(shelf.numbers("acme").await, before);
    assert!(fake.calls().is_empty());
    assert_eq!(shelf.app.count("rerankers").await, 0);
    for (kind, times) in [("reranker.chosen", 3), ("reranker.removed", 1)] {
        let seen = sqlx::query_scalar!("select count(*) from audit_events where kind = $1", kind);
        assert_eq!(seen.fetch_one(&pool).await.unwrap(), Some(times), "{kind}");
    }
}

/// Whatever it does wrong, the answer is what it is without it, and whoever asked hears nothing of
/// it; the admin reads why.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_failing_reranker_changes_nothing(pool: PgPool) {
    let fake = Reranker::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.items(0..20, "acme").await;
    let before = shelf.numbers("acme").await;
    assert_eq!(shelf.rerank(model(&fake, "plain")).await, Chosen::InUse);
    let after = shelf.numbers("acme").await;
    for (mode, words) in [
        (Mode::Failing(500, 9), "problem of its own"),
        (Mode::Failing(400, 9), "refused what it was asked"),
        (Mode::Failing(418, 9), "no order"),
        (Mode::RateLimited(9, "3600"), "too many requests"),
        (Mode::OutOfCredit, "out of credit"),
        (Mode::Garbage("<html>"), "no order"),
        (Mode::Garbage("{}"), "no order"),
        (Mode::Garbage(r#"{"results":[]}"#), "no order"),
        (Mode::Garbage(r#"{"results":[{"index":20,"score":1}]}"#), "no order"),
        (Mode::Garbage(r#"{"data":[{"index":1,"score":1},{"index":1,"score":2}]}"#), "no order"),
        (Mode::Garbage(r#"{"data":[{"index":1,"score":1e999}]}"#), "no order"),
        (Mode::Silent, "did not answer in time"),
    ] {
        shelf.wait();
        fake.behave(mode);
        let started = Instant::now();
        assert_eq!(shelf.numbers("acme").await, before, "{mode:?}");
        assert!(started.elapsed() < Duration::from_millis(2_800), "{:?}", started.elapsed());
        let failure = shelf.failure().await.unwrap();
        assert!(failure.contains(words), "{mode:?}: {failure}");
        assert!(!failure.contains("INTERNAL") && !failure.contains("sk-"), "{failure}");
        // The next question does not wait for it.
        let calls = fake.calls().len();
        assert_eq!(shelf.numbers("acme").await, before, "{mode:?}");
        assert_eq!(fake.calls().len(), calls, "{mode:?}");
    }
    shelf.wait();
    fake.behave(Mode::Working);
    assert_eq!(shelf.numbers("acme").await, after);
    assert_eq!(shelf.failure().await, None, "an order clears it");
}

/// What is sent is the question's own store and tenant, and of that what the search may find.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_reranker_hears_only_what_was_found(pool: PgPool) {
    let fake = Reranker::start().await;
    let ours = stage(&pool, "acme", &fake).await;
    let theirs = Shelf::of(ours.app.clone(), "zeta", &[&fake.host]).await;
    let mut tx = ours.app.db().tenant(ours.scope).await.unwrap();
    let nobody = Actor::default();
    let vault = vector_stores::create_builtin(&mut tx, &ours.app.clock, &nobody, "Vault");
    let vault = vault.await.unwrap().unwrap().id;
    tx.commit().await.unwrap();
    let vault = Shelf {
        app: ours.app.clone(),
        scope: ours.scope,
        store: vault,
        importer: ours.importer.clone(),
        search: ours.search.clone(),
    };
    for (shelf, mark) in [(&ours, "shared words"), (&theirs, "zanary"), (&vault, "vanary")] {
        shelf.items(0..10, mark).await;
    }
    // Held back until an admin releases it.
    let held = "update documents set held_at = now() where source_key like '%7'";
    let unindexed = "delete from chunk_index where document_id in
                      (select id from documents where held_at is not null)";
    for sql in [held, unindexed] {
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    }
    for shelf in [&ours, &theirs] {
        assert_eq!(shelf.rerank(model(&fake, "plain")).await, Chosen::InUse);
    }
    fake.behave(Mode::Working);
    let numbers = ours.numbers("item of shared zanary vanary words").await;
    assert_eq!(numbers, [9, 8, 6, 5, 4]);
    let heard = fake.heard();
    assert_eq!(fake.calls().len(), 1);
    assert_eq!(sent(&fake).len(), 9);
    for other in ["of zanary", "of vanary", "item 7"] {
        assert!(!heard.contains(other), "{other}: {heard}");
    }
    // The same question of both stores of the tenant: the other one has no reranker.
    fake.behave(Mode::Working);
    let both = [ours.store, vault.store];
    let answer = ours.search.search(ours.scope, &both, "item of words", 20).await.unwrap();
    assert!(answer.hits.iter().any(|hit| hit.snippet.contains("vanary")));
    assert!(!fake.heard().contains("vanary"));
}

/// It is taken once it has put something into an order, and not at an address of the network's own.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_reranker_must_answer_before_it_is_used(pool: PgPool) {
    let fake = Reranker::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    let wrong_key = NewReranker {
        api_key: Some(Secret::new("sk-wrong-key".to_owned())),
        ..model(&fake, "plain")
    };
    let at = |url: &str| NewReranker { base_url: url.to_owned(), ..model(&fake, "plain") };
    for (new, mode, words) in [
        (model(&fake, "none"), Mode::Working, "does not know this model"),
        (model(&fake, " "), Mode::Working, "1 to 200 characters"),
        (wrong_key, Mode::Working, "key was refused"),
        (model(&fake, "plain"), Mode::Garbage("{\"results\":[]}"), "no order"),
        (model(&fake, "plain"), Mode::OutOfCredit, "out of credit"),
        (at("https://169.254.169.254/v1"), Mode::Working, "public internet"),
        (at("http://127.0.0.1:1/v1"), Mode::Working, "https://host"),
        (at("file:///etc"), Mode::Working, "https://host"),
        (at(""), Mode::Working, "not a URL"),
    ] {
        fake.behave(mode);
        let Chosen::Refused(reason) = shelf.rerank(new).await else { panic!("{words}") };
        assert!(reason.contains(words), "{words}: {reason}");
        assert!(!reason.contains("INTERNAL") && !reason.contains("sk-"), "{reason}");
    }
    assert_eq!(shelf.app.count("rerankers").await, 0);
    let nowhere = Shelf { store: callslip::ids::VectorStoreId::new(), ..shelf };
    assert_eq!(nowhere.rerank(model(&fake, "plain")).await, Chosen::NoStore);
}

/// [I-09] [O-03] Another tenant's sealed key does not open in our row, and nothing is sent with it. No
/// key is in the log, in `Debug` or in the clear.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_rerankers_key_does_not_move_and_is_not_said(pool: PgPool) {
    let fake = Reranker::start().await;
    let ours = stage(&pool, "acme", &fake).await;
    let theirs = Shelf::of(ours.app.clone(), "zeta", &[&fake.host]).await;
    let sink = Sink::default();
    let _second = tracing::Dispatch::new(sink.subscriber());
    let logging = tracing::subscriber::set_default(sink.subscriber());
    assert!(!format!("{:?}", model(&fake, "plain")).contains("sk-"));
    for shelf in [&ours, &theirs] {
        shelf.items(0..3, "books").await;
        assert_eq!(shelf.rerank(model(&fake, "plain")).await, Chosen::InUse);
    }
    let sealed = sqlx::query_scalar!(
        r#"select api_key_sealed as "sealed!" from rerankers where api_key_hint = 'MNOP'"#
    );
    for sealed in sealed.fetch_all(&pool).await.unwrap() {
        assert!(!sealed.windows(8).any(|window| window == &KEY.as_bytes()[..8]));
    }
    sqlx::query!(
        "update rerankers
            set api_key_sealed = (select api_key_sealed from rerankers where tenant_id = $1)
          where tenant_id = $2",
        theirs.scope.tenant_id().uuid(),
        ours.scope.tenant_id().uuid(),
    )
    .execute(&pool)
    .await
    .unwrap();
    fake.behave(Mode::Working);
    assert_eq!((ours.numbers("books").await.len(), fake.calls().len()), (3, 0));
    assert!(ours.failure().await.unwrap().contains("cannot be read"));
    assert_eq!(theirs.numbers("books").await, [2, 1, 0]);
    fake.behave(Mode::Failing(500, 9));
    assert_eq!(theirs.numbers("books").await.len(), 3);
    drop(logging);
    let lines = sink.lines();
    let said = lines.iter().filter(|line| line.contains("a reranker failed"));
    assert_eq!(said.count(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains(KEY) && !line.contains("INTERNAL")));
}

/// A terminal shows it and removes it, and takes no address that a page does not take.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_reranker_is_seen_and_removed_in_a_terminal(pool: PgPool) {
    let fake = Reranker::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    assert_eq!(shelf.rerank(model(&fake, "plain")).await, Chosen::InUse);
    let terminal = Terminal::new(&pool);
    let line = "reranker --tenant acme --store Books";
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(terminal.stdout(line, "", "").trim_end(), format!("plain\t{}", fake.base_url));
    let other = format!("{line} --endpoint {} --model other", fake.base_url);
    let refused = terminal.run(&other, "", "");
    assert!(!refused.status.success() && said(&refused).contains("https://host"));
    let removed = terminal.run(&format!("{line} --remove"), "", "");
    assert!(removed.status.success() && said(&removed).contains("nobody orders"));
    assert_eq!(shelf.app.count("rerankers").await, 0);
    let again = terminal.run(&format!("{line} --remove"), "", "");
    assert!(!again.status.success() && said(&again).contains("no reranker"));
}
