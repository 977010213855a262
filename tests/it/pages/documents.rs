//! The list, the page that a citation opens, and uploads.

use std::convert::Infallible;

use axum::{body::Body, extract::Request, http::header};
use futures_util::stream;
use sqlx::PgPool;

use super::stage::{Stage, assert_absent, citation};
use crate::support::{Answer, Browser};

const ACME: &str = "/t/acme/documents";
const TEXT: &str = "Élan and dogs.\n\n[Are cats attached to their homes? They are.] Und so weiter.";

#[sqlx::test]
async fn a_citation_opens_its_document_with_the_passage_marked(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let document = stage.document(stage.acme.id, store, "Our <i>Cats</i>", TEXT).await;
    let path = citation(store, document, 1);

    for user in [&stage.ada, &stage.rob] {
        let page = stage.signed_in(user).await.get(&path).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.select("h1"), ["Our <i>Cats</i>"]);
        assert_eq!(page.select("mark#passage"), ["Are cats attached to their homes? They are."]);
        assert!(page.select(".sheet-text")[0].starts_with("Élan and dogs."));
        assert!(page.attribute("a", "href").contains(&"#passage".to_owned()));
    }
    // A chunk that is not there: the document without a mark.
    let page = stage.signed_in(&stage.rob).await.get(&citation(store, document, 7)).await;
    assert!(page.select("mark").is_empty());
    assert!(page.select(".sheet-text")[0].contains("Are cats attached"));
}

#[sqlx::test]
async fn a_citation_of_another_tenant_opens_nothing(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let own = stage.store(stage.other.id, "Books").await;
    let document = stage.document(stage.acme.id, store, "Cats", TEXT).await;
    let path = citation(store, document, 1);
    assert!(stage.app.browser().get(&path).await.location().starts_with("/sign-in?return_to="));

    let mut eve = stage.signed_in(&stage.eve).await;
    assert_absent(&eve.get(&path).await);
    // Their own store's name in front of a foreign document.
    assert_absent(&eve.get(&citation(own, document, 1)).await);
    assert_absent(&eve.get(&path[..path.len() - 1]).await);
    assert_absent(&eve.get("/d/none").await);
}

#[sqlx::test]
async fn the_list_finds_by_name_and_deletes_for_admins(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    stage.document(stage.acme.id, store, "Dogs", "[Dogs]").await;
    let cats = stage.document(stage.acme.id, store, "Cats <b class=canary>", "[Cats]").await;

    let mut rob = stage.signed_in(&stage.rob).await;
    let page = rob.get("/t/acme/documents").await;
    assert_eq!(page.select("tbody th a").len(), 2);
    assert!(page.select("form[enctype], dialog").is_empty(), "a reader is offered no change");
    let page = rob.get("/t/acme/documents?q=cAts").await;
    assert_eq!(page.select("tbody th a"), ["Cats <b class=canary>"]);
    assert!(page.select(".canary").is_empty());

    let delete = format!("/t/acme/documents/{cats}/delete");
    let refused = rob.submit("/account", &delete, &[]).await;
    assert_eq!(refused.status, 403);
    let mut eve = stage.signed_in(&stage.eve).await;
    let own = format!("/t/other/documents/{cats}/delete");
    assert_absent(&eve.submit("/account", &delete, &[]).await);
    assert_absent(&eve.submit("/account", &own, &[]).await);

    let mut ada = stage.signed_in(&stage.ada).await;
    let page = ada.get("/t/acme/documents").await;
    assert!(page.attribute("dialog form", "action").contains(&delete));
    let done = ada.submit("/t/acme/documents", &delete, &[]).await;
    assert_eq!(
        (done.status.as_u16(), done.location()),
        (303, "/t/acme/documents?notice=document-deleted")
    );
    let page = ada.get(done.location()).await;
    assert_eq!(page.select("tbody th a"), ["Dogs"]);
    assert_eq!(page.select("[role=status]"), ["The document was deleted."]);
    assert_eq!(stage.events(stage.acme.id).await.last().unwrap(), "document.deleted");
}

#[sqlx::test]
async fn an_upload_is_in_the_list_at_once(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await.to_string();
    let mut ada = stage.signed_in(&stage.ada).await;
    let token = ada.get("/t/acme/documents").await.csrf_token();
    let files = [("cats.md", "# Cats\n\nCats like homes."), ("dogs.txt", "Dogs like people.")];
    let done =
        upload(&mut ada, "/t/acme/documents", &[("csrf_token", &token), ("store", &store)], &files)
            .await;
    assert_eq!(done.location(), "/t/acme/documents?notice=received", "{}", done.text());
    stage.app.drain_ingest().await;
    let page = ada.get("/t/acme/documents").await;
    let mut titles = page.select("tbody th a");
    titles.sort();
    assert_eq!(titles, ["Cats", "Dogs like people."]);
    let link = page.attribute("tbody th a", "href").pop().unwrap();
    assert!(ada.get(&link).await.text().contains("like"));
}

