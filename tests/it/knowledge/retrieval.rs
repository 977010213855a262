//! The right passage: by words, by meaning, by name, and whatever other tenants have.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use super::Shelf;
use crate::support::{TestApp, model_folder};

async fn with_model(pool: &PgPool, slug: &str) -> Shelf {
    let app = TestApp::with(pool, &[("CALLSLIP_MODEL_DIR", model_folder())]).await;
    Shelf::of(app, slug, &[]).await
}

impl Shelf {
    /// Documents by their titles.
    pub(super) async fn shelve<'a>(&self, documents: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let lines: Vec<String> = documents
            .into_iter()
            .map(|(title, text)| json!({ "_id": title, "title": title, "text": text }).to_string())
            .collect();
        let report = self.upload("shelf.jsonl", lines.join("\n").as_bytes()).await;
        assert!(report.failed.is_empty(), "{report:?}");
        while self.importer.embed_waiting().await.unwrap() > 0 {}
    }

    pub(super) async fn titles(&self, question: &str) -> Vec<String> {
        self.ask(question).await.into_iter().map(|hit| hit.title).collect()
    }
}

const HOUSEHOLD: [(&str, &str); 6] = [
    ("Kittens", "A young cat should stay with its mother for twelve weeks before it is sold."),
    ("Broth", "Simmer the bones for six hours, skim the fat, and season at the very end."),
    ("Leave", "Employees may take thirty days of paid vacation in each calendar year."),
    ("Boiler", "If the burner goes out, press the red button and hold it for ten seconds."),
    ("Taxes", "The return is due by the end of July; an extension must be asked for in writing."),
    ("Cycling", "Oil the chain every two hundred kilometres and check the brakes before a tour."),
];

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_said_in_other_words_is_found(pool: PgPool) {
    let shelf = with_model(&pool, "acme").await;
    shelf.shelve(HOUSEHOLD).await;
    for (question, expected) in [
        ("how much holiday do I get?", "Leave"),
        ("at what age can a pet be given away", "Kittens"),
        ("heating does not work", "Boiler"),
        ("recipe for soup", "Broth"),
        ("bicycle maintenance", "Cycling"),
    ] {
        assert_eq!(shelf.titles(question).await[0], expected, "{question}");
    }
}

/// The same question, words alone: what has them is found, and the rest is not an answer.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_a_model_words_are_found(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    shelf.shelve(HOUSEHOLD).await;
    assert_eq!(shelf.titles("which vacations are paid?").await, ["Leave"]);
    assert!(shelf.titles("holiday").await.is_empty());
    assert!(shelf.titles("the of and").await.is_empty());
}

/// A name stands apart from names that differ in one digit, and is found whole: with a model, to
/// which they all look the same, and without.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn names_with_digits_and_signs_are_found_exactly(pool: PgPool) {
    let plain = Shelf::new(&pool).await;
    let meant = with_model(&pool, "zeta").await;
    let invoices: Vec<(String, String)> = (100..130)
        .map(|n| {
            let (title, name) = (format!("Invoice {n}"), format!("INV-2024-{n}"));
            (title, format!("{name} was sent to the customer and paid within thirty days."))
        })
        .collect();
    let functions = [
        ("Sorting", "Call sort_unstable_by when equal elements may be swapped."),
        ("Stable", "Call sort_by when the order of equal elements counts."),
        ("Paths", "std::fs::read_to_string reads a whole file."),
        ("Dates", "On 2023-11-04 the office was closed."),
        ("Other dates", "On 2023-04-11 the office was closed."),
    ];
    for shelf in [&plain, &meant] {
        shelf.shelve(invoices.iter().map(|(title, text)| (&**title, &**text))).await;
        shelf.shelve(functions).await;
        for (question, expected) in [
            ("INV-2024-113", "Invoice 113"),
            ("was inv-2024-127 paid?", "Invoice 127"),
            ("sort_by", "Stable"),
            ("what does sort_unstable_by do", "Sorting"),
            ("std::fs::read_to_string", "Paths"),
            ("what happened on 2023-04-11", "Other dates"),
        ] {
            assert_eq!(shelf.titles(question).await[0], expected, "{question}");
        }
    }
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_phrase_in_quotes_is_found_word_for_word(pool: PgPool) {
    let shelf = with_model(&pool, "acme").await;
    let homes = "Cats are attached to homes, homes are attached to cats, and home is home to cats.";
    shelf
        .shelve([
            ("Words", homes),
            ("Phrase", "It was said of an old tom that he was homes\n to cats, which nobody knew."),
            ("Neither", "Dogs follow people."),
        ])
        .await;
    assert_eq!(shelf.titles("homes to cats").await[0], "Words");
    assert_eq!(shelf.titles("who was \"Homes to   cats\"?").await[0], "Phrase");
    assert_eq!(shelf.titles("who was \u{201c}homes to cats\u{201d}?").await[0], "Phrase");
}

