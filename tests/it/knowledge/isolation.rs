use callslip::{
    audit::Actor,
    ids::DocumentId,
    search::{Fetch, Reference, Target},
    vector_stores,
};
use sqlx::PgPool;

use super::Shelf;
use crate::support::{TestApp, file};

const CANARY: &str = "The saffron pelican of tenant B keeps its ledger in Trondheim.";

/// [I-01] [I-02] [U-08] Nothing of another tenant is found, fetched, or told to exist.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn another_tenants_documents_do_not_exist(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let a = Shelf::of(app.clone(), "alpha", &[]).await;
    let b = Shelf::of(app, "beta", &[]).await;
    b.upload("b.txt", CANARY.as_bytes()).await;
    a.upload("a.txt", b"The plain sparrow of tenant A.").await;
    let theirs = b.ask(CANARY).await.remove(0);
    assert!(theirs.snippet.contains("saffron pelican"));

    let both = [a.store, b.store];
    for question in [CANARY, "saffron pelican", "ledger Trondheim", "tenant"] {
        let answer = a.search.search(a.scope, &both, question, 20).await.unwrap();
        assert!(answer.hits.iter().all(|hit| hit.store == a.store), "{question}");
        assert!(answer.hits.iter().all(|hit| !hit.snippet.contains("pelican")), "{question}");
        assert!(answer.failures.is_empty(), "a foreign store is not told to exist");
    }
    let id = &theirs.id;
    for spelling in [
        id.clone(),
        id.to_uppercase(),
        format!("{id}="),
        format!(" {id}"),
        format!("{id}A"),
        id[..id.len() - 1].to_owned(),
        format!("https://callslip.example/d/{id}"),
        String::new(),
        theirs.url.clone(),
        "0".repeat(5_000),
        "\0".to_owned(),
    ] {
        let answer = a.search.fetch(a.scope, &both, &spelling, None).await.unwrap();
        assert_eq!(answer, Fetch::NotFound, "{spelling}");
    }
    // Their document under our store's name.
    let Target::Builtin { document, chunk } = Reference::parse(id).unwrap().document else {
        panic!("not builtin");
    };
    let forged = Reference { store: a.store, document: Target::Builtin { document, chunk } };
    assert_eq!(a.fetch(&forged.to_string()).await, Fetch::NotFound);
    let nowhere = Target::Builtin { document: DocumentId::new(), chunk: 0 };
    let nowhere = Reference { store: a.store, document: nowhere };
    assert_eq!(a.fetch(&nowhere.to_string()).await, Fetch::NotFound);

    // The same bytes in both tenants are two documents.
    let copied = a.upload("copy.txt", CANARY.as_bytes()).await;
    assert_eq!((copied.added, copied.unchanged), (1, 0));

    // Nor can one tenant fill or remove another's store.
    let planted = a.app.ingest(a.scope, b.store, file("x.txt", b"planted")).await;
    assert_eq!(planted.failed.len(), 1);
    let mut tx = a.app.db().tenant(a.scope).await.unwrap();
    assert!(!vector_stores::store::delete(&mut tx, b.store).await.unwrap());
    assert!(vector_stores::store::find(&mut tx, b.store).await.unwrap().is_none());
}

/// A store that the grant does not name is neither searched nor fetched from.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_grant_reaches_its_stores_only(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    shelf.upload("a.txt", CANARY.as_bytes()).await;
    let hit = shelf.ask("pelican").await.remove(0);
    let mut tx = shelf.app.db().tenant(shelf.scope).await.unwrap();
    let other =
        vector_stores::create_builtin(&mut tx, &shelf.app.clock, &Actor::default(), "Other")
            .await
            .unwrap();
    let other = other.unwrap().id;
    assert!(
        vector_stores::create_builtin(&mut tx, &shelf.app.clock, &Actor::default(), "Other")
            .await
            .unwrap()
            .is_err()
    );
    tx.commit().await.unwrap();
    for stores in [vec![], vec![other]] {
        let answer = shelf.search.search(shelf.scope, &stores, "pelican", 5).await.unwrap();
        assert!(answer.hits.is_empty());
        let fetched = shelf.search.fetch(shelf.scope, &stores, &hit.id, None).await.unwrap();
        assert_eq!(fetched, Fetch::NotFound);
    }
}

/// [I-26] Questions are data, whatever they look like.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn odd_questions_are_questions(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    shelf.upload("a.txt", b"O'Brien's cats: a C:\\temp\\cats path & more | less ! (cats)").await;
    for question in [
        "cats' ) | (select 1) --",
        "O'Brien",
        "C:\\temp\\cats",
        "a & b | !c <-> 'd':*",
        "'",
        "\\",
        "\0cats\0",
        "",
        "   ",
        "the of and",
        "cats\u{0}",
        "%_",
        "'';drop table documents;--",
    ] {
        shelf.search.search(shelf.scope, &[shelf.store], question, 5).await.unwrap();
    }
    assert_eq!(shelf.ask("O'Brien's \\temp").await.len(), 1);
    shelf.ask(&"cats and homes ".repeat(10_000)).await;
}
