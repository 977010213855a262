//! Which model makes a store's vectors: one behind an endpoint, within its budget; another one
//! instead, without a moment's pause.

use std::{collections::BTreeSet, time::Duration};

use callslip::{
    audit::Actor,
    documents::embed::{self, Choice, Chosen, NewEndpoint, Status},
    search::Answer,
    secret::Secret,
};
use serde_json::json;
use sqlx::PgPool;

use super::Shelf;
use crate::support::{
    TestApp,
    embeddings_fake::{Embeddings, KEY, Mode},
};

/// How many items a shelf has.
const ITEMS: usize = 60;
/// None of its words is in any item: only its meaning finds them.
const QUESTION: &str = "zebra";

async fn stage(pool: &PgPool, slug: &str, fake: &Embeddings) -> Shelf {
    let app = TestApp::with(pool, &[("CALLSLIP_OUTBOUND_ALLOW", &fake.host)]).await;
    Shelf::of(app, slug, &[&fake.host]).await
}

pub(super) fn model(fake: &Embeddings, model: &str) -> NewEndpoint {
    NewEndpoint {
        base_url: Some(fake.base_url.clone()),
        model: model.to_owned(),
        dimensions: None,
        api_key: Some(Secret::new(KEY.to_owned())),
        tokens_per_day: None,
    }
}

/// Whether these are among the first items: those that are nearest to a text without a number.
fn is_low(numbers: &[usize]) -> bool {
    numbers.iter().all(|number| *number < 12)
}

impl Shelf {
    async fn choose(&self, new: NewEndpoint) -> Chosen {
        let (meaning, by) = (self.importer.meaning(), (self.store, &Actor::default()));
        embed::choose(&meaning, self.scope, by, Choice::Endpoint(new)).await.unwrap()
    }

    /// Choose a model that works, and wait until search goes by it.
    pub(super) async fn go_by(&self, new: NewEndpoint) {
        assert_eq!(self.choose(new).await, Chosen::InTheMaking);
        self.embed_all().await;
        assert!(self.status().await.next.is_none());
    }

    async fn embed_all(&self) {
        while self.importer.embed_waiting().await.unwrap() > 0 {}
    }

    async fn status(&self) -> Status {
        let mut tx = self.app.db().tenant(self.scope).await.unwrap();
        embed::status(&mut tx, self.store).await.unwrap().unwrap()
    }

    pub(super) async fn items(&self, numbers: std::ops::Range<usize>, mark: &str) {
        let lines: Vec<String> = numbers
            .map(|n| {
                let text = format!("item {n} of {mark}");
                json!({ "_id": format!("{n}"), "title": "Shelf", "text": text }).to_string()
            })
            .collect();
        let report = self.upload("items.jsonl", lines.join("\n").as_bytes()).await;
        assert!(report.failed.is_empty(), "{report:?}");
    }

    pub(super) async fn answer(&self, question: &str) -> Answer {
        self.search.search(self.scope, &[self.store], question, 5).await.unwrap()
    }

    /// The numbers of the items that answer, best first; nothing may have failed.
    pub(super) async fn numbers(&self, question: &str) -> Vec<usize> {
        let answer = self.answer(question).await;
        assert!(answer.failures.is_empty(), "{:?}", answer.failures);
        let number = |snippet: &str| snippet.split(' ').nth(1).unwrap().parse().unwrap();
        answer.hits.iter().map(|hit| number(&hit.snippet)).collect()
    }

    /// How many vectors there are in the first place, and in the second.
    async fn vectors(&self) -> (i64, i64) {
        let row = sqlx::query!(
            r#"select count(embedding) as "first!", count(next_embedding) as "second!"
                 from chunk_index where vector_store_id = $1"#,
            self.store.uuid(),
        )
        .fetch_one(&self.app.pool)
        .await
        .unwrap();
        (row.first, row.second)
    }
}

