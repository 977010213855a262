//! What is searched, and what is counted for it, follows the documents.

use std::time::Duration;

use callslip::{db::Class, documents, vector_stores};
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::Shelf;
use crate::support::{TestApp, file, model_folder};

/// The counted terms that are not what a count now says, and how many there are.
pub(super) async fn miscounted(pool: &PgPool) -> (i64, i64) {
    let row = sqlx::query!(
        r#"
        with counted as (
          select tenant_id, vector_store_id, term, count(*)::integer as chunks
            from chunk_index, lateral (select terms_in(terms) union all select 0) as has (term)
           group by tenant_id, vector_store_id, term)
        select count(*) filter (where known.chunks is distinct from counted.chunks) as "wrong!",
               count(known.*) as "known!"
          from counted full join term_frequencies known using (tenant_id, vector_store_id, term)
        "#
    )
    .fetch_one(pool)
    .await
    .unwrap();
    (row.wrong, row.known)
}

/// How many rows of a tenant's knowledge there are: of documents, texts, chunks, what is searched,
/// what is counted and what waits.
async fn rows(pool: &PgPool) -> Vec<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from documents union all select count(*) from document_texts
           union all select count(*) from chunks union all select count(*) from chunk_index
           union all select count(*) from term_frequencies
           union all select count(*) from embedding_backlog"#
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Give the tables to a role that row-level security holds, as in an installation; here the owner is
/// a superuser otherwise.
async fn let_a_plain_role_own_the_tables(pool: &PgPool) {
    sqlx::raw_sql(
        "do $$
         declare name text;
         begin
           begin
             create role callslip_test_owner nologin;
           exception when duplicate_object or unique_violation then null;
           end;
           grant usage on schema public to callslip_test_owner;
           grant execute on all functions in schema public to callslip_test_owner;
           for name in select relname from pg_class
                        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
                          and not relispartition and relname <> '_sqlx_migrations' loop
             execute format('alter table %I owner to callslip_test_owner', name);
           end loop;
           for name in select relname from pg_class where relispartition and relkind = 'r' loop
             execute format('alter table %I owner to callslip_test_owner', name);
           end loop;
         end $$",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// [I-25] What is deleted is out of search at once, and out of chunks, vectors and what was counted:
/// as if it had never been there.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_deleted_leaves_nothing(pool: PgPool) {
    let_a_plain_role_own_the_tables(&pool).await;
    let app = TestApp::with(&pool, &[("CALLSLIP_MODEL_DIR", model_folder())]).await;
    let shelf = Shelf::of(app, "acme", &[]).await;
    shelf.upload("kept.txt", b"The plain sparrow keeps a nest.").await;
    let before = rows(&pool).await;
    let mut text = "The saffron pelican keeps its ledger in Trondheim.".to_owned();
    for n in 0..300 {
        text.push_str(&format!("\n\nParagraph {n} of the canary sings of order {n} and no other."));
    }
    let id = shelf.upload("canary.txt", text.as_bytes()).await.last.unwrap();
    assert!(rows(&pool).await[3] > before[3] + 5);
    assert_eq!(miscounted(&pool).await.0, 0);
    let hits = shelf.ask("saffron pelican").await;
    assert!(hits[0].title.contains("saffron pelican"), "{hits:?}");

    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    documents::store::delete(&mut tx, id).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(rows(&pool).await, before);
    assert_eq!(miscounted(&pool).await.0, 0);
    let hits = shelf.ask("saffron pelican ledger in Trondheim").await;
    assert!(hits.iter().all(|hit| hit.snippet.contains("sparrow")), "{hits:?}");

    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    assert!(vector_stores::store::delete(&mut tx, shelf.store).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(rows(&pool).await, [0; 6]);
    // A tenant goes with everything.
    let other = Shelf::of(shelf.app.clone(), "zeta", &[]).await;
    other.upload("kept.txt", b"The plain sparrow keeps a nest.").await;
    sqlx::query!("delete from tenants where id = $1", other.scope.tenant_id().uuid())
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(rows(&pool).await, [0; 6]);
}

/// Whoever may remove tenants and nothing inside them leaves nothing either.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_tenant_that_the_control_plane_removes_leaves_nothing(pool: PgPool) {
    let_a_plain_role_own_the_tables(&pool).await;
    let shelf = Shelf::new(&pool).await;
    shelf.upload("a.txt", b"The plain sparrow keeps a nest.").await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("grant select, delete on tenants to app_control; set local role app_control")
        .execute(&mut *tx)
        .await
        .unwrap();
    let gone = sqlx::query!("delete from tenants").execute(&mut *tx).await.unwrap();
    assert_eq!(gone.rows_affected(), 1);
    tx.commit().await.unwrap();
    assert_eq!(rows(&pool).await, [0; 6]);
}

/// Many at once into one store, with the same words in other orders, some replacing what is there.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn documents_that_come_at_once_are_counted_right(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    shelf.upload("0.txt", b"heron finch crane egret").await;
    let words = ["heron", "finch", "crane", "egret", "stork", "raven"];
    let mut race = JoinSet::new();
    for n in 0..16 {
        let mut text: Vec<&str> = words.iter().cycle().skip(n).take(6).copied().collect();
        if n % 2 == 0 {
            text.reverse();
        }
        let text = format!("{} {n}", text.join(" ").repeat(n + 1));
        let upload = file(&format!("{}.txt", n % 8), text.as_bytes());
        let (app, scope, store) = (shelf.app.clone(), shelf.scope, shelf.store);
        race.spawn(async move { app.ingest(scope, store, upload).await });
    }
    for report in race.join_all().await {
        assert!(report.failed.is_empty(), "{report:?}");
    }
    assert_eq!(rows(&pool).await[0], 8);
    let (wrong, known) = miscounted(&pool).await;
    assert!(wrong == 0 && known > 6, "{wrong} of {known}");
}

/// What was imported without a model is embedded once there is one, by two nodes together, and found
/// by its meaning from then on; words find it all the while.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_came_without_a_model_is_embedded_later(pool: PgPool) {
    let early = Shelf::new(&pool).await;
    for n in 0..30 {
        let text = format!("Note {n}: employees may take thirty days of paid vacation.");
        early.upload(&format!("{n}.txt"), text.as_bytes()).await;
    }
    assert_eq!(early.importer.embed_waiting().await.unwrap(), 0, "there is no model yet");
    let waiting = async || {
        sqlx::query_scalar!(r#"select count(*) as "n!" from chunk_index where embedding is null"#)
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    assert_eq!(waiting().await, 30);
    assert_eq!(early.ask("vacation").await.len(), 10);
    assert!(early.ask("holiday").await.is_empty());

    let node = TestApp::with(&pool, &[("CALLSLIP_MODEL_DIR", model_folder())]).await;
    let mut nodes = JoinSet::new();
    for app in [node.clone(), node.twin().await] {
        nodes.spawn(async move {
            let importer = app.parts.importer();
            let mut done = 0;
            while let embedded @ 1.. = importer.embed_waiting().await.unwrap() {
                done += embedded;
            }
            done
        });
    }
    let finished = tokio::time::timeout(Duration::from_secs(60), nodes.join_all());
    assert_eq!(finished.await.unwrap().iter().sum::<usize>(), 30, "none was embedded twice");
    node.parts.importer().embed_waiting().await.unwrap();
    assert_eq!((waiting().await, rows(&pool).await[5]), (0, 0));
    let answer =
        node.parts.search(Class::Tool).search(early.scope, &[early.store], "holiday", 5).await;
    assert_eq!(answer.unwrap().hits.len(), 5);
    assert_eq!(miscounted(&pool).await.0, 0);
}
