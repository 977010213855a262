//! What the log says of one tenant's requests.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    attacker::Attacker,
    camp::{Camp, Field, call},
    matrix::Oracle,
};
use crate::support::sink::Sink;

/// A call, and what the answer says its request is called.
async fn request(field: &Field, camp: &Camp, tool: &str, args: Value) -> String {
    let answer = field.app.rpc("/mcp", &camp.token, &[], &call(tool, &args)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-request-id").to_owned()
}

/// [I-30] Both tenants call at once, each with the other's ids too, and one of them tries every route
/// with everything of the other's: what is logged of a request holds nothing of the tenant that it
/// was not for, whatever it sent.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn lines_about_one_tenants_requests_hold_nothing_of_the_other(pool: PgPool) {
    let field = Field::set(&pool).await;
    let oracles = [Oracle::of(&field, &field.acme).await, Oracle::of(&field, &field.zeta).await];
    let camps = [&field.acme, &field.zeta];
    let sink = Sink::default();
    // With a single subscriber alive, what other tests log first on their threads is off for good.
    let _second = tracing::Dispatch::new(sink.subscriber());
    let logging = tracing::subscriber::set_default(sink.subscriber());
    let mut whose = HashMap::new();
    for round in 0..100_usize {
        let ask = async |caller: usize| {
            let other = camps[1 - caller];
            let number = round % 3;
            let args = match number {
                0 => json!({ "id": other.volume(round % 10) }),
                1 => json!({ "id": camps[caller].volume(round % 10) }),
                _ => json!({ "query": format!("{} {} ledger", other.mark, other.tenant.id) }),
            };
            let tool = if number == 2 { "search" } else { "fetch" };
            (request(&field, camps[caller], tool, args).await, caller)
        };
        let (one, two) = tokio::join!(ask(round % 2), ask(1 - round % 2));
        whose.extend([one, two]);
    }
    let mixed = sink.lines();
    let attacker = Attacker::new("an owner", field.acme.owner.sign_in().await).await;
    assert_eq!(field.leaks(&attacker).await, Vec::<String>::new());
    drop(logging);
    let mut wrong = Vec::new();
    let mut told = [0, 0];
    for line in &mixed {
        for (request, caller) in whose.iter().filter(|(request, _)| line.contains(*request)) {
            told[*caller] += 1;
            if let Some(found) = oracles[1 - caller].find(line, "") {
                wrong.push(format!("{request}: {found} in {line}"));
            }
        }
    }
    assert!(told.iter().all(|lines| *lines >= 100), "{told:?} {:?}", mixed.first());
    // All of these are acme's.
    let attack = &sink.lines()[mixed.len()..];
    assert!(attack.len() > 150, "{}", attack.len());
    for line in attack {
        if let Some(found) = oracles[1].find(line, "") {
            wrong.push(format!("{found} in {line}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
