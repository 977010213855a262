//! `callslip import --sync`: what vanished from a folder leaves the store.

use std::{fs, path::Path};

use callslip::{
    documents::{
        self, Importer, Report,
        sync::{self, Plan, Refused, Removed},
    },
    ids::DocumentId,
};
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::Shelf;
use crate::support::{Terminal, TestApp};

impl Shelf {
    async fn plan(&self, folder: &Path, report: &Report) -> Result<Plan, Refused> {
        let sources = [folder.to_owned()];
        sync::plan(&self.importer, self.scope, self.store, &sources, report).await.unwrap()
    }

    async fn carry_out(&self, plan: &Plan) -> Removed {
        sync::carry_out(&self.importer, self.scope, self.store, plan).await.unwrap()
    }

    /// Import a folder and remove what is gone from it.
    async fn sync(&self, folder: &Path) -> Removed {
        let report = self.import(&[folder.to_owned()]).await;
        let plan = self.plan(folder, &report).await.unwrap();
        self.carry_out(&plan).await
    }

    async fn keys(&self) -> Vec<(DocumentId, String)> {
        let mut tx = self.app.db().tenant(self.scope).await.unwrap();
        let mut keys = documents::store::source_keys(&mut tx, self.store).await.unwrap();
        keys.sort_by(|a, b| a.1.cmp(&b.1));
        keys
    }

    async fn names(&self) -> Vec<String> {
        let name = |(_, key): (_, String)| key.rsplit('/').next().unwrap().to_owned();
        self.keys().await.into_iter().map(name).collect()
    }
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_vanished_is_removed_and_nothing_else(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &[("a.txt", "Aardvark."), ("b.txt", "Bison."), ("c.txt", "Civet.")]);
    write(other.path(), &[("elsewhere.txt", "Emu.")]);
    write(folder.path(), &[("d.jsonl", "{\"_id\":\"1\",\"text\":\"Dingo\"}")]);
    shelf.import(&[folder.path().to_owned(), other.path().to_owned()]).await;
    shelf.upload("mine.txt", b"Marmot.").await;

    fs::remove_file(folder.path().join("a.txt")).unwrap();
    fs::remove_file(other.path().join("elsewhere.txt")).unwrap();
    write(folder.path(), &[("b.txt", "Bison and bongo."), ("f.txt", "Ferret.")]);
    let plan = shelf.plan(folder.path(), &Report::default()).await.unwrap();
    let gone: Vec<_> = plan.gone().collect();
    assert_eq!(gone.len(), 1);
    assert!(gone[0].ends_with("/a.txt") && !plan.is_most());
    assert_eq!(shelf.ask("aardvark").await.len(), 1, "a plan changes nothing");

    assert_eq!(shelf.sync(folder.path()).await, Removed { removed: 1, ..Removed::default() });
    assert!(shelf.ask("aardvark").await.is_empty());
    for stays in ["bongo", "civet", "dingo", "emu", "ferret", "marmot"] {
        assert_eq!(shelf.ask(stays).await.len(), 1, "{stays}");
    }
    let event =
        sqlx::query!("select kind, detail from audit_events where kind = 'document.deleted'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert!(event.detail["vanished"].as_str().unwrap().ends_with("/a.txt"));
    assert_eq!(shelf.sync(folder.path()).await, Removed::default());
}

/// A file under another name is the same document, and links to its passages go on working.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_moved_keeps_its_id(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let folder = tempfile::tempdir().unwrap();
    let mail = "From: a@b.example\r\nSubject: Okapi\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nLook.\r\n--x\r\n\
        Content-Disposition: attachment; filename=tapir.txt\r\n\r\nTapir.\r\n--x--\r\n";
    write(folder.path(), &[("a.txt", "Aardvark."), ("m.eml", mail), ("z.txt", "Zebra.")]);
    shelf.import(&[folder.path().to_owned()]).await;
    let before = shelf.keys().await;
    assert_eq!(before.len(), 4, "{before:?}");

    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::rename(folder.path().join("a.txt"), folder.path().join("sub/b.txt")).unwrap();
    fs::rename(folder.path().join("m.eml"), folder.path().join("n.eml")).unwrap();
    let dry = shelf.plan(folder.path(), &Report::default()).await.unwrap();
    assert_eq!(dry.gone().count(), 0);
    assert_eq!(shelf.sync(folder.path()).await, Removed { moved: 2, ..Removed::default() });
    assert_eq!(shelf.names().await, ["n.eml", "tapir.txt", "b.txt", "z.txt"]);
    let ids = |keys: Vec<(DocumentId, String)>| {
        let mut ids: Vec<_> = keys.into_iter().map(|(id, _)| id).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(shelf.keys().await), ids(before));
    assert_eq!(shelf.sync(folder.path()).await, Removed::default());

