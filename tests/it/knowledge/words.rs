//! Words in every language, misspelt ones, and filters over what is said of documents.

use serde_json::json;
use sqlx::PgPool;

use super::Shelf;
use callslip::search::Filter;

/// In each language: a document, and a question that has its words in other forms.
const LANGUAGES: [(&str, &str, &str, &str); 9] = [
    (
        "Urlaub",
        "german",
        "Die Beschäftigten haben in jedem Jahr Anspruch auf dreißig Tage bezahlten Urlaub. Der Antrag \
         muss schriftlich gestellt werden.",
        "schriftliche Anträge",
    ),
    (
        "Chaudière",
        "french",
        "Si le brûleur s'éteint, appuyez sur le bouton rouge et maintenez-le pendant dix secondes avant \
         d'appeler le technicien.",
        "les boutons rouges des brûleurs",
    ),
    (
        "Impuestos",
        "spanish",
        "La declaración debe presentarse antes del final de julio; las prórrogas se solicitan por \
         escrito a la oficina de los impuestos.",
        "¿cómo solicitar una prórroga de declaraciones?",
    ),
    (
        "Велосипед",
        "russian",
        "Смазывайте цепь велосипеда каждые двести километров и проверяйте тормоза перед каждой \
         длинной поездкой.",
        "проверка тормозов велосипедов",
    ),
    (
        "الإجازة",
        "arabic",
        "يحق للموظفين الحصول على ثلاثين يوما من الإجازة المدفوعة في كل سنة، ويجب تقديم الطلب كتابة إلى \
         المدير.",
        "إجازات الموظف",
    ),
    (
        "छुट्टी",
        "hindi",
        "कर्मचारियों को हर साल तीस दिन की सवैतनिक छुट्टियाँ मिलती हैं। आवेदन लिखित रूप में देना होता है।",
        "कर्मचारी की छुट्टी",
    ),
    (
        "会議室",
        "simple",
        "会議室は三階にあります。予約は総務部の窓口で受け付けています。鍵は使い終わったら返してください。",
        "予約の窓口",
    ),
    (
        "年假",
        "simple",
        "员工每年可以享受三十天的带薪休假。申请必须提前两周以书面形式提交给主管。",
        "书面申请",
    ),
    ("ลาพักร้อน", "simple", "พนักงานมีสิทธิลาพักร้อนได้สามสิบวันต่อปี และต้องยื่นใบลาล่วงหน้าสองสัปดาห์", "ยื่นใบลา"),
];

/// All in one store, without a model: whoever asks in a language hears what is written in it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_language_is_found_by_other_forms_of_its_words(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let english = [
        ("Vacation", "Employees may take thirty days of paid vacation in each calendar year."),
        ("The war", "The war was long, and the letters of the soldiers were read at home."),
    ];
    shelf.shelve(english).await;
    shelf.shelve(LANGUAGES.map(|(title, _, text, _)| (title, text))).await;
    for (title, language, _, question) in LANGUAGES {
        assert_eq!(shelf.titles(question).await[0], title, "{language}: {question}");
        let found = sqlx::query_scalar!("select language from documents where title = $1", title)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(found, language, "{title}");
    }
    // One letter of a script without spaces is a question too.
    assert_eq!(shelf.titles("鍵").await, ["会議室"]);
    // English as ever, and no stop word of it finds what is in another language.
    assert_eq!(shelf.titles("who took vacations?").await, ["Vacation"]);
    assert_eq!(shelf.titles("the wars").await, ["The war"]);
    let hits = shelf.ask("予約の窓口").await;
    assert!(hits[0].snippet.contains("予約は総務部の窓口"), "{hits:?}");
}

