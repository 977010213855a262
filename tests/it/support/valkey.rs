//! A Valkey or Redis of a test's own.

use std::{
    env, fs,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{net::UnixStream, time::Instant};

/// Behind a socket in a folder of its own, and gone with it.
pub struct Valkey {
    folder: TempDir,
    process: Option<Child>,
}

impl Valkey {
    pub async fn start() -> Self {
        let mut valkey = Self { folder: tempfile::tempdir().unwrap(), process: None };
        valkey.run().await;
        valkey
    }

    /// Start it, empty, where it was before.
    pub async fn run(&mut self) {
        let program = program();
        let started = Command::new(&program)
            .current_dir(self.folder.path())
            .args(["--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no"])
            .args(["--daemonize", "no", "--loglevel", "warning"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let process = started.unwrap_or_else(|error| {
            panic!(
                "{program}: {error}. Tests of shared limits need redis-server or valkey-server: \
                 install it, or name it in CALLSLIP_VALKEY_SERVER (scripts/test does)."
            )
        });
        self.process = Some(process);
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        while UnixStream::connect(self.folder.path().join("socket")).await.is_err() {
            assert!(Instant::now() < deadline, "{program} does not come up");
            tokio::task::yield_now().await;
        }
    }

    pub fn url(&self) -> String {
        format!("unix:{}", self.folder.path().join("socket").display())
    }

    /// A connection of the test's own.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// It goes on existing, and says nothing.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// With everything that it knew.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
            let _ = fs::remove_file(self.folder.path().join("socket"));
        }
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().unwrap().id();
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::disallowed_methods, reason = "where the machine keeps its programs")]
fn program() -> String {
    env::var("CALLSLIP_VALKEY_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}
