//! Refresh tokens against a model: random steps on two nodes, each compared with what the rows R-01
//! to R-08 of the specification say.
//!
//! Times are multiples of 40 seconds and the bounds lie 20 seconds off, so that no case hangs on
//! how quick the machine is. A case that fails is kept by its seed in `model_refresh.seeds`.

use callslip::tenants::Role;
use proptest::{collection::vec, prelude::*};
use sqlx::PgPool;
use time::Duration;

use crate::support::{
    Answer, Assistant, TestApp,
    property::{self, Hand},
};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;
/// Longest without use, and from the consent on.
const IDLE: i64 = 30 * DAY;
const ABSOLUTE: i64 = 90 * DAY;
/// How far nodes' clocks may differ.
const LEEWAY: i64 = 30;
/// How often a predecessor is accepted.
const RETRIES: u8 = 3;

/// What anybody may do next. Tokens are picked by how old they are among those that somebody knows:
/// 0 is the newest.
#[derive(Clone, Debug)]
enum Step {
    Refresh {
        age: usize,
        by: By,
        node: usize,
    },
    /// The answer gets lost: read by nobody, or the client hangs up at once.
    Lost {
        age: usize,
        hangs_up: bool,
    },
    /// At both nodes at once.
    Pair([usize; 2]),
    Restart {
        node: usize,
    },
    Wait {
        seconds: i64,
    },
    Window {
        seconds: i64,
    },
    Revoke {
        age: usize,
        by: By,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Owner,
    /// Another client.
    Thief,
}

fn age() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0), 4 => Just(1), 1 => Just(2)]
}

fn step() -> impl Strategy<Value = Step> {
    let by = prop_oneof![12 => Just(By::Owner), 1 => Just(By::Thief)];
    let seconds = prop_oneof![
        4 => Just(40), 4 => Just(80), 2 => Just(280), 2 => Just(20 * DAY), 2 => Just(IDLE - 60),
        1 => Just(-40), 1 => Just(-60 * MINUTE),
    ];
    let window = prop_oneof![1 => Just(0), 1 => Just(20), 1 => Just(60), 3 => Just(300)];
    prop_oneof![
        12 => (age(), by.clone(), 0..2_usize)
            .prop_map(|(age, by, node)| Step::Refresh { age, by, node }),
        4 => (age(), any::<bool>()).prop_map(|(age, hangs_up)| Step::Lost { age, hangs_up }),
        4 => [age(), age()].prop_map(Step::Pair),
        2 => (0..2_usize).prop_map(|node| Step::Restart { node }),
        6 => seconds.prop_map(|seconds| Step::Wait { seconds }),
        2 => window.prop_map(|seconds| Step::Window { seconds }),
        1 => (age(), by).prop_map(|(age, by)| Step::Revoke { age, by }),
    ]
}

// --- the model

/// The family of one grant, as the specification has it. Seconds since the consent.
#[derive(Clone, Debug)]
struct Family {
    now: i64,
    window: i64,
    line: Vec<Token>,
    ended: bool,
}

#[derive(Clone, Debug)]
struct Token {
    issued: i64,
    used: Option<i64>,
    retries: u8,
}

impl Token {
    const fn issued(now: i64) -> Self {
        Self { issued: now, used: None, retries: 0 }
    }
}

impl Family {
    fn consented() -> Self {
        Self { now: 0, window: 60, line: vec![Token::issued(0)], ended: false }
    }

    /// Present the token of a generation: the generation that it buys, or nothing.
    fn present(&mut self, generation: usize, by: By) -> Option<usize> {
        let newest = self.line.len() - 1;
        let (now, window) = (self.now, self.window);
        let token = &mut self.line[generation];
        let since_use = token.used.map(|used| now - used);
        let is_in_window = since_use.is_some_and(|since| window > 0 && since <= window);
        // R-07; R-05; R-04 and the cap of R-03.
        if by == By::Thief || generation + 1 < newest || (generation < newest && !is_in_window) {
            self.ended = true;
            return None;
        }
        //
        if self.ended || now >= ABSOLUTE {
            return None;
        }
        if generation == newest {
            // without use for 30 days.
            if now - token.issued >= IDLE {
                return None;
            }
            //
            token.used = Some(now);
            self.line.push(Token::issued(now));
            return Some(newest + 1);
        }
        // a clock that runs back does not open the window again.
        let is_plausible = since_use.is_some_and(|since| since >= -LEEWAY);
        if token.retries == RETRIES || !is_plausible {
            return None;
        }
        token.retries += 1;
        Some(newest)
    }

    fn revoke(&mut self, by: By) {
        self.ended |= by == By::Owner;
    }

    /// What the database must show: never more than one token that nobody has used.
    fn shown(&self) -> Shown {
        Shown {
            tokens: self.line.len().try_into().unwrap(),
            unused: 1,
            retries: self.line.iter().map(|token| i64::from(token.retries)).sum(),
            ended: self.ended,
        }
    }

