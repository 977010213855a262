//! Connected apps: seen and taken back by their user and by the tenant's admins.

use sqlx::PgPool;

use super::stage::{Stage, assert_absent};

#[sqlx::test]
async fn a_reader_sees_and_revokes_their_own_apps_only(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let own = stage.grant(stage.acme.id, stage.rob.id, "Reader’s app", store).await;
    let adas = stage.grant(stage.acme.id, stage.ada.id, "Admin’s app", store).await;
    let mut rob = stage.signed_in(&stage.rob).await;
    let page = rob.get("/t/acme/apps").await;
    assert_eq!(page.select("tbody th bdi"), ["Reader’s app"]);
    assert_eq!(page.select("tbody th .sub"), ["client.example"]);

    let other = rob.submit("/t/acme/apps", &format!("/t/acme/apps/{adas}/revoke"), &[]).await;
    assert_absent(&other);
    assert_eq!(stage.revoked_for(adas).await, None);
    let path = format!("/t/acme/apps/{own}/revoke");
    let done = rob.submit("/t/acme/apps", &path, &[]).await;
    assert_eq!(done.location(), "/t/acme/apps?notice=revoked");
    assert_eq!(stage.revoked_for(own).await.as_deref(), Some("user"));
    assert_eq!(stage.events(stage.acme.id).await.last().unwrap(), "grant.revoked");
    assert_absent(&rob.submit("/t/acme/apps", &path, &[]).await);
    assert_eq!(rob.get("/t/acme/apps").await.select(".empty h2"), ["No app is connected"]);
}

#[sqlx::test]
async fn an_admin_revokes_any_app_of_the_tenant_and_of_no_other(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let grant = stage.grant(stage.acme.id, stage.rob.id, "<b class=canary>App</b>", store).await;
    let path = format!("/t/acme/apps/{grant}/revoke");
    let mut eve = stage.signed_in(&stage.eve).await;
    assert_absent(&eve.submit("/account", &path, &[]).await);
    assert_absent(&eve.submit("/account", &path.replace("acme", "other"), &[]).await);
    assert_absent(&eve.submit("/account", &format!("/account/apps/{grant}/revoke"), &[]).await);
    assert!(!eve.get("/t/other/apps").await.text().contains("canary"));

    let mut ada = stage.signed_in(&stage.ada).await;
    let page = ada.get("/t/acme/apps").await;
    assert_eq!(page.select("tbody th bdi"), ["<b class=canary>App</b>"]);
    assert_eq!(page.select("td[data-label='Connected by']"), ["rob@acme.example"]);
    assert!(page.select(".canary").is_empty());
    let url = page.attribute("tbody .act a", "href").pop().unwrap();
    let page = ada.get(&url).await;
    assert_eq!(page.select("tbody th"), ["rob@acme.example"]);
    assert!(page.select(".canary").is_empty());
    assert!(page.attribute("dialog form", "action").contains(&path));
    // The key names the same app in every tenant; there is none of it in hers.
    assert_absent(&eve.get(&url).await);
    assert_absent(&eve.get(&url.replace("acme", "other")).await);
    let all = format!("{}/revoke-all", url.replace("acme", "other"));
    assert_absent(&eve.submit("/account", &all, &[]).await);
    assert_eq!(stage.revoked_for(grant).await, None);
    ada.submit("/t/acme/apps", &path, &[]).await;
    assert_eq!(stage.revoked_for(grant).await.as_deref(), Some("admin"));
}

#[sqlx::test]
async fn a_user_revokes_from_their_account_page(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let grant = stage.grant(stage.acme.id, stage.rob.id, "App", store).await;
    let mut rob = stage.signed_in(&stage.rob).await;
    let page = rob.get("/account").await;
    let action = page.attribute("dialog form", "action").pop().unwrap();
    assert_eq!(action, format!("/account/apps/{grant}/revoke"));
    let done = rob.submit("/account", &action, &[]).await;
    assert_eq!(done.location(), "/account?notice=revoked");
    assert_eq!(stage.revoked_for(grant).await.as_deref(), Some("user"));
}

#[sqlx::test]
async fn a_form_without_its_token_or_from_elsewhere_revokes_nothing(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let grant = stage.grant(stage.acme.id, stage.rob.id, "App", store).await;
    let mut rob = stage.signed_in(&stage.rob).await;
    let path = format!("/t/acme/apps/{grant}/revoke");
    assert_eq!(rob.post(&path, &[]).await.status, 403);
    assert_eq!(rob.post(&path, &[("csrf_token", "guess")]).await.status, 403);
    assert_eq!(stage.revoked_for(grant).await, None);
}