/// A document that changes its language changes what finds it, and nothing is counted twice or left.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_document_that_changes_its_language_is_counted_anew(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let german = "Die Häuser der alten Stadt stehen leer, und niemand weiß, wem sie noch gehören.";
    let english = "The houses of the old town are empty, and nobody knows to whom they belong now.";
    for text in [german, english, german] {
        shelf.upload("town.txt", text.as_bytes()).await;
        let found = sqlx::query_scalar!("select language from documents").fetch_one(&pool).await;
        assert_eq!(found.unwrap() == "german", text == german);
        assert_eq!(super::index::miscounted(&pool).await.0, 0);
        assert_eq!(shelf.ask("in welchen Städten").await.len(), usize::from(text == german));
        assert_eq!(shelf.ask("to whom do they belong").await.len(), usize::from(text == english));
    }
    let wordless = sqlx::query_scalar!(
        r#"select count(*) as "n!" from term_frequencies where word like 'hous%'"#
    );
    assert_eq!(wordless.fetch_one(&pool).await.unwrap(), 0, "no word stays that nobody wrote");
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_misspelt_word_finds_what_was_meant_and_only_here(pool: PgPool) {
    let ours = Shelf::new(&pool).await;
    let theirs = Shelf::of(ours.app.clone(), "zeta", &[]).await;
    ours.shelve([
        ("Leave", "Employees may take thirty days of paid vacation in each calendar year."),
        ("Receipts", "Whoever receives a parcel signs the receipt and keeps a copy of it."),
        ("Wartung", "Die Überwachung der Heizung gehört zur Wartung, die jedes Jahr fällig ist."),
    ])
    .await;
    theirs
        .shelve([("Secret", "The Zanzibar merger is confidential until the board has met.")])
        .await;
    for (question, expected) in [
        ("vacaton", "Leave"),
        ("recieve a parcle", "Receipts"),
        ("employes on vaccation", "Leave"),
        ("Heizungsüberwachng oder Überwachng", "Wartung"),
    ] {
        let titles = ours.titles(question).await;
        assert_eq!(titles.first().map(String::as_str), Some(expected), "{question}: {titles:?}");
    }
    // What is spelt right is not looked for in other spellings, and what is far from all is nothing.
    assert!(ours.titles("holiday").await.is_empty());
    assert!(ours.titles("xylophone").await.is_empty());
    // Another tenant's words are nobody's suggestions.
    assert!(ours.titles("Zanzibr").await.is_empty());
    assert_eq!(theirs.titles("Zanzibr").await, ["Secret"]);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn filters_let_through_what_they_say(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let lines = [
        json!({ "_id": "a", "title": "A", "text": "The heron report of the first year.",
                "metadata": { "shelf": "blue", "year": "2021", "date": "2021-05-01" } }),
        json!({ "_id": "b", "title": "B", "text": "The heron report of the second year.",
                "metadata": { "shelf": "red", "year": "2022", "final": "true" } }),
        json!({ "_id": "c", "title": "C", "text": "Der Bericht über die heron Kolonie liegt nun vor, \
                und alle haben ihn gelesen.", "metadata": { "shelf": "red" } }),
    ];
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let report = shelf.upload("shelf.jsonl", lines.join("\n").as_bytes()).await;
    assert_eq!(report.added, 3, "{report:?}");
    let eq =
        |key: &str, value: serde_json::Value| json!({ "type": "eq", "key": key, "value": value });
    for (filter, expected) in [
        (eq("shelf", json!("red")), "BC"),
        (json!({ "type": "ne", "key": "shelf", "value": "red" }), "A"),
        (json!({ "type": "gte", "key": "year", "value": 2022 }), "B"),
        (json!({ "type": "lt", "key": "date", "value": "2021-06-01" }), "A"),
        (json!({ "type": "in", "key": "shelf", "value": ["blue", "green"] }), "A"),
        (json!({ "type": "nin", "key": "shelf", "value": ["blue", "green"] }), "BC"),
        (eq("final", json!(true)), "B"),
        (eq("language", json!("german")), "C"),
        (eq("no such key", json!("x")), ""),
        (json!({ "type": "gt", "key": "created_at", "value": 0 }), "ABC"),
        (
            json!({ "type": "and", "filters": [eq("shelf", json!("red")), eq("year", json!(2022))] }),
            "B",
        ),
        (
            json!({ "type": "or", "filters": [eq("year", json!(2021)), eq("year", json!(2022))] }),
            "AB",
        ),
        (eq("shelf", json!("red\" || true || \"")), ""),
    ] {
        let parsed = Filter::parse(&filter).unwrap();
        let within = (10, Some(&parsed));
        let answer = shelf.search.search_within(shelf.scope, &[shelf.store], "heron", within).await;
        let mut titles: Vec<String> =
            answer.unwrap().hits.into_iter().map(|hit| hit.title).collect();
        titles.sort();
        assert_eq!(titles.concat(), expected, "{filter}");
    }
}
