//! A tenant that is deleted: gone for everybody at once, and from every table; and whoever comes
//! after it under the same name has nothing of it.

use std::time::{Duration, Instant};

use callslip::{
    audit::Actor,
    tenants::{Role, deletion},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    camp::{Camp, Field, call},
    rows,
};
use crate::support::{Answer, Assistant, Browser, Terminal, TestApp};

const PAGE: &str = "/t/zeta/settings/delete";

/// Every table of the database, with how many of its rows have this word anywhere.
async fn with_word(pool: &PgPool, word: &str) -> Vec<(String, i64)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relkind in ('r', 'p') and not relispartition
            and relnamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        // Bytes are printed as digits: the word in those too.
        let sql = format!(
            "select count(*) from {table} t
              where t::text ilike '%' || $1 || '%'
                 or t::text like '%' || encode($1::bytea, 'hex') || '%'"
        );
        let rows: i64 =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(word).fetch_one(pool).await.unwrap();
        if rows > 0 {
            found.push((table, rows));
        }
    }
    found
}

async fn rows_of(pool: &PgPool, table: &str, camp: &Camp) -> i64 {
    let sql = format!("select count(*) from {table} where tenant_id = $1");
    let count = sqlx::query_scalar(AssertSqlSafe(sql)).bind(camp.tenant.id.uuid());
    count.fetch_one(pool).await.unwrap()
}

async fn delete(owner: &mut Browser, name: &str) -> Answer {
    owner.submit(PAGE, PAGE, &[("confirm", name)]).await
}

/// [I-25] Everything of a tenant is marked with a word. It is deleted: from that moment on it
/// answers nobody, and when its rows have been removed the word is in no table, but for what
/// outlives it on purpose: the record of what happened, its people's accounts, and what an app that
/// registered itself says of itself and of where it is.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_deleted_tenant_leaves_nothing(pool: PgPool) {
    let field = Field::set(&pool).await;
    let app = &field.app;
    let acme_before = rows::fingerprint(&pool, field.acme.tenant.id).await;
    for table in rows::tables(&pool).await {
        assert!(rows_of(&pool, &table, &field.zeta).await > 0, "plant a row in {table}");
    }
    assert!(with_word(&pool, "zanary").await.len() > 15);
    assert_eq!(app.db().orphans().await.unwrap(), []);

    let mut owner = field.zeta.owner.sign_in().await;
    let page = owner.get(PAGE).await;
    assert!(page.text().contains("17 documents"), "{}", page.text());
    for wrong in ["", "zeta", "the zanary company"] {
        let refused = delete(&mut owner, wrong).await;
        assert_eq!(refused.status, 422, "{wrong}");
        assert_eq!(owner.get("/t/zeta").await.status, 200);
    }
    let done = delete(&mut owner, "The zanary company").await;
    assert_eq!(done.status, 200, "{}", done.text());

    // At once.
    let question = call("search", &json!({ "query": "zanary pelican" }));
    for (path, token) in [("/mcp", &field.zeta.token), ("/t/zeta/mcp", &field.zeta.own_token)] {
        assert_eq!(app.rpc(path, token, &[], &question).await.status, 401, "{path}");
    }
    assert_eq!(owner.get("/t/zeta").await.status, 404);
    let cited = format!("/d/{}", field.zeta.volume(0));
    assert_eq!(owner.get(&cited).await.status, 404);

    // In the background.
    app.app.finish_deletions(app.db(), &app.clock).await.unwrap();
    for table in rows::tables(&pool).await {
        let left = rows_of(&pool, &table, &field.zeta).await;
        assert_eq!(left > 0, table.starts_with("audit_"), "{left} in {table}");
    }
    let left: Vec<String> =
        with_word(&pool, "zanary").await.into_iter().map(|(table, _)| table).collect();
    let apps = ["installation_events", "oauth_authorization_requests", "oauth_clients"];
    assert_eq!(left, [&["audit_events"], &apps[..], &["users"]].concat());
    let kinds: Vec<String> =
        sqlx::query_scalar("select source from oauth_clients where client_name like '%zanary%'")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(kinds, ["registration"], "the tenant's own back end is gone");
    assert_eq!(app.db().orphans().await.unwrap(), []);
    let found = app.tool("/mcp", &field.acme.token, "search", json!({ "query": "zanary" })).await;
    assert!(!found.to_string().contains("zanary"), "{found}");
    let acme = rows::fingerprint(&pool, field.acme.tenant.id).await;
    let changed = rows::changed(&acme_before, &acme);
    assert!(changed.iter().all(|table| table == "audit_events"), "{changed:?}");
    app.app.sweep(app.db(), &app.clock).await.unwrap();
    let terminal = Terminal::new(&pool);
    assert_eq!(terminal.stdout("sweep --check", "", ""), "0 rows belong to nothing");
    assert!(!terminal.stdout("tenant list", "", "").contains("eleted"));
}

