//! A small faithful fake of the OpenAI vector store API, on loopback.

use std::ops::Deref;

use axum::response::Response;
use serde_json::{Value, json};

pub(crate) use super::api_fake::Mode;
use super::api_fake::{Call, Fake, error, reply};

/// A file of the store: id, name, pages of text.
const FILES: &[(&str, &str, &[&str])] = &[
    (
        "file-homes1",
        "cats-and-homes.txt",
        &["Cats keep to their homes.", "Page two.", "Page three."],
    ),
    ("file-food2", "feeding.txt", &["Cats like fish at home."]),
];
pub(crate) const STORE: &str = "vs_cats";
pub(crate) const KEY: &str = "sk-fake-0123456789-WXYZ";

/// The fake.
#[derive(Clone, Debug)]
pub(crate) struct OpenAi(Fake);

impl Deref for OpenAi {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.0
    }
}

impl OpenAi {
    pub(crate) async fn start() -> Self {
        Self::start_marked("").await
    }

    /// With a word before every text, which no other fake says.
    pub(crate) async fn start_marked(mark: &'static str) -> Self {
        Self(Fake::start(KEY, move |call, _| route(call, mark)).await)
    }

    /// Method and path with query of each call.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.calls().into_iter().map(|call| call.line).collect()
    }
}

fn marked(mark: &str, text: &str) -> String {
    format!("{mark} {text}").trim_start().to_owned()
}

fn route(call: &Call, mark: &str) -> Response {
    let (method, place) = call.line.split_once(' ').unwrap();
    let (path, query) = place.split_once('?').unwrap_or((place, ""));
    let path: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let file = |id: &str| FILES.iter().find(|file| file.0 == id);
    match (method, path.as_slice()) {
        ("POST", ["vector_stores", STORE, "search"]) => search(&call.body, mark),
        ("GET", ["vector_stores", STORE, "files", id]) if file(id).is_some() => reply(
            200,
            &json!({ "id": id, "object": "vector_store.file", "status": "completed",
                     "vector_store_id": STORE, "attributes": { "year": 1889 } }),
        ),
        ("GET", ["vector_stores", STORE, "files", id, "content"]) if file(id).is_some() => {
            let pages = file(id).unwrap().2;
            let page: usize =
                query.strip_prefix("page=tok_").map_or(0, |page| page.parse().unwrap());
            let more = page + 1 < pages.len();
            let next = more.then(|| format!("tok_{}", page + 1));
            reply(
                200,
                &json!({ "object": "vector_store.file_content.page", "has_more": more,
                         "next_page": next,
                         "data": [{ "type": "text", "text": marked(mark, pages[page]) }] }),
            )
        }
        // Another file of the same account, which is in no store.
        ("GET", ["files", "file-other9"]) => {
            reply(200, &json!({ "id": "file-other9", "object": "file", "filename": "secret.txt" }))
        }
        ("GET", ["files", id]) if file(id).is_some() => {
            reply(200, &json!({ "id": id, "object": "file", "filename": file(id).unwrap().1 }))
        }
        _ => error(404, "not_found"),
    }
}

fn search(body: &Value, mark: &str) -> Response {
    let most = body["max_num_results"].as_u64().unwrap();
    assert!((1..=50).contains(&most));
    let result = |file: &(&str, &str, &[&str]), score: f64| {
        json!({ "file_id": file.0, "filename": file.1, "score": score, "attributes": {},
                "content": [{ "type": "text", "text": marked(mark, file.2[0]) }] })
    };
    // The API answers passages: one file may come twice.
    let data = [result(&FILES[0], 0.9), result(&FILES[0], 0.8), result(&FILES[1], 0.5)];
    reply(
        200,
        &json!({ "object": "vector_store.search_results.page", "search_query": [body["query"]],
                 "data": data, "has_more": false, "next_page": null }),
    )
}