/// [I-32] What is sent together is one tenant's, 128 texts at most; vectors come to their passages by
/// their index, in either encoding; questions go the same way, once each.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_store_goes_by_a_model_elsewhere(pool: PgPool) {
    let fake = Embeddings::start().await;
    let ours = stage(&pool, "acme", &fake).await;
    let theirs = Shelf::of(ours.app.clone(), "zeta", &[&fake.host]).await;
    for (shelf, mark) in [(&ours, "acme"), (&theirs, "zeta")] {
        shelf.items(0..200, mark).await;
        assert_eq!(shelf.choose(model(&fake, "up-8")).await, Chosen::InTheMaking);
    }
    fake.behave(Mode::Digits);
    ours.importer.embed_waiting().await.unwrap();
    fake.state.lock().unwrap().mode = Mode::Working;
    ours.embed_all().await;
    let calls = fake.calls();
    assert_eq!(calls.iter().map(|(_, texts)| texts.len()).sum::<usize>(), 400, "each once");
    for (_, texts) in &calls {
        assert!(texts.len() <= 128);
        let marks: BTreeSet<_> = texts.iter().map(|text| text.split(' ').next_back()).collect();
        assert_eq!(marks.len(), 1, "{marks:?}");
    }
    for shelf in [&ours, &theirs] {
        assert_eq!(shelf.vectors().await, (200, 0));
        assert!(is_low(&shelf.numbers(QUESTION).await));
        assert!(shelf.numbers("what is at 70?").await.contains(&70));
    }
    fake.behave(Mode::Working);
    ours.numbers(QUESTION).await;
    assert!(fake.calls().is_empty(), "a question is embedded once");
    let status = ours.status().await;
    assert_eq!((status.passages, status.embedded, status.active.dimensions), (200, 200, 8));
    // Its key is sealed, and its name alone is shown.
    let sealed = sqlx::query_scalar!("select api_key_sealed from embedding_models")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert!(sealed.iter().flatten().all(|key| !key.windows(8).any(|w| w == &KEY.as_bytes()[..8])));
    assert_eq!(status.active.endpoint.unwrap().key_hint.as_deref(), Some("QRST"));
}

/// A model is asked before it is chosen, and what is wrong with it is said.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_model_that_does_not_work_is_not_chosen(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    let mut refused = Vec::new();
    for (name, mode) in [
        ("none", Mode::Working),
        ("up-3072", Mode::Working),
        ("up-8", Mode::OutOfCredit),
        ("up-8", Mode::Garbage("<html>")),
        ("up-8", Mode::Short),
        ("up-8", Mode::Stub),
        ("", Mode::Working),
    ] {
        fake.behave(mode);
        let Chosen::Refused(reason) = shelf.choose(model(&fake, name)).await else {
            panic!("{name} {mode:?}")
        };
        assert!(!reason.contains("INTERNAL") && !reason.contains("sk-"), "{reason}");
        refused.push(reason);
    }
    for (reason, words) in refused.iter().zip([
        "does not know this model",
        "have 3072 numbers",
        "out of credit",
        "not the OpenAI embeddings API",
        "does not fit",
        "does not fit",
        "1 to 200 characters",
    ]) {
        assert!(reason.contains(words), "{reason}");
    }
    fake.behave(Mode::Working);
    let key = Some(Secret::new("sk-wrong-key".to_owned()));
    let Chosen::Refused(reason) =
        shelf.choose(NewEndpoint { api_key: key, ..model(&fake, "up-8") }).await
    else {
        panic!()
    };
    assert!(reason.contains("key was refused"), "{reason}");
    for url in ["http://127.0.0.1:1/v1", "https://169.254.169.254/v1", "file:///etc", "x"] {
        let new = NewEndpoint { base_url: Some(url.to_owned()), ..model(&fake, "up-8") };
        assert!(matches!(shelf.choose(new).await, Chosen::Refused(_)), "{url}");
    }
    // A model that can make shorter vectors is told to.
    shelf.items(0..3, "acme").await;
    shelf.go_by(NewEndpoint { dimensions: Some(16), ..model(&fake, "up-3072") }).await;
    assert_eq!(shelf.status().await.active.dimensions, 16);
    assert_eq!(shelf.numbers(QUESTION).await.len(), 3);
}

