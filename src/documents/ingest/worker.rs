//! Who does the work: a few lanes in every process that serves.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{
    Claim,
    claim::{LEASE, Lost},
    stages::{Stages, Step},
    store_claim, store_staged,
    store_work::{self, Work},
};
use crate::{
    audit::{self, Event, Kind},
    db::TenantScope,
    documents::{extract::Unreadable, importer::Importer},
    fault::Fault,
    problems::{self, Problems},
};

/// How many jobs one process works at. What its parsers may take is bounded by the extractor.
const LANES: usize = 3;
/// How many of one tenant are worked at, in all processes: one lane is always somebody else's.
const OF_ONE_TENANT: i64 = 2;
/// How often a lane looks for what came to other nodes, or is to be tried again.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// A third of the lease.
const RENEWS_EVERY: Duration = Duration::from_secs(10);
/// How often a file may crash its reader before it is given up (spec row FX-05).
const CRASHES: i16 = 2;
/// How often the fault may be ours.
const FAULTS: i16 = 3;
/// How many workers may vanish over one stage: a restart is nobody's fault, but ten are the file's.
const VANISHED: i16 = 10;
/// How long the first wait between two tries is; the next is four times that.
const FIRST_WAIT: time::Duration = time::Duration::seconds(5);
const LONGEST_WAIT: time::Duration = time::Duration::minutes(5);

/// Works at jobs, one at a time.
#[derive(Clone, Debug)]
pub struct Worker {
    importer: Importer,
    problems: Problems,
    /// The process.
    owner: Uuid,
}

/// Workers at work.
#[derive(Debug)]
pub struct Running {
    worker: Worker,
    lanes: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Worker {
    /// With a name of its own.
    #[must_use]
    pub fn new(importer: Importer, problems: Problems) -> Self {
        Self { importer, problems, owner: Uuid::now_v7() }
    }

    /// Work until told to stop.
    #[must_use]
    pub fn start(self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let mut lanes = JoinSet::new();
        self.importer.bell.run(LANES);
        for _ in 0..LANES {
            lanes.spawn(self.clone().lane(stopped.clone()));
        }
        Running { worker: self, lanes, stop }
    }

    async fn lane(self, mut stopped: watch::Receiver<bool>) {
        loop {
            let rung = self.importer.bell.rung();
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                () = async {
                    match self.run_one().await {
                        Ok(true) => {}
                        Ok(false) => drop(timeout(LOOKS_EVERY, rung).await),
                        Err(fault) => {
                            fault.log();
                            tokio::time::sleep(LOOKS_EVERY).await;
                        }
                    }
                } => {}
            }
        }
    }

    /// Claim the next job and work at it until it is over or has to wait. `false` when there is
    /// none whose turn it is.
    ///
    /// # Errors
    /// When the database fails; whatever else happens is the job's.
    pub async fn run_one(&self) -> Result<bool, Fault> {
        let Some(claim) = self.claim().await? else { return Ok(false) };
        tokio::select! {
            worked = self.work(&claim) => worked?,
            () = self.lose(&claim) => {}
        }
        self.importer.bell.end();
        Ok(true)
    }

