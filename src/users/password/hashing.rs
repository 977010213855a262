//! Hashing on threads of its own.
//!
//! A hash costs tens of milliseconds of a processor and 19 MiB, so a flood of sign-ins could take
//! the whole machine. Half of the processors hash, a short queue waits for them, and the surplus
//! is told at once to come back. Tokio's blocking threads would take all and queue without end.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash as Phc,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use super::{Password, PasswordHash};

/// The most that wait or are at work.
const QUEUE: usize = 32;
/// The longest that one waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much work one hash is. What is stored with less is hashed again at the next sign-in.
#[derive(Clone, Debug)]
pub struct Cost(Params);

impl Cost {
    /// 19 MiB, two passes, one lane: the least that OWASP recommends.
    #[must_use]
    pub fn standard() -> Self {
        Self::new(19_456, 2)
    }

    /// As little as the algorithm allows: for tests.
    #[must_use]
    pub fn least() -> Self {
        Self::new(Params::MIN_M_COST, 1)
    }

    /// `memory` KiB and `passes`.
    fn new(memory: u32, passes: u32) -> Self {
        Self(Params::new(memory, passes, 1, None).expect("at least 8 KiB and one pass"))
    }

    fn argon2(&self) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.0.clone())
    }

    fn hash(&self, password: &[u8]) -> PasswordHash {
        let phc = self.argon2().hash_password(password);
        PasswordHash(phc.expect("argon2 takes any password below 4 GiB").to_string())
    }

    /// Whether `phc` took less work than this, or another algorithm.
    fn exceeds(&self, phc: &Phc) -> bool {
        let found = Params::try_from(phc).ok().filter(|_| phc.algorithm.as_str() == "argon2id");
        found.is_none_or(|found| {
            found.m_cost() < self.0.m_cost() || found.t_cost() < self.0.t_cost()
        })
    }
}

/// Too many sign-ins at once: come back in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at once")]
pub struct Busy;

/// What came of presenting a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not the one.
    Wrong,
    /// The one.
    Right,
    /// The one, hashed at less than today's cost: store this instead.
    Outdated(PasswordHash),
}

/// The threads that hash. They end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Hashing {
    queue: SyncSender<Job>,
    places: Arc<Semaphore>,
    /// Compared with when there is no such user, so that the answer takes as long.
    dummy: Arc<PasswordHash>,
}

/// A place in the queue: taken before anything else is spent on a sign-in.
#[derive(Debug)]
pub struct Place {
    hashing: Hashing,
    permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Job {
    password: Password,
    task: Task,
    /// Given back when the work is done, or was not wanted any more.
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Task {
    Hash(oneshot::Sender<PasswordHash>),
    Verify { stored: PasswordHash, done: oneshot::Sender<Verdict> },
}

impl Hashing {
    /// Start with half of the processors, at least one.
    #[must_use]
    pub fn start(cost: Cost) -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::start_with(cost, (processors / 2).max(1))
    }

    fn start_with(cost: Cost, threads: usize) -> Self {
        let dummy = Arc::new(cost.hash(Password::generate().expose().as_bytes()));
        let (queue, jobs) = sync_channel(QUEUE);
        let shared = Arc::new((cost, Mutex::new(jobs)));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || work(&shared.0, &shared.1))
                .expect("the system has a thread left at start");
        }
        Self { queue, places: Arc::new(Semaphore::new(QUEUE)), dummy }
    }

    /// Take a place in the queue, if there is one.
    ///
    /// # Errors
    /// [`Busy`], at once.
    pub fn queue_up(&self) -> Result<Place, Busy> {
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy)?;
        Ok(Place { hashing: self.clone(), permit })
    }

    /// Hash a password that somebody chose.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Busy> {
        let (done, outcome) = oneshot::channel();
        self.queue_up()?.submit(password, Task::Hash(done), outcome).await
    }

    /// [`Place::verify`], when a place is free.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
    ) -> Result<Verdict, Busy> {
        self.queue_up()?.verify(password, stored).await
    }
}

impl Place {
    /// Compare a password with what is stored; with nothing stored the same work is done and the
    /// verdict is [`Verdict::Wrong`].
    ///
    /// # Errors
    /// [`Busy`] when it takes too long.
    pub async fn verify(
        self,
        password: Password,
        stored: Option<PasswordHash>,
    ) -> Result<Verdict, Busy> {
        let nobody = stored.is_none();
        let stored = stored.unwrap_or_else(|| PasswordHash::clone(&self.hashing.dummy));
        let (done, outcome) = oneshot::channel();
        let verdict = self.submit(password, Task::Verify { stored, done }, outcome).await?;
        Ok(if nobody { Verdict::Wrong } else { verdict })
    }

