//! What a tenant demands of apps, at consent and of what is connected already.

use callslip::{
    audit::Origin,
    oauth::{
        apps::By,
        tenant_policy::{self, AppsRule, Change, Changed, Connected, TenantPolicy},
    },
    tenants::Role,
};
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::support::{Answer, Assistant, Person, TestApp};

/// An admin and a reader of acme, and an assistant whose answers go to `assistant.example`.
struct Scene {
    app: TestApp,
    ada: Person,
    rob: Person,
    assistant: Assistant,
}

async fn scene(pool: &PgPool) -> Scene {
    let app = TestApp::new(pool).await;
    let ada = app.member("acme", "ada", Role::Admin).await;
    let rob = app.member("acme", "rob", Role::Reader).await;
    let assistant = app.assistant().await;
    Scene { app, ada, rob, assistant }
}

impl Scene {
    /// Change acme's rules as an admin who has seen the newest ones.
    async fn rule(&self, wanted: TenantPolicy, connected: Connected) -> Changed {
        let tenant = self.app.tenant("acme").await.id;
        let mut tx = self.app.db().control().await.unwrap();
        let seen = tenant_policy::find(&mut tx, tenant).await.unwrap().updated_at;
        let by = By {
            user: self.ada.user.id,
            only_own: false,
            origin: Origin::default(),
            at: self.app.clock.now(),
        };
        let change = Change { wanted, seen, connected };
        let changed = tenant_policy::change(&mut tx, tenant, &change, &by).await.unwrap();
        if matches!(changed, Changed::Saved(_)) {
            tx.commit().await.unwrap();
        }
        changed
    }

    async fn apps(&self, apps: AppsRule) {
        let wanted = TenantPolicy { apps, ..TenantPolicy::default() };
        assert!(matches!(self.rule(wanted, Connected::End).await, Changed::Saved(_)));
    }

    async fn hosts(&self, hosts: &[&str]) {
        let allowed_hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        let apps = AppsRule::AllowList;
        let wanted = TenantPolicy { apps, allowed_hosts, ..TenantPolicy::default() };
        assert!(matches!(self.rule(wanted, Connected::End).await, Changed::Saved(_)));
    }

    /// The consent page that rob sees.
    async fn page(&self, assistant: &Assistant) -> Answer {
        let mut browser = self.rob.sign_in().await;
        let sent = assistant.authorize(&mut browser, &[]).await;
        browser.get(sent.location()).await
    }

    async fn live_grants(&self) -> i64 {
        self.app.count("oauth_grants where revoked_at is null").await
    }
}

/// A client that a document describes, read a moment ago.
pub(super) async fn documented(
    app: &TestApp,
    client_id: &str,
    redirect_uris: &[&str],
) -> Assistant {
    let uris: Vec<String> = redirect_uris.iter().map(|&uri| uri.to_owned()).collect();
    sqlx::query(
        "insert into oauth_clients
                (client_id, client_name, source, redirect_uris, grant_types,
                 token_endpoint_auth_methods, created_at, fetched_at, fresh_until)
         values ($1, 'Documented', 'document', $2, '{authorization_code,refresh_token}', '{none}',
                 $3, $3, $3 + interval '1 day')",
    )
    .bind(client_id)
    .bind(&uris)
    .bind(app.clock.now())
    .execute(&app.pool)
    .await
    .unwrap();
    Assistant {
        app: app.clone(),
        client_id: client_id.to_owned(),
        client_secret: None,
        method: "none".to_owned(),
        redirect_uri: uris[0].clone(),
    }
}

fn can_allow(page: &Answer) -> bool {
    !page.select("button[value=approve]").is_empty()
}

fn reasons(page: &Answer) -> String {
    page.select(".ruling p").join(" ")
}

