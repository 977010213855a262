//! What a client claims about its tenant changes nothing.

use axum::http::{HeaderName, HeaderValue};
use callslip::http::Access;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    attacker::{Attacker, Form},
    camp::{Field, call},
    rows,
};
use crate::support::Answer;

/// What a proxy, a gateway or a client library might set.
fn forged(field: &Field) -> Vec<(String, String)> {
    let id = field.zeta.tenant.id.to_string();
    let store = field.zeta.books.to_string();
    let user = field.zeta.owner.user.id.to_string();
    let mut headers = Vec::new();
    for (names, value) in [
        (&["x-tenant-id", "mcp-param-tenant-id", "mcp-param-tenant_id", "x-organization-id"], &id),
        (&["x-store-id", "mcp-param-store", "mcp-param-vector-store-id", "x-namespace"], &store),
        (&["x-user-id", "x-forwarded-user", "x-remote-user", "mcp-param-user"], &user),
    ] {
        headers.extend(names.iter().map(|name| ((*name).to_owned(), value.clone())));
    }
    for (name, value) in [
        ("x-tenant", "zeta"),
        ("mcp-param-tenant", "zeta"),
        ("x-original-url", "/t/zeta/documents"),
        ("x-rewrite-url", "/t/zeta/documents"),
        ("x-forwarded-prefix", "/t/zeta"),
        ("x-forwarded-host", "zeta.callslip.example"),
        ("x-http-method-override", "DELETE"),
    ] {
        headers.push((name.to_owned(), value.to_owned()));
    }
    headers
}

fn same(plain: &Answer, forged: &Answer) -> bool {
    let seen = |answer: &Answer| (answer.status, answer.location().to_owned(), answer.text());
    seen(plain) == seen(forged)
}

/// [I-05] Headers, cookies, query and form fields that name the other tenant, on every route: the
/// answer is the same as without them.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_forged_tenant_changes_nothing(pool: PgPool) {
    let field = Field::set(&pool).await;
    let before = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    let oracle = field.oracle().await;
    let plain = Attacker::new("an owner", field.acme.owner.sign_in().await).await;
    let mut with_cookies = plain.browser.clone();
    for (name, value) in [("tenant", "zeta"), ("X-Tenant-ID", "zeta"), ("__Host-tenant", "zeta")] {
        with_cookies.cookies.insert(name.to_owned(), value.to_owned());
    }
    let named = field.named();
    let mut ours = named.nothing.clone();
    (ours.slug, ours.id) = ("acme".to_owned(), field.acme.volume(0));
    let (mut bare, mut claiming) = (ours.clone(), ours);
    // Of the form, what the routes themselves ask for stays.
    let own = |name: &str| matches!(name, "store" | "document");
    bare.named.retain(|(name, _)| own(name));
    claiming.named = named.theirs.named.iter().filter(|(name, _)| !own(name)).cloned().collect();
    claiming.named.extend(bare.named.iter().cloned());
    // One ends the session, the other asks which organisation a stranger belongs to.
    let asks_nothing = |path: &str| !matches!(path, "/sign-out" | "/sign-in/sso");
    let table = field.app.app.table.iter().filter(|entry| asks_nothing(entry.path));
    // What goes on in the background changes pages; so that is begun when all have been seen.
    let mut table: Vec<_> = table.collect();
    table.sort_by_key(|entry| entry.path.ends_with("/quality/run"));
    for (number, entry) in table.into_iter().enumerate() {
        let form = if entry.method == "POST" { Form::UrlEncoded } else { Form::None };
        let name = |n: usize| format!("claimed {number} {n}");
        let honest = plain.send(entry, &bare, form, &name(1)).await;
        let mut request = plain.request(entry, &claiming, form, &name(2));
        for (header, value) in forged(&field) {
            let header: HeaderName = header.parse().unwrap();
            request.headers_mut().insert(header, HeaderValue::from_str(&value).unwrap());
        }
        let lying = with_cookies.clone().send(request).await;
        let what = format!("{} {}", entry.method, entry.path);
        assert!(same(&honest, &lying), "{what}\n{honest:?}\n{lying:?}");
        let sent = claiming.named.iter().map(|(_, value)| value.as_str()).collect::<String>();
        assert_eq!(oracle.find(&lying.text(), &sent), None, "{what}");
    }
    let after = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    assert_eq!(rows::changed(&before, &after), Vec::<String>::new());
}

