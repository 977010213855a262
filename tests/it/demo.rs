//! `callslip demo`, as a person runs it: the real program, its private Postgres, signals.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// A data folder and an address of its own.
pub struct Installation {
    data: TempDir,
    pub listen: String,
}

impl Installation {
    pub fn new() -> Self {
        let data = tempfile::Builder::new()
            .prefix("callslip-")
            .permissions(fs::Permissions::from_mode(0o711)) // Postgres may run as somebody else
            .tempdir_in("/tmp")
            .unwrap();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { data, listen: probe.local_addr().unwrap().to_string() }
    }

    fn demo(&self, arguments: &[&str]) -> Output {
        self.callslip(&[&["demo"], arguments].concat())
    }

    fn callslip(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_callslip"))
            .args(arguments)
            .current_dir(self.data.path()) // no .env here
            .env_remove("DATABASE_URL")
            .env("CALLSLIP_DATA_DIR", self.data.path())
            .env("CALLSLIP_LISTEN", &self.listen)
            .env("CALLSLIP_METRICS_LISTEN", "127.0.0.1:0")
            .output()
            .unwrap()
    }

    /// Start it in the background; what it noted in `demo.json`.
    pub fn start(&self) -> Value {
        let started = self.demo(&["--detach"]);
        let log = fs::read_to_string(self.path("demo.log")).unwrap_or_default();
        assert!(started.status.success(), "{}\n{log}", String::from_utf8_lossy(&started.stderr));
        self.note()
    }

    fn note(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("demo.json")).unwrap()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    /// `kill -9` the server and wait for its death: then its lock is free.
    fn kill_server(&self) {
        kill(self.pid("demo.pid"), Signal::SIGKILL).unwrap();
        File::open(self.path("demo.pid")).unwrap().lock_shared().unwrap();
    }

    fn pid(&self, file: &str) -> Pid {
        let text = fs::read_to_string(self.path(file)).unwrap();
        Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
    }

    /// The status line of `GET path`.
    fn get(&self, path: &str) -> String {
        let answer = self.send(&format!("GET {path}"), "", "");
        answer.lines().next().unwrap_or_default().to_owned()
    }

    /// The whole answer to a search with this token.
    fn search(&self, token: &str) -> String {
        let body = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params":
            {"name": "search", "arguments": {"query": "Are cats attached to their homes?"}}}"#;
        let headers = format!(
            "Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            body.len(),
        );
        self.send("POST /t/demo/mcp", &headers, body)
    }

    fn send(&self, request: &str, headers: &str, body: &str) -> String {
        let listen = &self.listen;
        let mut stream = TcpStream::connect(listen).unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n");
        write!(stream, "{head}{headers}\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.demo(&["--stop"]);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn the_demonstration_notes_how_to_sign_in_and_keeps_it() {
    let installation = Installation::new();
    let note = installation.start();

    let keys: BTreeSet<&str> = note.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["origin", "mcp_url", "sse_url", "tenant", "users", "operator"];
    assert_eq!(keys, BTreeSet::from(expected));
    let mode = fs::metadata(installation.path("demo.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(installation.get("/sign-in").ends_with(" 200 OK"));

    let log = fs::read_to_string(installation.path("demo.log")).unwrap();
    for user in note["users"].as_array().unwrap() {
        let password = user["password"].as_str().unwrap();
        assert!(password.len() >= 16 && !log.contains(password), "a password in the log");
    }

    let again = installation.demo(&["--detach"]);
    assert!(again.status.success() && text(&again).contains("Already running"), "{}", text(&again));

    assert!(installation.demo(&["--stop"]).status.success());
    assert!(TcpStream::connect(&installation.listen).is_err(), "the server still listens");
    assert!(!installation.path("postgres/postmaster.pid").exists(), "Postgres still runs");
    assert_eq!(installation.start(), note, "a second run changed the passwords");
}

/// What the printed `curl` does: a token that was got over OAuth gets a search answer from the book.
#[test]
fn the_printed_commands_search_the_book() {
    let installation = Installation::new();
    let note = installation.start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/token");
    let made = Command::new(script).arg(installation.path("demo.json")).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));

    let answer = installation.search(String::from_utf8(made.stdout).unwrap().trim());
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("Trained Cats"), "{answer}");
    assert!(installation.search("made-up").starts_with("HTTP/1.1 401 "));
    assert_eq!(note["tenant"], "demo");
}

/// After `kill -9` of the server, and of Postgres with it, the next start finds no stale lock.
#[test]
fn a_killed_server_leaves_nothing_in_the_way() {
    let installation = Installation::new();
    let note = installation.start();

    installation.kill_server();
    assert_eq!(installation.start(), note);

    installation.kill_server();
    kill(installation.pid("postgres/postmaster.pid"), Signal::SIGKILL).unwrap();
    assert_eq!(installation.start(), note);
    assert!(installation.get("/readyz").ends_with(" 200 OK"));
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let installation = Installation::new();
    let _other = TcpListener::bind(&installation.listen).unwrap();
    for arguments in [&["--detach"][..], &[]] {
        let refused = installation.demo(arguments);
        assert!(!refused.status.success());
        let said = text(&refused);
        assert!(said.contains(&installation.listen) && said.contains("CALLSLIP_LISTEN"), "{said}");
    }
}

#[test]
fn stopping_what_does_not_run_is_no_error() {
    let installation = Installation::new();
    let stopped = installation.demo(&["--stop"]);
    assert!(stopped.status.success() && text(&stopped).contains("Nothing runs"));
}
