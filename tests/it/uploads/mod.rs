//! Files on their way in, over sockets: through the form of the pages and through the API.
#![expect(clippy::disallowed_methods, reason = "looks behind the application's back")]

mod endless;
mod limits;
mod spool;

use std::{fs, path::PathBuf, time::Duration};

use axum::http::StatusCode;
use callslip::tenants::Role;
use serde_json::Value;
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{api::Bench, patience::listen, support::Browser};

/// How long anything may take that should take no time.
const SOON: Duration = Duration::from_secs(20);

/// Where a file goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// The page's form, sent by a browser without scripts.
    Page,
    /// The same, sent by the page's script.
    Script,
    /// The API, with the file as the body.
    Api,
    /// The API, with a form.
    ApiForm,
}

impl Door {
    const ALL: [Self; 4] = [Self::Page, Self::Script, Self::Api, Self::ApiForm];
}

/// A tenant with a store, an admin and a back end, and a socket that the application listens on.
struct Desk {
    bench: Bench,
    /// Where files are while they come.
    folder: tempfile::TempDir,
    address: String,
    browser: Browser,
    form_token: String,
}

/// A request of which not everything has been sent yet.
struct Sending {
    socket: TcpStream,
    tail: Vec<u8>,
}

/// An answer from a socket.
#[derive(Debug)]
struct Said {
    status: StatusCode,
    head: String,
    body: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// What the tenant is told of a file that was not taken, whoever tells it.
    fn reason(&self) -> String {
        if self.head.contains("application/problem+json") {
            return self.json()["detail"].as_str().unwrap().to_owned();
        }
        if self.head.contains("application/json") {
            return self.json()["refused"][0]["reason"].as_str().unwrap().to_owned();
        }
        self.body.clone()
    }
}

impl Desk {
    async fn set(pool: &PgPool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("CALLSLIP_UPLOAD_DIR", folder.path().to_str().unwrap())];
        let bench = Bench::with(pool, &variables).await;
        let mut browser = bench.app.member("acme", "ada", Role::Admin).await.sign_in().await;
        let form_token = browser.get("/t/acme/documents").await.csrf_token();
        let address = listen(&bench.app).await;
        Self { bench, folder, address, browser, form_token }
    }

    /// Head of a request that will bring so many bytes, and what is around them.
    fn frame(&self, door: Door, name: &str, size: usize) -> (String, String, String) {
        let part = "--cut\r\ncontent-disposition: form-data; name=";
        let mut before = String::new();
        if matches!(door, Door::Page | Door::Script) {
            before += &format!("{part}\"csrf_token\"\r\n\r\n{}\r\n", self.form_token);
            before += &format!("{part}\"store\"\r\n\r\n{}\r\n", self.bench.store);
        }
        let mut after = String::new();
        if door != Door::Api {
            before += &format!("{part}\"file\"; filename=\"{name}\"\r\n\r\n");
            after += "\r\n--cut--\r\n";
        }
        let length = before.len() + size + after.len();
        (self.head(door, name, &format!("content-length: {length}")), before, after)
    }

    fn head(&self, door: Door, name: &str, length: &str) -> String {
        let api = format!(
            "POST /t/acme/api/v1/vector-stores/{}/documents?filename={name} HTTP/1.1\r\n\
             authorization: Bearer {}\r\n",
            self.bench.store, self.bench.token
        );
        let cookies: Vec<String> =
            self.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let page = format!(
            "POST /t/acme/documents HTTP/1.1\r\ncookie: {}\r\nsec-fetch-site: same-origin\r\n",
            cookies.join("; ")
        );
        let form = "content-type: multipart/form-data; boundary=cut\r\n";
        let own = match door {
            Door::Page => format!("{page}{form}accept: text/html\r\n"),
            Door::Script => format!("{page}{form}accept: application/json\r\n"),
            Door::Api => format!("{api}content-type: application/octet-stream\r\n"),
            Door::ApiForm => format!("{api}{form}"),
        };
        format!("{own}host: callslip.example\r\nconnection: close\r\n{length}\r\n\r\n")
    }

    /// Send all but the content of a file, which will be so large.
    async fn begin(&self, door: Door, name: &str, size: usize) -> Sending {
        let (head, before, after) = self.frame(door, name, size);
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(before.as_bytes()).await.unwrap();
        Sending { socket, tail: after.into_bytes() }
    }

    /// Send a file.
    async fn send(&self, door: Door, name: &str, content: &[u8]) -> Said {
        let mut sending = self.begin(door, name, content.len()).await;
        sending.more(content).await;
        sending.end().await
    }

    /// The sizes of the files that are coming, as they lie on the disk: without a name, for this
    /// process alone.
    fn coming(&self) -> Vec<u64> {
        let folder = self.folder.path().canonicalize().unwrap();
        assert_eq!(folder.read_dir().unwrap().count(), 0, "a file has a name");
        let descriptors: Vec<PathBuf> =
            fs::read_dir("/proc/self/fd").unwrap().flatten().map(|entry| entry.path()).collect();
        descriptors
            .iter()
            .filter(|path| fs::read_link(path).is_ok_and(|file| file.starts_with(&folder)))
            .filter_map(|path| Some(fs::metadata(path).ok()?.len()))
            .collect()
    }

    /// Wait until what is coming is like this.
    async fn until_coming(&self, wanted: impl Fn(&[u64]) -> bool) {
        let met = async {
            while !wanted(&self.coming()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let met = timeout(SOON, met).await;
        assert!(met.is_ok(), "{:?}", self.coming());
    }

    /// How many files were taken.
    async fn taken(&self) -> u64 {
        self.bench.app.count("ingest_jobs").await.try_into().unwrap()
    }
}

impl Sending {
    /// Send some more. Who is refused meanwhile may find the way closed.
    async fn more(&mut self, content: &[u8]) {
        let _ = self.socket.write_all(content).await;
    }

    /// Send the rest, and read the answer.
    async fn end(mut self) -> Said {
        let tail = std::mem::take(&mut self.tail);
        self.more(&tail).await;
        self.answer().await
    }

    /// Read the answer, whether or not all has been sent.
    async fn answer(mut self) -> Said {
        let mut text = Vec::new();
        let read = timeout(SOON, self.socket.read_to_end(&mut text)).await;
        // What came before the way was closed has come.
        let _ = read.expect("no answer");
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let status = head[9..12].parse().unwrap();
        Said { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}

/// How each door says that a file was taken.
fn is_taken(door: Door, said: &Said) -> bool {
    said.status.as_u16()
        == match door {
            Door::Page => 303,
            Door::Script => 200,
            Door::Api | Door::ApiForm => 202,
        }
}
