//! The tools, asked by one tenant for what is the other's.

use axum::http::StatusCode;
use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    camp::{Field, VOLUMES, call, in_books},
    rows,
};
use crate::support::ORIGIN;

/// [I-04] A token opens its own tenant's address and no other's.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_token_opens_no_other_address(pool: PgPool) {
    let field = Field::set(&pool).await;
    let oracle = field.oracle().await;
    let (acme, zeta) = (&field.acme, &field.zeta);
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    for (path, token, status) in [
        ("/mcp", &acme.token, 200),
        ("/t/acme/mcp", &acme.own_token, 200),
        ("/t/zeta/mcp", &zeta.own_token, 200),
        ("/t/zeta/mcp", &acme.own_token, 401),
        ("/t/zeta/mcp", &acme.token, 401),
        ("/t/acme/mcp", &zeta.own_token, 401),
        ("/t/acme/mcp", &zeta.token, 401),
        ("/t/nope/mcp", &acme.own_token, 401),
        ("/mcp", &acme.own_token, 401),
    ] {
        for message in [&ping, &call("search", &json!({ "query": "zanary" }))] {
            let answer = field.app.rpc(path, token, &[], message).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {}", answer.text());
            if status == 401 {
                let seen = format!("{:?} {}", answer.headers, answer.text());
                assert_eq!(oracle.find(&seen, ""), None, "{path}");
            }
        }
    }
    // Of an address that nobody has and one of others, the refusals differ in the address alone.
    let refused = async |slug: &str| {
        let answer = field.app.rpc(&format!("/t/{slug}/mcp"), &acme.own_token, &[], &ping).await;
        let challenge = answer.header("www-authenticate").to_owned();
        (answer.text().replace(slug, "…"), challenge.replace(slug, "…"))
    };
    assert_eq!(refused("zeta").await, refused("nope").await);
}

/// [I-01] Every way to write the other tenant's ids, under every name: the answer is that for an
/// id that nothing has, and nothing else.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn no_id_of_the_other_tenant_is_fetched(pool: PgPool) {
    let field = Field::set(&pool).await;
    let before = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    let zeta = &field.zeta;
    let mut ids = vec![
        zeta.volume(0),
        zeta.volume(VOLUMES),
        zeta.file(),
        in_books(field.acme.books, zeta.documents[0]),
        in_books(zeta.books, field.acme.documents[0]),
        in_books(field.acme.cloud, zeta.documents[0]),
        "file-homes1".to_owned(),
        "zanary-key-0".to_owned(),
        "id:zanary-key-0".to_owned(),
        "zzz-zanary-notes.txt".to_owned(),
    ];
    let uuids = rows::uuids(&pool, zeta.tenant.id).await;
    ids.extend(rows::samples(&uuids).into_iter().map(|(_, id)| id.to_string()));
    let fetch = async |id: &str| {
        let message = call("fetch", &json!({ "id": id }));
        let answer = field.app.rpc("/mcp", &field.acme.token, &[], &message).await;
        assert_eq!(answer.status, StatusCode::OK, "{id}");
        answer.text()
    };
    let unknown = fetch(&in_books(field.acme.books, callslip::ids::DocumentId::new())).await;
    let said: Value = serde_json::from_str(&unknown).unwrap();
    assert_eq!(said["result"]["isError"], true);
    for id in &ids {
        for spelling in [
            id.clone(),
            id.to_uppercase(),
            id.to_lowercase(),
            format!("{id}="),
            format!("{id}A"),
            format!("/{id}"),
            format!("../{id}"),
            format!("file:{id}"),
            format!("zeta/{id}"),
            format!("zeta:{id}"),
            format!("{}/{id}", zeta.tenant.id),
            format!("{}:{id}", zeta.books),
            format!("{ORIGIN}/d/{id}"),
            format!("{ORIGIN}/d/{id}#passage"),
            format!("/t/zeta/documents/{id}"),
            format!("{id}?tenant=zeta"),
            format!("{id}%00"),
            id[..id.len() - 1].to_owned(),
            id[1..].to_owned(),
        ] {
            assert_eq!(fetch(&spelling).await, unknown, "{spelling}");
        }
    }
    let after = rows::fingerprint(&pool, zeta.tenant.id).await;
    assert_eq!(rows::changed(&before, &after), Vec::<String>::new());
}

/// Two hundred questions: the other tenant's sentences, words, names and ids, and mixtures with
/// words that both have. The same on every run.
fn questions(field: &Field) -> Vec<String> {
    let zeta = &field.zeta;
    let mut questions: Vec<String> = (0..VOLUMES)
        .map(|n| format!("The zanary pelican {n:02} keeps its ledger in a harbour office."))
        .collect();
    questions.extend([
        "Zzz: the zanary notes on ledgers, told nowhere else.".to_owned(),
        "zanary Cats keep to their homes.".to_owned(),
        "zzz-zanary-notes.txt".to_owned(),
        zeta.volume(0),
        zeta.file(),
        zeta.books.to_string(),
        zeta.tenant.id.to_string(),
        "zanary' or tenant_id is not null --".to_owned(),
    ]);
    let words = [
        "zanary", "pelican", "ledger", "harbour", "office", "volume", "shelf", "notes", "books",
        "cloud", "cats", "homes", "07", "told", "nowhere", "owner",
    ];
    let mut state = 0x5eed_u64;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    while questions.len() < 200 {
        let length = 1 + next(5);
        let chosen: Vec<&str> = (0..length).map(|_| words[next(words.len())]).collect();
        questions.push(chosen.join(" "));
    }
    questions
}

