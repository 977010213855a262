//! Stores that are too large to be looked at passage by passage: their index in memory.

use std::time::Duration;

use callslip::{
    db::Class,
    documents,
    search::{
        near::{Limits, Near},
        recall,
    },
};
use serde_json::json;
use sqlx::PgPool;

use super::{Shelf, models::model};
use crate::support::{TestApp, embeddings_fake::Embeddings, model_folder};

/// A store of 300 passages about as many birds, with the least size of a large one set to 100.
async fn large(pool: &PgPool) -> (Shelf, Near) {
    let app = TestApp::with(pool, &[("CALLSLIP_MODEL_DIR", model_folder())]).await;
    let mut shelf = Shelf::of(app, "acme", &[]).await;
    let near =
        Near::new(Limits { least_chunks: 100, least_age: Duration::ZERO, ..Limits::default() });
    let mut parts = shelf.app.parts.clone();
    parts.near = near.clone();
    shelf.search = parts.search(Class::Tool);
    let lines: Vec<String> = (0..300)
        .map(|n| {
            let text = format!("Ring {n}x{n} was put on the heron of pond {} in spring.", n % 17);
            json!({ "_id": format!("{n}"), "title": format!("Ring {n}"), "text": text }).to_string()
        })
        .collect();
    let report = shelf.upload("rings.jsonl", lines.join("\n").as_bytes()).await;
    assert_eq!(report.added, 300, "{report:?}");
    // Half of them: the others are found by their words.
    for _ in 0..19 {
        shelf.importer.embed_waiting().await.unwrap();
    }
    (shelf, near)
}

/// Loaded by the first question, and the same answers as before, at the end what changed since too.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_index_answers_as_the_table_does(pool: PgPool) {
    let (shelf, near) = large(&pool).await;
    let questions = ["ring 17x17", "the heron of pond 5", "\"on the heron of pond 3\"", "herno"];
    let mut exact = Vec::new();
    for question in questions {
        exact.push(shelf.ask(question).await);
    }
    shelf.search.compare(shelf.scope, shelf.store, 1).await.unwrap();
    assert!(near.holds(shelf.scope, shelf.store));
    for (question, exact) in questions.into_iter().zip(&exact) {
        assert_eq!(&shelf.ask(question).await, exact, "{question}");
    }

    // What comes, changes, is embedded and goes after that is answered as it is now.
    let added = shelf.upload("new.txt", b"The ospreys came back to the lake in April.").await;
    assert!(shelf.ask("ospreys").await[0].snippet.contains("ospreys"));
    let changed = json!({ "_id": "17", "title": "Ring 17", "text": "It was lost at sea, zq9." });
    shelf.upload("rings.jsonl", changed.to_string().as_bytes()).await;
    assert_eq!(shelf.titles("zq9").await[0], "Ring 17");
    assert_ne!(shelf.titles("17x17").await.first().map(String::as_str), Some("Ring 17"));
    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    documents::store::delete(&mut tx, added.last.unwrap()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert!(shelf.ask("ospreys").await.iter().all(|hit| !hit.snippet.contains("ospreys")));
    while shelf.importer.embed_waiting().await.unwrap() > 0 {}
    assert_eq!(shelf.titles("which ring did they lose in the ocean?").await[0], "Ring 17");
}

/// [I-25] What is deleted leaves the memory too: at the next round the index is loaded without it,
/// and that of a store that is gone is forgotten. What the round measured is kept for the page.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_index_follows_what_is_deleted(pool: PgPool) {
    let (shelf, near) = large(&pool).await;
    let db = shelf.app.db().of(Class::Work);
    shelf.search.compare(shelf.scope, shelf.store, 1).await.unwrap();
    near.keep_up(&db, &shelf.app.clock).await.unwrap();
    let measured = async || {
        let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
        recall(&mut tx, shelf.store).await.unwrap()
    };
    let found = measured().await.unwrap();
    assert!(found.recall > 0.95 && found.chunks == 300 && found.questions == 20, "{found:?}");

    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    for id in
        sqlx::query_scalar!("select id from documents limit 100").fetch_all(&pool).await.unwrap()
    {
        documents::store::delete(&mut tx, id.into()).await.unwrap().unwrap();
    }
    tx.commit().await.unwrap();
    near.keep_up(&db, &shelf.app.clock).await.unwrap();
    assert_eq!(measured().await.unwrap().chunks, 200);

    sqlx::query!("delete from tenants").execute(&pool).await.unwrap();
    near.keep_up(&db, &shelf.app.clock).await.unwrap();
    assert!(!near.holds(shelf.scope, shelf.store));
}