    /// Whether an access token that was bought at `issued` opens anything.
    fn opens(&self, issued: i64) -> bool {
        let ends = (issued + 30 * MINUTE).min(ABSOLUTE);
        // Before its time it is as little worth as after.
        let is_due = issued <= self.now + LEEWAY;
        !self.ended && is_due && self.now < ABSOLUTE && self.now < ends + LEEWAY
    }
}

// --- the real thing

/// A family in the database.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    tokens: i64,
    unused: i64,
    retries: i64,
    ended: bool,
}

struct Stage {
    pool: PgPool,
    nodes: [TestApp; 2],
    hand: Hand,
    owner: Assistant,
    thief: Assistant,
    model: Family,
    /// The token of each generation, where an answer with it arrived.
    known: Vec<Option<String>>,
    /// Access tokens, and when they were bought.
    opening: Vec<(String, i64)>,
}

impl Stage {
    async fn set(pool: &PgPool) -> Self {
        set_window(pool, 60).await;
        let app = TestApp::new(pool).await;
        let hand = Hand::on(&app.clock);
        let mut browser = app.browser();
        browser.sign_in("ada@acme.example", crate::support::PASSWORD, "/").await;
        let (owner, thief) = (app.assistant().await, app.assistant().await);
        let tokens = owner.tokens(&mut browser, &[]).await;
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            pool: pool.clone(),
            nodes: [app.clone(), app.twin().await],
            hand,
            owner,
            thief,
            model: Family::consented(),
            known: vec![Some(text("refresh_token"))],
            opening: vec![(text("access_token"), 0)],
        }
    }

    /// The generation of this age among those known, and its token.
    fn pick(&self, age: usize) -> (usize, String) {
        let mut known = self.known.iter().enumerate().rev();
        let found = known.clone().filter_map(|(at, text)| Some((at, text.clone()?))).nth(age);
        found.unwrap_or_else(|| {
            let (at, text) = known.rfind(|(_, text)| text.is_some()).unwrap();
            (at, text.clone().unwrap())
        })
    }

    fn client(&self, by: By, node: usize) -> Assistant {
        let client = if by == By::Owner { &self.owner } else { &self.thief };
        client.at(&self.nodes[node])
    }

    async fn take(&mut self, step: &Step) {
        self.hand.advance(Duration::ZERO);
        match *step {
            Step::Refresh { age, by, node } => {
                let (generation, token) = self.pick(age);
                let answer = self.client(by, node).refresh(&token, &[]).await;
                let bought = self.model.present(generation, by);
                self.learn(bought, &answer);
            }
            Step::Lost { age, hangs_up } => self.lose(age, hangs_up).await,
            Step::Pair(ages) => self.race(ages).await,
            Step::Restart { node } => self.nodes[node] = self.nodes[node].twin().await,
            Step::Wait { seconds } => {
                self.hand.advance(Duration::seconds(seconds));
                self.model.now += seconds;
            }
            Step::Window { seconds } => {
                set_window(&self.pool, seconds).await;
                self.model.window = seconds;
            }
            Step::Revoke { age, by } => {
                let (_, token) = self.pick(age);
                assert_eq!(self.client(by, 0).revoke(&token).await.status, 200);
                self.model.revoke(by);
            }
        }
    }

    async fn lose(&mut self, age: usize, hangs_up: bool) {
        let (generation, token) = self.pick(age);
        let before = self.model.shown();
        self.model.present(generation, By::Owner);
        let client = self.client(By::Owner, 0);
        let request = client.refresh(&token, &[]);
        if !hangs_up || self.model.shown() == before {
            request.await;
            return;
        }
        property::abandon(request).await;
        // What was begun is finished without the client.
        let since = std::time::Instant::now();
        while self.shown().await != self.model.shown() {
            assert!(since.elapsed().as_secs() < 10, "the refresh ended with its client");
        }
    }

    /// Two at once come out as if one had come after the other.
    async fn race(&mut self, ages: [usize; 2]) {
        let [one, two] = ages.map(|age| self.pick(age));
        let clients = [self.client(By::Owner, 0), self.client(By::Owner, 1)];
        let answers =
            tokio::join!(clients[0].refresh(&one.1, &[]), clients[1].refresh(&two.1, &[]));
        let shown = self.shown().await;
        let mut in_turn = self.model.clone();
        let first = in_turn.present(one.0, By::Owner);
        let second = in_turn.present(two.0, By::Owner);
        let mut turned = self.model.clone();
        let late = turned.present(two.0, By::Owner);
        let early = turned.present(one.0, By::Owner);
        let came = [answers.0.status == 200, answers.1.status == 200];
        let orders = [(in_turn, [first, second]), (turned, [early, late])];
        let order = orders.into_iter().find(|(model, bought)| {
            bought.map(|one| one.is_some()) == came && model.shown() == shown
        });
        let Some((model, bought)) = order else {
            panic!("{ages:?} in no order: {came:?} {shown:?}, from {:?}", self.model);
        };
        self.model = model;
        self.learn(bought[0], &answers.0);
        self.learn(bought[1], &answers.1);
    }

    /// An answer arrived that should be this.
    fn learn(&mut self, bought: Option<usize>, answer: &Answer) {
        let Some(generation) = bought else {
            let error = answer.json()["error"].clone();
            assert_eq!((answer.status.as_u16(), error), (400, "invalid_grant".into()));
            return;
        };
        assert_eq!(answer.status, 200, "{} {:?}", answer.text(), self.model);
        let answer = answer.json();
        let token = answer["refresh_token"].as_str().unwrap();
        self.known.resize(self.model.line.len(), None);
        let elsewhere = self.known.iter().position(|known| known.as_deref() == Some(token));
        assert!(
            elsewhere.is_none_or(|at| at == generation),
            "generation {generation} is an old one"
        );
        let known = self.known[generation].get_or_insert_with(|| token.to_owned());
        assert_eq!(known, token, "a sibling of generation {generation}");
        self.opening.push((answer["access_token"].as_str().unwrap().to_owned(), self.model.now));
    }

    async fn shown(&self) -> Shown {
        let (tokens, unused, retries, ended) = sqlx::query_as(
            "select count(*), count(*) filter (where rotated_at is null),
                    coalesce(sum(retries), 0)::bigint, bool_or(revoked_at is not null)
               from oauth_refresh_tokens t
               join oauth_grants g on (g.tenant_id, g.id) = (t.tenant_id, t.grant_id)
              where client_id = $1",
        )
        .bind(&self.owner.client_id)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        Shown { tokens, unused, retries, ended }
    }

    async fn compare(&mut self) {
        assert_eq!(self.shown().await, self.model.shown(), "{:?}", self.model);
        self.hand.advance(Duration::ZERO);
        for (place, (token, issued)) in self.opening.iter().enumerate() {
            let opens = self.nodes[place % 2].accepts(token).await;
            assert_eq!(opens, self.model.opens(*issued), "bought at {issued}: {:?}", self.model);
        }
    }
}