/// [I-02] Whatever is asked for, what is found is ours; and it is found, ranked and worded as if
/// the other tenant had nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn no_question_finds_the_other_tenants_documents(pool: PgPool) {
    let field = Field::set(&pool).await;
    let oracle = field.oracle().await;
    let questions = questions(&field);
    let ask = async |question: &str| {
        let message = call("search", &json!({ "query": question }));
        let answer = field.app.rpc("/mcp", &field.acme.token, &[], &message).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.text()
    };
    let mut answers = Vec::new();
    for question in &questions {
        let answer = ask(question).await;
        assert_eq!(oracle.find(&answer, ""), None, "{question}");
        answers.push(answer);
    }
    let found = answers.iter().filter(|answer| answer.contains("acanary volume")).count();
    assert!(found > 100, "the questions find something: {found}");
    sqlx::query("delete from documents where tenant_id = $1")
        .bind(field.zeta.tenant.id.uuid())
        .execute(&pool)
        .await
        .unwrap();
    for (question, answer) in questions.iter().zip(answers) {
        assert_eq!(ask(question).await, answer, "{question}");
    }
}

/// [I-03] Neither `_meta` nor a further argument nor a cursor names another tenant or store.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nothing_beside_the_question_widens_it(pool: PgPool) {
    let field = Field::set(&pool).await;
    let oracle = field.oracle().await;
    let (tenant, store) = (field.zeta.tenant.id, field.zeta.books);
    let names = ["tenant", "tenant_id", "tenantId", "store", "vector_store_id", "filter"];
    let rpc = async |message: &Value| {
        let answer = field.app.rpc("/mcp", &field.acme.token, &[], message).await;
        assert_eq!(oracle.find(&answer.text(), &message.to_string()), None, "{message}");
        answer
    };
    let plain = call("search", &json!({ "query": "zanary pelican ledger" }));
    let expected = rpc(&plain).await.text();
    for (name, value) in names.iter().flat_map(|name| {
        [json!(tenant), json!(store), json!([store]), json!({ "eq": tenant })]
            .map(|value| (*name, value))
    }) {
        let mut with_meta = plain.clone();
        with_meta["params"]["_meta"] = json!({ name: value, "progressToken": store.to_string() });
        assert_eq!(rpc(&with_meta).await.text(), expected, "_meta {name}");
        let mut beside = plain.clone();
        beside["params"][name] = value.clone();
        assert_eq!(rpc(&beside).await.text(), expected, "params {name}");
        for tool in [("search", "query"), ("fetch", "id")] {
            let arguments = json!({ tool.1: field.acme.volume(0), name: value });
            let refused = rpc(&call(tool.0, &arguments)).await.json();
            assert_eq!(refused["result"]["isError"], true, "{refused}");
        }
    }
    let list = |cursor: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "cursor": cursor } });
    for cursor in [json!(tenant), json!(field.zeta.volume(0)), json!(store)] {
        rpc(&list(cursor)).await;
    }
}

/// [I-19] [C-09] Who belongs to both: each token stays with the tenant that was chosen for it,
/// wherever the browser goes meanwhile, and ends with the membership there, and only with that.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_member_of_both_keeps_them_apart(pool: PgPool) {
    let field = Field::set(&pool).await;
    let app = &field.app;
    let both = app.member("acme", "both", Role::Reader).await;
    both.join("zeta", Role::Admin).await;
    let mut browser = both.sign_in().await;
    let mut tokens = Vec::new();
    for camp in [&field.acme, &field.zeta] {
        let sent = field.acme.assistant.authorize(&mut browser, &[]).await;
        let tenant = camp.tenant.id.to_string();
        let choice = [("tenant", tenant.as_str()), ("decision", "approve")];
        let approved = browser.consent(sent.location(), &choice).await;
        let code = approved.returned("code").remove(0);
        tokens.push(field.acme.assistant.exchange(&code, &[]).await.json());
    }
    let access = |n: usize| tokens[n]["access_token"].as_str().unwrap();
    let question = json!({ "query": "pelican ledger harbour" });
    for (n, (mine, other)) in [("acanary", "zanary"), ("zanary", "acanary")].iter().enumerate() {
        // The browser looks at the other tenant just before.
        browser.get(["/t/zeta", "/t/acme"][n]).await;
        let found = app.tool("/mcp", access(n), "search", question.clone()).await.to_string();
        assert!(found.contains(mine) && !found.contains(other), "{found}");
    }
    let foreign = json!({ "id": field.zeta.volume(0) });
    let refused = app.tool("/mcp", access(0), "fetch", foreign.clone()).await;
    assert_eq!(refused["isError"], true, "a member of both, and still not with this token");
    let read = app.tool("/mcp", access(1), "fetch", foreign).await;
    assert!(read["structuredContent"]["title"].to_string().contains("zanary"));

    app.accounts().remove_member(&field.acme.tenant, &both.user).await.unwrap().unwrap();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(app.rpc("/mcp", access(0), &[], &ping).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.rpc("/mcp", access(1), &[], &ping).await.status, StatusCode::OK);
    let refreshed = field.acme.assistant.refresh(tokens[0]["refresh_token"].as_str().unwrap(), &[]);
    assert_eq!(refreshed.await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/t/acme").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/t/zeta").await.status, StatusCode::OK);
}
