//! `callslip tenant`, `user` and `operator`, as an operator types them.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use sqlx::PgPool;
use tempfile::TempDir;

use crate::support::{ORIGIN, PASSWORD, TestApp};

/// A terminal with the environment of this test's database.
struct Terminal {
    data: TempDir,
    database_url: String,
}

impl Terminal {
    fn new(pool: &PgPool) -> Self {
        let options = pool.connect_options();
        let host = options
            .get_socket()
            .map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
        let (port, name) = (options.get_port(), options.get_database().unwrap());
        let database_url = format!("postgres:///{name}?host={host}&port={port}&user=app_login");
        Self { data: TempDir::new().unwrap(), database_url }
    }

    fn run(&self, line: &str, name: &str, input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callslip"));
        command.args(line.split(' '));
        if !name.is_empty() {
            command.args(["--name", name]);
        }
        let mut child = command
            .current_dir(self.data.path())
            .env("CALLSLIP_DATA_DIR", self.data.path())
            .env("CALLSLIP_PUBLIC_URL", ORIGIN)
            .env("DATABASE_URL", &self.database_url)
            .env_remove("MIGRATION_DATABASE_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that does not read its input has closed it already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn stdout(&self, line: &str, name: &str, input: &str) -> String {
        let output = self.run(line, name, input);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {errors}");
        assert!(!errors.contains(PASSWORD));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn refusal(&self, line: &str, name: &str, input: &str) -> String {
        let output = self.run(line, name, input);
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stderr).unwrap()
    }
}

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
