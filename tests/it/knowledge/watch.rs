//! Folders and buckets that a store follows.
#![expect(clippy::disallowed_methods, reason = "looks behind the application's back")]

use std::fs;

use callslip::{
    db::TenantScope,
    ids::VectorStoreId,
    tenants::Role,
    watch::{Watched, Watcher, store},
};
use sqlx::PgPool;
use time::Duration;
use uuid::Uuid;

use crate::support::{
    Browser, TestApp,
    bucket_fake::{ACCESS_KEY_ID, Bucket, Mode, NAME, REGION, SECRET},
};

/// A store whose admin is about to name a place.
struct Post {
    app: TestApp,
    admin: Browser,
    scope: TenantScope,
    store: VectorStoreId,
    watcher: Watcher,
}

impl Post {
    async fn set(pool: &PgPool, variables: &[(&str, &str)]) -> Self {
        let app = TestApp::with(pool, variables).await;
        let scope = super::scope(&app, "acme").await;
        let store = app.store("acme", "Papers").await;
        let admin = app.member("acme", "grace", Role::Admin).await.sign_in().await;
        let watcher = app.parts.watcher();
        Self { app, admin, scope, store, watcher }
    }

    fn page(&self) -> String {
        format!("/t/acme/vector-stores/{}/watch", self.store)
    }

    async fn follow(&mut self, fields: &[(&str, &str)]) -> crate::support::Answer {
        let page = self.page();
        self.admin.submit(&page, &page, fields).await
    }

    async fn follow_bucket(&mut self, bucket: &Bucket, secret: &str) -> crate::support::Answer {
        self.follow(&[
            ("kind", "bucket"),
            ("endpoint", &bucket.endpoint),
            ("bucket", NAME),
            ("region", REGION),
            ("prefix", "in/"),
            ("access_key_id", ACCESS_KEY_ID),
            ("secret", secret),
        ])
        .await
    }

    /// Five minutes later: look, until there is nothing to look at, and read what was found.
    async fn later(&self) -> Watched {
        self.app.clock.advance(Duration::minutes(5));
        while self.watcher.look().await.unwrap() {}
        self.app.drain_ingest().await;
        self.watched().await
    }

    async fn watched(&self) -> Watched {
        let mut tx = self.app.db().tenant(self.scope).await.unwrap();
        let found = store::find(&mut tx, self.store, self.app.clock.now()).await.unwrap();
        found.unwrap()
    }

    async fn documents(&self) -> Vec<(Uuid, String)> {
        sqlx::query_as("select id, source_key from documents order by source_key")
            .fetch_all(&self.app.pool)
            .await
            .unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        self.documents().await.into_iter().map(|(_, key)| key).collect()
    }
}

/// What comes to a bucket is added, what changes is updated, what goes is removed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_store_follows_its_bucket(pool: PgPool) {
    let bucket = Bucket::start().await;
    let mut post = Post::set(&pool, &[("CALLSLIP_OUTBOUND_ALLOW", &bucket.host)]).await;
    for number in 0..5 {
        bucket.put(&format!("in/{number} ü+.txt"), &format!("Heron {number} waits."));
    }
    bucket.put("in/picture.png", "no document");
    bucket.put("out/other.txt", "Not below the prefix.");
    let done = post.follow_bucket(&bucket, SECRET).await;
    assert_eq!(done.status, 303, "{}", done.text());
    // To renew the key nothing else has to be typed again, and the key does not come back.
    let page = post.admin.get(&post.page()).await;
    assert_eq!(page.attribute("[name=kind][checked]", "value"), ["bucket"]);
    for (name, value) in [("bucket", NAME), ("prefix", "in/"), ("access_key_id", ACCESS_KEY_ID)] {
        assert_eq!(page.attribute(&format!("[name={name}]"), "value"), [value]);
    }
    assert!(!page.text().contains(SECRET));
    let watched = post.later().await;
    assert_eq!((watched.failure, watched.files, watched.waiting), (None, 5, 0));
    assert_eq!(post.keys().await[0], "watch:in/0 ü+.txt");
    assert_eq!((post.keys().await.len(), bucket.reads()), (5, 5));

    // Nothing changed, so nothing is read.
    post.later().await;
    assert_eq!(bucket.reads(), 5);

    let before = post.documents().await;
    bucket.put("in/1 ü+.txt", "Stork 1 has come instead.");
    bucket.remove("in/2 ü+.txt");
    bucket.remove("in/3 ü+.txt");
    bucket.put("in/sub/moved.txt", "Heron 3 waits.");
    let watched = post.later().await;
    assert_eq!((watched.removed, watched.files), (1, 4));
    let after = post.documents().await;
    let id = |documents: &[(Uuid, String)], key: &str| {
        documents.iter().find(|(_, found)| found == key).map(|(id, _)| *id)
    };
    assert_eq!(after.len(), 4);
    assert_eq!(id(&after, "watch:in/1 ü+.txt"), id(&before, "watch:in/1 ü+.txt"));
    let moved = id(&after, "watch:in/sub/moved.txt");
    assert_eq!(moved, id(&before, "watch:in/3 ü+.txt"), "a moved file keeps its document");
    let gone = sqlx::query!("select detail from audit_events where kind = 'document.deleted'")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].detail["vanished"], "in/2 ü+.txt");

    let page = post.page();
    let page = post.admin.get(&page).await;
    assert!(page.text().contains("Up to date") && page.text().contains("4 files"));
    assert!(!page.text().contains(SECRET));
}