/// [D-11] A tenant that lets no app in says so before anything is approved, and a form that says
/// otherwise grants nothing. Denying still sends the user back.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_tenant_may_let_no_app_in(pool: PgPool) {
    let scene = scene(&pool).await;
    scene.apps(AppsRule::Off).await;
    let mut browser = scene.rob.sign_in().await;
    let sent = scene.assistant.authorize(&mut browser, &[]).await;
    let page = browser.get(sent.location()).await;
    assert!(!can_allow(&page));
    assert_eq!(reasons(&page), "The acme company does not let members connect apps.");
    let forged = browser.consent(sent.location(), &[("decision", "approve")]).await;
    assert_eq!(forged.status, 403);
    assert_eq!(scene.app.count("oauth_grants").await, 0);
    let denied = browser.consent(sent.location(), &[("decision", "deny")]).await;
    assert_eq!(denied.returned("error"), ["access_denied"]);
}

/// [D-11] With a list of hosts, the host that counts is where answers go, or where the client
/// describes itself: never a name.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_tenant_may_list_hosts(pool: PgPool) {
    let scene = scene(&pool).await;
    let app = &scene.app;
    let desktop = json!({ "redirect_uris": ["http://127.0.0.1/cb"] });
    let desktop = app.assistant_with(&desktop).await;
    let private = json!({ "redirect_uris": ["cursor://anysphere.cursor-mcp/cb"] });
    let private = app.assistant_with(&private).await;
    let impostor = json!({ "client_name": "assistant.example", "redirect_uris": ["https://evil.example/assistant.example"] });
    let impostor = app.assistant_with(&impostor).await;
    let document = "https://described.example/client.json";
    let documented = documented(app, document, &["https://elsewhere.example/cb"]).await;
    let all = [&scene.assistant, &desktop, &private, &impostor, &documented];
    for (listed, place) in [
        (0, "assistant.example"),
        (1, "localhost"),
        (2, "cursor:"),
        (3, "evil.example"),
        (4, "described.example"),
    ] {
        scene.hosts(&[place, "unrelated.example"]).await;
        for (number, assistant) in all.iter().enumerate() {
            let page = scene.page(assistant).await;
            assert_eq!(can_allow(&page), number == listed, "{place}: {number}: {}", reasons(&page));
        }
    }
    scene.hosts(&["unrelated.example"]).await;
    assert!(
        reasons(&scene.page(&scene.assistant).await)
            .contains("assistant.example is not among them")
    );
    scene.hosts(&["assistant.example"]).await;
    scene.assistant.tokens(&mut scene.rob.sign_in().await, &[]).await;
    assert_eq!(scene.live_grants().await, 1);
}

/// [D-11] Whoever belongs to several tenants reads what each of them says, and one tenant's rule is
/// not another's.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn each_tenant_speaks_for_itself(pool: PgPool) {
    let scene = scene(&pool).await;
    scene.rob.join("zenith", Role::Reader).await;
    scene.apps(AppsRule::Off).await;
    let mut browser = scene.rob.sign_in().await;
    let sent = scene.assistant.authorize(&mut browser, &[]).await;
    let page = browser.get(sent.location()).await;
    assert!(can_allow(&page));
    assert_eq!(page.attribute("input[name=tenant][disabled]", "name").len(), 1);
    let zenith = scene.app.tenant("zenith").await.id.to_string();
    assert_eq!(page.attribute("input[name=tenant][checked]", "value"), [zenith]);
    let acme = scene.app.tenant("acme").await.id.to_string();
    let forged = [("tenant", acme.as_str()), ("decision", "approve")];
    assert_eq!(browser.consent(sent.location(), &forged).await.status, 403);
    let approved = browser.consent(sent.location(), &[("decision", "approve")]).await;
    assert_eq!(approved.returned("code").len(), 1);
}