/// [FX-19] Nothing of an answer that does not fit is kept; words find all the while, and whoever
/// asks is told that they did.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_failing_model_stores_nothing_and_words_still_find(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.go_by(model(&fake, "up-8")).await;
    for (mode, words) in [
        (Mode::Short, "does not fit"),
        (Mode::Stub, "does not fit"),
        (Mode::Failing(500, 9), "problem of its own"),
        (Mode::Garbage("{\"data\":[{\"index\":0,\"embedding\":[NaN]}]}"), "not the OpenAI"),
        (Mode::Garbage("{\"data\":{}}"), "not the OpenAI"),
    ] {
        shelf.app.clock.advance(time::Duration::seconds(7_200));
        fake.behave(Mode::Working);
        shelf.items(0..5, &format!("{mode:?}")).await;
        fake.behave(mode);
        assert_eq!(shelf.importer.embed_waiting().await.unwrap(), 0, "{mode:?}");
        assert_eq!(shelf.vectors().await, (0, 0), "{mode:?}");
        let status = shelf.status().await;
        let failure = status.active.endpoint.unwrap().failure.unwrap().reason;
        assert!(failure.contains(words), "{mode:?}: {failure}");
        let answer = shelf.answer("item 3").await;
        assert_eq!(answer.hits.len(), 5, "{mode:?}");
        let reason = &answer.failures[0].reason;
        assert!(reason.contains(words) && reason.contains("words alone"), "{reason}");
    }
    shelf.app.clock.advance(time::Duration::seconds(7_200));
    fake.behave(Mode::Working);
    shelf.embed_all().await;
    assert_eq!(shelf.vectors().await, (5, 0));
    assert_eq!(shelf.numbers(QUESTION).await.len(), 5);
    assert!(shelf.status().await.active.endpoint.unwrap().failure.is_none(), "an answer clears it");
}

/// [FX-15] An endpoint that says when to come back is left alone until then.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_endpoint_is_asked_again_when_it_says(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.go_by(model(&fake, "up-8")).await;
    shelf.items(0..5, "acme").await;
    fake.behave(Mode::RateLimited(1, "3600"));
    shelf.embed_all().await;
    assert_eq!((fake.calls().len(), shelf.vectors().await), (1, (0, 0)));
    shelf.app.clock.advance(time::Duration::seconds(3_500));
    shelf.embed_all().await;
    assert_eq!(fake.calls().len(), 1, "it rests");
    shelf.app.clock.advance(time::Duration::seconds(200));
    shelf.embed_all().await;
    assert_eq!(shelf.vectors().await, (5, 0));
    // What passes by itself is not noticed.
    for mode in [Mode::RateLimited(2, "0"), Mode::Failing(503, 2)] {
        shelf.items(0..5, &format!("{mode:?}")).await;
        fake.behave(mode);
        shelf.embed_all().await;
        assert_eq!((fake.calls().len(), shelf.vectors().await), (3, (5, 0)), "{mode:?}");
    }
}

/// A question waits three seconds for its vector, the next ones not at all.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_silent_endpoint_costs_one_question_three_seconds(pool: PgPool) {
    let fake = Embeddings::start().await;
    let mut shelf = stage(&pool, "acme", &fake).await;
    shelf.search = shelf.app.parts.search(callslip::db::Class::Tool);
    shelf.items(0..5, "acme").await;
    shelf.go_by(model(&fake, "up-8")).await;
    fake.behave(Mode::Silent);
    let started = std::time::Instant::now();
    for question in ["item 3", "item 4", "item 2"] {
        let answer = shelf.answer(question).await;
        assert_eq!((answer.hits.len(), answer.failures.len()), (5, 1));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(fake.calls().len(), 1);
    fake.behave(Mode::Working);
    shelf.app.clock.advance(time::Duration::seconds(20));
    assert_eq!(shelf.numbers(QUESTION).await.len(), 5);
}