/// [C-08] An assistant registers anew each time that it connects. People see one app, with everybody
/// who has connected it, and take it back from one of them or from all.
#[sqlx::test]
async fn identical_registrations_are_one_app(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let maps = stage.store(stage.acme.id, "Maps").await;
    let robs = [
        stage.grant(stage.acme.id, stage.rob.id, "Reader", store).await,
        stage.grant(stage.acme.id, stage.rob.id, "Reader", maps).await,
    ];
    let adas = stage.grant(stage.acme.id, stage.ada.id, "Reader", store).await;
    let other = stage.grant(stage.acme.id, stage.ada.id, "Other", store).await;
    let theirs = stage.store(stage.other.id, "Theirs").await;
    let elsewhere = stage.grant(stage.other.id, stage.eve.id, "Reader", theirs).await;

    let mut rob = stage.signed_in(&stage.rob).await;
    let page = rob.get("/t/acme/apps").await;
    assert_eq!(page.select("tbody th bdi"), ["Reader"]);
    assert_eq!(page.select("td[data-label='May read'] bdi"), ["Books, Maps"]);
    assert!(page.text().contains("2 times in all"));
    assert_eq!(rob.get("/account").await.select("#apps-title").len(), 1);
    let mut ada = stage.signed_in(&stage.ada).await;
    let page = ada.get("/t/acme/apps").await;
    let mut apps: Vec<(String, String)> = page
        .select("tbody th bdi")
        .into_iter()
        .zip(page.select("td[data-label='Connected by']"))
        .collect();
    apps.sort();
    let expected = [("Other", "ada@acme.example"), ("Reader", "2 people")];
    assert_eq!(apps, expected.map(|(name, people)| (name.to_owned(), people.to_owned())));

    // From one person: every registration at once, whichever was named.
    rob.submit("/t/acme/apps", &format!("/t/acme/apps/{}/revoke", robs[0]), &[]).await;
    for grant in robs {
        assert_eq!(stage.revoked_for(grant).await.as_deref(), Some("user"));
    }
    assert_eq!(stage.revoked_for(adas).await, None);
    stage.grant(stage.acme.id, stage.rob.id, "Reader", store).await;
    let urls = ada.get("/t/acme/apps").await.attribute("tbody .act a", "href");
    let mut urls = urls.into_iter();
    let url = loop {
        let url = urls.next().unwrap();
        if ada.get(&url).await.select("h1") == ["Reader"] {
            break url;
        }
    };
    // From everybody; a reader may not.
    let all = format!("{url}/revoke-all");
    assert_eq!(rob.submit("/account", &all, &[]).await.status, 403);
    assert_eq!(ada.submit(&url, &all, &[]).await.location(), "/t/acme/apps?notice=revoked");
    assert_eq!(stage.revoked_for(adas).await.as_deref(), Some("admin"));
    assert_eq!(stage.revoked_for(other).await, None);
    assert_eq!(stage.revoked_for(elsewhere).await, None);
    assert_absent(&ada.submit("/account", &all, &[]).await);
}

/// [K-08] Installs that share a document are apart where their answers go to different places, and
/// the port of a loopback address is no difference.
#[sqlx::test]
async fn installs_of_one_document_are_apart(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let mut grants = Vec::new();
    let places = ["https://app.example/cb", "http://127.0.0.1:1111/cb", "http://127.0.0.1:2222/cb"];
    for place in places {
        let grant = stage.grant(stage.acme.id, stage.rob.id, "Shared", store).await;
        sqlx::query!(
            "with old as (select client_id from oauth_grants where id = $1),
                  document as (
                    insert into oauth_clients (client_id, client_name, source, redirect_uris,
                           grant_types, token_endpoint_auth_methods, created_at, fetched_at,
                           fresh_until)
                    select 'https://app.example/client.json', 'Shared', 'document', $3, '{}',
                           '{none}', now(), now(), now() from old
                        on conflict do nothing)
             update oauth_grants
                set client_id = 'https://app.example/client.json', redirect_uri = $2
              where id = $1",
            grant.uuid(),
            place,
            &places.map(str::to_owned),
        )
        .execute(&stage.app.pool)
        .await
        .unwrap();
        grants.push(grant);
    }
    let mut rob = stage.signed_in(&stage.rob).await;
    let mut seen = rob.get("/account").await.select("tbody th .sub");
    seen.sort();
    assert_eq!(seen, ["app.example", "app.example, answers go to a program on the user’s device"]);
    rob.submit("/account", &format!("/account/apps/{}/revoke", grants[1]), &[]).await;
    assert_eq!(stage.revoked_for(grants[0]).await, None);
    for grant in &grants[1..] {
        assert_eq!(stage.revoked_for(*grant).await.as_deref(), Some("user"));
    }
}
