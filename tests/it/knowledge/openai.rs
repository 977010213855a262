use std::time::{Duration, Instant};

use callslip::{
    audit::Actor,
    outbound::{Outbound, Policy},
    search::Fetch,
    secret::Secret,
    vector_stores::{self, Backend, Context, Created, NewOpenAi, VectorStore},
};
use sqlx::PgPool;

use super::Shelf;
use crate::support::{
    TestApp,
    openai_fake::{KEY, Mode, OpenAi, STORE},
};

fn context(shelf: &Shelf, fake: &OpenAi) -> Context {
    Context {
        db: shelf.app.db().clone(),
        clock: shelf.app.clock.clone(),
        outbound: Outbound::new(Policy { allowed: vec![fake.host.clone()], ..Policy::default() }),
        master_key: shelf.app.parts.master_key.clone(),
    }
}

fn new(fake: &OpenAi, name: &str, key: &str) -> NewOpenAi {
    NewOpenAi {
        name: name.to_owned(),
        external_id: STORE.to_owned(),
        base_url: Some(fake.base_url.clone()),
        api_key: Secret::new(key.to_owned()),
    }
}

async fn stage(pool: &PgPool) -> (Shelf, OpenAi, VectorStore) {
    let fake = OpenAi::start().await;
    let shelf = Shelf::of(TestApp::new(pool).await, "acme", &[&fake.host]).await;
    let created = vector_stores::create_openai(
        &context(&shelf, &fake),
        shelf.scope,
        &Actor::default(),
        new(&fake, "Cloud", KEY),
    )
    .await
    .unwrap();
    let Created::Created(store) = created else { panic!("{created:?}") };
    (shelf, fake, store)
}

/// [O-05] A store is saved once it has answered; of its key the last four characters are shown.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_store_is_checked_before_it_is_saved(pool: PgPool) {
    let (shelf, fake, store) = stage(&pool).await;
    let Backend::OpenAi { key_hint, .. } = &store.backend else { panic!("{store:?}") };
    assert_eq!(key_hint, "WXYZ");
    assert!(!format!("{store:?}").contains(KEY));
    assert!(!serde_json::to_string(&store).unwrap().contains(&KEY[..10]));
    let sealed = sqlx::query_scalar!(
        r#"select api_key_sealed as "sealed!" from vector_stores where backend = 'openai'"#
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(!sealed.windows(8).any(|window| window == &KEY.as_bytes()[..8]));

    let context = context(&shelf, &fake);
    let add = async |new: NewOpenAi| {
        vector_stores::create_openai(&context, shelf.scope, &Actor::default(), new).await.unwrap()
    };
    assert!(matches!(add(new(&fake, "Cloud", KEY)).await, Created::NameTaken));
    let Created::Refused(reason) = add(new(&fake, "Wrong", "sk-wrong-key")).await else { panic!() };
    assert!(reason.contains("key was refused"), "{reason}");
    let mut missing = new(&fake, "Missing", KEY);
    missing.external_id = "vs_none".to_owned();
    let Created::Refused(reason) = add(missing).await else { panic!() };
    assert!(reason.contains("no such vector store"), "{reason}");
    for base_url in ["http://127.0.0.1:1/v1", "https://169.254.169.254/v1", "file:///etc", "x"] {
        let mut inside = new(&fake, "Inside", KEY);
        inside.base_url = Some(base_url.to_owned());
        assert!(matches!(add(inside).await, Created::Refused(_)), "{base_url}");
    }
    for id in ["", "../files", "vs_a/../../b", "vs a"] {
        let mut odd = new(&fake, "Odd", KEY);
        odd.external_id = id.to_owned();
        assert!(matches!(add(odd).await, Created::Refused(_)), "{id}");
    }
    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    assert_eq!(vector_stores::store::list(&mut tx).await.unwrap().len(), 2);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn hits_of_both_backends_are_merged_and_fetched(pool: PgPool) {
    let (shelf, fake, store) = stage(&pool).await;
    shelf.upload("ours.txt", b"Cats and homes belong together.").await;
    let stores = [shelf.store, store.id];
    let answer = shelf.search.search(shelf.scope, &stores, "cats homes", 10).await.unwrap();
    assert!(answer.failures.is_empty(), "{:?}", answer.failures);
    let titles: Vec<_> = answer.hits.iter().map(|hit| hit.title.as_str()).collect();
    assert_eq!(titles.len(), 3, "one hit a file: {titles:?}");
    assert!(titles[..2].contains(&"cats-and-homes.txt"), "{titles:?}");
    let cloud = answer.hits.iter().find(|hit| hit.title == "cats-and-homes.txt").unwrap();
    assert_eq!(cloud.url, format!("https://callslip.example/d/{}", cloud.id));

    fake.behave(Mode::Working);
    let Fetch::Found(found) =
        shelf.search.fetch(shelf.scope, &stores, &cloud.id, None).await.unwrap()
    else {
        panic!("not found")
    };
    assert_eq!(found.text, "Cats keep to their homes.\nPage two.\nPage three.");
    assert_eq!(found.metadata["year"], "1889");
    assert_eq!(found.title, "cats-and-homes.txt");
    assert!(fake.calls().iter().any(|call| call.ends_with("/content?page=tok_2")));
    assert!(fake.calls().iter().all(|call| !call.contains("sk-")));

    // A file of the same account that is not in this store.
    let other = callslip::search::Reference {
        store: store.id,
        document: callslip::search::Target::Outside { file_id: "file-other9".to_owned() },
    };
    let answer = shelf.search.fetch(shelf.scope, &stores, &other.to_string(), None).await.unwrap();
    assert_eq!(answer, Fetch::NotFound);
}

/// [O-02] [FX-15] [FX-16] [FX-19] What fails is said in our words, tried thrice at most, and fails
/// nobody else.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_failing_store_is_reported_and_fails_no_other(pool: PgPool) {
    let (shelf, fake, store) = stage(&pool).await;
    shelf.upload("ours.txt", b"Cats and homes belong together.").await;
    let stores = [shelf.store, store.id];
    for (mode, words, calls) in [
        (Mode::Failing(500, 9), "problem of its own", 3),
        (Mode::Failing(503, 9), "problem of its own", 3),
        (Mode::Failing(401, 9), "key was refused", 1),
        (Mode::Failing(404, 9), "no such vector store", 1),
        (Mode::Failing(302, 9), "redirect", 1),
        (Mode::RateLimited(9, "0"), "too many requests", 3),
        (Mode::RateLimited(9, "3600"), "too many requests", 1),
        (Mode::RateLimited(9, "1e19"), "too many requests", 1),
        (Mode::OutOfCredit, "out of credit", 1),
        (Mode::Garbage("<html>hi"), "not the OpenAI API", 1),
        (Mode::Garbage("{\"data\":[{\"file_id\":\"x\",\"score\":NaN}]}"), "not the OpenAI API", 1),
        (Mode::Garbage("{\"data\":{}}"), "not the OpenAI API", 1),
    ] {
        fake.behave(mode);
        let answer = shelf.search.search(shelf.scope, &stores, "cats", 5).await.unwrap();
        assert_eq!(answer.hits.len(), 1, "{mode:?}");
        assert_eq!(answer.failures.len(), 1, "{mode:?}");
        let failure = &answer.failures[0];
        assert_eq!(failure.store, "Cloud");
        assert!(failure.reason.contains(words), "{mode:?}: {}", failure.reason);
        assert!(!failure.reason.contains("INTERNAL") && !failure.reason.contains("sk-"));
        assert_eq!(fake.calls().len(), calls, "{mode:?}");
    }
    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    let row = vector_stores::store::find(&mut tx, store.id).await.unwrap().unwrap();
    assert!(row.failure.is_some(), "the page shows it");
    drop(tx);
    for mode in [Mode::RateLimited(2, "0"), Mode::Failing(502, 2), Mode::Working] {
        fake.behave(mode);
        let answer = shelf.search.search(shelf.scope, &stores, "cats", 5).await.unwrap();
        assert_eq!((answer.hits.len(), answer.failures.len()), (3, 0), "{mode:?}");
    }
    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    let row = vector_stores::store::find(&mut tx, store.id).await.unwrap().unwrap();
    assert!(row.failure.is_none(), "an answer clears it");
}

