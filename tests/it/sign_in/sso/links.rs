//! Who is whom.

use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Scene, ada};

fn somebody(sub: &str, email: &str, verified: impl Into<Value>) -> Value {
    json!({ "sub": sub, "email": email, "email_verified": verified.into() })
}

/// [S-09] The first time, a verified address finds a member; from then on issuer and subject do,
/// whatever the address becomes, and no other subject ever has that member.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn issuer_and_subject_are_the_identity(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    scene.app.member("acme", "ada", Role::Reader).await;
    scene.app.member("acme", "bob", Role::Reader).await;
    for unverified in [Value::Null, json!(false), json!("false"), json!(1)] {
        let claims = somebody("ada-there", "ada@acme.example", unverified);
        let (browser, answer) = scene.enter(claims.clone()).await;
        assert_eq!((answer.status.as_u16(), browser.session()), (403, None), "{claims}");
    }
    assert_eq!(scene.enter(ada()).await.1.status, 303);

    // Another address, or none, or somebody else's: still Ada.
    for claims in [
        json!({ "sub": "ada-there" }),
        somebody("ada-there", "ada@new.example", true),
        somebody("ada-there", "bob@acme.example", true),
    ] {
        let (mut browser, answer) = scene.enter(claims).await;
        assert_eq!(answer.status, 303);
        assert!(browser.get("/account").await.text().contains("ada@acme.example"));
    }
    // Her address, given to somebody else there: not Ada.
    let (browser, answer) = scene.enter(somebody("heir", "ada@acme.example", true)).await;
    assert_eq!((answer.status.as_u16(), browser.session()), (403, None));
    assert_eq!(scene.app.count("sso_links").await, 1);
}

/// Nobody becomes a member or gets an account this way, not even with an account elsewhere.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nobody_becomes_a_member(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    scene.app.person("eve").await;
    let users = scene.app.count("users").await;
    for email in ["stranger@acme.example", "eve@example.org"] {
        let (browser, answer) = scene.enter(somebody("x", email, true)).await;
        assert_eq!((answer.status.as_u16(), browser.session()), (403, None), "{email}");
        assert_eq!(answer.select("h1"), ["You are not a member of The acme company"]);
    }
    assert_eq!(scene.app.count("users").await, users);
    assert_eq!(scene.app.count("sso_links").await, 0);
}

/// A removed link, an ended membership and a disabled account let nobody in, and end what began so.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_taken_away_is_gone(pool: PgPool) {
    let mut scene = Scene::set(&pool).await;
    let person = scene.app.member("acme", "ada", Role::Reader).await;
    let path = format!("/t/acme/sign-in/members/{}", person.user.id);
    let (mut inside, _) = scene.enter(ada()).await;
    assert_eq!(inside.get("/t/acme").await.status, 200);
    let page = scene.owner.get("/t/acme/sign-in").await;
    assert!(page.text().contains("ada@acme.example"));
    let removed = scene.owner.submit("/t/acme/sign-in", &format!("{path}/remove"), &[]).await;
    assert_eq!(removed.location(), "/t/acme/sign-in?notice=link-removed");
    assert!(inside.get("/t/acme").await.location().starts_with("/sign-in"));
    // Her address does not bring the link back.
    assert_eq!(scene.enter(ada()).await.1.status, 403);
    let allowed = scene.owner.submit("/t/acme/sign-in", &format!("{path}/allow"), &[]).await;
    assert_eq!(allowed.location(), "/t/acme/sign-in?notice=link-allowed");

    let (mut inside, answer) = scene.enter(ada()).await;
    assert_eq!(answer.status, 303);
    let acme = scene.app.tenant("acme").await;
    scene.app.accounts().remove_member(&acme, &person.user).await.unwrap().unwrap();
    assert!(inside.get("/account").await.location().starts_with("/sign-in"));
    assert_eq!(scene.enter(ada()).await.1.status, 403);

    person.join("acme", Role::Reader).await;
    assert_eq!(scene.enter(ada()).await.1.status, 303);
    scene.app.accounts().disable_user(person.user.id).await.unwrap();
    assert_eq!(scene.enter(ada()).await.1.status, 403);
}
