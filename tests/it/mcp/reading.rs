//! Who reads far more than usual.

use callslip::{
    ids::DocumentId,
    search::{Reference, Target},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;

use super::{sse::until, stage::Stage};
use crate::support::TestApp;

/// Ids of so many documents of nobody's, or of one in so many passages.
fn ids(stage: &Stage, count: u32, of_one: bool) -> Vec<String> {
    let one = DocumentId::new();
    let reference = |number| {
        let (document, chunk) = if of_one { (one, number) } else { (DocumentId::new(), 0) };
        Reference { store: stage.store, document: Target::Builtin { document, chunk } }.to_string()
    };
    (0..count).map(reference).collect()
}

/// They were fetched so long ago.
async fn have_read(stage: &Stage, ids: &[String], ago: Duration) {
    for some in ids.chunks(50) {
        sqlx::query(
            "insert into audit_events (tenant_id, id, at, kind, user_id, detail)
             values ($1, gen_random_uuid(), $2, 'tool.fetch', $3, $4)",
        )
        .bind(stage.tenant.uuid())
        .bind(stage.app.clock.now() - ago)
        .bind(stage.user.uuid())
        .bind(json!({ "documents": some }))
        .execute(&stage.app.pool)
        .await
        .unwrap();
    }
}

/// Fetch ten documents.
async fn read_ten(stage: &Stage) {
    let texts = (0..10).map(|number| format!("{number}: {}", DocumentId::new()));
    for text in texts {
        stage.upload(&format!("{}.txt", DocumentId::new()), &text).await;
    }
    let documents = sqlx::query_scalar::<_, uuid::Uuid>(
        "select id from documents where tenant_id = $1 order by created_at desc limit 10",
    );
    let documents = documents.bind(stage.tenant.uuid()).fetch_all(&stage.app.pool).await.unwrap();
    assert_eq!(documents.len(), 10);
    for document in documents {
        let document = Target::Builtin { document: document.into(), chunk: 0 };
        let id = Reference { store: stage.store, document }.to_string();
        let answer = stage.call("fetch", json!({ "id": id })).await;
        assert!(answer.json()["result"].get("isError").is_none(), "{}", answer.text());
    }
}

async fn alarms(stage: &Stage) -> Vec<Value> {
    let events = stage.events().await.into_iter();
    events.filter(|(kind, _)| kind == "reading.unusual").map(|(_, detail)| detail).collect()
}

/// [N-10] More than a hundred documents in an hour, and more than three times the user's average:
/// that is on record once, for the tenant's admins to see. Passages of one document are one.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn reading_far_more_than_usual_is_on_record(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "100")]).await;
    let (some, much) = (Duration::minutes(30), Duration::hours(5));
    let calm = Stage::on(app.clone()).await;
    have_read(&calm, &ids(&calm, 90, false), some).await;
    let busy = Stage::on(app.clone()).await;
    have_read(&busy, &ids(&busy, 91, false), some).await;
    have_read(&busy, &ids(&busy, 34, false), much).await;
    let thorough = Stage::on(app.clone()).await;
    have_read(&thorough, &ids(&thorough, 120, true), some).await;
    let greedy = Stage::on(app.clone()).await;
    have_read(&greedy, &ids(&greedy, 100, false), some).await;
    have_read(&greedy, &ids(&greedy, 12, false), much).await;
    have_read(&greedy, &ids(&greedy, 4, false), much * 2).await;
    for stage in [&calm, &busy, &thorough, &greedy] {
        read_ten(stage).await;
    }
    until("it is on record", async || !alarms(&greedy).await.is_empty()).await;
    let greedy_alarms = alarms(&greedy).await;
    assert_eq!(greedy_alarms, [json!({ "documents": 110, "usual": 8 })]);

    // Once an hour, whichever node looks.
    let there = Stage { app: greedy.app.twin().await, ..greedy.clone() };
    read_ten(&there).await;
    read_ten(&greedy).await;
    let role = callslip::tenants::Role::Admin;
    let mut admin = greedy.app.member(&greedy.slug, "grace", role).await.sign_in().await;
    let page = admin.get(&format!("/t/{}/activity?kind=reading.unusual", greedy.slug)).await;
    assert!(page.text().contains("110 documents in an hour, where 8 are usual"), "{}", page.text());
    for (stage, count) in [(&calm, 0), (&busy, 0), (&thorough, 0), (&greedy, 1)] {
        assert_eq!(alarms(stage).await.len(), count);
    }
    // The first page that an admin sees tells of it for a day; a reader's does not.
    let overview = format!("/t/{}", greedy.slug);
    let told = admin.get(&overview).await.select("[data-unusual]");
    assert!(told.len() == 1 && told[0].contains("110 documents in an hour"), "{told:?}");
    let reader = callslip::tenants::Role::Reader;
    let mut reader = greedy.app.member(&greedy.slug, "rob", reader).await.sign_in().await;
    assert!(reader.get(&overview).await.select("[data-unusual]").is_empty());
    greedy.app.clock.advance(Duration::hours(25));
    let mut admin = greedy.app.member(&greedy.slug, "heidi", role).await.sign_in().await;
    assert!(admin.get(&overview).await.select("[data-unusual]").is_empty());
}