/// What is left in people's and programs' hands when a tenant goes.
struct Left {
    reader: Browser,
    refresh_token: String,
    access_tokens: Vec<String>,
    /// Of an approved request, not redeemed.
    code: String,
    /// Where the reader was about to approve another one.
    consent: String,
    back_end: Assistant,
}

const RESOURCE: (&str, &str) = ("resource", "https://callslip.example/t/zeta/mcp");

impl Left {
    async fn by(field: &Field) -> Self {
        let zeta = &field.zeta;
        let mut reader = zeta.reader.sign_in().await;
        let tokens = zeta.assistant.tokens(&mut reader, &[RESOURCE]).await;
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let consent = zeta.assistant.authorize(&mut reader, &[RESOURCE]).await;
        let code = zeta.assistant.code(&mut reader, &[RESOURCE]).await;
        let store = zeta.books.to_string();
        let may = [("may", "search"), ("store", store.as_str())];
        let back_end = field.app.back_end("zeta", "Robot", &may).await;
        let robots = back_end.own_access_token(&[RESOURCE]).await;
        Self {
            access_tokens: vec![
                zeta.own_token.clone(),
                zeta.token.clone(),
                text("access_token"),
                robots,
            ],
            refresh_token: text("refresh_token"),
            consent: consent.location().to_owned(),
            reader,
            code,
            back_end,
        }
    }

    /// None of it is good for anything.
    async fn gives_nothing(&mut self, field: &Field) {
        let zeta = &field.zeta;
        let question = call("search", &json!({ "query": "zanary pelican heron ledger" }));
        for token in &self.access_tokens {
            for path in ["/t/zeta/mcp", "/mcp"] {
                assert_eq!(field.app.rpc(path, token, &[], &question).await.status, 401, "{path}");
            }
        }
        let refreshed = zeta.assistant.refresh(&self.refresh_token, &[RESOURCE]).await;
        assert_eq!(refreshed.status, 400, "{}", refreshed.text());
        assert_eq!(zeta.assistant.exchange(&self.code, &[RESOURCE]).await.status, 400);
        assert!(self.back_end.own_token(&[RESOURCE]).await.status.is_client_error());
        for path in ["/t/zeta", "/t/zeta/documents", &format!("/d/{}", zeta.volume(0))] {
            assert_eq!(self.reader.get(path).await.status, 404, "{path}");
        }
        let again = zeta.assistant.authorize(&mut self.reader, &[RESOURCE]).await;
        for consent in [&self.consent, again.location()] {
            let page = self.reader.get(consent).await;
            assert!(page.attribute("button[value=approve]", "name").is_empty(), "{}", page.text());
        }
    }
}

/// A member of the tenant that came after, with what the one before left lying about.
async fn find_nothing(field: &Field, member: &mut Browser, token: &str) {
    let question = json!({ "query": "pelican" });
    let found = field.app.tool("/t/zeta/mcp", token, "search", question).await;
    assert!(!found.to_string().contains("zanary"), "{found}");
    for id in [field.zeta.volume(0), field.zeta.file()] {
        let read = field.app.tool("/t/zeta/mcp", token, "fetch", json!({ "id": id })).await;
        assert_eq!(read["isError"], true, "{read}");
        assert_eq!(member.get(&format!("/d/{id}")).await.status, 404);
    }
    for page in [
        "",
        "/documents",
        "/activity",
        "/members",
        "/apps",
        "/service-clients",
        "/usage",
        "/quality",
        "/settings",
        "/vector-stores",
    ] {
        let seen = member.get(&format!("/t/zeta{page}")).await;
        assert_eq!(seen.status, 200, "{page}");
        assert!(!seen.text().contains("zanary"), "{page}");
    }
}

