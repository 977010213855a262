//! Large and odd things: they are taken or refused, and hold nobody up.

use std::time::{Duration, Instant};

use callslip::{
    audit::Origin,
    documents::Upload,
    search::{Fetch, Reference, Target},
};
use sqlx::PgPool;

use super::Shelf;

/// A file of headings alone, five bytes each, is read in one pass and apart from other work.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_of_headings_holds_nobody_up(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let text = "# a\n".repeat(100_000);
    let mut others = 0;
    let upload = shelf.upload("headings.md", text.as_bytes());
    tokio::pin!(upload);
    let report = loop {
        tokio::select! {
            report = &mut upload => break report,
            () = tokio::time::sleep(Duration::from_millis(20)) => others += 1,
        }
    };
    assert_eq!((report.added, report.failed.len()), (1, 0), "{report:?}");
    assert!(others > 3, "others had {others} turns");
}

/// The passage that was found is in what is fetched, however far down it is.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_passage_far_down_is_fetched(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let mut text = "Nothing is said here of any animal at all.\n\n".repeat(10_000);
    text.insert_str(300_000 / 44 * 44, "The quokka smiles at dusk.\n\n");
    shelf.upload("long.txt", text.as_bytes()).await;
    let hit = shelf.ask("quokka").await.remove(0);
    let found = shelf.fetched(&hit.id).await;
    assert!(found.text.contains("The quokka smiles at dusk."));
    assert!(found.range.start > 0 && found.next.is_some());
    assert!(found.text.chars().count() < 100_000);
    assert!(found.metadata["characters"].ends_with(" of 440026"), "{:?}", found.metadata);
    assert_eq!(found.metadata["truncated"], "true");

    // The document by itself starts where it starts.
    let mut reference = Reference::parse(&hit.id).unwrap();
    let Target::Builtin { document, .. } = reference.document else { panic!("not builtin") };
    reference.document = Target::Builtin { document, chunk: 0 };
    let found = shelf.fetched(&reference.to_string()).await;
    assert!(found.text.starts_with("Nothing is said"));
    assert!(found.metadata["characters"].starts_with("1-"));

    // A passage that no document has.
    for chunk in [1_000_000, u32::MAX] {
        reference.document = Target::Builtin { document, chunk };
        assert!(matches!(shelf.fetch(&reference.to_string()).await, Fetch::Found(_)), "{chunk}");
    }
}

/// A word of every passage takes about as long as a word of one: passages are counted once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_common_word_is_found_as_quickly_as_a_rare_one(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let filler =
        "They sleep in the sun and wait for somebody to open the door to them. ".repeat(14);
    let text: String =
        (0..4_500).map(|n| format!("# Section {n}\n\nCats {n} stay. {filler}\n\n")).collect();
    let text = text + "# Last\n\nThe quokka smiles.";
    let report = shelf.upload("cats.md", text.as_bytes()).await;
    assert_eq!(report.added, 1, "{report:?}");
    let mut took = Vec::new();
    for question in ["quokka", "cats"] {
        shelf.ask(question).await;
        let started = Instant::now();
        assert_eq!(shelf.ask(question).await.len(), 1);
        took.push(started.elapsed());
    }
    assert!(took[1] < took[0] * 20 + Duration::from_millis(200), "{took:?}");
}

/// A tenant that is nearly full fills up within one file of records, and no further.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn records_count_against_the_tenants_limit(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let record = |n: usize| format!("{{\"_id\":\"{n}\",\"text\":\"Animal {n}.\"}}\n");
    shelf.upload("first.jsonl", record(0).as_bytes()).await;
    sqlx::query!(
        "insert into documents
         select tenant_id, gen_random_uuid(), vector_store_id, 'copy:' || n, title, url, metadata,
                media_type, sha256(n::text::bytea), byte_size, char_count, uploaded_by, created_at,
                updated_at
           from documents cross join generate_series(1, 9996) n"
    )
    .execute(&pool)
    .await
    .unwrap();
    let lines: String = (0..8).map(record).collect();
    let report = shelf.upload("rest.jsonl", lines.as_bytes()).await;
    assert_eq!((report.added, report.unchanged, report.failed.len()), (3, 1, 1), "{report:?}");
    assert!(report.failed[0].reason.contains("full"), "{report:?}");
    assert_eq!(report.failed[0].source, "rest.jsonl:5");
}

/// What the audit says of an upload names the request and where it came from.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_uploads_event_names_its_request(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let request = uuid::Uuid::now_v7();
    let upload = Upload {
        file_name: "a.txt".to_owned(),
        content: b"About zebras".to_vec().into(),
        uploaded_by: None,
        origin: Origin { request: Some(request), address: "192.0.2.0/24".to_owned() },
    };
    shelf.app.ingest(shelf.scope, shelf.store, upload).await;
    let event = sqlx::query!(
        r#"select request_id as "request!", address as "address!"
             from audit_events where kind = 'document.stored'"#
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(event.request.parse(), Ok(request));
    assert_eq!(event.address, "192.0.2.0/24");
}
