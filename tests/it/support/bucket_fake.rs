//! A small fake of the S3 API, on loopback: ListObjectsV2 and GetObject, path-style, for whoever
//! signs right. The signature is computed here anew, from what came over the wire.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{StatusCode, header},
    response::Response,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub(crate) const ACCESS_KEY_ID: &str = "AKIDFAKE0123456789AB";
pub(crate) const SECRET: &str = "fake/secret+0123456789abcdefghijklmnopqr";
pub(crate) const REGION: &str = "eu-test-1";
pub(crate) const NAME: &str = "papers";

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Working,
    Failing(u16),
    /// 200 with half a list.
    CutOff,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    objects: BTreeMap<String, Vec<u8>>,
    reads: usize,
}

/// The fake.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) endpoint: String,
    pub(crate) host: String,
    state: Arc<Mutex<State>>,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = State { mode: Mode::Working, objects: BTreeMap::new(), reads: 0 };
        let state = Arc::new(Mutex::new(state));
        let (shared, own) = (Arc::clone(&state), host.clone());
        let router = Router::new().fallback(move |request: Request| {
            let answer = answer(&shared, &own, &request);
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint: format!("http://{host}"), host, state }
    }

    pub(crate) fn behave(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    pub(crate) fn put(&self, key: &str, content: &str) {
        self.state.lock().unwrap().objects.insert(key.to_owned(), content.as_bytes().to_vec());
    }

    pub(crate) fn remove(&self, key: &str) {
        self.state.lock().unwrap().objects.remove(key).unwrap();
    }

    /// How often an object's content was asked for.
    pub(crate) fn reads(&self) -> usize {
        self.state.lock().unwrap().reads
    }
}

fn answer(state: &Mutex<State>, host: &str, request: &Request) -> Response {
    let mut state = state.lock().unwrap();
    if !is_signed(host, request) {
        return plain(StatusCode::FORBIDDEN, "<Error><Code>SignatureDoesNotMatch</Code></Error>");
    }
    if let Mode::Failing(status) = state.mode {
        return plain(StatusCode::from_u16(status).unwrap(), "<Error>&secret;</Error>");
    }
    let path = request.uri().path();
    let key = path.strip_prefix(&format!("/{NAME}/")).map(decoded);
    match key {
        None => plain(StatusCode::NOT_FOUND, "<Error><Code>NoSuchBucket</Code></Error>"),
        Some(key) if key.is_empty() => {
            let query = request.uri().query().unwrap_or_default();
            let list = list(&state.objects, query);
            let whole = state.mode == Mode::Working;
            plain(StatusCode::OK, if whole { &list } else { &list[..list.len() / 2] })
        }
        Some(key) => {
            state.reads += 1;
            match state.objects.get(&key) {
                Some(content) => Response::new(Body::from(content.clone())),
                None => plain(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>"),
            }
        }
    }
}

fn plain(status: StatusCode, text: &str) -> Response {
    Response::builder().status(status).body(Body::from(text.to_owned())).unwrap()
}

/// Two objects a page, so that there are pages.
fn list(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> String {
    let asked: BTreeMap<String, String> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(asked["list-type"], "2");
    assert_eq!(asked["encoding-type"], "url");
    let after = asked.get("continuation-token").map_or("", String::as_str);
    let all: Vec<_> = objects
        .iter()
        .filter(|(key, _)| key.starts_with(&asked["prefix"]) && key.as_str() > after)
        .collect();
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
        xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        .to_owned();
    for (key, content) in all.iter().take(2) {
        let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let etag = hex(&Sha256::digest(content)[..16]);
        xml.push_str(&format!(
            "<Contents><Key>{encoded}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;{etag}&quot;</ETag><Size>{}</Size></Contents>",
            content.len()
        ));
    }
    let is_more = all.len() > 2;
    xml.push_str(&format!("<IsTruncated>{is_more}</IsTruncated>"));
    if is_more {
        xml.push_str(&format!("<NextContinuationToken>{}</NextContinuationToken>", all[1].0));
    }
    xml + "</ListBucketResult>"
}

fn is_signed(host: &str, request: &Request) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (Some(authorization), Some(at)) =
        (header(header::AUTHORIZATION.as_str()), header("x-amz-date"))
    else {
        return false;
    };
    let scope = format!("{}/{REGION}/s3/aws4_request", &at[..8]);
    let names = "host;x-amz-content-sha256;x-amz-date";
    let hash = hex(&Sha256::digest(b""));
    let canonical = format!(
        "GET\n{}\n{}\nhost:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{at}\n\n{names}\n{hash}",
        request.uri().path(),
        request.uri().query().unwrap_or_default(),
    );
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = [&at[..8], REGION, "s3", "aws4_request"]
        .iter()
        .fold(format!("AWS4{SECRET}").into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &text));
    header("x-amz-content-sha256") == Some(&hash)
        && header("host") == Some(host)
        && authorization
            == format!(
                "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{scope},SignedHeaders={names},\
                 Signature={signature}"
            )
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decoded(path: &str) -> String {
    let form = path.replace('+', "%2B");
    url::form_urlencoded::parse(form.as_bytes())
        .next()
        .map_or_else(String::new, |(key, _)| key.into_owned())
}
