//! Golden questions and questions that were asked in vain.

use callslip::{db::TenantScope, ids::VectorStoreId, tenants::Role};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;

use crate::support::{
    Answer, Assistant, Browser, Terminal, TestApp,
    embeddings_fake::{self, Embeddings},
    reranker_fake::{self, Reranker},
};

const PAGE: &str = "/t/acme/quality";

/// A tenant whose store has three documents.
struct Library {
    app: TestApp,
    scope: TenantScope,
    store: VectorStoreId,
    admin: Browser,
}

impl Library {
    async fn open(pool: &PgPool) -> Self {
        Self::with(pool, &[]).await
    }

    /// With variables of its own.
    async fn with(pool: &PgPool, variables: &[(&str, &str)]) -> Self {
        let app = TestApp::with(pool, variables).await;
        let admin = app.member("acme", "ada", Role::Admin).await.sign_in().await;
        let store = app.store("acme", "Books").await;
        for (name, text) in [
            ("quokka.txt", "The quokka smiles at dusk on Rottnest Island."),
            ("heron.txt", "The heron keeps a ledger of the harbour."),
            ("boiler.txt", "Press the red button of the boiler for ten seconds."),
        ] {
            app.document("acme", store, name, text).await;
        }
        #[expect(clippy::disallowed_methods, reason = "the test made the tenant")]
        let scope = TenantScope::proven(app.tenant("acme").await.id);
        Self { app, scope, store, admin }
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.admin.submit(PAGE, &format!("{PAGE}{path}"), fields).await
    }

    /// What the form offers as answers, best first.
    async fn offered(&mut self, question: &str) -> Vec<String> {
        let page = self.post("/try", &[("question", question)]).await;
        assert_eq!(page.status, 200, "{}", page.text());
        page.attribute("input[name=answer]", "value")
    }

    async fn add(&mut self, question: &str, answer: &str) -> Answer {
        let store = self.store.to_string();
        self.post("", &[("question", question), ("store", &store), ("answer", answer)]).await
    }

    /// A server's next look, a minute on.
    async fn tend(&self) {
        self.app.clock.advance(Duration::minutes(1));
        self.app.app.golden.tend().await.unwrap();
    }

    async fn runs(&self) -> i64 {
        self.app.count("golden_runs where state = 'done'").await
    }

    #[expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]
    async fn sql(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.app.pool).await.unwrap();
    }
}

