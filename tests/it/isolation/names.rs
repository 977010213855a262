//! What the other tenant has taken is free for us.

use sqlx::PgPool;

use super::{
    camp::{Field, notes},
    rows,
};

/// [I-16] The other tenant's store names, file names and very contents: we are answered as
/// if nobody had them.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_the_other_tenant_has_is_not_taken(pool: PgPool) {
    let field = Field::set(&pool).await;
    let before = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    let mut owner = field.acme.owner.sign_in().await;
    let path = "/t/acme/vector-stores";
    for name in ["zanary books", "zanary cloud", "another name"] {
        let made = owner.submit(path, path, &[("backend", "builtin"), ("name", name)]).await;
        assert_eq!(made.location(), "/t/acme/vector-stores?notice=store-added", "{name}");
    }
    let store = field.acme.books.to_string();
    let form = [("store", store.as_str())];
    let path = "/t/acme/documents";
    for file in [
        ("zzz-zanary-notes.txt", notes("zanary").as_str()),
        ("zzz-zanary-notes.txt", "Others"),
        ("new.txt", "Something new."),
    ] {
        let sent = owner.upload(path, &form, file).await;
        assert_eq!((sent.status.as_u16(), sent.text().as_str()), (303, ""), "{file:?}");
    }
    field.app.drain_ingest().await;
    let count = "select count(*) from documents where tenant_id = $1 and title <> ''";
    let count: i64 =
        sqlx::query_scalar(count).bind(field.acme.tenant.id.uuid()).fetch_one(&pool).await.unwrap();
    // The marked name once: the second file of that name took the first one's place.
    assert_eq!(usize::try_from(count).unwrap(), field.acme.documents.len() + 2);
    let after = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    assert_eq!(rows::changed(&before, &after), Vec::<String>::new());
}
