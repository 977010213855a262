//! Random steps against a model, on a database that waits for nobody.

use std::{env, fmt::Debug, future::Future, task::Poll};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, FileFailurePersistence, TestRunner},
};
use time::{Duration, OffsetDateTime};
use tokio::runtime::Handle;

use callslip::clock::Clock;

/// So many cases, unless `PROPTEST_CASES` says how many.
const CASES: u32 = 32;

/// Play random cases, and shrink one that fails. The seeds of those that ever failed stand in
/// `regressions` and come first.
pub async fn each<S, C, F>(regressions: &'static str, steps: S, case: C)
where
    S: Strategy + Send + 'static,
    S::Value: Debug,
    C: Fn(S::Value) -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let mut config = Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        max_shrink_iters: 200,
        ..Config::default()
    };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let handle = Handle::current();
    let played = tokio::task::spawn_blocking(move || {
        let play = |steps| {
            handle.block_on(case(steps));
            Ok(())
        };
        TestRunner::new(config).run(&steps, play).map_err(|failed| failed.to_string())
    });
    if let Err(failed) = played.await.unwrap() {
        panic!("{failed}");
    }
}

/// Lets time pass only when it is told to, as far as anybody can tell between two steps.
pub struct Hand {
    clock: Clock,
    /// Where it stands.
    at: OffsetDateTime,
}

impl Hand {
    pub fn on(clock: &Clock) -> Self {
        Self { clock: clock.clone(), at: clock.now() }
    }

    /// Move it, and take back what has passed by itself.
    pub fn advance(&mut self, by: Duration) {
        self.at += by;
        self.clock.advance(self.at - self.clock.now());
    }
}

/// Begin something, and hang up before it has an answer.
pub async fn abandon<T>(work: impl Future<Output = T>) {
    let mut work = Box::pin(work);
    std::future::poll_fn(|context| {
        let _ = work.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}