/// [D-11] A rule that is tightened stops what it forbids at the next call and the next refresh, and
/// not before the admin has said so; what it allows goes on, and so do the tenant's own back ends.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_forbidden_afterwards_stops(pool: PgPool) {
    let scene = scene(&pool).await;
    let desktop = json!({ "redirect_uris": ["http://127.0.0.1/cb"] });
    let desktop = scene.app.assistant_with(&desktop).await;
    let mut browser = scene.rob.sign_in().await;
    let text = |tokens: &serde_json::Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    let stays = scene.assistant.tokens(&mut browser, &[]).await;
    let goes = desktop.tokens(&mut browser, &[]).await;
    sqlx::query(
        "with client as (
           insert into oauth_clients (client_id, client_name, source, redirect_uris, grant_types,
                                      token_endpoint_auth_methods, secret_hash, created_at)
           values ('back-end-client', 'Back end', 'tenant', '{}', '{}', '{client_secret_basic}',
                   sha256(''), now()))
         insert into oauth_grants (tenant_id, id, client_id, redirect_uri, resource, scope,
                                   created_at, expires_at)
         select id, gen_random_uuid(), 'back-end-client', '', 'https://callslip.example/mcp',
                '{search:read}', now(), now() + interval '90 days' from tenants",
    )
    .execute(&pool)
    .await
    .unwrap();

    let allowed_hosts = vec!["assistant.example".to_owned()];
    let apps = AppsRule::AllowList;
    let wanted = TenantPolicy { apps, allowed_hosts, ..TenantPolicy::default() };
    let Changed::Unasked(apps) = scene.rule(wanted.clone(), Connected::Unasked).await else {
        panic!("nobody was asked")
    };
    let seen: Vec<_> = apps.iter().map(|app| (app.place.as_str(), app.people)).collect();
    assert_eq!(seen, [("localhost", 1)]);
    assert!(scene.app.accepts(&text(&goes, "access_token")).await, "nothing was changed yet");

    let changed = scene.rule(wanted, Connected::End).await;
    assert!(matches!(changed, Changed::Saved(1)), "{changed:?}");
    assert!(!scene.app.accepts(&text(&goes, "access_token")).await);
    let refused = desktop.refresh(&text(&goes, "refresh_token"), &[]).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert!(scene.app.accepts(&text(&stays, "access_token")).await);
    assert_eq!(scene.assistant.refresh(&text(&stays, "refresh_token"), &[]).await.status, 200);

    scene.apps(AppsRule::Off).await;
    assert!(!scene.app.accepts(&text(&stays, "access_token")).await);
    assert_eq!(scene.live_grants().await, 1, "the back end's");
    let ended: i64 = sqlx::query_scalar(
        "select count(*) from audit_events
          where kind = 'grant.revoked' and detail ->> 'reason' = 'policy'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(ended, 2);
    let told: serde_json::Value = sqlx::query_scalar(
        "select jsonb_agg(jsonb_build_array(detail -> 'before' -> 'apps', detail -> 'after' -> 'apps')
                          order by id)
           from audit_events where kind = 'app_rules.changed'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(told, json!([["open", "allow_list"], ["allow_list", "off"]]));
}

/// [D-11] However consent and a change of the rule race, over two processes, no app is let in under
/// a rule that forbids it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn consent_and_rule_do_not_pass_each_other(pool: PgPool) {
    let scene = scene(&pool).await;
    let other = TestApp::new(&pool).await;
    let mut granted = 0;
    for round in 0..6 {
        scene.apps(AppsRule::Open).await;
        let mut race = JoinSet::new();
        for place in 0..6 {
            let app = if place % 2 == 0 { &scene.app } else { &other };
            let assistant = scene.assistant.at(app);
            let mut browser = scene.rob.sign_in().await;
            browser.app = app.clone();
            race.spawn(async move {
                let sent = assistant.authorize(&mut browser, &[]).await;
                let page = browser.get(sent.location()).await;
                let token = page.csrf_token();
                let mut fields = page.form_fields();
                fields.push(("decision".to_owned(), "approve".to_owned()));
                fields.retain(|(name, _)| name != "csrf_token");
                fields.push(("csrf_token".to_owned(), token));
                let fields: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                browser.post("/oauth/consent", &fields).await.status.as_u16()
            });
        }
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        scene.apps(AppsRule::Off).await;
        for status in race.join_all().await {
            assert!(matches!(status, 303 | 403 | 400), "{status}");
            granted += usize::from(status == 303);
        }
        assert_eq!(scene.live_grants().await, 0, "round {round}");
    }
    // Some of them were quicker than the rule, or this would prove nothing.
    let made = usize::try_from(scene.app.count("oauth_grants").await).unwrap();
    assert_eq!(made, granted);
}