    // One of two copies goes: the other still says it.
    fs::copy(folder.path().join("z.txt"), folder.path().join("y.txt")).unwrap();
    shelf.sync(folder.path()).await;
    fs::remove_file(folder.path().join("z.txt")).unwrap();
    assert_eq!(shelf.sync(folder.path()).await, Removed { moved: 1, ..Removed::default() });
    assert_eq!(shelf.ask("zebra").await.len(), 1);

    // A message that is gone takes its attachment with it.
    fs::remove_file(folder.path().join("n.eml")).unwrap();
    assert_eq!(shelf.sync(folder.path()).await, Removed { removed: 2, ..Removed::default() });
    assert_eq!(shelf.names().await, ["b.txt", "y.txt"]);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_an_archive_lost_goes_once_it_was_read_whole(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let folder = tempfile::tempdir().unwrap();
    let pack = |files: &[(&str, &str)]| {
        let file = fs::File::create(folder.path().join("all.zip")).unwrap();
        let mut archive = zip::ZipWriter::new(file);
        for (name, text) in files {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut archive, text.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
    };
    pack(&[("a.txt", "Aardvark."), ("b.txt", "Bison."), ("c.txt", "Civet.")]);
    write(folder.path(), &[("d.txt", "Dingo.")]);
    assert_eq!(shelf.sync(folder.path()).await, Removed::default());
    assert_eq!(shelf.names().await.len(), 4);

    // With something in it that cannot be read, nobody knows what is missing.
    pack(&[("a.txt", "Aardvark."), ("b.pdf", "no pdf")]);
    assert_eq!(shelf.sync(folder.path()).await, Removed::default());
    pack(&[("a.txt", "Aardvark.")]);
    let dry = shelf.plan(folder.path(), &Report::default()).await.unwrap();
    assert_eq!(dry.gone().count(), 0, "what was not read is not judged");
    assert_eq!(shelf.sync(folder.path()).await, Removed { removed: 2, ..Removed::default() });
    fs::remove_file(folder.path().join("all.zip")).unwrap();
    assert_eq!(shelf.sync(folder.path()).await, Removed { removed: 1, ..Removed::default() });
    assert_eq!(shelf.names().await, ["d.txt"]);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_folder_that_says_nothing_removes_nothing(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a.txt", "Aardvark."), ("b.txt", "Bison."), ("c.txt", "Civet.")]);
    shelf.import(&[folder.path().to_owned()]).await;
    for name in ["a.txt", "b.txt", "c.txt"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let empty = shelf.plan(folder.path(), &Report::default()).await.unwrap_err();
    assert!(matches!(empty, Refused::Empty(_)) && empty.to_string().contains("mounted"));
    let missing = folder.path().join("none");
    let unreadable = shelf.plan(&missing, &Report::default()).await.unwrap_err();
    assert!(matches!(unreadable, Refused::Unreadable(_)));
    assert_eq!(shelf.names().await.len(), 3);
}

/// Whoever uploads what an import brought in keeps it, however close the file's end is.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_upload_of_the_same_content_survives_the_file(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("stays.txt", "Stork.")]);
    for round in 0..8 {
        let text = format!("Heron {round}.");
        write(folder.path(), &[("goes.txt", &text)]);
        let report = shelf.import(&[folder.path().to_owned()]).await;
        fs::remove_file(folder.path().join("goes.txt")).unwrap();
        let plan = shelf.plan(folder.path(), &Report::default()).await.unwrap();
        assert_eq!((report.failed.len(), plan.gone().count()), (0, 1));
        let mine = format!("mine-{round}.txt");
        let (removed, uploaded) =
            tokio::join!(shelf.carry_out(&plan), shelf.upload(&mine, text.as_bytes()));
        assert_eq!(removed.removed + removed.kept, 1);
        assert_eq!((uploaded.failed.len(), uploaded.added), (0, removed.removed), "{uploaded:?}");
        assert!(shelf.names().await.contains(&format!("upload:{mine}")));
    }
}

/// Of any number of removals at once each document is removed, and told of, once; a file that came
/// back in between keeps its document.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_removals_at_once_one_removes(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a.txt", "A."), ("b.txt", "B."), ("c.txt", "C."), ("d.txt", "D.")]);
    shelf.import(&[folder.path().to_owned()]).await;
    for name in ["a.txt", "b.txt", "c.txt"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let mut plans = Vec::new();
    for _ in 0..6 {
        plans.push(shelf.plan(folder.path(), &Report::default()).await);
    }
    write(folder.path(), &[("c.txt", "C again.")]);
    let mut race = JoinSet::new();
    let twin = shelf.app.twin().await;
    for (number, plan) in plans.into_iter().enumerate() {
        let app: &TestApp = if number % 2 == 0 { &shelf.app } else { &twin };
        let importer: Importer = app.parts.importer();
        let plan = plan.unwrap();
        assert!(plan.is_most());
        let (scope, store) = (shelf.scope, shelf.store);
        race.spawn(async move { sync::carry_out(&importer, scope, store, &plan).await.unwrap() });
    }
    let done = race.join_all().await;
    assert_eq!(done.iter().map(|one| one.removed).sum::<u64>(), 2, "{done:?}");
    let told =
        sqlx::query_scalar!("select count(*) from audit_events where kind = 'document.deleted'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((told, shelf.names().await), (Some(2), vec!["c.txt".into(), "d.txt".into()]));
}

/// As an operator types it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_terminal_lists_asks_and_removes(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let terminal = Terminal::new(&pool);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    write(folder.path(), &[("a.txt", "Aardvark."), ("b.txt", "Bison."), ("c.txt", "Civet.")]);
    let import = &format!("import --tenant acme --store Books --sync {place}");
    assert!(terminal.stdout(import, "", "").contains("3 added"));
    fs::remove_file(folder.path().join("a.txt")).unwrap();
    let dry = terminal.stdout(&format!("{import} --dry-run"), "", "");
    assert!(dry.contains("/a.txt") && dry.contains("1 of 3 documents would be removed"), "{dry}");
    assert_eq!(shelf.names().await.len(), 3);
    assert!(terminal.refusal(import, "", "").contains("--yes"));
    assert_eq!(shelf.names().await.len(), 3, "nobody agreed");
    assert!(terminal.stdout(&format!("{import} --yes"), "", "").contains("1 removed"));
    fs::remove_file(folder.path().join("b.txt")).unwrap();
    fs::remove_file(folder.path().join("c.txt")).unwrap();
    assert!(terminal.refusal(&format!("{import} --yes"), "", "").contains("mounted"));
    write(folder.path(), &[("d.txt", "Dingo.")]);
    assert!(terminal.refusal(import, "", "").contains("more than half"));
    assert!(terminal.stdout(&format!("{import} --yes"), "", "").contains("2 removed"));
    assert_eq!(shelf.names().await, ["d.txt"]);
}