    /// Claim the next job, and do nothing about it yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim(&self) -> Result<Option<Claim>, Fault> {
        let now = self.importer.clock.now();
        let mut tx = self.importer.db.control().await?;
        store_claim::take_turn(&mut tx).await?;
        let claimed =
            store_claim::claim(&mut tx, self.owner, OF_ONE_TENANT, now, now + LEASE).await?;
        tx.commit().await?;
        #[expect(clippy::disallowed_methods, reason = "the row says whose file it is")]
        let scope = |tenant| TenantScope::proven(tenant);
        Ok(claimed.map(|it| Claim::new(scope(it.tenant), it.job, self.owner, it.fence)))
    }

    /// Take a claimed job one stage further. `false` when it is over, waits, or is not the claim's
    /// any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn step(&self, claim: &Claim) -> Result<bool, Fault> {
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        let Some(work) = store_work::work(&mut tx, claim).await? else { return Ok(false) };
        drop(tx);
        let Some(kept) = work.kept else {
            self.refuse(claim, &work).await?;
            return Ok(false);
        };
        if work.lost >= VANISHED {
            let reason = "the server stopped ten times while it read the file";
            self.give_up(claim, reason).await?;
            return Ok(false);
        }
        let stages = Stages { importer: &self.importer, claim, work: &work, kept };
        match stages.step().await {
            Ok(Step::On) => return Ok(true),
            Ok(Step::Over) => {}
            Ok(Step::Unreadable(unreadable)) => self.unreadable(claim, &work, unreadable).await?,
            Err(fault) => self.failed(claim, &work, fault).await?,
        }
        Ok(false)
    }

    async fn work(&self, claim: &Claim) -> Result<(), Fault> {
        while self.step(claim).await? {}
        Ok(())
    }

    /// Renew the lease for as long as it is ours.
    async fn lose(&self, claim: &Claim) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep_until(renewed + RENEWS_EVERY).await;
            renewed = Instant::now();
            let ours = async {
                let mut tx = self.importer.db.tenant(claim.scope).await?;
                let until = self.importer.clock.now() + LEASE;
                let ours = store_work::renew(&mut tx, claim, claim.documents(), until).await?;
                tx.commit().await?;
                Ok::<bool, sqlx::Error>(ours)
            };
            // The work may hold the row just now, or the database be away: next time, then.
            if matches!(ours.await, Ok(false)) {
                return;
            }
        }
    }

    async fn unreadable(
        &self,
        claim: &Claim,
        work: &Work,
        unreadable: Unreadable,
    ) -> Result<(), Fault> {
        let attempts = work.attempts + 1;
        if unreadable.is_crash() && attempts < CRASHES {
            self.postpone(claim, &unreadable.0, attempts).await
        } else {
            self.give_up(claim, &unreadable.0).await
        }
    }

    async fn failed(&self, claim: &Claim, work: &Work, fault: Fault) -> Result<(), Fault> {
        const OURS: &str = "something went wrong on the server";
        if fault.is::<Lost>() {
            return Ok(());
        }
        fault.log();
        // A database that is away or full is not the file's doing, however long that lasts.
        let attempts = work.attempts + i16::from(!fault.is_unavailable());
        if attempts < FAULTS {
            self.postpone(claim, OURS, attempts).await
        } else {
            self.give_up(claim, OURS).await
        }
    }

    async fn postpone(&self, claim: &Claim, reason: &str, attempts: i16) -> Result<(), Fault> {
        let now = self.importer.clock.now();
        let times = u32::try_from(attempts.max(1) - 1).unwrap_or_default();
        let wait = FIRST_WAIT * f64::from(4_u32.saturating_pow(times));
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        if store_work::renew(&mut tx, claim, 0, now).await? {
            let run_after = now + wait.min(LONGEST_WAIT);
            store_work::postpone(&mut tx, claim.job, (reason, attempts), run_after).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn give_up(&self, claim: &Claim, reason: &str) -> Result<(), Fault> {
        let now = self.importer.clock.now();
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        if store_work::renew(&mut tx, claim, 0, now).await? {
            let none = serde_json::Value::Array(Vec::new());
            store_work::fail(&mut tx, claim.job, reason, &none, now).await?;
            store_staged::clear(&mut tx, claim.job).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// The job's store or file is not its tenant's: nothing is read, and somebody is told (spec row
    /// I-27).
    async fn refuse(&self, claim: &Claim, work: &Work) -> Result<(), Fault> {
        if work.stage.is_end() {
            return Ok(());
        }
        let now = self.importer.clock.now();
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        let reason =
            "what the job says of its vector store and its file is not so: it was not read";
        if !store_work::refuse(&mut tx, claim, reason, now).await? {
            return Ok(());
        }
        store_staged::clear(&mut tx, claim.job).await?;
        let event = Event::new(Kind::IngestRefused, now)
            .tenant(claim.scope.tenant_id())
            .with("ingest", claim.job.to_string());
        audit::store::append(&mut tx, &event).await?;
        tx.commit().await?;
        self.problems.record(problems::Kind::Ingest, &claim.job.to_string());
        Ok(())
    }

    pub(super) const fn importer(&self) -> &Importer {
        &self.importer
    }
}

impl Running {
    /// Stop at once. What was begun is given back: another process may go on with it.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.lanes.join_next().await.is_some() {}
        let given = async {
            let mut tx = self.worker.importer.db.control().await?;
            store_claim::give_back(&mut tx, self.worker.owner).await?;
            tx.commit().await
        };
        if let Err(error) = given.await {
            Fault::from(error).log();
        }
    }
}
