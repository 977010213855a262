//! Vector stores: added by form, removed with what they hold.

use callslip::{
    audit::Actor,
    db::TenantScope,
    outbound::{Outbound, Policy},
    secret::Secret,
    vector_stores::{Context, Created, NewOpenAi, create_openai},
};
use sqlx::PgPool;

use super::stage::{Stage, assert_absent};
use crate::support::{
    TestApp,
    embeddings_fake::{self, Embeddings, Mode},
    openai_fake::{KEY, OpenAi, STORE},
    reranker_fake::{self, Reranker},
};

const PATH: &str = "/t/acme/vector-stores";

#[sqlx::test]
async fn a_builtin_store_is_added_by_name_once(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut ada = stage.signed_in(&stage.ada).await;
    let form = [("backend", "builtin"), ("name", " Guides <b class=canary> ")];
    let done = ada.submit(PATH, PATH, &form).await;
    assert_eq!(done.location(), "/t/acme/vector-stores?notice=store-added");
    let page = ada.get(PATH).await;
    assert_eq!(page.select("tbody th bdi"), ["Guides <b class=canary>"]);
    assert!(page.select(".canary").is_empty());

    let again = ada.submit(PATH, PATH, &form).await;
    assert_eq!(again.status, 422);
    let error = again.select("#builtin-name-error");
    assert_eq!(error, ["Another vector store of this tenant has that name."]);
    assert_eq!(again.attribute("#builtin-name", "value"), [" Guides <b class=canary> "]);
    let blank = ada.submit(PATH, PATH, &[("backend", "builtin"), ("name", "  ")]).await;
    assert_eq!(blank.select("#builtin-name-error").len(), 1);
    let events = stage.events(stage.acme.id).await;
    assert_eq!(events.iter().filter(|kind| *kind == "vector_store.created").count(), 1);
}

#[sqlx::test]
async fn a_key_that_was_typed_is_never_printed_back(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut ada = stage.signed_in(&stage.ada).await;
    let form = [
        ("backend", "openai"),
        ("name", "Records"),
        ("external_id", "not an id"),
        ("api_key", "sk-canary-key"),
        ("base_url", ""),
    ];
    let page = ada.submit(PATH, PATH, &form).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.select("#external_id-error").len(), 1);
    assert_eq!(page.attribute("#openai-name", "value"), ["Records"]);
    assert!(!page.text().contains("sk-canary-key"));
}

/// Why a store was not added stands on the page as a sentence.
#[sqlx::test]
async fn a_refused_store_is_explained_in_a_sentence(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut ada = stage.signed_in(&stage.ada).await;
    let form = [
        ("backend", "openai"),
        ("name", "Records"),
        ("external_id", "vs_records"),
        ("api_key", "sk-0123456789"),
        ("base_url", "ftp://example.org"),
    ];
    let page = ada.submit(PATH, PATH, &form).await;
    let error = page.select("[role=alert]").join(" ");
    assert!(error.contains("The address must be") && error.ends_with('.'), "{error}");
}

