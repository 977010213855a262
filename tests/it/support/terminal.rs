//! The command line: the program, run as an operator runs it.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use sqlx::PgPool;
use tempfile::TempDir;

use super::{MASTER_KEY, ORIGIN, PASSWORD};

/// A terminal with the environment of this test's database.
pub struct Terminal {
    data: TempDir,
    database_url: String,
}

impl Terminal {
    /// On a test's database.
    pub fn new(pool: &PgPool) -> Self {
        let options = pool.connect_options();
        let host = options
            .get_socket()
            .map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
        let (port, name) = (options.get_port(), options.get_database().unwrap());
        let database_url = format!("postgres:///{name}?host={host}&port={port}&user=app_login");
        Self { data: TempDir::new().unwrap(), database_url }
    }

    /// Type a line, `--name NAME` behind it unless that is empty, and `input` into the program.
    pub fn run(&self, line: &str, name: &str, input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callslip"));
        command.args(line.split(' '));
        if !name.is_empty() {
            command.args(["--name", name]);
        }
        let mut child = command
            .current_dir(self.data.path())
            .env("CALLSLIP_DATA_DIR", self.data.path())
            .env("CALLSLIP_PUBLIC_URL", ORIGIN)
            .env("CALLSLIP_MASTER_KEY", MASTER_KEY.repeat(32))
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

    /// What the program prints when all goes well.
    pub fn stdout(&self, line: &str, name: &str, input: &str) -> String {
        let output = self.run(line, name, input);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {errors}");
        assert!(!errors.contains(PASSWORD));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What it says when it refuses.
    pub fn refusal(&self, line: &str, name: &str, input: &str) -> String {
        let output = self.run(line, name, input);
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stderr).unwrap()
    }
}