/// A bucket that fails, answers with half a list or is suddenly empty removes nothing, and the page
/// says in our words what is wrong.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_bucket_that_says_nothing_removes_nothing(pool: PgPool) {
    let bucket = Bucket::start().await;
    let mut post = Post::set(&pool, &[("CALLSLIP_OUTBOUND_ALLOW", &bucket.host)]).await;
    bucket.put("in/a.txt", "Aardvark.");
    bucket.put("in/b.txt", "Bison.");
    let refused = post.follow_bucket(&bucket, "not-the-secret-at-all").await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("refused the keys"), "{}", refused.text());
    assert!(!refused.text().contains("not-the-secret"));
    assert_eq!(post.follow_bucket(&bucket, SECRET).await.status, 303);
    assert_eq!(post.later().await.files, 2);

    for (mode, words) in [
        (Mode::Failing(503), "busy"),
        (Mode::Failing(403), "refused the keys"),
        (Mode::Failing(404), "no such bucket"),
        (Mode::CutOff, "something else than a list"),
    ] {
        bucket.behave(mode);
        let failure = post.later().await.failure.unwrap();
        assert!(failure.contains(words), "{mode:?}: {failure}");
        assert_eq!(post.keys().await.len(), 2, "{mode:?}");
    }
    bucket.behave(Mode::Working);
    bucket.remove("in/a.txt");
    bucket.remove("in/b.txt");
    let failure = post.later().await.failure.unwrap();
    assert!(failure.contains("nothing was removed"), "{failure}");
    assert_eq!(post.keys().await.len(), 2);
    let page = post.page();
    // Hours have passed, and with them the first one's session.
    let mut admin = post.app.member("acme", "hedy", Role::Admin).await.sign_in().await;
    let page = admin.get(&page).await.text();
    assert!(page.contains("nothing was removed"), "{page}");
    bucket.put("in/b.txt", "Bison.");
    assert_eq!(post.later().await.failure, None);
    assert_eq!(post.keys().await, ["watch:in/b.txt"]);
}

/// Of any number of nodes one looks, and one whose lease is over changes nothing any more.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn one_node_looks_at_a_time(pool: PgPool) {
    let bucket = Bucket::start().await;
    let mut post = Post::set(&pool, &[("CALLSLIP_OUTBOUND_ALLOW", &bucket.host)]).await;
    for number in 0..10 {
        bucket.put(&format!("in/{number}.txt"), &format!("Heron {number} waits."));
    }
    assert_eq!(post.follow_bucket(&bucket, SECRET).await.status, 303);
    let twin = post.app.twin().await.parts.watcher();
    let (one, other) = tokio::join!(post.watcher.look(), twin.look());
    assert_eq!(u8::from(one.unwrap()) + u8::from(other.unwrap()), 1);
    post.app.drain_ingest().await;
    assert_eq!((post.keys().await.len(), bucket.reads()), (10, 10));

    // "Check now" does not wait for the five minutes.
    assert!(!post.watcher.look().await.unwrap());
    let page = post.page();
    let asked = post.admin.submit(&page, &format!("{page}/check"), &[]).await;
    assert_eq!(asked.status, 303, "{}", asked.text());
    assert!(post.watcher.look().await.unwrap());
    let stopped = post.admin.submit(&page, &format!("{page}/remove"), &[]).await;
    assert_eq!(stopped.status, 303);
    post.app.clock.advance(Duration::hours(1));
    assert!(!post.watcher.look().await.unwrap());
    assert_eq!(post.keys().await.len(), 10, "the documents stay");
}

/// A tenant follows folders inside its own, in a root that the operator allows, and no others.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_store_follows_its_tenants_folder_alone(pool: PgPool) {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("acme/docs");
    fs::create_dir_all(own.join("deep")).unwrap();
    fs::create_dir_all(root.path().join("zeta")).unwrap();
    fs::write(root.path().join("zeta/theirs.txt"), "Theirs.").unwrap();
    fs::write(own.join("a.txt"), "Aardvark.").unwrap();
    fs::write(own.join("deep/b.md"), "# Bison").unwrap();
    std::os::unix::fs::symlink(root.path().join("zeta/theirs.txt"), own.join("c.txt")).unwrap();
    let roots = root.path().to_str().unwrap();
    let mut post = Post::set(&pool, &[("CALLSLIP_WATCH_ROOTS", roots)]).await;
    for outside in ["../zeta", "/etc", "docs/../../zeta", "none"] {
        let refused = post.follow(&[("kind", "folder"), ("folder", outside)]).await;
        assert_eq!(refused.status, 422, "{outside}");
    }
    assert_eq!(post.follow(&[("kind", "folder"), ("folder", "docs")]).await.status, 303);
    let watched = post.later().await;
    assert_eq!((watched.failure, watched.files), (None, 2));
    assert_eq!(post.keys().await, ["watch:a.txt", "watch:deep/b.md"]);
    fs::remove_file(own.join("a.txt")).unwrap();
    fs::write(own.join("deep/b.md"), "# Bongo").unwrap();
    assert_eq!(post.later().await.removed, 1);
    assert_eq!(post.keys().await, ["watch:deep/b.md"]);
    fs::rename(&own, root.path().join("elsewhere")).unwrap();
    assert!(post.later().await.failure.is_some());
    assert_eq!(post.keys().await.len(), 1);
    let saved = sqlx::query_scalar!("select count(*) from audit_events where kind = 'watch.saved'");
    assert_eq!(saved.fetch_one(&pool).await.unwrap(), Some(1));
}