/// A passage that the endpoint does not take is found by its words; what comes with it is embedded,
/// and nothing is asked for it again until it, or the model, is another one.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_passage_that_is_refused_keeps_no_other_waiting(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.items(0..37, "acme").await;
    shelf.items(37..39, "acme with poison").await;
    shelf.items(39..200, "acme").await;
    fake.behave(Mode::Refusing(413, "poison"));
    assert_eq!(shelf.choose(model(&fake, "up-8")).await, Chosen::InTheMaking);
    fake.behave(Mode::Refusing(413, "poison"));
    shelf.embed_all().await;
    let status = shelf.status().await;
    assert!(status.next.is_none(), "search goes by it");
    assert_eq!((status.embedded, status.refused, shelf.vectors().await), (198, (2, 0), (198, 0)));
    let endpoint = status.active.endpoint.unwrap();
    assert!(endpoint.failure.is_none() && endpoint.rests_until.is_none());
    let calls = fake.calls();
    assert!(calls.len() < 25, "halves, and not one by one: {}", calls.len());
    let taken = calls.iter().flat_map(|(_, texts)| {
        let refused = texts.iter().any(|text| text.contains("poison"));
        texts.iter().filter(move |_| !refused)
    });
    let words: usize = taken.map(|text| text.split_whitespace().count()).sum();
    let used = endpoint.used_on(shelf.app.clock.now().date());
    assert_eq!(used, words as i64, "what is refused uses nothing up");

    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    let refused = embed::refused(&mut tx, (shelf.store, status.active.id), 1).await.unwrap();
    drop(tx);
    assert_eq!((refused.len(), refused[0].title.as_str(), refused[0].status), (1, "Shelf", 413));
    // A question that is refused is answered by its words, and no other one is by that.
    let answer = shelf.answer("poison").await;
    assert!(answer.failures[0].reason.contains("words alone"), "{:?}", answer.failures);
    assert!(is_low(&shelf.numbers(QUESTION).await));
    fake.behave(Mode::Working);
    let found = shelf.numbers("poison").await;
    assert!(found.contains(&37) && found.contains(&38), "{found:?}");
    assert_eq!(shelf.app.count("embedding_backlog").await, 0, "nothing waits");

    // Others come in, and it is left alone.
    fake.behave(Mode::Refusing(413, "poison"));
    shelf.items(200..210, "acme").await;
    shelf.embed_all().await;
    assert_eq!((fake.texts(), shelf.vectors().await), (10, (208, 0)));
    // One of them says something else now, and then the model is another one.
    shelf.items(37..38, "acme again").await;
    shelf.embed_all().await;
    assert_eq!((shelf.vectors().await, shelf.status().await.refused), ((209, 0), (1, 0)));
    fake.behave(Mode::Working);
    shelf.go_by(model(&fake, "down-8")).await;
    assert_eq!((shelf.vectors().await, shelf.status().await.refused), ((210, 0), (0, 0)));
    assert_eq!(shelf.app.count("refused_passages").await, 0);
    // And a third one takes none of what it refuses, whose old vector goes.
    fake.behave(Mode::Refusing(400, "poison"));
    shelf.go_by(model(&fake, "up-16")).await;
    assert_eq!((shelf.vectors().await, shelf.status().await.refused), ((209, 0), (1, 0)));
    fake.behave(Mode::Working);
    assert!(shelf.numbers("poison").await.contains(&38));
}

/// An endpoint that takes nothing at all is one that fails: no passage is given up for it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_endpoint_that_refuses_everything_refuses_no_passage(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.go_by(model(&fake, "up-8")).await;
    shelf.items(0..5, "acme").await;
    fake.behave(Mode::Failing(400, 99));
    shelf.embed_all().await;
    let status = shelf.status().await;
    assert_eq!((status.embedded, status.refused), (0, (0, 0)));
    let failure = status.active.endpoint.unwrap().failure.unwrap().reason;
    assert!(failure.contains("refused what it was asked"), "{failure}");
    assert!(fake.calls().len() < 8);
    fake.behave(Mode::Working);
    shelf.app.clock.advance(time::Duration::seconds(7_200));
    shelf.embed_all().await;
    assert_eq!(shelf.vectors().await, (5, 0));
}