/// [I-18] Another tenant's store grows a hundredfold, with the very words of the question: the
/// answers stay what they were, to the last id and snippet, and so does every number behind them.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_other_tenants_have_changes_no_answer(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_MODEL_DIR", model_folder())]).await;
    let ours = Shelf::of(app.clone(), "acme", &[]).await;
    let theirs = Shelf::of(app, "zeta", &[]).await;
    ours.shelve(HOUSEHOLD).await;
    theirs.shelve(HOUSEHOLD).await;
    let questions = [
        "how much holiday do I get?",
        "paid vacation",
        "press the red button",
        "cat \"red button\"",
    ];
    let mut before = Vec::new();
    for question in questions {
        before.push(ours.ask(question).await);
    }
    // The vectors of a hundred times as much need not be made for this: they are copied.
    sqlx::query!(
        "with copied as (
           insert into documents (tenant_id, id, vector_store_id, source_key, title, metadata,
                                  media_type, content_hash, byte_size, char_count, created_at,
                                  updated_at)
           select tenant_id, gen_random_uuid(), vector_store_id, source_key || '#' || n, title,
                  metadata, media_type, sha256((source_key || n)::bytea), byte_size, char_count,
                  created_at, updated_at
             from documents, generate_series(1, 100) n
            where tenant_id = $1
           returning tenant_id, id, source_key)
         insert into chunk_index
         select index.tenant_id, index.vector_store_id, copied.id, index.ordinal, embedded_by,
                embedding, terms
           from copied
           join documents original
             on original.tenant_id = copied.tenant_id
            and original.source_key = split_part(copied.source_key, '#', 1)
           join chunk_index index on index.document_id = original.id",
        theirs.scope.tenant_id().uuid(),
    )
    .execute(&pool)
    .await
    .unwrap();
    for (question, before) in questions.into_iter().zip(before) {
        assert_eq!(ours.ask(question).await, before, "{question}");
    }
}

/// [I-24] A document that another tenant has is a new one here, and takes as long as any: nothing
/// is found again by its content, neither the file nor its vectors.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_another_tenant_has_is_taken_in_anew(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_MODEL_DIR", model_folder())]).await;
    let theirs = Shelf::of(app.clone(), "acme", &[]).await;
    let ours = Shelf::of(app, "zeta", &[]).await;
    let text = |n: usize| {
        let line =
            format!("In year {n} the harbour office kept its ledger of pelicans and gulls. ");
        line.repeat(120)
    };
    let quickest = async |numbers: [usize; 3]| {
        let mut quickest = Duration::MAX;
        for n in numbers {
            let started = Instant::now();
            let report = ours.upload(&format!("ours-{n}.txt"), text(n).as_bytes()).await;
            quickest = quickest.min(started.elapsed());
            assert_eq!((report.added, report.unchanged), (1, 0), "{report:?}");
        }
        quickest
    };
    for n in [1, 2, 3] {
        theirs.upload(&format!("theirs-{n}.txt"), text(n).as_bytes()).await;
    }
    let (new, known) = (quickest([7, 8, 9]).await, quickest([1, 2, 3]).await);
    // What was found again would take a tenth: neither read nor embedded.
    assert!(known * 3 > new, "{known:?} for what they have, {new:?} for what nobody has");
}
