//! What the stores of tenants and users promise, races included.

use callslip::{
    sign_in::accounts::NewAccount,
    tenants::{
        self, Role,
        store::{AlreadyMember, SlugTaken, Unchanged},
    },
    users::{password::Password, store::EmailTaken},
};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::support::{PASSWORD, TestApp};

/// Of racing callers with one slug or one address, one succeeds and the others hear why not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn names_are_taken_once(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut race = JoinSet::new();
    for _ in 0..8 {
        let accounts = app.accounts();
        race.spawn(async move {
            let slug = "acme".parse().unwrap();
            let tenant = accounts.create_tenant(&slug, &"Acme".parse().unwrap()).await.unwrap();
            let new = NewAccount {
                email: "ada@acme.example".parse().unwrap(),
                name: "Ada".parse().unwrap(),
                password: Password::presented(PASSWORD).unwrap(),
                is_operator: false,
            };
            (tenant, accounts.create_user(new).await.unwrap())
        });
    }
    let (tenants, users): (Vec<_>, Vec<_>) = race.join_all().await.into_iter().unzip();
    assert_eq!(tenants.iter().filter(|made| made.is_ok()).count(), 1);
    assert_eq!(users.iter().filter(|made| made.is_ok()).count(), 1);
    assert!(tenants.into_iter().all(|made| made.is_ok() || made == Err(SlugTaken)));
    assert!(users.into_iter().all(|made| made.is_ok() || made == Err(EmailTaken)));
}

/// A tenant keeps an owner, also when its last two leave at once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_last_owner_stays(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let acme = app.tenant("acme").await;
    let owners = [
        app.member("acme", "ada", Role::Owner).await,
        app.member("acme", "bob", Role::Owner).await,
    ];
    let reader = app.member("acme", "cas", Role::Reader).await;
    let again = app.accounts().add_member(&acme, &reader.user, Role::Owner).await.unwrap();
    assert_eq!(again, Err(AlreadyMember));
    let mut race = JoinSet::new();
    for owner in owners {
        let (accounts, acme) = (app.accounts(), acme.clone());
        race.spawn(async move { accounts.remove_member(&acme, &owner.user).await.unwrap() });
    }
    let outcomes = race.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(outcomes.contains(&Err(Unchanged::LastOwner)));
    let mut tx = app.db().control().await.unwrap();
    let members = tenants::store::members(&mut tx, acme.id).await.unwrap();
    let last = members.iter().find(|member| member.role == Role::Owner).unwrap().user_id;
    for role in [Role::Admin, Role::Reader] {
        let demoted = tenants::store::change_role(&mut tx, acme.id, last, role).await.unwrap();
        assert_eq!(demoted, Err(Unchanged::LastOwner));
    }
    let stranger = callslip::ids::UserId::new();
    let unknown = tenants::store::remove_member(&mut tx, acme.id, stranger).await.unwrap();
    assert_eq!(unknown, Err(Unchanged::NotAMember));
    assert_eq!(members.len(), 2);
}

/// Neither a suspended tenant nor a disabled user has a role.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_switched_off_counts_as_absent(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let acme = app.tenant("acme").await;
    let ada = app.member("acme", "ada", Role::Admin).await.user;
    let mut tx = app.db().control().await.unwrap();
    let role = tenants::store::find_role(&mut tx, acme.id, ada.id).await.unwrap();
    assert_eq!(role, Some(Role::Admin));
    for (off, on) in [
        ("update tenants set suspended_at = now()", "update tenants set suspended_at = null"),
        ("update users set disabled_at = now()", "update users set disabled_at = null"),
    ] {
        sqlx::query(off).execute(&pool).await.unwrap();
        let mut tx = app.db().control().await.unwrap();
        assert_eq!(tenants::store::find_role(&mut tx, acme.id, ada.id).await.unwrap(), None);
        assert_eq!(tenants::store::memberships_of(&mut tx, ada.id).await.unwrap(), []);
        sqlx::query(on).execute(&pool).await.unwrap();
    }
}
