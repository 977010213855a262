//! What is revoked while a slow store thinks.

use axum::http::StatusCode;
use callslip::{
    audit::Actor,
    db::TenantScope,
    outbound::{Outbound, Policy},
    search::{Reference, Target},
    secret::Secret,
    vector_stores::{Context, Created, NewOpenAi, create_openai},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinHandle;

use super::stage::{Stage, call};
use crate::support::{
    Answer,
    openai_fake::{KEY, Mode, OpenAi, STORE},
};

/// A stage whose grant names a store that can be held up, and what to fetch there.
pub(crate) async fn stage(pool: &PgPool) -> (Stage, OpenAi, String) {
    stage_with(pool, &[]).await
}

/// The same with variables.
pub(super) async fn stage_with(
    pool: &PgPool,
    variables: &[(&str, &str)],
) -> (Stage, OpenAi, String) {
    let fake = OpenAi::start().await;
    let mut all = vec![("CALLSLIP_OUTBOUND_ALLOW", fake.host.as_str())];
    all.extend_from_slice(variables);
    let stage = Stage::with(pool, &all).await;
    let parts = &stage.app.parts;
    let context = Context {
        db: parts.db.clone(),
        clock: parts.clock.clone(),
        outbound: Outbound::new(Policy { allowed: vec![fake.host.clone()], ..Policy::default() }),
        master_key: parts.master_key.clone(),
    };
    let new = NewOpenAi {
        name: "Cloud".to_owned(),
        external_id: STORE.to_owned(),
        base_url: Some(fake.base_url.clone()),
        api_key: Secret::new(KEY.to_owned()),
    };
    #[expect(clippy::disallowed_methods, reason = "the test made the tenant")]
    let scope = TenantScope::proven(stage.tenant);
    let created = create_openai(&context, scope, &Actor::default(), new).await.unwrap();
    let Created::Created(store) = created else { panic!("{created:?}") };
    sqlx::query!(
        "insert into oauth_grant_vector_stores (tenant_id, grant_id, vector_store_id)
         values ($1, $2, $3)",
        stage.tenant.uuid(),
        stage.grant.uuid(),
        store.id.uuid(),
    )
    .execute(pool)
    .await
    .unwrap();
    let document = Target::Outside { file_id: "file-homes1".to_owned() };
    let id = Reference { store: store.id, document }.to_string();
    (stage, fake, id)
}

/// A call that has got as far as the store, and no further.
pub(super) async fn held(
    stage: &Stage,
    fake: &OpenAi,
    token: &str,
    message: &Value,
) -> JoinHandle<Answer> {
    fake.behave(Mode::Held);
    let (stage, token, message) = (stage.clone(), token.to_owned(), message.clone());
    let asked =
        tokio::spawn(async move { stage.send(stage.request_with("/mcp", &token), &message).await });
    fake.arrived().await;
    asked
}

/// [S-08] A token that is revoked while its call runs gets a 401 and nothing of what was found, and
/// the audit says so. There are no subscriptions; for streams see `sse`.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_revoked_meanwhile_is_not_read_any_more(pool: PgPool) {
    let (stage, fake, id) = stage(&pool).await;
    for (tool, arguments) in
        [("search", json!({ "query": "cats" })), ("fetch", json!({ "id": id }))]
    {
        let message = call(tool, arguments);
        let token = stage.token().await;
        let asked = held(&stage, &fake, &token, &message).await;
        stage.app.clock.advance(Duration::seconds(1));
        fake.release();
        let answer = asked.await.unwrap();
        assert!(answer.text().contains("Cats"), "slow, and still allowed: {}", answer.text());

        let asked = held(&stage, &fake, &token, &message).await;
        let fields = [("token", token.as_str()), ("client_id", stage.client_id.as_str())];
        assert_eq!(stage.app.post_form("/oauth/revoke", None, &fields).await.status, 200);
        stage.app.clock.advance(Duration::seconds(1));
        fake.release();
        let answer = asked.await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""));
        let whole = format!("{:?} {}", answer.headers, answer.text()).to_lowercase();
        assert!(!whole.contains("cats") && !whole.contains("homes"), "{whole}");
        let (kind, detail) = stage.events().await.pop().unwrap();
        assert_eq!((kind, &detail["outcome"]), (format!("tool.{tool}"), &json!("revoked")));
        assert_eq!(detail.get("documents"), None);
    }
}

/// The same for a store that its user or admin takes out of the grant: what it said is left out.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_unticked_meanwhile_is_not_read_any_more(pool: PgPool) {
    let (stage, fake, _) = stage(&pool).await;
    let message = call("search", json!({ "query": "cats" }));
    let asked = held(&stage, &fake, &stage.token().await, &message).await;
    sqlx::query!(
        "delete from oauth_grant_vector_stores where grant_id = $1 and vector_store_id <> $2",
        stage.grant.uuid(),
        stage.store.uuid(),
    )
    .execute(&pool)
    .await
    .unwrap();
    stage.app.clock.advance(Duration::seconds(1));
    fake.release();
    let answer = asked.await.unwrap();
    assert_eq!(answer.json()["result"]["isError"], true, "{}", answer.text());
    assert!(!answer.text().contains("Cats"));
}
