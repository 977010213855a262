//! A database that stalls, for tests.

use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::watch,
};

use super::Db;

/// A Unix socket before Postgres' own that can hold back what Postgres answers.
pub(crate) struct Gate {
    options: PgConnectOptions,
    _folder: tempfile::TempDir,
    pub(crate) open: watch::Sender<bool>,
    pub(crate) requests: watch::Receiver<usize>,
}

impl Gate {
    /// In front of the socket that `pool` uses.
    pub(crate) fn before(pool: &PgPool) -> Self {
        let options = (*pool.connect_options()).clone();
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let target = options.get_socket().unwrap().join(".s.PGSQL.5432");
        let (open, gate) = watch::channel(true);
        let (count, requests) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&target).await.unwrap();
                let (mut client_in, mut client_out) = client.into_split();
                let (mut server_in, mut server_out) = server.into_split();
                let (mut gate, count) = (gate.clone(), count.clone());
                tokio::spawn(async move {
                    let mut bytes = vec![0; 65536];
                    while let Ok(length @ 1..) = client_in.read(&mut bytes).await {
                        server_out.write_all(&bytes[..length]).await.unwrap();
                        count.send_modify(|requests| *requests += 1);
                    }
                });
                tokio::spawn(async move {
                    let mut bytes = vec![0; 65536];
                    while let Ok(length @ 1..) = server_in.read(&mut bytes).await {
                        gate.wait_for(|open| *open).await.unwrap();
                        if client_out.write_all(&bytes[..length]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        let options = options.socket(folder.path());
        Self { options, _folder: folder, open, requests }
    }

    /// A database of one connection, behind the gate.
    pub(crate) fn db(&self) -> Db {
        // Without the look at the connection before it is lent, BEGIN is the first thing sent.
        let through = Db::pool_options(1).test_before_acquire(false);
        Db::on(through.connect_lazy_with(self.options.clone()))
    }

    /// A database that answered a moment ago and does not any more.
    pub(crate) async fn stalled_db(&self) -> Db {
        let db = self.db();
        db.ping().await.expect("the gate is open");
        // Released connections come back in a task of their own.
        while db.pool.num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        self.open.send_replace(false);
        db
    }
}