/// A day's tokens are a bound: what is beyond waits for the next day, and is found by words.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_budget_holds_for_a_day(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    let new = NewEndpoint { tokens_per_day: Some(1_000), ..model(&fake, "up-8") };
    shelf.go_by(new).await;
    shelf.items(0..400, "acme with a good many words that are there to be counted").await;
    fake.behave(Mode::Working);
    shelf.embed_all().await;
    let status = shelf.status().await;
    let endpoint = status.active.endpoint.clone().unwrap();
    let used = endpoint.used_on(shelf.app.clock.now().date());
    assert!(status.embedded > 0 && status.embedded < 400 && used <= 1_000, "{used} {status:?}");
    assert!(endpoint.rests_until.is_some());
    let sent = fake.texts();
    shelf.embed_all().await;
    assert_eq!(fake.texts(), sent, "nothing more today");
    let mut days = 0;
    while shelf.status().await.embedded < 400 {
        shelf.app.clock.advance(time::Duration::seconds(86_400));
        shelf.embed_all().await;
        days += 1;
        assert!(days < 40);
    }
    assert!(days > 1 && fake.texts() == 400, "{days} days, {} texts", fake.texts());
    // Another budget is no other model: nothing is embedded anew, and it holds at once.
    fake.behave(Mode::Working);
    assert_eq!(shelf.choose(model(&fake, "up-8")).await, Chosen::Kept);
    shelf.embed_all().await;
    assert_eq!((fake.calls().len(), shelf.vectors().await), (1, (400, 0)));
}

/// While a model takes another one's place, each of many questions is answered wholly by one of
/// them: never by both, never by words alone, never not at all.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_change_of_models_is_one_moment(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.items(0..ITEMS, "acme").await;
    shelf.go_by(model(&fake, "up-8")).await;
    assert!(is_low(&shelf.numbers(QUESTION).await));
    for (name, length) in [("down-16", 16), ("up-8", 8), ("down-2000", 2_000), ("up-2000", 2_000)] {
        let before = shelf.numbers(QUESTION).await;
        assert_eq!(shelf.choose(model(&fake, name)).await, Chosen::InTheMaking);
        let change = async {
            // In the smallest steps, of two nodes.
            let twin = shelf.app.twin().await.parts.importer();
            loop {
                let steps = tokio::join!(shelf.importer.embed_waiting(), twin.embed_waiting());
                if steps.0.unwrap() + steps.1.unwrap() == 0 {
                    break;
                }
            }
        };
        let ask = async {
            let mut answers = Vec::new();
            while answers.iter().rev().take(3).filter(|last| **last != before).count() < 3 {
                answers.push(shelf.numbers(QUESTION).await);
                assert!(answers.len() < 5_000);
            }
            answers
        };
        let ((), answers) = tokio::join!(change, ask);
        let after = shelf.numbers(QUESTION).await;
        assert_eq!(is_low(&after), name.starts_with("up"), "{name}: {after:?}");
        let turned = answers.iter().position(|answer| *answer != before).unwrap();
        assert!(answers[turned..].iter().all(|answer| *answer == after), "{name}: {answers:?}");
        let status = shelf.status().await;
        assert_eq!((status.active.dimensions, status.embedded), (length, ITEMS as i64));
        assert_eq!(shelf.vectors().await, (ITEMS as i64, 0), "{name}: all are in their place");
    }
    let left = sqlx::query_scalar!(
        r#"select count(*) as "n!" from embedding_models where api_key_sealed is not null"#
    );
    assert_eq!(left.fetch_one(&pool).await.unwrap(), 1, "of models that went, no key is kept");
}

/// A node that dies in the middle leaves search as it was; another one goes on where it stopped.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_change_goes_on_after_a_node_died(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.items(0..300, "acme").await;
    shelf.go_by(model(&fake, "up-8")).await;
    let before = shelf.numbers(QUESTION).await;
    assert_eq!(shelf.choose(model(&fake, "down-8")).await, Chosen::InTheMaking);
    // The first call is answered, and during the second one the node is gone.
    fake.behave(Mode::Held);
    let node = shelf.app.twin().await.parts.importer();
    let dying = tokio::spawn(async move { node.embed_waiting().await });
    fake.arrived().await;
    fake.release();
    fake.state.lock().unwrap().mode = Mode::Held;
    fake.arrived().await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    let (first, second) = shelf.vectors().await;
    assert_eq!((first, second), (300, 128));
    assert_eq!(shelf.numbers(QUESTION).await, before);

    fake.behave(Mode::Working);
    shelf.embed_all().await;
    assert_eq!(fake.texts(), 0, "the model is still the other node's");
    shelf.app.clock.advance(time::Duration::seconds(121));
    shelf.embed_all().await;
    assert_eq!(fake.texts(), 300 - 128, "what was there is not made again");
    assert_eq!(shelf.vectors().await, (300, 0));
    assert_ne!(shelf.numbers(QUESTION).await, before);
}

