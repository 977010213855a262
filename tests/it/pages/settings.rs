//! The settings page: what is typed, what it would end, and two admins at once.

use callslip::users::User;
use sqlx::PgPool;

use super::stage::Stage;
use crate::support::{Answer, Browser};

const PAGE: &str = "/t/acme/settings";

/// The form as it stands, with changes.
async fn save(browser: &mut Browser, page: &Answer, changes: &[(&str, &str)]) -> Answer {
    let value = |selector: &str| page.attribute(selector, "value").pop().unwrap_or_default();
    let hosts = page.select("textarea[name=allowed_hosts]").pop().unwrap_or_default();
    let (seen, apps) = (value("input[name=seen]"), value("input[name=apps][checked]"));
    let (retry, token) = (value("input[name=refresh_retry]"), page.csrf_token());
    let mut fields = vec![
        ("csrf_token", token.as_str()),
        ("seen", &seen),
        ("apps", &apps),
        ("allowed_hosts", &hosts),
        ("refresh_retry", &retry),
    ];
    fields.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    fields.extend_from_slice(changes);
    browser.post(PAGE, &fields).await
}

async fn open(stage: &Stage, user: &User) -> (Browser, Answer) {
    let mut browser = stage.signed_in(user).await;
    let page = browser.get(PAGE).await;
    (browser, page)
}

#[sqlx::test]
async fn settings_are_saved_and_shown(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let (mut ada, page) = open(&stage, &stage.ada).await;
    assert_eq!(page.attribute("input[name=apps][checked]", "value"), ["open"]);
    assert_eq!(page.attribute("input[name=refresh_retry]", "value"), ["60"]);
    let changes = [
        ("apps", "allow_list"),
        ("allowed_hosts", " ChatGPT.com\r\nlocalhost\r\n\r\nchatgpt.com"),
        ("refresh_retry", "0"),
        ("require_dpop", "on"),
    ];
    let saved = save(&mut ada, &page, &changes).await;
    assert_eq!(saved.location(), "/t/acme/settings?notice=rules-saved");
    let page = ada.get(PAGE).await;
    assert_eq!(page.attribute("input[name=apps][checked]", "value"), ["allow_list"]);
    assert_eq!(page.select("textarea"), ["chatgpt.com\nlocalhost"]);
    assert_eq!(page.attribute("input[name=refresh_retry]", "value"), ["0"]);
    assert_eq!(page.attribute("input[name=require_dpop][checked]", "name").len(), 1);
    assert_eq!(stage.events(stage.acme.id).await.last().unwrap(), "app_rules.changed");
    let told = ada.get("/t/acme/activity?kind=app_rules.changed").await;
    assert_eq!(told.select("tbody th").len(), 1);
    // Saving what holds already is no change.
    save(&mut ada, &page, &[("require_dpop", "on")]).await;
    let told = ada.get("/t/acme/activity?kind=app_rules.changed").await;
    assert_eq!(told.select("tbody th").len(), 1);
}

#[sqlx::test]
async fn what_makes_no_sense_comes_back_with_its_reason(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let (mut ada, page) = open(&stage, &stage.ada).await;
    for (changes, field) in [
        ([("apps", "allow_list"), ("allowed_hosts", "")], "allowed_hosts"),
        ([("apps", "allow_list"), ("allowed_hosts", "https://chatgpt.com/")], "allowed_hosts"),
        ([("apps", "open"), ("allowed_hosts", "<b class=canary>\0")], "allowed_hosts"),
        ([("apps", "open"), ("refresh_retry", "301")], "refresh_retry"),
        ([("apps", "open"), ("refresh_retry", "-1")], "refresh_retry"),
        ([("apps", "open"), ("refresh_retry", "1.5")], "refresh_retry"),
    ] {
        let answer = save(&mut ada, &page, &changes).await;
        assert_eq!(answer.status, 422, "{changes:?}");
        assert_eq!(answer.select(".field-error").len(), 1, "{changes:?}");
        assert_eq!(answer.select(&format!("#{field}-error")).len(), 1, "{changes:?}");
        assert_eq!(answer.attribute("input[name=apps][checked]", "value"), [changes[0].1]);
        assert!(answer.select(".canary").is_empty());
    }
    // A rule that nobody knows lets nobody in, rather than everybody.
    assert_eq!(save(&mut ada, &page, &[("apps", "whatever")]).await.status, 303);
    let page = ada.get(PAGE).await;
    assert_eq!(page.attribute("input[name=apps][checked]", "value"), ["off"]);
}