/// An index that misses too much is not asked, and is built anew at the next round.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_poor_index_is_built_anew(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut shelf = Shelf::of(app, "acme", &[]).await;
    let near = Near::new(Limits { least_chunks: 100, ..Limits::default() });
    let mut parts = shelf.app.parts.clone();
    parts.near = near.clone();
    shelf.search = parts.search(Class::Tool);
    let lines: Vec<String> = (0..600)
        .map(|n| json!({ "_id": format!("{n}"), "text": format!("Ring {n}x{n} of pond {}.", n % 60) }))
        .map(|line| line.to_string())
        .collect();
    shelf.upload("rings.jsonl", lines.join("\n").as_bytes()).await;
    // Whatever the index knows of a passage is that of another one since, behind everybody's back.
    let shuffle = async || {
        sqlx::query!(
            "with center as materialized (
               select n, array_agg(random_normal())::real[]::halfvec as v
                 from generate_series(0, 19) n, generate_series(1, 384) group by n)
             update chunk_index index
                set terms = other.terms, embedded_by = 1, embedding = center.v
               from (select document_id, ordinal,
                            lead(terms, 1, terms) over (order by random()) terms,
                            row_number() over (order by random()) % 20 as n
                       from chunk_index) other
               join center using (n)
              where index.document_id = other.document_id and index.ordinal = other.ordinal",
        )
        .execute(&pool)
        .await
        .unwrap();
    };
    let db = shelf.app.db().of(Class::Work);
    let round = async || {
        near.keep_up(&db, &shelf.app.clock).await.unwrap();
        let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
        recall(&mut tx, shelf.store).await.unwrap().unwrap().recall
    };
    shuffle().await;
    shelf.search.compare(shelf.scope, shelf.store, 1).await.unwrap();
    shuffle().await;
    let poor = round().await;
    assert!(poor < 0.95, "{poor}");
    let mended = round().await;
    assert!(mended >= 0.95, "{mended}");
}

/// Where there is no room, the store is answered as ever.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_room_every_passage_is_looked_at(pool: PgPool) {
    let (mut shelf, _) = large(&pool).await;
    let near = Near::new(Limits { least_chunks: 100, most_bytes: 1_000, ..Limits::default() });
    let mut parts = shelf.app.parts.clone();
    parts.near = near.clone();
    shelf.search = parts.search(Class::Tool);
    let compared = shelf.search.compare(shelf.scope, shelf.store, 1).await.unwrap();
    assert!(compared.near.is_empty() && !near.holds(shelf.scope, shelf.store));
    assert_eq!(shelf.titles("ring 17x17").await[0], "Ring 17");
}

/// An index is of one model's embeddings, whichever model that is: where the store goes by another one
/// since, it is not asked.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_index_follows_a_change_of_models(pool: PgPool) {
    let fake = Embeddings::start().await;
    let app = TestApp::with(&pool, &[("CALLSLIP_OUTBOUND_ALLOW", &fake.host)]).await;
    let mut shelf = Shelf::of(app, "acme", &[]).await;
    let limits = Limits { least_chunks: 100, ..Limits::default() };
    let mut parts = shelf.app.parts.clone();
    parts.near = Near::new(limits);
    shelf.search = parts.search(Class::Tool);
    shelf.items(0..500, "acme").await;
    shelf.items(500..520, "zeta").await;
    // Behind everybody's back: the table says that this item has this word, and no index knows it.
    let plant = async |item: usize, word: &str| {
        let body = format!("item {item} of zeta");
        sqlx::query!(
            "update chunk_index index set terms = term_vector($2, 'english')
               from chunks chunk
              where chunk.document_id = index.document_id and chunk.ordinal = index.ordinal
                and chunk.body = $1",
            body,
            word,
        )
        .execute(&pool)
        .await
        .unwrap();
        sqlx::query!(
            "insert into term_frequencies (tenant_id, vector_store_id, term, chunks)
             select tenant_id, id, term_of($1), 1 from vector_stores",
            word,
        )
        .execute(&pool)
        .await
        .unwrap();
    };
    shelf.go_by(model(&fake, "up-8")).await;
    shelf.search.compare(shelf.scope, shelf.store, 1).await.unwrap();
    plant(510, "zqa").await;
    assert!(!shelf.numbers("acme zqa").await.contains(&510), "the index is asked");

    shelf.go_by(model(&fake, "down-8")).await;
    assert_eq!(shelf.numbers("acme zqa").await[0], 510, "and not that of another model");
    parts.near = Near::new(limits);
    shelf.search = parts.search(Class::Tool);
    shelf.search.compare(shelf.scope, shelf.store, 1).await.unwrap();
    plant(511, "zqb").await;
    assert!(!shelf.numbers("acme zqb").await.contains(&511), "its own is");
    assert!(shelf.numbers("item 70?").await.contains(&70));
}
