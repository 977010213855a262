//! The private Postgres against real processes, killed and raced.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use super::postmaster::Postmaster;
use super::*;

/// A data folder that the user of Postgres can reach even when the tests run as root.
fn data_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("callslip-")
        .permissions(fs::Permissions::from_mode(0o711))
        .tempdir_in("/tmp")
        .unwrap()
}

async fn try_attach(data_dir: &Path) -> Result<Embedded, EmbeddedError> {
    let install = std::env::var_os("CALLSLIP_POSTGRES_DIR")
        .expect("CALLSLIP_POSTGRES_DIR names the folder of the Postgres programs (scripts/test)");
    Embedded::attach(Some(install.as_ref()), data_dir, &|_| {}).await
}

async fn attach(data: &TempDir) -> Embedded {
    try_attach(data.path()).await.unwrap()
}

async fn connect(url: &str) -> PgConnection {
    url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
}

fn postmaster(embedded: &Embedded) -> Option<Postmaster> {
    Postmaster::find(&embedded.server.cluster.folder)
}

/// Wait for what another process does in its own time.
async fn eventually(mut happened: impl FnMut() -> bool) {
    let since = Instant::now();
    while !happened() {
        assert!(since.elapsed() < Duration::from_secs(30), "it never happened");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_committed_row_outlives_a_killed_postgres() {
    let data = data_folder();
    let embedded = attach(&data).await;
    let mut owner = connect(embedded.owner_url()).await;
    let kept = "create table kept as select 42 as answer";
    sqlx::raw_sql(kept).execute(&mut owner).await.unwrap();
    let killed = postmaster(&embedded).unwrap();

    kill(killed.pid, Signal::SIGKILL).unwrap();
    drop(embedded); // and whoever used it is gone too
    eventually(|| Postmaster::find(&data.path().join("postgres")).is_none()).await;
    let again = attach(&data).await;

    assert_ne!(postmaster(&again).unwrap().pid, killed.pid);
    let mut owner = connect(again.owner_url()).await;
    let row = sqlx::raw_sql("select answer from kept").fetch_one(&mut owner).await.unwrap();
    assert_eq!(sqlx::Row::get::<i32, _>(&row, 0), 42);
    again.release().await.unwrap();
}

/// The server runs on while its database is killed under it.
#[tokio::test]
async fn a_killed_postgres_is_started_again_for_those_that_use_it() {
    let data = data_folder();
    let embedded = attach(&data).await;
    let killed = postmaster(&embedded).unwrap();

    kill(killed.pid, Signal::SIGKILL).unwrap();
    eventually(|| postmaster(&embedded).is_some_and(|found| found.pid != killed.pid)).await;

    // Attaching waits for the start lock, so by then it is ready.
    let second = attach(&data).await;
    connect(embedded.owner_url()).await.ping().await.unwrap();
    second.release().await.unwrap();
    embedded.release().await.unwrap();
}

#[tokio::test]
async fn of_two_that_share_it_the_last_one_stops_it() {
    let data = data_folder();
    let (first, second) = tokio::join!(attach(&data), attach(&data));
    let running = postmaster(&first).unwrap();
    assert_eq!(postmaster(&second).unwrap().pid, running.pid);

    first.release().await.unwrap();
    let mut app = connect(second.app_url()).await;
    app.ping().await.unwrap();

    let cluster = second.server.cluster.folder.clone();
    second.release().await.unwrap();
    assert!(Postmaster::find(&cluster).is_none());
    assert!(!cluster.join("postmaster.pid").exists(), "it was stopped, not killed");
}

/// A crash in a container leaves a pid file whose number soon belongs to somebody else.
#[tokio::test]
async fn a_stale_pid_file_with_the_number_of_a_stranger_is_no_obstacle() {
    let data = data_folder();
    let embedded = attach(&data).await;
    let pid_file = embedded.server.cluster.folder.join("postmaster.pid");
    let before = fs::read_to_string(&pid_file).unwrap();
    embedded.release().await.unwrap();

    let (_, rest) = before.split_once('\n').unwrap();
    fs::write(&pid_file, format!("{}\n{rest}", std::process::id())).unwrap();
    let again = attach(&data).await;

    let mut owner = connect(again.owner_url()).await;
    owner.ping().await.unwrap();
    again.release().await.unwrap();
}

/// Containers seldom let root look closely at processes of others. All else holds there too.
#[tokio::test]
async fn root_that_may_not_trace_others_still_knows_its_postgres() {
    let without_tracing = ["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--"];
    let ourselves = std::env::current_exe().unwrap();
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = tokio::process::Command::new("setpriv");
        command.args(without_tracing).arg(ourselves);
        command
    } else {
        tokio::process::Command::new(ourselves) // others' processes are closed to it anyway
    };
    let these = [
        "a_committed_row_outlives_a_killed_postgres",
        "a_killed_postgres_is_started_again_for_those_that_use_it",
        "of_two_that_share_it_the_last_one_stops_it",
        "a_stale_pid_file_with_the_number_of_a_stranger_is_no_obstacle",
    ];
    let ran = command
        .arg("--exact")
        .args(these.map(|name| format!("db::embedded::tests::{name}")))
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains(" 4 passed"), "{said}");
}