    async fn submit<T>(
        self,
        password: Password,
        task: Task,
        outcome: oneshot::Receiver<T>,
    ) -> Result<T, Busy> {
        let job = Job { password, task, _permit: self.permit };
        // There is room for everybody who has a place.
        self.hashing.queue.try_send(job).map_err(|_| Busy)?;
        timeout(PATIENCE, outcome).await.map_err(|_| Busy)?.map_err(|_| Busy)
    }
}

fn work(cost: &Cost, jobs: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting for a job and let go before the work.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { password, task, _permit }) = job else { return };
        let password = password.expose().as_bytes();
        // Whoever gave up waiting gets no work done.
        match task {
            Task::Hash(done) if !done.is_closed() => drop(done.send(cost.hash(password))),
            Task::Verify { stored, done } if !done.is_closed() => {
                drop(done.send(verify(cost, password, &stored)));
            }
            Task::Hash(_) | Task::Verify { .. } => {}
        }
    }
}

fn verify(cost: &Cost, password: &[u8], stored: &PasswordHash) -> Verdict {
    let Ok(phc) = Phc::new(&stored.0) else { return Verdict::Wrong };
    // The work is what the stored hash says.
    match cost.argon2().verify_password(password, &phc) {
        Ok(()) if cost.exceeds(&phc) => Verdict::Outdated(cost.hash(password)),
        Ok(()) => Verdict::Right,
        Err(_) => Verdict::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn password(text: &str) -> Password {
        Password::presented(text).unwrap()
    }

    /// [W-20] What is stored is argon2id with 19 MiB, two passes and one lane.
    #[tokio::test]
    async fn the_standard_cost_is_what_the_rule_says() {
        let hash = Hashing::start(Cost::standard()).hash(password("x")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(format!("{hash:?}"), "***");
    }

    /// [W-20] A right password behind a cheaper hash is hashed again.
    #[tokio::test]
    async fn a_cheap_hash_is_outdated_once() {
        let cheap = Hashing::start(Cost::least()).hash(password("x")).await.unwrap();
        let dear = Hashing::start(Cost::new(16, 2));
        assert_eq!(dear.verify(password("y"), Some(cheap.clone())).await, Ok(Verdict::Wrong));
        let renewed = match dear.verify(password("x"), Some(cheap)).await.unwrap() {
            Verdict::Outdated(renewed) => Some(renewed),
            Verdict::Right | Verdict::Wrong => None,
        };
        assert!(renewed.is_some());
        assert_eq!(dear.verify(password("x"), renewed).await, Ok(Verdict::Right));
        assert_eq!(dear.verify(password("x"), None).await, Ok(Verdict::Wrong));
        let junk = PasswordHash::stored("junk".to_owned());
        assert_eq!(dear.verify(password("x"), Some(junk)).await, Ok(Verdict::Wrong));
    }

    /// [W-22] Long passwords differ by their last character, and NUL does not end one.
    #[tokio::test]
    async fn nothing_is_cut_off() {
        let hashing = Hashing::start(Cost::least());
        for length in [64, 256, 1024] {
            let whole = "p".repeat(length - 1) + "q";
            let other = "p".repeat(length);
            let hash = hashing.hash(password(&whole)).await.unwrap();
            assert_eq!(
                hashing.verify(password(&whole), Some(hash.clone())).await,
                Ok(Verdict::Right)
            );
            assert_eq!(hashing.verify(password(&other), Some(hash)).await, Ok(Verdict::Wrong));
        }
        let hash = hashing.hash(password("a\0b")).await.unwrap();
        assert_eq!(hashing.verify(password("a\0c"), Some(hash)).await, Ok(Verdict::Wrong));
    }

    /// [W-21] Of a flood, the queue's worth is served and the surplus hears so at once.
    #[tokio::test]
    async fn the_surplus_is_told_at_once() {
        // A hash of some 10 ms: the queue cannot drain while the flood is sent.
        let hashing = Hashing::start_with(Cost::new(8 * 1024, 1), 1);
        let flood: Vec<_> = (0..200)
            .map(|_| {
                let hashing = hashing.clone();
                tokio::spawn(async move {
                    let begun = Instant::now();
                    (hashing.verify(password("x"), None).await, begun.elapsed())
                })
            })
            .collect();
        let mut surplus = Vec::new();
        for one in flood {
            let (outcome, took) = one.await.unwrap();
            if outcome == Err(Busy) && took < PATIENCE {
                surplus.push(took);
            }
        }
        // All are sent before the first is answered, give or take what one thread finished.
        assert!(surplus.len() >= 200 - QUEUE - 60, "{} were turned away", surplus.len());
        surplus.sort();
        assert!(surplus[surplus.len() / 2] < Duration::from_millis(100));
        assert_eq!(hashing.verify(password("x"), None).await, Ok(Verdict::Wrong));
    }
}