/// [I-05] [C-09] The same for the tools: the tenant is the token's, whatever else is said.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_forged_tenant_moves_no_tool(pool: PgPool) {
    let field = Field::set(&pool).await;
    let oracle = field.oracle().await;
    let before = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    let query = "?tenant=zeta&tenant_id=x&access_token=x&store=zeta";
    let bearer = field.app.app.table.iter().filter(|entry| entry.access == Access::Bearer);
    for entry in bearer {
        let path = entry.path.replace("{tenant}", "acme");
        let token = match entry.path.contains("{tenant}") {
            true => &field.acme.own_token,
            false => &field.acme.token,
        };
        for message in [
            call("search", &json!({ "query": "zanary pelican ledger" })),
            call("fetch", &json!({ "id": field.zeta.volume(0) })),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }),
        ] {
            let honest = field.app.rpc(&path, token, &[], &message).await;
            let headers = forged(&field);
            let mut headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            headers.push(("cookie", "tenant=zeta; __Host-tenant=zeta"));
            let lying = field.app.rpc(&format!("{path}{query}"), token, &headers, &message).await;
            assert_eq!((honest.status, honest.text()), (lying.status, lying.text()), "{message}");
            assert_eq!(oracle.find(&lying.text(), ""), None, "{message}");
        }
    }
    let after = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    assert_eq!(rows::changed(&before, &after), Vec::<String>::new());
}

/// [I-07] Acts of our own that succeed, with the other tenant's ids as further fields: what they
/// make is ours.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn further_fields_are_not_assigned(pool: PgPool) {
    let field = Field::set(&pool).await;
    let before = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    let more = field.named().theirs.named;
    let more: Vec<(&str, &str)> = more.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let without = |names: &[&str]| -> Vec<(&str, &str)> {
        more.iter().filter(|(name, _)| !names.contains(name)).copied().collect()
    };
    let mut owner = field.acme.owner.sign_in().await;

    let stores = "/t/acme/vector-stores";
    let mut form = vec![("backend", "builtin"), ("name", "Planted store"), ("id", more[1].1)];
    form.extend(&more);
    let made = owner.submit(stores, stores, &form).await;
    assert_eq!(made.location(), "/t/acme/vector-stores?notice=store-added", "{}", made.text());
    assert_eq!(owned(&field, "vector_stores", "name = 'Planted store'").await, ["acme"]);

    let store = field.acme.books.to_string();
    let mut form = vec![("store", store.as_str())];
    form.extend(without(&["store"]));
    let sent = owner.upload("/t/acme/documents", &form, ("planted.txt", "Planted.")).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    field.app.drain_ingest().await;
    assert_eq!(owned(&field, "documents", "source_key like '%planted.txt'").await, ["acme"]);

    // The whole flow, with further fields at every step.
    let assistant = &field.acme.assistant;
    let mut reader = field.acme.reader.sign_in().await;
    let asked = assistant.authorize(&mut reader, &more).await;
    let mut answer = vec![("decision", "approve"), ("grant_id", more[1].1)];
    answer.extend(without(&["tenant", "store"]));
    let approved = reader.consent(asked.location(), &answer).await;
    assert_eq!(approved.status, 303, "{}", approved.text());
    let tokens = assistant.exchange(&approved.returned("code")[0], &more).await.json();
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &more).await;
    let refreshed = refreshed.json();
    for tokens in [tokens, refreshed] {
        let token = tokens["access_token"].as_str().unwrap();
        let claims = field.app.app.oauth.verifier().verify(token).await.unwrap();
        assert_eq!(claims.tenant, field.acme.tenant.id);
        assert_eq!(claims.user(), Some(field.acme.reader.user.id));
        let alive = field.app.app.oauth.liveness().check(&claims).await.unwrap().unwrap();
        assert!(!alive.vector_stores.contains(&field.zeta.books));
    }
    let after = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    assert_eq!(rows::changed(&before, &after), Vec::<String>::new());
}

/// The slugs of the tenants that have such rows.
async fn owned(field: &Field, table: &str, such: &str) -> Vec<String> {
    let sql = format!(
        "select slug from tenants where id in (select tenant_id from {table} where {such})"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&field.app.pool).await.unwrap()
}
