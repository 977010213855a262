//! `callslip tenant`, `user` and `operator`, as an operator types them.

use sqlx::PgPool;

use crate::support::{ORIGIN, PASSWORD, Terminal, TestApp};

/// From nothing to somebody signed in, and out again.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn tenants_and_users_are_made_at_the_terminal(pool: PgPool) {
    let (app, terminal) = (TestApp::new(&pool).await.with_probes(), Terminal::new(&pool));
    let url = terminal.stdout("tenant create acme", "Acme Ltd", "");
    assert_eq!(url, format!("{ORIGIN}/t/acme/mcp"));
    assert!(terminal.refusal("tenant create acme", "Again", "").contains("slug"));
    assert!(terminal.refusal("tenant create A_B", "Again", "").contains("slug"));

    let add = "user add --tenant acme --role admin --email ada@acme.example --password-stdin";
    assert!(terminal.refusal(add, "Ada", "too short\n").contains("15 characters"));
    assert_eq!(terminal.stdout(add, "Ada", &format!("{PASSWORD}\r\n")), "");
    let generated = terminal.stdout("user add --tenant acme --email bob@acme.example", "Bob", "");
    assert_eq!(terminal.stdout("tenant list", "", ""), "acme\t2\tAcme Ltd");
    assert_eq!(
        terminal.stdout("user list --tenant acme", "", ""),
        "ada@acme.example\tadmin\tAda\nbob@acme.example\treader\tBob"
    );

    let (mut ada, mut bob) = (app.browser(), app.browser());
    assert_eq!(ada.sign_in("ada@acme.example", PASSWORD, "/").await.status, 303);
    assert_eq!(bob.sign_in("bob@acme.example", &generated, "/").await.status, 303);
    assert_eq!(ada.get("/t/acme/probe/admin").await.status, 200);
    terminal.stdout("user remove --tenant acme --email ada@acme.example", "", "");
    assert_eq!(ada.get("/t/acme/probe/admin").await.status, 404);
    terminal.stdout("user disable --email bob@acme.example", "", "");
    assert_eq!(bob.get("/probe/signed-in").await.status, 303);
    assert!(terminal.refusal("user disable --email eve@acme.example", "", "").contains("no user"));
}

/// [W-27] The first operator comes from a link that only the terminal gives.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_terminal_gives_the_link(pool: PgPool) {
    let (app, terminal) = (TestApp::new(&pool).await, Terminal::new(&pool));
    let link = terminal.stdout("operator create", "", "");
    let path = link.strip_prefix(ORIGIN).unwrap();
    assert_eq!(app.get(path).await.status, 200);
    let add = "operator add --email olga@example.org --password-stdin";
    terminal.stdout(add, "Olga", PASSWORD);
    assert_eq!(app.browser().sign_in("olga@example.org", PASSWORD, "/").await.status, 303);
    assert!(terminal.refusal(add, "Olga", PASSWORD).contains("e-mail address"));
}
