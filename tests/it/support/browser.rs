//! A browser: keeps cookies, sends fetch metadata, fills in forms.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::Request,
    http::{Method, header},
};

use super::{Answer, TestApp};

/// One person's browser.
#[derive(Clone)]
pub struct Browser {
    pub app: TestApp,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(super) fn new(app: TestApp) -> Self {
        Self { app, cookies: BTreeMap::new() }
    }

    /// Send a request with this browser's cookies, and keep those that come back.
    pub async fn send(&mut self, mut request: Request<Body>) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        let answer = self.app.send(request).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Open a page.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Post a form from our own page, exactly with these fields.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    /// Open the page at `path` and post to `action` with the page's form token and these fields.
    pub async fn submit(&mut self, path: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.get(path).await.csrf_token();
        let mut all = vec![("csrf_token", token.as_str())];
        all.extend_from_slice(fields);
        self.post(action, &all).await
    }
}