/// [I-23] The slug is another tenant's now. Tokens, codes, sessions, citations and ids from before,
/// an approval that was under way, and what a client remembers of the place give nothing of either
/// tenant; and whoever was a member is none. (There are no invitations and no names in the DNS.)
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn who_comes_after_it_has_nothing_of_it(pool: PgPool) {
    let field = Field::set(&pool).await;
    let (app, zeta) = (&field.app, &field.zeta);
    let metadata = "/.well-known/oauth-protected-resource/t/zeta/mcp";
    let remembered = app.get(metadata).await.text();
    let mut left = Left::by(&field).await;

    let terminal = Terminal::new(&pool);
    let wrong = terminal.refusal("tenant delete zeta --yes-delete zeta", "", "");
    assert!(wrong.contains("nothing was deleted"), "{wrong}");
    let mut tx = app.db().control().await.unwrap();
    let now = app.clock.now();
    assert!(deletion::begin(&mut tx, &zeta.tenant, &Actor::default(), now).await.unwrap());
    assert!(!deletion::begin(&mut tx, &zeta.tenant, &Actor::default(), now).await.unwrap());
    tx.commit().await.unwrap();

    // The new one is there before the old one's rows are gone, and after.
    let mut member = app.member("zeta", "newcomer", Role::Owner).await.sign_in().await;
    let shelf = app.store("zeta", "Fresh").await;
    app.document("zeta", shelf, "fresh.txt", "The heron keeps the new ledger.").await;
    let fresh = app.assistant().await;
    let tokens = fresh.tokens(&mut member, &[RESOURCE]).await;
    let token = tokens["access_token"].as_str().unwrap();
    for finished in [false, true] {
        if finished {
            app.app.finish_deletions(app.db(), &app.clock).await.unwrap();
        }
        left.gives_nothing(&field).await;
        find_nothing(&field, &mut member, token).await;
        assert_eq!(app.get(metadata).await.text(), remembered, "it names the place and nobody");
    }
}

/// An owner deletes; not an admin, and not with a session that somebody left open.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_an_owner_who_has_just_signed_in_deletes(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let owner = app.member("zeta", "ada", Role::Owner).await;
    let mut admin = app.member("zeta", "bob", Role::Admin).await.sign_in().await;
    assert_eq!(admin.get(PAGE).await.status, 403);
    let token = admin.get("/t/zeta/settings").await.csrf_token();
    let fields = [("csrf_token", token.as_str()), ("confirm", "The zeta company")];
    assert_eq!(admin.post(PAGE, &fields).await.status, 403);
    assert!(!admin.get("/t/zeta/settings").await.text().contains(PAGE));

    let mut browser = owner.sign_in().await;
    assert!(browser.get("/t/zeta/settings").await.text().contains(PAGE));
    app.clock.advance(time::Duration::minutes(11));
    assert_eq!(delete(&mut browser, "The zeta company").await.status, 422);
    assert!(browser.get(PAGE).await.text().contains("more than ten minutes ago"));
    let mut browser = owner.sign_in().await;
    assert_eq!(delete(&mut browser, "The zeta company").await.status, 200);
    assert_eq!(browser.get("/t/zeta").await.status, 404);
}

