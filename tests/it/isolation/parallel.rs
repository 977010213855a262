//! Many clients of both tenants at once, over real sockets, with the same JSON-RPC ids.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinSet;

use callslip::{
    app::{self, Parts},
    db::Db,
};

use super::camp::{Camp, Field, call};
use crate::{patience::listen, support::TestApp};

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
    /// Whether the database may be away.
    patient: bool,
    /// Of its random numbers.
    state: u64,
}

#[derive(Debug, Default)]
struct Count {
    answered: usize,
    cut: usize,
    /// Told to try again.
    put_off: usize,
}

impl Client {
    fn new(url: &str, (camp, other): (&Camp, &Camp), number: usize, patient: bool) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: url.to_owned(),
            token: camp.token.clone(),
            id: camp.volume(number),
            title: format!("{} volume {number:02}", camp.mark),
            foreign: other.mark,
            patient,
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
            let answer = match hang_up {
                None => Ok(answer.await),
                Some(after) => tokio::time::timeout(after, answer).await,
            };
            match answer {
                Ok(Some(answer)) => {
                    self.check(number, fetch, &answer);
                    count.answered += 1;
                }
                Ok(None) => count.put_off += 1,
                Err(_) => count.cut += 1,
            }
        }
        count
    }

    fn ask(&self, message: &Value) -> impl Future<Output = Option<Value>> + use<> {
        let request = self
            .http
            .post(&self.url)
            .header("host", "callslip.example")
            .header("content-type", "application/json")
            .bearer_auth(&self.token)
            .body(message.to_string());
        let (patient, foreign) = (self.patient, self.foreign);
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert!(!text.contains(foreign), "{text}");
            if patient && status == 503 {
                return None;
            }
            assert_eq!(status, 200, "{text}");
            Some(serde_json::from_str(&text).unwrap())
        }
    }

    fn check(&self, number: usize, fetch: bool, answer: &Value) {
        assert_eq!(answer["id"], number, "{answer}");
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

/// All clients of both camps, until each has made its calls.
async fn run_all(app: &TestApp, field: &Field, calls: usize, patient: bool) -> Count {
    let url = format!("http://{}/mcp", listen(app).await);
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        for camps in [(&field.acme, &field.zeta), (&field.zeta, &field.acme)] {
            let client = Client::new(&url, camps, number, patient);
            clients.spawn(client.run(calls.div_ceil(2 * CLIENTS)));
        }
    }
    clients.join_all().await.into_iter().fold(Count::default(), |sum, count| Count {
        answered: sum.answered + count.answered,
        cut: sum.cut + count.cut,
        put_off: sum.put_off + count.put_off,
    })
}

/// [I-10] [H-11] In small: 32 clients, 2,000 calls with the same ids on both sides, and clients that
/// hang up at any point of a call: every answer belongs to its caller, and afterwards all is well.
/// `scripts/identity` does it with 64 clients and 100,000 calls.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_answer_belongs_to_its_caller(pool: PgPool) {
    let field = Field::set(&pool).await;
    let Count { answered, cut, .. } = run_all(&field.app, &field, CALLS, false).await;
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

/// [I-11] The same on two connections, with a database that is slow at random and whose sessions are
/// ended over and over, as by a restart: whoever is not told to try again gets their own.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_answer_belongs_to_its_caller_on_a_rough_day(pool: PgPool) {
    let field = Field::set(&pool).await;
    let parts = Parts { db: Db::of_size(&pool, 2), ..field.app.parts.clone() };
    let app = TestApp { app: app::build(parts.clone()).await.unwrap(), parts, ..field.app.clone() };
    sqlx::raw_sql(
        "create or replace function current_tenant_id() returns uuid language plpgsql stable as $$
         begin
           if random() < 0.05 then perform pg_sleep(random() * 0.03); end if;
           return nullif(current_setting('app.tenant_id', true), '')::uuid;
         end $$",
    )
    .execute(&pool)
    .await
    .unwrap();
    let ending = tokio::spawn({
        let pool = pool.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(150)).await;
                let ended = sqlx::raw_sql(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                      where datname = current_database() and pid <> pg_backend_pid()
                        and query not like '%pg_stat_activity%'",
                );
                ended.execute(&pool).await.unwrap();
            }
        }
    });
    let count = run_all(&app, &field, CALLS / 4, true).await;
    ending.abort();
    assert!(count.answered > CALLS / 16 && count.cut > 10, "{count:?}");
    // And afterwards all is well.
    let count = run_all(&app, &field, CALLS / 20, true).await;
    assert!(count.put_off <= 2, "{count:?}");
}
