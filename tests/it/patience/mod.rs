//! Clients that hang up, deadlines that pass, tenants and locks that hold everything up.

mod flooded;
mod given_up;
mod in_time;

use std::time::{Duration, Instant};

use callslip::{
    app::{self, Parts},
    db::Db,
    ids::TenantId,
};
use sqlx::PgPool;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::{mcp::stage::Stage, support::TestApp};

/// The same application on so few connections.
async fn on_few(stage: Stage, connections: u32) -> Stage {
    let db = Db::of_size(&stage.app.pool, connections);
    let parts = Parts { db, ..stage.app.parts.clone() };
    let app = app::build(parts.clone()).await.unwrap();
    Stage { app: TestApp { app, parts, ..stage.app }, ..stage }
}

/// From here on, whatever is read of this tenant's takes twenty seconds.
async fn make_slow(pool: &PgPool, tenant: TenantId) {
    let statement = format!(
        "create or replace function current_tenant_id() returns uuid language plpgsql stable as $$
         begin
           if current_setting('app.tenant_id', true) = '{tenant}' then perform pg_sleep(20); end if;
           return nullif(current_setting('app.tenant_id', true), '')::uuid;
         end $$"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(pool).await.unwrap();
}

async fn make_quick(pool: &PgPool) {
    make_slow(pool, TenantId::new()).await;
}

/// How many statements are asleep in this database.
async fn asleep(pool: &PgPool) -> i64 {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from pg_stat_activity
            where datname = current_database() and wait_event = 'PgSleep'"#
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Wait until so many are, and how long that took.
async fn until_asleep(pool: &PgPool, wanted: impl Fn(i64) -> bool) -> Duration {
    let begun = Instant::now();
    while !wanted(asleep(pool).await) {
        assert!(begun.elapsed() < Duration::from_secs(15), "{} are asleep", asleep(pool).await);
    }
    begun.elapsed()
}

/// Listen on a port of this machine.
pub(crate) async fn listen(app: &TestApp) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    app.serve(listener);
    address
}

/// A call whose answer nobody reads yet.
async fn ask(address: &str, token: &str, body: &serde_json::Value) -> TcpStream {
    let body = body.to_string();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: callslip.example\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}