/// The cells of a table's rows.
fn cells(page: &Answer, table: &str) -> Vec<String> {
    page.select(&format!("#{table} td > span"))
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn questions_are_asked_again_when_what_ranks_has_changed(pool: PgPool) {
    let mut library = Library::open(&pool).await;
    let page = library.admin.get(PAGE).await;
    assert_eq!(page.select(".empty h2"), ["Nothing was measured yet", "Questions are not kept"]);
    let offered = library.offered("Where does the quokka smile?").await;
    let added = library.add("Where does the quokka smile?", &offered[0]).await;
    assert_eq!(added.location(), "/t/acme/quality?notice=question-added");
    let page = library.admin.get(PAGE).await;
    assert!(cells(&page, "questions").contains(&"not asked yet".to_owned()));

    // By itself.
    library.tend().await;
    library.tend().await;
    assert_eq!(library.runs().await, 1, "nothing has changed since");
    let page = library.admin.get(PAGE).await;
    assert_eq!(cells(&page, "numbers"), ["100 %", "100 %", "100 %", "1.00"]);
    assert!(cells(&page, "questions").contains(&"No. 1".to_owned()), "{}", page.text());
    assert!(page.text().contains("nothing to compare it with yet"));

    // It was another ranking that had put it fourth.
    library.sql("update golden_runs set fingerprint = 'ranking 0'").await;
    library.sql("update golden_ranks set rank = 4").await;
    library.tend().await;
    assert_eq!(library.runs().await, 2);
    let page = library.admin.get(PAGE).await;
    let numbers = cells(&page, "numbers");
    assert_eq!(numbers[..2], ["100 % ↑ better than before", "0 %"], "{numbers:?}");
    assert_eq!(numbers[2..4], ["100 %", "100 %"]);
    let ranks = cells(&page, "questions");
    assert_eq!(ranks[1..], ["No. 1 ↑ better than before", "No. 4"], "{ranks:?}");

    // And when somebody asks for it.
    let asked = library.post("/run", &[]).await;
    assert_eq!(asked.location(), "/t/acme/quality?notice=run-asked");
    assert_eq!(library.app.count("golden_runs").await, 3);
}

/// What ranks elsewhere counts too: who orders the best passages anew, and another model's vectors
/// once all of them are there.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn questions_are_asked_again_when_what_ranks_elsewhere_has_changed(pool: PgPool) {
    let (second_look, model) = (Reranker::start().await, Embeddings::start().await);
    let hosts = format!("{},{}", second_look.host, model.host);
    let mut library = Library::with(&pool, &[("CALLSLIP_OUTBOUND_ALLOW", &hosts)]).await;
    let offered = library.offered("Where does the quokka smile?").await;
    library.add("Where does the quokka smile?", &offered[0]).await;
    library.tend().await;
    assert_eq!(library.runs().await, 1);

    let store = format!("/t/acme/vector-stores/{}", library.store);
    let reranker = [
        ("base_url", second_look.base_url.as_str()),
        ("model", "plain"),
        ("api_key", reranker_fake::KEY),
        ("agreed", "yes"),
    ];
    let url = format!("{store}/reranker");
    assert_eq!(library.admin.submit(&store, &url, &reranker).await.status, 303);
    library.tend().await;
    library.tend().await;
    assert_eq!(library.runs().await, 2, "once");
    let page = library.admin.get(PAGE).await;
    let said = page.select("#numbers ~ p").concat() + &page.text();
    let (now, before) = said.split_once("Before:").unwrap();
    assert!(now.contains("Books: reranked by plain at http"), "{said}");
    assert!(!before.contains("reranked by plain") && !said.contains("sk-"), "{said}");

    let up = [
        ("kind", "endpoint"),
        ("base_url", model.base_url.as_str()),
        ("model", "up-8"),
        ("api_key", embeddings_fake::KEY),
        ("agreed", "yes"),
    ];
    let url = format!("{store}/model");
    assert_eq!(library.admin.submit(&store, &url, &up).await.status, 303);
    library.tend().await;
    assert_eq!(library.runs().await, 2, "not while half of the vectors are there");
    while library.app.parts.importer().embed_waiting().await.unwrap() > 0 {}
    library.tend().await;
    library.tend().await;
    assert_eq!(library.runs().await, 3);
    let said = library.admin.get(PAGE).await.text();
    assert!(said.contains("Books: up-8 with 8 dimensions at http"), "{said}");
    let url = format!("{store}/reranker/remove");
    assert_eq!(library.admin.submit(&store, &url, &[]).await.status, 303);
    library.tend().await;
    assert_eq!(library.runs().await, 4);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_answer_that_was_deleted_is_shown_as_such(pool: PgPool) {
    let mut library = Library::open(&pool).await;
    let offered = library.offered("the heron's ledger").await;
    library.add("Who keeps a ledger?", &offered[0]).await;
    library.tend().await;
    let delete = format!("/t/acme/documents/{}/delete", offered[0]);
    assert_eq!(library.admin.submit(PAGE, &delete, &[]).await.status, 303);
    assert_eq!(library.app.count("golden_documents where document_id is not null").await, 0);
    let page = library.admin.get(PAGE).await;
    assert!(page.text().contains("A document that should answer was deleted"));
    library.sql("update golden_runs set fingerprint = 'ranking 0'").await;
    library.tend().await;
    assert!(cells(&library.admin.get(PAGE).await, "questions").contains(&"not asked".to_owned()));
    assert_eq!(library.app.db().orphans().await.unwrap(), []);
    // Another document answers it now.
    let offered = library.offered("boiler").await;
    library.add("Who keeps a ledger?", &offered[0]).await;
    assert_eq!(library.app.count("golden_questions").await, 1);
    let question = library.admin.get(PAGE).await.attribute("#questions form", "action").remove(0);
    assert_eq!(library.admin.submit(PAGE, &question, &[]).await.status, 303);
    assert_eq!(library.app.count("golden_questions").await, 0);
    assert_eq!(library.app.count("golden_ranks").await, 0);
}

/// Who had a run and fell silent has it no more; what they still say of it does not count.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_run_of_a_node_that_is_gone_is_done_by_another(pool: PgPool) {
    let mut library = Library::open(&pool).await;
    let offered = library.offered("quokka").await;
    library.add("quokka", &offered[0]).await;
    library.app.app.golden.want(library.scope).await.unwrap();
    library.app.app.golden.want(library.scope).await.unwrap();
    assert_eq!(library.app.count("golden_runs").await, 1, "one at a time");
    let taken = "update golden_runs set state = 'running', held_by = gen_random_uuid(),
                                        seen_at = created_at";
    library.sql(taken).await;
    let page = library.admin.get(PAGE).await;
    assert!(page.text().contains("asked in a moment"), "{}", page.text());
    assert!(page.select("form[action$='/run'] button").is_empty());
    library.app.app.golden.work(None, &|_, _| ()).await.unwrap();
    assert_eq!(library.runs().await, 0, "somebody is at it");
    library.app.clock.advance(Duration::minutes(2));
    let twin = library.app.twin().await;
    let (one, other) = tokio::join!(
        library.app.app.golden.work(None, &|_, _| ()),
        twin.app.golden.work(None, &|_, _| ()),
    );
    one.and(other).unwrap();
    assert_eq!(library.runs().await, 1);
    assert_eq!(library.app.count("golden_ranks where rank = 1").await, 1);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn questions_come_from_lines_and_from_the_terminal(pool: PgPool) {
    let mut library = Library::open(&pool).await;
    let csv = "question,document\nWho smiles?,quokka.txt\nWho rests?,nobody.txt\n";
    let answer = library.post("/import", &[("csv", csv)]).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("Line 3: there is no such document"), "{}", answer.text());
    assert_eq!(library.app.count("golden_questions").await, 1);
    let wrong = library.post("/import", &[("csv", "alone")]).await;
    assert!(wrong.text().contains("Line 1 does not have"), "{}", wrong.text());
    assert_eq!(wrong.select("textarea[name=csv]"), ["alone"]);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("questions.csv");
    std::fs::write(&file, "What keeps a ledger?;heron.txt;Books\nWho flies?;upload:heron.txt")
        .unwrap();
    let terminal = Terminal::new(&pool);
    let line = format!("golden --tenant acme --import {} --run", file.display());
    let said = terminal.stdout(&line, "", "");
    assert!(said.contains("now: 3 questions: hit rate@1 "), "{said}");
    assert!(said.contains("1\t-\tWhat keeps a ledger?"), "{said}");
    assert!(said.contains("missed\t-\tWho flies?"), "{said}");
    assert_eq!(library.runs().await, 1);
    let none = terminal.refusal("golden --tenant nobody", "", "");
    assert!(none.contains("there is no tenant"), "{none}");
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_does_not_fit_is_refused_in_words(pool: PgPool) {
    let mut library = Library::open(&pool).await;
    let long = "q".repeat(2_001);
    for (question, answer, words) in [
        ("", "", "Type a question"),
        (long.as_str(), "", "Type a question"),
        ("Who?", "", "at least one document"),
        ("Who?", "0196e0a0-0000-7000-8000-000000000000", "at least one document"),
    ] {
        let refused = library.add(question, answer).await;
        assert_eq!(refused.status, 422, "{question:.20}");
        assert!(refused.text().contains(words), "{question:.20}");
    }
    let nowhere = library.post("", &[("question", "Who?"), ("store", "nowhere")]).await;
    assert!(nowhere.text().contains("Choose a builtin vector store"));
    let odd = library.post("/dismiss", &[("fingerprint", "x' or '1'='1")]).await;
    assert_eq!(odd.status, 400);
    assert_eq!(library.app.count("golden_questions").await, 0);
    // A document's own page asks too, for admins.
    let list = library.admin.get("/t/acme/documents").await;
    let document = list.attribute("th a[href^='/d/']", "href").remove(0);
    let page = library.admin.get(&document).await;
    assert_eq!(
        page.attribute("form[action='/t/acme/quality'] input[name=answer]", "value").len(),
        1
    );
    let mut reader = library.app.member("acme", "rob", Role::Reader).await.sign_in().await;
    assert!(!reader.get(&document).await.text().contains("/t/acme/quality"));
}

async fn ask(library: &Library, assistant: &(Assistant, String), tool: &str, args: Value) -> Value {
    let answer = library.app.call_tool("/mcp", &assistant.1, tool, args).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["result"]["structuredContent"].clone()
}

/// [G-05] Only where questions are kept: those that found nothing, and those of which nobody opened
/// what was found.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_was_asked_in_vain_is_listed_until_it_is_put_away(pool: PgPool) {
    let mut library = Library::open(&pool).await;
    let mut reader = library.app.member("acme", "rob", Role::Reader).await.sign_in().await;
    let assistant = library.app.assistant().await;
    let tokens = assistant.tokens(&mut reader, &[]).await;
    let assistant = (assistant, tokens["access_token"].as_str().unwrap().to_owned());
    ask(&library, &assistant, "search", json!({ "query": "before it was kept" })).await;
    library.sql("update tenants set keeps_questions = true").await;
    let page = library.admin.get(PAGE).await;
    assert!(page.select(".empty h2").contains(&"Every question led somewhere".to_owned()));

    for _ in 0..2 {
        ask(&library, &assistant, "search", json!({ "query": "xylophone <b>tuning</b>" })).await;
    }
    ask(&library, &assistant, "search", json!({ "query": "boiler" })).await;
    let found = ask(&library, &assistant, "search", json!({ "query": "quokka" })).await;
    ask(&library, &assistant, "fetch", json!({ "id": found["results"][0]["id"] })).await;
    let page = library.admin.get(PAGE).await;
    let listed = page.select("#unanswered th bdi");
    assert_eq!(listed, ["xylophone <b>tuning</b>", "boiler"], "the quokka was read");
    assert_eq!(page.select("#unanswered th .sub"), ["asked 2 times", "asked 1 time"]);
    let badges = page.select("#unanswered .badge");
    assert_eq!(badges, ["Nothing found", "Nothing opened"]);

    // One is put away, the other becomes a golden question.
    let fingerprint = page.attribute("#unanswered input[name=fingerprint]", "value").remove(0);
    let done = library.post("/dismiss", &[("fingerprint", &fingerprint)]).await;
    assert_eq!(done.location(), "/t/acme/quality?notice=question-dismissed");
    let offered = library.offered("boiler").await;
    library.add("boiler", &offered[0]).await;
    assert!(library.admin.get(PAGE).await.select("#unanswered th bdi").is_empty());

    // Seven days later the text is gone, and so is the line.
    ask(&library, &assistant, "search", json!({ "query": "marimba" })).await;
    assert_eq!(library.admin.get(PAGE).await.select("#unanswered th bdi"), ["marimba"]);
    library.app.clock.advance(Duration::days(8));
    let mut admin = library.app.member("acme", "eva", Role::Admin).await.sign_in().await;
    assert!(admin.get(PAGE).await.select("#unanswered th bdi").is_empty());
}