/// Ten thousand documents: the answer to who deletes them is quick, and so are they gone.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_full_tenant_goes_in_seconds(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let owner = app.member("zeta", "ada", Role::Owner).await;
    let store = app.store("zeta", "Books").await;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "insert into documents (tenant_id, id, vector_store_id, source_key, title, media_type,
                                content_hash, byte_size, char_count, created_at, updated_at)
         select tenant_id, md5(n::text)::uuid, id, 'k' || n, 'T', 'text/plain',
                sha256(n::text::bytea), 1, 1, now(), now()
           from vector_stores, generate_series(1, 10000) n where id = '{store}';
         insert into document_texts select tenant_id, id, repeat('word ', 400) from documents;
         insert into chunks (tenant_id, vector_store_id, document_id, ordinal, start_char, end_char,
                             body)
         select tenant_id, vector_store_id, id, n, n, n + 1, repeat('word ', 40)
           from documents, generate_series(0, 3) n;
         insert into chunk_index (tenant_id, vector_store_id, document_id, ordinal, terms)
         select tenant_id, vector_store_id, document_id, ordinal, term_vector('word ' || ordinal, 'english')
           from chunks;"
    )))
    .execute(&pool)
    .await
    .unwrap();
    let mut browser = owner.sign_in().await;
    let started = Instant::now();
    assert_eq!(delete(&mut browser, "The zeta company").await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    // Two nodes begin at once.
    let twin = app.twin().await;
    let (one, other) = tokio::join!(
        app.app.finish_deletions(app.db(), &app.clock),
        twin.app.finish_deletions(twin.db(), &twin.clock),
    );
    one.and(other).unwrap();
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    for table in ["documents", "document_texts", "chunks", "chunk_index", "term_frequencies"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    assert_eq!(app.db().orphans().await.unwrap(), []);
}

/// [I-25] The sweep is not blind: rows whose document, store or tenant is not there are counted, in
/// tables that nobody named too.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn rows_without_an_owner_are_found(pool: PgPool) {
    let field = Field::set(&pool).await;
    sqlx::raw_sql(
        "create table leaflets (tenant_id uuid not null, id uuid not null, document_id uuid,
                                vector_store_id uuid, primary key (tenant_id, id));
         call guard_tenant_table('leaflets');
         grant select on leaflets to app_tenant;
         insert into leaflets select tenant_id, gen_random_uuid(), null, vector_store_id
                                from documents limit 1;
         insert into leaflets select tenant_id, gen_random_uuid(), gen_random_uuid(), null
                                from documents limit 2;
         set session_replication_role = replica;
         delete from documents where source_key like '%anary-key-0';
         reset session_replication_role;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let found = |orphans: Vec<callslip::db::Orphans>| -> Vec<(String, i64)> {
        orphans.into_iter().map(|one| (one.place, one.rows)).collect()
    };
    let orphans = found(field.app.db().orphans().await.unwrap());
    let rows = |place: &str| orphans.iter().find(|one| one.0 == place).map_or(0, |one| one.1);
    assert_eq!(rows("leaflets.document_id"), 2);
    assert_eq!(rows("leaflets.vector_store_id"), 0);
    for table in ["document_texts", "chunks", "chunk_index"] {
        assert_eq!(rows(&format!("{table}.document_id")), 2, "{orphans:?}");
    }
    let refused = Terminal::new(&pool).run("sweep --check", "", "");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stdout).contains("leaflets.document_id\t2"));

    // A tenant whose rows stayed behind.
    sqlx::raw_sql(
        "set session_replication_role = replica;
         delete from tenants where slug = 'zeta';
         update audit_logs set closed_at = now()
          where tenant_id not in (select id from tenants);
         reset session_replication_role;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let orphans = found(field.app.db().orphans().await.unwrap());
    for place in ["chunks.tenant_id", "memberships.tenant_id", "oauth_refresh_tokens.tenant_id"] {
        assert!(orphans.iter().any(|one| one.0 == place && one.1 > 0), "{place} {orphans:?}");
    }
}

/// The record of a deleted tenant stays for 90 days, whoever asks for less.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn its_record_outlives_it(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.member("zeta", "ada", Role::Owner).await;
    let said = Terminal::new(&pool).run("tenant delete zeta --yes-delete Zeta", "", "");
    assert!(!said.status.success());
    let mut tx = app.db().control().await.unwrap();
    let zeta = app.tenant("zeta").await;
    deletion::begin(&mut tx, &zeta, &Actor::default(), app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.app.finish_deletions(app.db(), &app.clock).await.unwrap();
    let kept = "audit_events where kind in ('tenant.created', 'tenant.deleted')";
    assert_eq!(app.count(kept).await, 2);
    let told = "installation_events where kind = 'tenant.deleted' and detail->>'slug' = 'zeta'";
    assert_eq!(app.count(told).await, 1);
    let mut tx = app.db().control().await.unwrap();
    let forced = sqlx::query("delete from audit_logs").execute(tx.conn()).await.unwrap();
    assert_eq!(forced.rows_affected(), 0);
    drop(tx);
    sqlx::query("update audit_logs set closed_at = now() - interval '91 days'")
        .execute(&pool)
        .await
        .unwrap();
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(app.count(kept).await, 0);
}