async fn set_window(pool: &PgPool, seconds: i64) {
    sqlx::query(
        "insert into tenant_oauth_policies (tenant_id, refresh_retry_seconds, updated_at)
         select id, $1::smallint, now() from tenants
             on conflict (tenant_id) do update set refresh_retry_seconds = $1::smallint",
    )
    .bind(seconds)
    .execute(pool)
    .await
    .unwrap();
}

async fn play(pool: &PgPool, steps: &[Step]) {
    let mut stage = Stage::set(pool).await;
    for step in steps {
        stage.take(step).await;
        stage.compare().await;
    }
}

/// Whatever clients, thieves, clocks and restarts do, in any order: the line of tokens is the one
/// that the specification describes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_family_is_what_the_model_says(pool: PgPool) {
    TestApp::new(&pool).await.member("acme", "ada", Role::Reader).await;
    let steps = vec(step(), 1..12);
    property::each("tests/it/oauth/model_refresh.seeds", steps, move |steps| {
        let pool = pool.clone();
        async move { play(&pool, &steps).await }
    })
    .await;
}

/// A clock that is set back does not open the window again, and nobody is punished for it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_clock_that_runs_back_opens_no_window(pool: PgPool) {
    TestApp::new(&pool).await.member("acme", "ada", Role::Reader).await;
    let refresh = |age| Step::Refresh { age, by: By::Owner, node: 0 };
    let back = Step::Wait { seconds: -60 * MINUTE };
    let mut stage = Stage::set(&pool).await;
    for step in
        [refresh(0), Step::Wait { seconds: 80 }, back, Step::Restart { node: 0 }, refresh(1)]
    {
        stage.take(&step).await;
        stage.compare().await;
    }
    assert_eq!((stage.model.line.len(), stage.model.ended), (2, false));
}

/// Who lost the answer in the last minute of a token's thirty days is not late for a retry.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_retry_is_not_idle(pool: PgPool) {
    TestApp::new(&pool).await.member("acme", "ada", Role::Reader).await;
    let mut stage = Stage::set(&pool).await;
    for step in [
        Step::Window { seconds: 300 },
        Step::Wait { seconds: IDLE - 60 },
        Step::Lost { age: 0, hangs_up: true },
        Step::Wait { seconds: 80 },
        Step::Refresh { age: 0, by: By::Owner, node: 1 },
    ] {
        stage.take(&step).await;
        stage.compare().await;
    }
    assert!(stage.known[1].is_some());
}