/// The socket is the only way in, and only for us: no TCP, no root, no trust.
#[tokio::test]
async fn it_listens_privately_as_an_unprivileged_user_and_asks_for_passwords() {
    let data = data_folder();
    let embedded = attach(&data).await;
    let running = postmaster(&embedded).unwrap();

    let process = PathBuf::from(format!("/proc/{}", running.pid));
    if process.exists() {
        assert_ne!(fs::metadata(process).unwrap().uid(), 0, "Postgres runs as root");
    }
    let mut owner = connect(embedded.owner_url()).await;
    let row = sqlx::raw_sql(
        "select current_setting('listen_addresses'), current_setting('fsync'),
                (select rolsuper from pg_roles where rolname = current_user),
                to_tsvector('simple', 'ÄRGER')::text",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    let setting = |index| sqlx::Row::get::<String, _>(&row, index);
    assert_eq!((setting(0).as_str(), setting(1).as_str()), ("", "on"));
    assert!(!sqlx::Row::get::<bool, _>(&row, 2), "the owner is a superuser");
    assert_eq!(setting(3), "'ärger':1", "words are folded beyond ASCII in whatever locale");

    let folder = fs::metadata(&running.socket_folder).unwrap();
    assert_eq!(folder.permissions().mode() & 0o077, 0);
    let passwords = fs::metadata(data.path().join("postgres.pgpass")).unwrap();
    assert_eq!(passwords.permissions().mode() & 0o777, 0o600);
    let options: PgConnectOptions = embedded.app_url().parse().unwrap();
    for role in ["app_login", "callslip", "postgres"] {
        let guess = options.clone().username(role).password("guess").connect().await;
        assert!(guess.is_err(), "{role} needs no password");
    }
    embedded.release().await.unwrap();
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_folder() {
    let data = data_folder();
    let deep = data.path().join("d".repeat(60)).join("e".repeat(60));
    fs::create_dir_all(&deep).unwrap();
    let embedded = try_attach(&deep).await.unwrap();

    let socket_folder = postmaster(&embedded).unwrap().socket_folder;
    assert!(socket_folder.starts_with("/tmp"));
    let mut owner = connect(embedded.owner_url()).await;
    owner.ping().await.unwrap();
    embedded.release().await.unwrap();
    fs::remove_dir_all(socket_folder).unwrap();
}

#[tokio::test]
async fn missing_programs_are_named_with_what_to_do() {
    let data = data_folder();
    for install in [Some(data.path()), None] {
        let error = Embedded::attach(install, data.path(), &|_| {}).await.unwrap_err().to_string();
        assert!(error.contains("scripts/demo") && error.contains("DATABASE_URL"), "{error}");
    }
}

/// A command on an existing data folder needs to know the folder and nothing else.
#[tokio::test]
async fn the_programs_that_ran_last_are_remembered() {
    let data = data_folder();
    attach(&data).await.release().await.unwrap();
    let again = Embedded::attach(None, data.path(), &|_| {}).await.unwrap();
    again.release().await.unwrap();
}

/// Lost passwords must not be answered with new ones that open nothing.
#[tokio::test]
async fn lost_passwords_are_said_to_be_lost() {
    let data = data_folder();
    attach(&data).await.release().await.unwrap();
    fs::remove_file(data.path().join("postgres.pgpass")).unwrap();

    let lost = try_attach(data.path()).await;
    assert!(matches!(lost, Err(EmbeddedError::PasswordsLost(_))), "{lost:?}");
}

/// Root's home is closed to the user that Postgres runs as; a data folder in it works all the same.
#[tokio::test]
async fn a_data_folder_behind_a_closed_one_works_too() {
    let closed = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in("/tmp")
        .unwrap();
    let data = closed.path().join("data");
    let embedded = try_attach(&data).await.unwrap();
    connect(embedded.owner_url()).await.ping().await.unwrap();
    embedded.release().await.unwrap();

    let again = try_attach(&data).await.unwrap();
    let cluster = again.server.cluster.folder.clone();
    assert_eq!(cluster, data.join("postgres").canonicalize().unwrap());
    again.release().await.unwrap();
    fs::remove_dir_all(cluster).unwrap();
}