/// Documents that come in during a change get both vectors; one that is replaced while an endpoint
/// thinks does not get the vector of what it said before.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_comes_in_during_a_change_is_found_by_both(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.items(20..40, "acme").await;
    shelf.go_by(model(&fake, "up-8")).await;
    assert_eq!(shelf.choose(model(&fake, "down-8")).await, Chosen::InTheMaking);
    fake.behave(Mode::Held);
    let importer = shelf.importer.clone();
    let round = tokio::spawn(async move { importer.embed_waiting().await });
    fake.arrived().await;
    // Item 39 says that it is 90 now; and item 5 is new.
    let line = json!({ "_id": "39", "title": "Shelf", "text": "item 90 of acme" }).to_string();
    shelf.upload("items.jsonl", line.as_bytes()).await;
    shelf.items(5..6, "acme").await;
    fake.release();
    assert_eq!(round.await.unwrap().unwrap(), 20);
    assert_eq!(shelf.vectors().await, (19, 19), "what was replaced has none");
    shelf.embed_all().await;
    assert_eq!(shelf.vectors().await, (21, 0));
    let numbers = shelf.numbers(QUESTION).await;
    assert!(numbers.contains(&90) && !numbers.contains(&39), "{numbers:?}");
    assert!(shelf.status().await.next.is_none());
}

/// A change that is given up leaves nothing, and search never heard of it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_change_that_is_given_up_leaves_nothing(pool: PgPool) {
    let fake = Embeddings::start().await;
    let shelf = stage(&pool, "acme", &fake).await;
    shelf.items(0..ITEMS, "acme").await;
    shelf.go_by(model(&fake, "up-8")).await;
    assert_eq!(shelf.choose(model(&fake, "down-8")).await, Chosen::InTheMaking);
    assert!(matches!(shelf.choose(model(&fake, "up-16")).await, Chosen::Refused(_)));
    shelf.importer.embed_outside().await.unwrap();
    assert_eq!(shelf.vectors().await, (ITEMS as i64, ITEMS as i64));
    let (meaning, by) = (shelf.importer.meaning(), (shelf.store, &Actor::default()));
    assert!(embed::cancel(&meaning, shelf.scope, by).await.unwrap());
    assert!(!embed::cancel(&meaning, shelf.scope, by).await.unwrap());
    shelf.embed_all().await;
    assert_eq!(shelf.vectors().await, (ITEMS as i64, 0));
    assert!(is_low(&shelf.numbers(QUESTION).await));
    let keys = sqlx::query_scalar!(
        r#"select count(*) as "n!" from embedding_models where api_key_sealed is not null"#
    );
    assert_eq!(keys.fetch_one(&pool).await.unwrap(), 1);
    // The same model once more is another number: nothing of the first attempt is taken for it.
    shelf.go_by(model(&fake, "down-8")).await;
    assert!(!is_low(&shelf.numbers(QUESTION).await));
}

/// [I-09] [O-03] Another tenant's sealed key does not open in our row, and nothing is sent with it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_models_key_does_not_move(pool: PgPool) {
    let fake = Embeddings::start().await;
    let ours = stage(&pool, "acme", &fake).await;
    let theirs = Shelf::of(ours.app.clone(), "zeta", &[&fake.host]).await;
    for shelf in [&ours, &theirs] {
        shelf.items(0..3, "books").await;
        shelf.go_by(model(&fake, "up-8")).await;
    }
    sqlx::query!(
        "update embedding_models
            set api_key_sealed = (select api_key_sealed from embedding_models where tenant_id = $1)
          where tenant_id = $2",
        theirs.scope.tenant_id().uuid(),
        ours.scope.tenant_id().uuid(),
    )
    .execute(&pool)
    .await
    .unwrap();
    fake.behave(Mode::Working);
    let answer = ours.answer("item 2").await;
    assert!(answer.failures[0].reason.contains("cannot be read"), "{:?}", answer.failures);
    assert_eq!((answer.hits.len(), fake.calls().len()), (3, 0));
    assert_eq!(theirs.numbers("at 2?").await.len(), 3);
}
