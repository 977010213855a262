//! Every secret that passes through on a whole journey, and then a look at all that is kept of it.
#![expect(clippy::disallowed_methods, reason = "looks behind the application's back")]

mod journey;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use callslip::{config::LogFormat, telemetry};
use metrics_exporter_prometheus::PrometheusBuilder;
use sqlx::{AssertSqlSafe, PgPool};

use self::journey::{Journey, OPERATOR_PASSWORD, QUESTION, Secret, WRONG_KEY, WRONG_PASSWORD};
use crate::support::{
    PASSWORD, TestApp,
    openai_fake::{KEY, OpenAi},
};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Every row of every table, as text.
async fn everything_stored(pool: &PgPool) -> Vec<(String, String)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c
          where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
            and c.relname <> '_sqlx_migrations'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut stored = Vec::new();
    for table in tables {
        let sql = format!("select coalesce(string_agg(t::text, E'\\n'), '') from {table} t");
        stored.push((table, sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()));
    }
    stored
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` holds a secret, as it is or as Postgres and `Debug` write bytes.
fn holds(text: &str, secret: &str) -> bool {
    let numbers: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    text.contains(secret)
        || text.contains(&hex(secret.as_bytes()))
        || text.contains(&numbers.join(", "))
        || text.contains(&secret.replace(' ', "+"))
}

/// The journey from end to end, twice.
async fn travel(pool: &PgPool) -> Journey {
    let cloud = OpenAi::start().await;
    let app = TestApp::with(pool, &[("CALLSLIP_OUTBOUND_ALLOW", &cloud.host)]).await;
    let mut journey = Journey { app, cloud, secrets: Vec::new(), answers: Vec::new() };
    for (what, text) in [
        ("password", PASSWORD),
        ("password", WRONG_PASSWORD),
        ("password", OPERATOR_PASSWORD),
        ("API key", KEY),
        ("API key", WRONG_KEY),
        ("master key", &"5a".repeat(32)),
    ] {
        journey.keep(what, text);
    }
    journey.keep_form("question", QUESTION);
    journey.first_operator().await;
    let mut browser = journey.sign_in().await;
    journey.add_store(&mut browser).await;
    for method in ["client_secret_basic", "client_secret_post"] {
        let (assistant, tokens) = journey.connect(&mut browser, method).await;
        journey.call(tokens["access_token"].as_str().unwrap()).await;
        journey.break_things(&mut browser, &assistant, &tokens).await;
        journey.leave(&mut browser, &assistant, &tokens).await;
        browser.sign_in("ada@acme.example", PASSWORD, "/").await;
        journey.keep_cookies(&browser);
    }
    journey
}

/// [O-06] Passwords, cookies, form tokens, one-time links, codes, tokens, client secrets, keys: none
/// is in the log (however loud), in the metrics, in any column of any table, or in an answer that
/// did not issue it; and the question is in none of the first three. Refusals and faults are part
/// of the journey.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn no_secret_stays_anywhere(pool: PgPool) {
    let sink = Sink::default();
    let loud = || {
        let writer = sink.clone();
        let filter = "debug,callslip=trace";
        telemetry::subscriber(filter, LogFormat::Json, move || writer.clone()).unwrap()
    };
    // With a single subscriber alive, what other tests log first on their threads is off for good.
    let _second = tracing::Dispatch::new(loud());
    let logging = tracing::subscriber::set_default(loud());
    let recorder = PrometheusBuilder::new().build_recorder();
    let counting = metrics::set_default_local_recorder(&recorder);
    let journey = travel(&pool).await;
    drop((logging, counting));

    let logged = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(logged.matches("\"answered\"").count() > 50 && logged.contains("refuse"), "{logged}");
    let mut kept = everything_stored(&pool).await;
    assert!(kept.iter().filter(|(_, rows)| !rows.is_empty()).count() > 12);
    let counted = recorder.handle().render();
    assert!(counted.contains("callslip_tool_calls_total"), "{counted}");
    kept.push(("the metrics".to_owned(), counted));
    let mut found = Vec::new();
    for Secret { what, text, may_return } in &journey.secrets {
        if let Some(line) = logged.lines().find(|line| holds(line, text)) {
            found.push(format!("{what} in the log: {line}"));
        }
        for (place, _) in kept.iter().filter(|(_, kept)| holds(kept, text)) {
            found.push(format!("{what} in {place}"));
        }
        for (place, answer) in journey.answers.iter().filter(|_| !may_return) {
            // A cookie is how a session is issued.
            let seen = format!("{} {}", answer.location(), answer.text());
            if holds(&seen, text) {
                found.push(format!("{what} in the answer to {place}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