#[sqlx::test]
async fn removing_a_store_takes_its_documents_along(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    stage.document(stage.acme.id, store, "Cats", "[Cats]").await;
    let path = format!("{PATH}/{store}/delete");
    let mut rob = stage.signed_in(&stage.rob).await;
    assert_eq!(rob.submit("/account", &path, &[]).await.status, 403);
    let mut eve = stage.signed_in(&stage.eve).await;
    assert_absent(&eve.submit("/account", &path.replace("acme", "other"), &[]).await);

    let mut ada = stage.signed_in(&stage.ada).await;
    assert_eq!(ada.get(PATH).await.attribute("dialog form", "action"), std::slice::from_ref(&path));
    let done = ada.submit(PATH, &path, &[]).await;
    assert_eq!(done.location(), "/t/acme/vector-stores?notice=store-removed");
    let left = sqlx::query_scalar!(r#"select count(*) as "count!" from documents"#)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
    assert_eq!(stage.events(stage.acme.id).await.last().unwrap(), "vector_store.deleted");
}

/// A store with its key and the event that it was added are one act, whoever adds it.
#[sqlx::test]
async fn a_store_is_mapped_with_its_event_or_not_at_all(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let fake = OpenAi::start().await;
    let context = Context {
        db: stage.app.db().clone(),
        clock: stage.app.clock.clone(),
        outbound: Outbound::new(Policy { allowed: vec![fake.host.clone()], ..Policy::default() }),
        master_key: stage.app.parts.master_key.clone(),
    };
    #[expect(clippy::disallowed_methods, reason = "the test made the tenant")]
    let scope = TenantScope::proven(stage.acme.id);
    let actor = Actor { user: Some(stage.ada.id), ..Actor::default() };
    let add = async |name: &str| {
        let new = NewOpenAi {
            name: name.to_owned(),
            external_id: STORE.to_owned(),
            base_url: Some(fake.base_url.clone()),
            api_key: Secret::new(KEY.to_owned()),
        };
        create_openai(&context, scope, &actor, new).await
    };
    assert!(matches!(add("Cloud").await.unwrap(), Created::Created(_)));
    let row = sqlx::query!(
        "select user_id, detail from audit_events where kind = 'vector_store.created'"
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(row.user_id, Some(stage.ada.id.uuid()));
    assert_eq!(row.detail["name"], "Cloud");
    assert!(!row.detail.to_string().contains(KEY));

    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as
           $$ begin raise exception 'the disk is full' using errcode = '53100'; end $$;
         create trigger refuse before insert on audit_events
           for each statement execute function refuse()",
    )
    .execute(&pool)
    .await
    .unwrap();
    add("Second").await.unwrap_err();
    let names = sqlx::query_scalar!("select name from vector_stores").fetch_all(&pool).await;
    assert_eq!(names.unwrap(), ["Cloud"]);
}

/// Which model makes a store's vectors is said on its page, and another one is chosen there: once it
/// works, once its cost was read, and until it is given up. Its key is never printed.
#[sqlx::test]
async fn another_model_is_chosen_on_the_stores_page(pool: PgPool) {
    let fake = Embeddings::start().await;
    let app = TestApp::with(&pool, &[("CALLSLIP_OUTBOUND_ALLOW", &fake.host)]).await;
    let store = app.store("acme", "Books").await;
    app.document("acme", store, "a.txt", "item 1 of acme").await;
    let admin = app.member("acme", "ada", callslip::tenants::Role::Admin).await;
    let mut ada = admin.sign_in().await;
    let path = format!("{PATH}/{store}");
    let list = ada.get(PATH).await;
    assert!(list.attribute("tbody th a", "href").contains(&path));
    let page = ada.get(&path).await;
    assert!(page.text().contains("Search goes by words only"), "there is no model here");

    let to = format!("{path}/model");
    let form = |key: &'static str, agreed: &'static str| {
        [
            ("kind", "endpoint"),
            ("base_url", fake.base_url.as_str()),
            ("model", "up-8"),
            ("api_key", key),
            ("tokens_per_day", "50,000"),
            ("agreed", agreed),
        ]
    };
    for (fields, words) in [
        (form("sk-wrong-key", "yes"), "The API key was refused"),
        (form(embeddings_fake::KEY, ""), "what the change costs"),
    ] {
        let page = ada.submit(&path, &to, &fields).await;
        assert_eq!(page.status, 422);
        assert!(page.select("[role=alert]")[0].contains(words), "{}", page.text());
        assert_eq!(page.attribute("#model", "value"), ["up-8"]);
        assert!(!page.text().contains("sk-"));
    }
    let done = ada.submit(&path, &to, &form(embeddings_fake::KEY, "yes")).await;
    assert_eq!(done.location(), format!("{path}?notice=model-chosen"));
    let page = ada.get(&path).await;
    assert!(page.select("#next-model")[0].contains("0 of 1 passages"), "{}", page.text());
    assert!(page.select("#model").is_empty(), "one change at a time");
    let done = ada.submit(&path, &format!("{to}/cancel"), &[]).await;
    assert_eq!(done.location(), format!("{path}?notice=model-given-up"));

    ada.submit(&path, &to, &form(embeddings_fake::KEY, "yes")).await;
    while app.parts.importer().embed_waiting().await.unwrap() > 0 {}
    let page = ada.get(&path).await;
    let said = page.select("dl")[0].clone();
    for words in ["up-8", "Ready", "8 dimensions", "1 of 1 passages", "QRST", "50,000 tokens today"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!page.text().contains("sk-") && page.select("#next-model").is_empty());
    let activity = ada.get("/t/acme/activity").await;
    for words in ["Embedding model chosen: up-8", "Search goes by another embedding model: up-8"] {
        assert!(activity.text().contains(words), "{words}");
    }
}

/// What a model does not take is named, with where it is and why.
#[sqlx::test]
async fn passages_that_a_model_does_not_take_are_named(pool: PgPool) {
    let fake = Embeddings::start().await;
    let app = TestApp::with(&pool, &[("CALLSLIP_OUTBOUND_ALLOW", &fake.host)]).await;
    let store = app.store("acme", "Books").await;
    for (name, text) in [("a.txt", "item 1 of acme"), ("b.txt", "item 2 with poison")] {
        app.document("acme", store, name, text).await;
    }
    let admin = app.member("acme", "ada", callslip::tenants::Role::Admin).await;
    let mut ada = admin.sign_in().await;
    let path = format!("{PATH}/{store}");
    let fields = [
        ("kind", "endpoint"),
        ("base_url", fake.base_url.as_str()),
        ("model", "up-8"),
        ("api_key", embeddings_fake::KEY),
        ("agreed", "yes"),
    ];
    fake.behave(Mode::Refusing(413, "poison"));
    assert_eq!(ada.submit(&path, &format!("{path}/model"), &fields).await.status, 303);
    while app.parts.importer().embed_waiting().await.unwrap() > 0 {}
    let page = ada.get(&path).await;
    let said = page.select("li").join(" ");
    assert!(said.contains("item 2 with poison: it is too long for the model (413)"), "{said}");
    assert!(!said.contains("item 1"), "{said}");
    assert!(page.select("dl")[0].contains("Ready"), "nothing waits: {}", page.text());
    let link = page.attribute("li a", "href");
    let link = link.iter().find(|link| link.starts_with("/d/")).unwrap();
    let document = ada.get(link.trim_end_matches("#passage")).await;
    assert!(document.text().contains("poison"), "{}", document.text());
}

/// Who orders the best passages anew is chosen on the store's page, shown with how well it works, and
/// removed; its key is never printed.
#[sqlx::test]
async fn a_reranker_is_chosen_on_the_stores_page(pool: PgPool) {
    let fake = Reranker::start().await;
    let app = TestApp::with(&pool, &[("CALLSLIP_OUTBOUND_ALLOW", &fake.host)]).await;
    let store = app.store("acme", "Books").await;
    for number in 1..4 {
        let name = format!("{number}.txt");
        app.document("acme", store, &name, &format!("item {number} of acme")).await;
    }
    let admin = app.member("acme", "ada", callslip::tenants::Role::Admin).await;
    let mut ada = admin.sign_in().await;
    let path = format!("{PATH}/{store}");
    let to = format!("{path}/reranker");
    let form = |key: &'static str, agreed: &'static str| {
        [
            ("base_url", fake.base_url.as_str()),
            ("model", "plain"),
            ("api_key", key),
            ("agreed", agreed),
        ]
    };
    for (fields, words) in [
        (form("sk-wrong-key", "yes"), "The API key was refused"),
        (form(reranker_fake::KEY, ""), "what is sent there"),
    ] {
        let page = ada.submit(&path, &to, &fields).await;
        assert_eq!(page.status, 422);
        assert!(page.select("[role=alert]")[0].contains(words), "{}", page.text());
        assert_eq!(page.attribute("#reranker_model", "value"), ["plain"]);
        assert!(!page.text().contains("sk-"));
    }
    let done = ada.submit(&path, &to, &form(reranker_fake::KEY, "yes")).await;
    assert_eq!(done.location(), format!("{path}?notice=reranker-chosen"));
    let page = ada.get(&path).await;
    let said = page.select("#reranker dl").concat();
    for words in ["plain", "In use", "MNOP", &fake.base_url] {
        assert!(said.contains(words), "{words}: {said}");
    }
    fake.behave(Mode::Failing(500, 9));
    #[expect(clippy::disallowed_methods, reason = "the test made the tenant")]
    let scope = TenantScope::proven(app.tenant("acme").await.id);
    let search = app.parts.search(callslip::db::Class::Tool);
    let answer = search.search(scope, &[store], "acme", 5).await.unwrap();
    assert_eq!((answer.hits.len(), answer.failures.len()), (3, 0));
    let page = ada.get(&path).await;
    let said = page.select("#reranker dl").concat();
    assert!(said.contains("Failing") && said.contains("problem of its own"), "{said}");
    assert!(!page.text().contains("sk-") && !page.text().contains("INTERNAL"));

    let done = ada.submit(&path, &format!("{to}/remove"), &[]).await;
    assert_eq!(done.location(), format!("{path}?notice=reranker-removed"));
    let page = ada.get(&path).await;
    assert!(page.select("#reranker").is_empty());
    let activity = ada.get("/t/acme/activity").await;
    for words in ["Reranker chosen: plain", "Reranker removed: plain"] {
        assert!(activity.text().contains(words), "{words}");
    }
}
