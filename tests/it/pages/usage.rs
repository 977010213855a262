//! The usage page and the operator's bounds: what was asked, what was turned away, and how much may
//! be asked.

use callslip::{
    audit::{Event, Kind, store::append_control},
    tenants::Role,
};
use sqlx::PgPool;
use time::Duration;

use super::stage::Stage;
use crate::{
    mcp,
    support::{Answer, Browser},
};

const PAGE: &str = "/t/acme/usage";
const NUMBERS: [&str; 4] = ["per_minute", "user_per_minute", "token_per_minute", "at_once"];

async fn save(browser: &mut Browser, path: &str, numbers: [&str; 4]) -> Answer {
    let token = browser.get(path).await.csrf_token();
    let mut fields = vec![("csrf_token", token.as_str())];
    fields.extend(NUMBERS.into_iter().zip(numbers));
    browser.post(path, &fields).await
}

/// A number's value, placeholder and maximum.
fn shown(page: &Answer, name: &str) -> [String; 3] {
    ["value", "placeholder", "max"].map(|attribute| {
        page.attribute(&format!("input[name={name}]"), attribute).pop().unwrap_or_default()
    })
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn admins_choose_limits_below_the_operators(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut ada = stage.signed_in(&stage.ada).await;
    let page = ada.get(PAGE).await;
    assert_eq!(shown(&page, "per_minute"), ["", "600", "600"]);
    assert_eq!(shown(&page, "at_once"), ["", "20", "20"]);

    let saved = save(&mut ada, PAGE, ["300", "", " 30 ", "5"]).await;
    assert_eq!(saved.location(), "/t/acme/usage?notice=limits-saved");
    let page = ada.get(saved.location()).await;
    assert!(page.text().contains("The limits were saved."));
    assert_eq!(shown(&page, "per_minute"), ["300", "600", "600"]);
    assert_eq!(shown(&page, "user_per_minute"), ["", "120", "120"]);
    assert_eq!(shown(&page, "token_per_minute"), ["30", "60", "60"]);
    let changes = async || {
        let events = stage.events(stage.acme.id).await;
        events.iter().filter(|kind| *kind == "limits.changed").count()
    };
    assert_eq!(changes().await, 1);
    save(&mut ada, PAGE, ["300", "", "30", "5"]).await;
    assert_eq!(changes().await, 1, "saving what holds already is no change");

    for wrong in ["601", "5", "-1", "1.5", "many"] {
        let refused = save(&mut ada, PAGE, [wrong, "100", "30", "5"]).await;
        assert_eq!(refused.status, 422, "{wrong}");
        assert_eq!(shown(&refused, "per_minute")[0], wrong, "what was typed comes back");
        assert_eq!(shown(&refused, "user_per_minute")[0], "100");
        assert_eq!(refused.attribute("[aria-invalid]", "name"), ["per_minute"]);
    }
    let page = ada.get(PAGE).await;
    assert_eq!(shown(&page, "per_minute")[0], "300");

    let operator = stage.app.operator("olga").await;
    let mut olga = operator.sign_in().await;
    let path = "/operator/tenants/acme/limits";
    assert_eq!(olga.get("/operator/tenants/nobody/limits").await.status, 404);
    assert_eq!(shown(&olga.get(path).await, "per_minute"), ["", "600", "60000"]);
    let saved = save(&mut olga, path, ["1200", "", "10", ""]).await;
    assert_eq!(saved.location(), "/operator?notice=limits-saved");
    assert_eq!(save(&mut olga, path, ["60001", "", "", ""]).await.status, 422);
    let page = ada.get(PAGE).await;
    assert_eq!(shown(&page, "per_minute"), ["300", "1200", "1200"]);
    // What the admin chose stays, and holds as far as it may.
    assert_eq!(shown(&page, "token_per_minute"), ["30", "10", "10"]);
    assert_eq!(changes().await, 2);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn admins_see_what_was_asked_and_what_was_turned_away(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut ada = stage.signed_in(&stage.ada).await;
    let page = ada.get(PAGE).await;
    assert_eq!(page.select("#calls tbody tr:first-child td"), ["0", "0", "0"]);
    assert!(page.text().contains("Nothing was turned away"));

    let now = stage.app.clock.now();
    let past = [Duration::ZERO, Duration::minutes(2), Duration::days(3), Duration::days(8)];
    let mut tx = stage.app.db().control().await.unwrap();
    for (kind, tenant) in [
        (Kind::Search, stage.acme.id),
        (Kind::TokenIssued, stage.acme.id),
        (Kind::Fetch, stage.other.id),
    ] {
        for ago in past {
            let event = Event::new(kind, now - ago).tenant(tenant);
            append_control(&mut tx, &event).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    let page = ada.get(PAGE).await;
    let searches = page.select("#calls tbody tr:first-child td");
    assert_eq!((searches[0].as_str(), searches[2].as_str()), ("1", "3"));
    assert_eq!(page.select("#calls tbody tr:nth-child(2) td"), ["0", "0", "0"]);
}

/// A limit that turns calls away tells the tenant's admins, and nobody else's, even after a restart.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_limits_turn_away_is_kept(pool: PgPool) {
    let scale = [("CALLSLIP_RATE_LIMIT_SCALE", "0.1")];
    let noisy = mcp::stage::Stage::with(&pool, &scale).await;
    let quiet = mcp::stage::Stage::on(noisy.app.clone()).await;
    let message = mcp::stage::call("fetch", serde_json::json!({ "id": "nothing" }));
    for _ in 0..8 {
        noisy.post(&message).await;
    }
    quiet.post(&message).await;
    let today = noisy.app.clock.now().date();
    for _ in 0..2 {
        // What was written down once is not written down again.
        noisy.app.app.calls.refused().flush(noisy.app.db(), today).await.unwrap();
    }
    noisy.post(&message).await;
    noisy.app.app.calls.refused().flush(noisy.app.db(), today).await.unwrap();
    let kept = sqlx::query!("select tenant_id, limit_name, refused from limit_refusals")
        .fetch_all(&pool)
        .await
        .unwrap();
    let [row] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!((row.tenant_id, row.limit_name.as_str()), (noisy.tenant.uuid(), "token"));
    assert_eq!(row.refused, 6);
    let admin = noisy.app.member(&noisy.slug, "admin", Role::Admin).await;
    let mut admin = admin.sign_in().await;
    let page = admin.get(&format!("/t/{}/usage", noisy.slug)).await;
    assert_eq!(page.select("#refused tbody th"), ["One connection"]);
    assert_eq!(page.select("#refused tbody td"), ["6", "6"]);
}