/// The admin sees what a rule would cut off, and it is cut off when they say so.
#[sqlx::test]
async fn what_would_be_cut_off_is_shown_first(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let robs = stage.grant(stage.acme.id, stage.rob.id, "<b class=canary>App</b>", store).await;
    let adas = stage.grant(stage.acme.id, stage.ada.id, "<b class=canary>App</b>", store).await;
    let theirs = stage.store(stage.other.id, "Theirs").await;
    let eves = stage.grant(stage.other.id, stage.eve.id, "App", theirs).await;
    let (mut ada, page) = open(&stage, &stage.ada).await;
    let question = save(&mut ada, &page, &[("apps", "approval")]).await;
    assert_eq!(question.status, 200);
    assert_eq!(question.select("tbody th bdi"), ["<b class=canary>App</b>"]);
    assert_eq!(question.select("td[data-label='Connected by']"), ["2 people"]);
    assert!(question.select("h1 ~ p")[0].contains("1 app (2 connections)"));
    assert_eq!(stage.revoked_for(robs).await, None);

    let back = save(&mut ada, &page, &[("apps", "approval"), ("connected", "edit")]).await;
    assert_eq!(back.attribute("input[name=apps][checked]", "value"), ["approval"]);
    // Approving is for what the page showed: it asks again about what it did not.
    let blind = save(&mut ada, &page, &[("apps", "approval"), ("connected", "approve")]).await;
    assert_eq!((blind.status.as_u16(), stage.revoked_for(robs).await), (200, None));
    assert_eq!(blind.attribute("input[name=shown]", "value").len(), 1);
    assert_eq!(stage.app.count("oauth_app_approvals").await, 0);
    let shown = question.attribute("input[name=shown]", "value").concat();
    let approve = [("apps", "approval"), ("connected", "approve"), ("shown", shown.as_str())];
    let kept = save(&mut ada, &page, &approve).await;
    assert_eq!(kept.status, 303, "{}", kept.text());
    assert_eq!(stage.revoked_for(robs).await, None);
    let apps = ada.get("/t/acme/apps").await;
    assert_eq!(apps.select("#approved-title ~ .table-wrap tbody tr").len(), 1);

    let page = ada.get(PAGE).await;
    let question = save(&mut ada, &page, &[("apps", "off")]).await;
    assert!(question.select("button[value=approve]").is_empty());
    let done = save(&mut ada, &page, &[("apps", "off"), ("connected", "end")]).await;
    assert_eq!(done.status, 303);
    for grant in [robs, adas] {
        assert_eq!(stage.revoked_for(grant).await.as_deref(), Some("admin"));
    }
    assert_eq!(stage.revoked_for(eves).await, None);
}

/// Of two admins with the page open, the second one reads what the first one saved, and decides.
#[sqlx::test]
async fn no_form_undoes_another_silently(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let (mut one, hers) = open(&stage, &stage.ada).await;
    let (mut two, his) = open(&stage, &stage.ada).await;
    assert_eq!(save(&mut one, &hers, &[("apps", "off")]).await.status, 303);
    let late = save(&mut two, &his, &[("refresh_retry", "120")]).await;
    assert_eq!(late.status, 409);
    assert!(late.select(".notice-warn li").contains(&"Apps: No apps".to_owned()));
    let page = one.get(PAGE).await;
    assert_eq!(page.attribute("input[name=apps][checked]", "value"), ["off"]);
    assert_eq!(page.attribute("input[name=refresh_retry]", "value"), ["60"]);
    // Knowing that, the last one wins.
    assert_eq!(late.attribute("input[name=refresh_retry]", "value"), ["120"]);
    assert_eq!(save(&mut two, &late, &[]).await.status, 303);
    let page = one.get(PAGE).await;
    assert_eq!(page.attribute("input[name=apps][checked]", "value"), ["open"]);
    assert_eq!(page.attribute("input[name=refresh_retry]", "value"), ["120"]);
}
