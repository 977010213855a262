//! Authorization codes against a model: random steps on two nodes, each compared with what the rows
//! T-03 to T-09 of the specification say.
//!
//! Times are as in `model_refresh`: far from the bounds. A case that fails is kept by its seed in
//! `model_code.seeds`.

use callslip::tenants::Role;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use sqlx::PgPool;
use time::Duration;

use crate::support::{
    Answer, Assistant, Browser, PASSWORD, TestApp,
    property::{self, Hand},
};

/// How long a code lives, in seconds.
const LIFE: i64 = 60;
/// So many wrong verifiers kill it.
const WRONG: u8 = 5;
/// The most codes in one case.
const MOST: usize = 3;

/// What anybody may do next. Codes are picked by their place, and the last stands in for those that
/// there are not.
#[derive(Clone, Debug)]
enum Step {
    Issue,
    Redeem {
        code: usize,
        how: How,
        node: usize,
    },
    /// The answer gets lost: read by nobody, or the client hangs up at once.
    Lost {
        code: usize,
        hangs_up: bool,
    },
    /// At both nodes at once.
    Pair {
        code: usize,
        hows: [How; 2],
    },
    Restart {
        node: usize,
    },
    Wait {
        seconds: i64,
    },
    /// The client gives back what it bought.
    Revoke {
        code: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct How {
    by_owner: bool,
    verifier: Verifier,
    redirect_uri: RedirectUri,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verifier {
    Right,
    Wrong,
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RedirectUri {
    Same,
    Absent,
    Other,
}

const RIGHT: How =
    How { by_owner: true, verifier: Verifier::Right, redirect_uri: RedirectUri::Same };

fn how() -> impl Strategy<Value = How> + Clone {
    let verifier = prop_oneof![
        4 => Just(Verifier::Right), 4 => Just(Verifier::Wrong), 1 => Just(Verifier::Missing),
    ];
    let redirect_uri = prop_oneof![
        4 => Just(RedirectUri::Same), 1 => Just(RedirectUri::Absent), 1 => Just(RedirectUri::Other),
    ];
    let any = (prop::bool::weighted(0.8), verifier, redirect_uri)
        .prop_map(|(by_owner, verifier, redirect_uri)| How { by_owner, verifier, redirect_uri });
    prop_oneof![2 => Just(RIGHT), 3 => any]
}

fn step() -> impl Strategy<Value = Step> {
    let code = 0..MOST;
    prop_oneof![
        3 => Just(Step::Issue),
        10 => (code.clone(), how(), 0..2_usize)
            .prop_map(|(code, how, node)| Step::Redeem { code, how, node }),
        2 => (code.clone(), any::<bool>())
            .prop_map(|(code, hangs_up)| Step::Lost { code, hangs_up }),
        4 => (code.clone(), [how(), how()]).prop_map(|(code, hows)| Step::Pair { code, hows }),
        1 => (0..2_usize).prop_map(|node| Step::Restart { node }),
        2 => prop_oneof![Just(40), Just(80), Just(1200)].prop_map(|seconds| Step::Wait { seconds }),
        1 => code.prop_map(|code| Step::Revoke { code }),
    ]
}

// --- the model

/// A code and its grant, as the specification has them.
#[derive(Clone, Debug)]
struct Code {
    /// Seconds since the beginning.
    issued: i64,
    wrong: u8,
    bought: Option<i64>,
    ended: bool,
}

impl Code {
    const fn issued(now: i64) -> Self {
        Self { issued: now, wrong: 0, bought: None, ended: false }
    }

    /// Present it; otherwise, the error.
    fn redeem(&mut self, how: How, now: i64) -> Result<(), &'static str> {
        const REFUSED: Result<(), &str> = Err("invalid_grant");
        // T-03.
        if how.verifier == Verifier::Missing {
            return Err("invalid_request");
        }
        // T-06, T-07: whoever lacks the client or the verifier breaks nothing …
        if !how.by_owner {
            return REFUSED;
        }
        if how.verifier == Verifier::Wrong {
            // T-04: … but for a code that is still worth something.
            self.wrong += u8::from(self.bought.is_none() && self.wrong < WRONG);
            return REFUSED;
        }
        // T-05: the client itself comes twice, wherever it wants the answer.
        if self.bought.is_some() {
            self.ended = true;
            return REFUSED;
        }
        // T-04; T-09.
        if now - self.issued >= LIFE
            || self.wrong == WRONG
            || how.redirect_uri == RedirectUri::Other
        {
            return REFUSED;
        }
        self.bought = Some(now);
        Ok(())
    }

    /// What the database must show: tokens for the one redemption, and for no other.
    fn shown(&self) -> Shown {
        let redeemed = self.bought.is_some();
        Shown { redeemed, refresh_tokens: redeemed.into(), ended: self.ended }
    }

    /// Whether its access token opens anything.
    fn opens(&self, now: i64) -> bool {
        !self.ended && self.bought.is_some_and(|bought| now - bought < 30 * 60 + 30)
    }
}

// --- the real thing

/// A code and its grant in the database.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    redeemed: bool,
    refresh_tokens: i64,
    ended: bool,
}

/// One code, in both worlds.
struct Slip {
    model: Code,
    text: String,
    /// What it bought, where that arrived.
    tokens: Option<Value>,
}

struct Stage {
    pool: PgPool,
    nodes: [TestApp; 2],
    hand: Hand,
    now: i64,
    browser: Browser,
    owner: Assistant,
    thief: Assistant,
    slips: Vec<Slip>,
}

impl Stage {
    async fn set(pool: &PgPool) -> Self {
        let app = TestApp::new(pool).await;
        let mut stage = Self {
            pool: pool.clone(),
            nodes: [app.clone(), app.twin().await],
            hand: Hand::on(&app.clock),
            now: 0,
            browser: app.browser(),
            owner: app.assistant().await,
            thief: app.assistant().await,
            slips: Vec::new(),
        };
        stage.issue().await;
        stage
    }

    async fn issue(&mut self) {
        if self.slips.len() == MOST {
            return;
        }
        self.browser.sign_in("ada@acme.example", PASSWORD, "/").await;
        let text = self.owner.code(&mut self.browser, &[]).await;
        self.slips.push(Slip { model: Code::issued(self.now), text, tokens: None });
    }

    fn pick(&self, code: usize) -> usize {
        code.min(self.slips.len() - 1)
    }

    async fn redeem(&self, code: usize, how: How, node: usize) -> Answer {
        let verifier = match how.verifier {
            Verifier::Right => None,
            Verifier::Wrong => Some("w".repeat(43)),
            Verifier::Missing => Some(String::new()),
        };
        let redirect_uri = match how.redirect_uri {
            RedirectUri::Same => None,
            RedirectUri::Absent => Some(""),
            RedirectUri::Other => Some("https://assistant.example/cb/"),
        };
        let changes: Vec<(&str, &str)> = verifier
            .as_deref()
            .map(|verifier| ("code_verifier", verifier))
            .into_iter()
            .chain(redirect_uri.map(|uri| ("redirect_uri", uri)))
            .collect();
        let client = if how.by_owner { &self.owner } else { &self.thief };
        client.at(&self.nodes[node]).exchange(&self.slips[code].text, &changes).await
    }

    async fn take(&mut self, step: &Step) {
        self.hand.advance(Duration::ZERO);
        match *step {
            Step::Issue => self.issue().await,
            Step::Redeem { code, how, node } => {
                let code = self.pick(code);
                let answer = self.redeem(code, how, node).await;
                let outcome = self.slips[code].model.redeem(how, self.now);
                self.learn(code, outcome, &answer);
            }
            Step::Lost { code, hangs_up } => self.lose(self.pick(code), hangs_up).await,
            Step::Pair { code, hows } => self.race(self.pick(code), hows).await,
            Step::Restart { node } => self.nodes[node] = self.nodes[node].twin().await,
            Step::Wait { seconds } => {
                self.hand.advance(Duration::seconds(seconds));
                self.now += seconds;
            }
            Step::Revoke { code } => {
                let slip = self.pick(code);
                let Some(tokens) = self.slips[slip].tokens.clone() else { return };
                let token = tokens["refresh_token"].as_str().unwrap();
                assert_eq!(self.owner.revoke(token).await.status, 200);
                self.slips[slip].model.ended = true;
            }
        }
    }

    async fn lose(&mut self, code: usize, hangs_up: bool) {
        let before = self.slips[code].model.shown();
        let now = self.now;
        let _ = self.slips[code].model.redeem(RIGHT, now);
        let after = self.slips[code].model.shown();
        let request = self.redeem(code, RIGHT, 0);
        if !hangs_up || before == after {
            request.await;
            return;
        }
        property::abandon(request).await;
        // What was begun is finished without the client.
        let since = std::time::Instant::now();
        while self.shown(code).await != after {
            assert!(since.elapsed().as_secs() < 10, "the exchange ended with its client");
        }
    }

    /// Two at once come out as if one had come after the other.
    async fn race(&mut self, code: usize, hows: [How; 2]) {
        let answers = tokio::join!(self.redeem(code, hows[0], 0), self.redeem(code, hows[1], 1));
        let shown = self.shown(code).await;
        let (model, now) = (&self.slips[code].model, self.now);
        let mut in_turn = model.clone();
        let first = in_turn.redeem(hows[0], now);
        let second = in_turn.redeem(hows[1], now);
        let mut turned = model.clone();
        let late = turned.redeem(hows[1], now);
        let early = turned.redeem(hows[0], now);
        let came = [answers.0.status == 200, answers.1.status == 200];
        assert_ne!(came, [true, true], "one code bought twice");
        let orders = [(in_turn, [first, second]), (turned, [early, late])];
        let order = orders.into_iter().find(|(model, outcomes)| {
            outcomes.map(|outcome| outcome.is_ok()) == came && model.shown() == shown
        });
        let Some((model, outcomes)) = order else {
            panic!("{hows:?} in no order: {came:?} {shown:?}, from {:?}", self.slips[code].model);
        };
        self.slips[code].model = model;
        self.learn(code, outcomes[0], &answers.0);
        self.learn(code, outcomes[1], &answers.1);
    }

    /// An answer arrived that should be this.
    fn learn(&mut self, code: usize, outcome: Result<(), &str>, answer: &Answer) {
        let slip = &mut self.slips[code];
        match outcome {
            Ok(()) => {
                assert_eq!(answer.status, 200, "{} {:?}", answer.text(), slip.model);
                slip.tokens = Some(answer.json());
            }
            Err(error) => {
                let found = (answer.status.as_u16(), answer.json()["error"].clone());
                assert_eq!(found, (400, error.into()), "{:?}", slip.model);
            }
        }
    }

    async fn shown(&self, code: usize) -> Shown {
        let (redeemed, refresh_tokens, ended) = sqlx::query_as(
            "select redeemed_at is not null,
                    (select count(*) from oauth_refresh_tokens t
                      where (t.tenant_id, t.grant_id) = (g.tenant_id, g.id)),
                    revoked_at is not null
               from oauth_authorization_codes c
               join oauth_grants g on (g.tenant_id, g.id) = (c.tenant_id, c.grant_id)
              where secret_hash = sha256($1::text::bytea)",
        )
        .bind(&self.slips[code].text)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        Shown { redeemed, refresh_tokens, ended }
    }

    async fn compare(&mut self) {
        self.hand.advance(Duration::ZERO);
        for (code, slip) in self.slips.iter().enumerate() {
            assert_eq!(self.shown(code).await, slip.model.shown(), "{:?}", slip.model);
            let Some(tokens) = &slip.tokens else { continue };
            let token = tokens["access_token"].as_str().unwrap();
            let opens = self.nodes[code % 2].accepts(token).await;
            assert_eq!(opens, slip.model.opens(self.now), "{:?}", slip.model);
        }
    }
}

/// Whoever redeems it how often, at which node, with what: a code buys once what the specification
/// says, or nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_code_is_what_the_model_says(pool: PgPool) {
    TestApp::new(&pool).await.member("acme", "ada", Role::Reader).await;
    let steps = vec(step(), 1..12);
    property::each("tests/it/oauth/model_code.seeds", steps, move |steps| {
        let pool = pool.clone();
        async move {
            let mut stage = Stage::set(&pool).await;
            for step in &steps {
                stage.take(step).await;
                stage.compare().await;
            }
        }
    })
    .await;
}
