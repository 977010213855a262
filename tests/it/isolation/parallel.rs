//! Many clients of both tenants at once, over real sockets, with the same JSON-RPC ids.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinSet};

use super::camp::{Camp, Field, call};

/// Of each tenant.
const CLIENTS: usize = 16;
/// Over all.
const CALLS: usize = 2_000;

/// One client: what it asks, and what only it may be answered.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
    /// Its own volume.
    id: String,
    title: String,
    /// The other tenant's word.
    foreign: &'static str,
    /// Of its random numbers.
    state: u64,
}

#[derive(Debug, Default)]
struct Count {
    answered: usize,
    cut: usize,
}

impl Client {
    fn new(url: &str, camp: &Camp, other: &Camp, number: usize) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: url.to_owned(),
            token: camp.token.clone(),
            id: camp.volume(number),
            title: format!("{} volume {number:02}", camp.mark),
            foreign: other.mark,
            state: 0x9e37_79b9_7f4a_7c15 ^ camp.mark.len() as u64 ^ ((number as u64) << 20),
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below
    }

    /// Ask, one call after the other; now and then hang up at some point of it.
    async fn run(mut self, calls: usize) -> Count {
        let mut count = Count::default();
        for number in 0..calls {
            let fetch = self.random(2) == 0;
            let mut message = match fetch {
                true => call("fetch", &json!({ "id": self.id })),
                false => call("search", &json!({ "query": self.title })),
            };
            // The same in every client of either tenant.
            message["id"] = number.into();
            let answer = self.ask(&message);
            let hang_up = (self.random(8) == 0).then(|| Duration::from_micros(self.random(8_000)));
            let Some(after) = hang_up else {
                self.check(number, fetch, &answer.await);
                count.answered += 1;
                continue;
            };
            match tokio::time::timeout(after, answer).await {
                Ok(answer) => {
                    self.check(number, fetch, &answer);
                    count.answered += 1;
                }
                Err(_) => count.cut += 1,
            }
        }
        count
    }

    fn ask(&self, message: &Value) -> impl Future<Output = Value> + use<> {
        let request = self
            .http
            .post(&self.url)
            .header("host", "callslip.example")
            .header("content-type", "application/json")
            .bearer_auth(&self.token)
            .body(message.to_string());
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            serde_json::from_str(&answer.text().await.unwrap()).unwrap()
        }
    }

    fn check(&self, number: usize, fetch: bool, answer: &Value) {
        assert_eq!(answer["id"], number, "{answer}");
        assert!(!answer.to_string().contains(self.foreign), "{answer}");
        let found = &answer["result"]["structuredContent"];
        if fetch {
            assert_eq!(found["id"], *self.id);
            assert_eq!(found["title"], *self.title, "{answer}");
        } else {
            let hits = found["results"].as_array().unwrap();
            assert!(hits.iter().any(|hit| hit["title"] == *self.title), "{answer}");
        }
    }
}

/// [I-10] In small: 32 clients, 2,000 calls with the same ids on both sides, and clients that hang
/// up at any point of a call: every answer belongs to its caller, and afterwards all is well.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_answer_belongs_to_its_caller(pool: PgPool) {
    let field = Field::set(&pool).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    field.app.serve(listener);

    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        for (camp, other) in [(&field.acme, &field.zeta), (&field.zeta, &field.acme)] {
            let client = Client::new(&url, camp, other, number);
            clients.spawn(client.run(CALLS.div_ceil(2 * CLIENTS)));
        }
    }
    let counts = clients.join_all().await;
    let answered: usize = counts.iter().map(|count| count.answered).sum();
    let cut: usize = counts.iter().map(|count| count.cut).sum();
    assert!(answered + cut >= CALLS && cut > 50, "{answered} answered, {cut} cut");

    // What is in the audit is in the right tenant: no call of one names the other's documents.
    for (camp, other) in [(&field.acme, &field.zeta), (&field.zeta, &field.acme)] {
        let details: Vec<String> = sqlx::query_scalar(
            "select detail::text from audit_events where tenant_id = $1 and kind like 'tool.%'",
        )
        .bind(camp.tenant.id.uuid())
        .fetch_all(&pool)
        .await
        .unwrap();
        assert!(details.len() > answered / 3, "{}", details.len());
        let theirs: Vec<String> = (0..CLIENTS).map(|number| other.volume(number)).collect();
        for detail in details {
            assert!(!theirs.iter().any(|id| detail.contains(id)), "{detail}");
        }
    }
}