/// Whoever requires bound tokens cuts off what has none.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn unbound_tokens_stop_where_binding_is_required(pool: PgPool) {
    let scene = scene(&pool).await;
    let tokens = scene.assistant.tokens(&mut scene.rob.sign_in().await, &[]).await;
    let wanted = TenantPolicy { require_dpop: true, ..TenantPolicy::default() };
    let changed = scene.rule(wanted.clone(), Connected::Unasked).await;
    assert!(matches!(changed, Changed::Unasked(apps) if !apps[0].approvable));
    assert!(matches!(scene.rule(wanted, Connected::End).await, Changed::Saved(1)));
    assert!(!scene.app.accepts(tokens["access_token"].as_str().unwrap()).await);
    let page = scene.page(&scene.assistant).await;
    assert!(reasons(&page).is_empty() && page.select(".ruling").join("").contains("DPoP"));
}

/// Of two changes to the same state, the later one is not made silently.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_change_to_something_else_than_was_seen_is_not_made(pool: PgPool) {
    let scene = scene(&pool).await;
    let tenant = scene.app.tenant("acme").await.id;
    let by = By {
        user: scene.ada.user.id,
        only_own: false,
        origin: Origin::default(),
        at: scene.app.clock.now(),
    };
    let mut race = JoinSet::new();
    for rule in AppsRule::ALL.into_iter().skip(1).cycle().take(9) {
        let (app, by) = (scene.app.clone(), by.clone());
        race.spawn(async move {
            let wanted = TenantPolicy { apps: rule, ..TenantPolicy::default() };
            let change = Change { wanted, seen: None, connected: Connected::Unasked };
            let mut tx = app.db().control().await.unwrap();
            let changed = tenant_policy::change(&mut tx, tenant, &change, &by).await.unwrap();
            if let Changed::Saved(_) = changed {
                tx.commit().await.unwrap();
                return true;
            }
            false
        });
    }
    let saved = race.join_all().await.into_iter().filter(|saved| *saved).count();
    assert_eq!(saved, 1);
    // Two changes at one moment of the clock are two versions all the same.
    scene.apps(AppsRule::Open).await;
    let mut tx = scene.app.db().control().await.unwrap();
    let first = tenant_policy::find(&mut tx, tenant).await.unwrap().updated_at;
    drop(tx);
    scene.apps(AppsRule::Off).await;
    let mut tx = scene.app.db().control().await.unwrap();
    assert_ne!(tenant_policy::find(&mut tx, tenant).await.unwrap().updated_at, first);
}

/// [C-12] An app that hardly anybody in the tenant has connected is pointed out, calmly.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_newcomer_is_pointed_out(pool: PgPool) {
    let scene = scene(&pool).await;
    let remark = async || scene.page(&scene.app.assistant().await).await.select(".hint.ruling");
    let nobody = "Nobody else at The acme company has connected this app before.";
    assert_eq!(remark().await, [nobody]);
    // One's own connections vouch for nothing, and neither do another tenant's.
    scene.app.assistant().await.tokens(&mut scene.rob.sign_in().await, &[]).await;
    let zoe = scene.app.member("zenith", "zoe", Role::Reader).await;
    scene.app.assistant().await.tokens(&mut zoe.sign_in().await, &[]).await;
    assert_eq!(remark().await, [nobody]);
    for _ in 0..2 {
        scene.app.assistant().await.tokens(&mut scene.ada.sign_in().await, &[]).await;
        let one = "Only one other person at The acme company has connected this app before.";
        assert_eq!(remark().await, [one]);
    }
    let eve = scene.app.member("acme", "eve", Role::Reader).await;
    scene.app.assistant().await.tokens(&mut eve.sign_in().await, &[]).await;
    assert_eq!(remark().await, Vec::<String>::new());
    let renamed = scene.app.assistant_with(&json!({ "client_name": "Other" })).await;
    assert_eq!(scene.page(&renamed).await.select(".hint.ruling"), [nobody]);
}
