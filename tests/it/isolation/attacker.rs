//! Somebody who tries, and how a try is made of a row of the route table.

use axum::{body::Body, extract::Request, http::header};
use callslip::http::routes::Entry;

use crate::support::{Answer, Browser};

/// What a request names: something of the other tenant's, or nothing in the same form.
#[derive(Clone)]
pub(super) struct Aim {
    /// Fills `{tenant}`.
    pub(super) slug: String,
    /// Fills every other parameter.
    pub(super) id: String,
    /// Rides along in the query and in every form, under the names that a server might trust.
    pub(super) named: Vec<(&'static str, String)>,
}

/// Somebody who tries.
pub(super) struct Attacker {
    pub(super) who: &'static str,
    pub(super) browser: Browser,
    pub(super) csrf_token: String,
}

/// How a form travels.
#[derive(Clone, Copy)]
pub(super) enum Form {
    None,
    UrlEncoded,
    Multipart,
    Json,
}

impl Attacker {
    pub(super) async fn new(who: &'static str, mut browser: Browser) -> Self {
        let signed_in = browser.session().is_some();
        let page = if signed_in { "/account" } else { "/sign-in" };
        let csrf_token = browser.get(page).await.csrf_token();
        assert!(!csrf_token.is_empty());
        Self { who, browser, csrf_token }
    }

    /// One request. Nothing that comes back changes the browser.
    pub(super) async fn send(&self, entry: &Entry, aim: &Aim, body: Form, name: &str) -> Answer {
        self.browser.clone().send(self.request(entry, aim, body, name)).await
    }

    pub(super) fn request(
        &self,
        entry: &Entry,
        aim: &Aim,
        body: Form,
        name: &str,
    ) -> Request<Body> {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&aim.named).finish();
        let uri = format!("{}?{query}", filled(entry.path, aim));
        let mut fields = vec![("csrf_token", self.csrf_token.clone())];
        fields.extend(aim.named.iter().cloned());
        for (field, value) in [
            ("name", name),
            ("backend", "builtin"),
            ("decision", "approve"),
            ("email", "nobody@nowhere.example"),
            ("password", "not the one"),
        ] {
            fields.push((field, value.to_owned()));
        }
        let (media_type, body) = encoded(&fields, body);
        Request::builder()
            .method(entry.method)
            .uri(uri)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, media_type)
            .body(body)
            .unwrap()
    }
}

pub(super) fn filled(path: &str, aim: &Aim) -> String {
    path.split('/')
        .map(|part| match part {
            "{tenant}" => aim.slug.as_str(),
            part if part.starts_with('{') => aim.id.as_str(),
            part => part,
        })
        .collect::<Vec<_>>()
        .join("/")
}

fn encoded(fields: &[(&'static str, String)], body: Form) -> (&'static str, Body) {
    match body {
        Form::None => ("text/plain", Body::empty()),
        Form::UrlEncoded => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            let form = form.extend_pairs(fields).finish();
            ("application/x-www-form-urlencoded", Body::from(form))
        }
        Form::Json => {
            let object: serde_json::Map<_, _> = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
                .collect();
            ("application/json", Body::from(serde_json::Value::Object(object).to_string()))
        }
        Form::Multipart => {
            let mut form = String::new();
            let head = "--cut\r\ncontent-disposition: form-data; name=";
            for (name, value) in fields {
                form.push_str(&format!("{head}\"{name}\"\r\n\r\n{value}\r\n"));
            }
            form.push_str(&format!(
                "{head}\"file\"; filename=\"planted.txt\"\r\n\r\nplanted\r\n--cut--\r\n"
            ));
            ("multipart/form-data; boundary=cut", Body::from(form))
        }
    }
}