#[sqlx::test]
async fn what_an_upload_must_not_be_is_refused_before_it_is_read(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await.to_string();
    let foreign = stage.store(stage.other.id, "Books").await.to_string();
    let mut ada = stage.signed_in(&stage.ada).await;
    let token = ada.get("/t/acme/documents").await.csrf_token();
    let file = [("a.txt", "Text.")];
    let path = "/t/acme/documents";
    let no_token = upload(&mut ada, path, &[("store", &store)], &file).await;
    assert_eq!(no_token.status, 400);
    let wrong = upload(&mut ada, path, &[("csrf_token", "x"), ("store", &store)], &file).await;
    assert_eq!(wrong.status, 403);
    let elsewhere =
        upload(&mut ada, path, &[("csrf_token", &token), ("store", &foreign)], &file).await;
    assert_absent(&elsewhere);
    let mut rob = stage.signed_in(&stage.rob).await;
    let token = rob.get(path).await.csrf_token();
    let reader = upload(&mut rob, path, &[("csrf_token", &token), ("store", &store)], &file).await;
    assert_eq!(reader.status, 403);
}

#[sqlx::test]
async fn a_file_that_is_too_large_is_named_and_the_others_go_in(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await.to_string();
    let mut ada = stage.signed_in(&stage.ada).await;
    let token = ada.get("/t/acme/documents").await.csrf_token();
    let large = "x".repeat((25 << 20) + 1);
    let files = [("large.txt", large.as_str()), ("small.txt", "Small.")];
    let fields = [("csrf_token", token.as_str()), ("store", &store)];
    let page = upload(&mut ada, "/t/acme/documents", &fields, &files).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.select("[role=alert] li"), ["large.txt: The file is larger than 25 MiB."]);
    stage.app.drain_ingest().await;
    assert_eq!(ada.get("/t/acme/documents").await.select("tbody th a"), ["Small."]);
}

/// Who does not go on sending holds up nobody but their own tenant.
#[sqlx::test]
async fn uploads_of_one_tenant_leave_room_for_another(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.other.id, "Books").await.to_string();
    let mut ada = stage.signed_in(&stage.ada).await;
    let (begun, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..10 {
        let (mut ada, begun) = (ada.clone(), begun.clone());
        let silence = stream::once(async move {
            begun.send(()).unwrap();
            std::future::pending::<Result<String, Infallible>>().await
        });
        tokio::spawn(async move { send_form(&mut ada, ACME, Body::from_stream(silence)).await });
        waiting.recv().await.unwrap();
    }
    let eleventh = send_form(&mut ada, ACME, Body::from("--cut--\r\n")).await;
    assert_eq!(eleventh.status, 429);

    let mut eve = stage.signed_in(&stage.eve).await;
    let path = "/t/other/documents";
    let token = eve.get(path).await.csrf_token();
    let fields = [("csrf_token", token.as_str()), ("store", &store)];
    let done = upload(&mut eve, path, &fields, &[("a.txt", "Text.")]).await;
    assert_eq!(done.location(), "/t/other/documents?notice=received", "{}", done.text());
    let many = [&fields[..], &[("more", ""); 99]].concat();
    assert_eq!(upload(&mut eve, path, &many, &[]).await.status, 400);
}

/// Whoever is signed out is sent to sign in; the script, which would take that page for success, is
/// told in words.
#[sqlx::test]
async fn an_upload_after_the_session_has_ended_says_so(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let path = "/t/acme/documents";
    let send = async |accept: &str| {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
            .header(header::ACCEPT, accept)
            .header("sec-fetch-site", "same-origin")
            .body(Body::from("--cut--\r\n"))
            .unwrap();
        stage.app.browser().send(request).await
    };
    let script = send("application/json").await;
    assert_eq!(script.status, 401);
    let reason = script.json()["refused"][0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("signed out"), "{reason}");
    let form = send("text/html").await;
    assert!(form.location().starts_with("/sign-in?return_to="), "{}", form.text());
}

/// Send the upload form: its fields, then its files.
pub(crate) async fn upload(
    browser: &mut Browser,
    path: &str,
    fields: &[(&str, &str)],
    files: &[(&str, &str)],
) -> Answer {
    let mut body = String::new();
    for (name, value) in fields {
        body +=
            &format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    for (name, content) in files {
        body += &format!(
            "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{content}\r\n"
        );
    }
    body += "--cut--\r\n";
    send_form(browser, path, Body::from(body)).await
}

async fn send_form(browser: &mut Browser, path: &str, body: Body) -> Answer {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
        .header("sec-fetch-site", "same-origin")
        .body(body)
        .unwrap();
    browser.send(request).await
}
