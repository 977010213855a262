//! Reading on in a long document: ids that are good for one caller, for a while.

use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;

use super::stage::Stage;

/// Numbered paragraphs, of more than two answers' length.
fn long() -> String {
    (0..6_000).map(|n| format!("Albatross {n} flies over the harbour at noon.\n\n")).collect()
}

/// A stage with the long document, its id, and the id to read on with.
async fn stage(pool: &PgPool) -> (Stage, String, String) {
    let stage = Stage::new(pool).await;
    stage.upload("long.txt", &long()).await;
    let found = stage.answer("search", json!({ "query": "albatross 3" })).await;
    let document = found["results"][0]["id"].as_str().unwrap().to_owned();
    let read = stage.answer("fetch", json!({ "id": document })).await;
    let id = read["metadata"].get("first_id").unwrap_or(&read["id"]).clone();
    let read = stage.answer("fetch", json!({ "id": id })).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (stage, text(&read["id"]), text(&read["metadata"]["next_id"]))
}

async fn refusal(stage: &Stage, id: &str) -> String {
    let result = stage.call("fetch", json!({ "id": id })).await.json()["result"].clone();
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

/// Part after part the whole document comes, nothing of it twice, under its own id.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_long_document_is_read_to_its_end(pool: PgPool) {
    let (stage, document, _) = stage(&pool).await;
    let (mut id, mut whole, mut parts) = (document.clone(), String::new(), 0);
    loop {
        let read = stage.answer("fetch", json!({ "id": id })).await;
        assert_eq!(read["id"], json!(document));
        let mut text = read["text"].as_str().unwrap();
        if parts > 0 {
            assert!(read["metadata"]["first_id"].is_string());
            text = text.split_once("]\n\n").unwrap().1;
        }
        let next = read["metadata"].get("next_id");
        if next.is_some() {
            text = text.rsplit_once("\n\n[Cut here: ").unwrap().0;
        }
        whole.push_str(text);
        parts += 1;
        match next {
            Some(next) => id = next.as_str().unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(whole.trim_end(), long().trim_end());
    assert_eq!(parts, 3);
    // The audit names the document, whatever id was shown.
    let events = stage.events().await;
    let last = events.iter().rfind(|(kind, _)| kind == "tool.fetch").unwrap();
    assert_eq!(last.1["documents"], json!([document]));
}

/// [H-09] An id to read on with is sealed for its caller, tenant and document: in other hands, and
/// changed in any place, it is no id at all.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_id_to_read_on_with_is_its_callers_alone(pool: PgPool) {
    let (stage, document, next) = stage(&pool).await;
    let unknown = refusal(&stage, "nonsense").await;
    assert!(next.starts_with("more.") && next.len() <= 512 && !next.contains(&document));
    for at in (5..next.len()).step_by(17) {
        let mut changed = next.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(refusal(&stage, &changed).await, unknown, "{at}");
    }
    for other in [&next[5..], &next[..next.len() - 1], "more.", "more.AAAA", "more.!"] {
        assert_eq!(refusal(&stage, other).await, unknown, "{other}");
    }
    // Another tenant's user; and in the same tenant another grant, another user's at that.
    let stranger = Stage::on(stage.app.clone()).await;
    assert_eq!(refusal(&stranger, &next).await, unknown);
    let colleague = stage.colleague(&stranger).await;
    let read = colleague.answer("fetch", json!({ "id": document })).await;
    assert!(read["metadata"]["next_id"].is_string(), "the document itself is theirs to read");
    assert_eq!(refusal(&colleague, &next).await, unknown);
    // It still is its caller's.
    stage.answer("fetch", json!({ "id": next })).await;
}

/// [H-09] It is good for ten minutes, and what it opens is asked anew each time.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_id_to_read_on_with_is_no_leave(pool: PgPool) {
    let (stage, document, next) = stage(&pool).await;
    stage.app.clock.advance(Duration::minutes(9));
    stage.answer("fetch", json!({ "id": next })).await;
    stage.app.clock.advance(Duration::minutes(1));
    assert!(refusal(&stage, &next).await.contains("ten minutes"));

    // What was read has changed: it is said, and not glued together.
    let read = stage.answer("fetch", json!({ "id": document })).await;
    let next = read["metadata"]["next_id"].as_str().unwrap().to_owned();
    stage.upload("long.txt", &long().replace("noon", "dusk")).await;
    assert!(refusal(&stage, &next).await.contains("has changed"));

    let read = stage.answer("fetch", json!({ "id": document })).await;
    let next = read["metadata"]["next_id"].as_str().unwrap().to_owned();
    sqlx::query("delete from oauth_grant_vector_stores where grant_id = $1")
        .bind(stage.grant.uuid())
        .execute(&pool)
        .await
        .unwrap();
    let unknown = refusal(&stage, "nonsense").await;
    assert_eq!(refusal(&stage, &next).await, unknown);
}