/// [FX-17] A store that says nothing costs the deadline and not more.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_silent_store_is_given_up_at_the_deadline(pool: PgPool) {
    let (shelf, fake, store) = stage(&pool).await;
    shelf.upload("ours.txt", b"Cats and homes belong together.").await;
    fake.behave(Mode::Silent);
    let started = Instant::now();
    let answer =
        shelf.search.search(shelf.scope, &[shelf.store, store.id], "cats", 5).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!((answer.hits.len(), answer.failures.len()), (1, 1));
    assert!(
        answer.failures[0].reason.contains("in time")
            || answer.failures[0].reason.contains("within")
    );
}

/// [I-09] [O-03] Another tenant's sealed key does not open in our row.
/// [I-08] A store is reached with the tenant's own key.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_sealed_key_does_not_move(pool: PgPool) {
    let (ours, fake, store) = stage(&pool).await;
    let theirs = Shelf::of(ours.app.clone(), "beta", &[&fake.host]).await;
    let created = vector_stores::create_openai(
        &context(&theirs, &fake),
        theirs.scope,
        &Actor::default(),
        new(&fake, "Cloud", KEY),
    )
    .await
    .unwrap();
    let Created::Created(their_store) = created else { panic!("{created:?}") };
    sqlx::query!(
        "update vector_stores
            set api_key_sealed = (select api_key_sealed from vector_stores where id = $1)
          where id = $2",
        their_store.id.uuid(),
        store.id.uuid(),
    )
    .execute(&pool)
    .await
    .unwrap();
    fake.behave(Mode::Working);
    let answer = ours.search.search(ours.scope, &[store.id], "cats", 5).await.unwrap();
    assert!(answer.hits.is_empty());
    assert!(answer.failures[0].reason.contains("cannot be read"), "{:?}", answer.failures);
    assert!(fake.calls().is_empty(), "no call is made with a key that does not belong here");
    let answer = theirs.search.search(theirs.scope, &[their_store.id], "cats", 5).await.unwrap();
    assert_eq!(answer.hits.len(), 2);
}
