//! A load generator: keep-alive connections, each sending as soon as it was answered. Counts only
//! answers with status 200 that hold the expected text.
//!
//! usage: load ADDRESS CONNECTIONS SECONDS PATH EXPECTED BODY VALUES [HEADER…]
//!
//! VALUES says what stands for `{}` in BODY: `-` nothing; `list:FILE` each line once, whoever
//! comes first; `chain:FILE` for each connection a line of its own, and after that what the
//! answer's `refresh_token` says; `stream:FILE` nothing, but for each connection a line with a path
//! and a token: a stream is opened there, BODY is posted as its message, and the answer is what
//! comes on the stream.
//! prints: calls per second, p50 ms, p99 ms, failures

use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use callslip_bench_peers::{Connection, Outcome, Stream, post, print};

/// What stands for `{}`.
#[derive(Clone)]
enum Values {
    Nothing,
    List(Arc<Mutex<Vec<String>>>),
    Chain(String),
    Stream(String),
}

impl Values {
    fn next(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Stream(_) => Some(String::new()),
            Self::List(lines) => lines.lock().expect("a lock").pop(),
            Self::Chain(value) => Some(value.clone()),
        }
    }

    fn learn(&mut self, answer: &str) {
        const NAME: &str = "\"refresh_token\":\"";
        if let Self::Chain(value) = self
            && let Some(begin) = answer.find(NAME)
        {
            let rest = &answer[begin + NAME.len()..];
            value.clear();
            value.push_str(rest.split('"').next().expect("a first part"));
        }
    }
}

struct Plan {
    address: String,
    path: String,
    expected: String,
    body: String,
    headers: Vec<String>,
    until: Instant,
}

async fn drive(plan: Arc<Plan>, values: Values) -> (Outcome, Instant) {
    match values {
        Values::Stream(line) => drive_stream(&plan, &line).await,
        values => drive_posts(&plan, values).await,
    }
}

async fn drive_stream(plan: &Plan, line: &str) -> (Outcome, Instant) {
    let (path, token) = line.split_once(' ').expect("a path and a token");
    let mut headers = plan.headers.clone();
    headers.push(format!("Authorization: Bearer {token}"));
    let mut stream = Stream::open(&plan.address, path, &headers).await;
    let mut outcome = Outcome::default();
    while Instant::now() < plan.until {
        let started = Instant::now();
        let answer = stream.send(&plan.address, &plan.body).await;
        if !outcome.count(started, answer.as_deref(), &plan.expected) || answer.is_none() {
            break;
        }
    }
    (outcome, Instant::now())
}

async fn drive_posts(plan: &Plan, mut values: Values) -> (Outcome, Instant) {
    let mut outcome = Outcome::default();
    let mut connection = Connection::open(&plan.address).await;
    while Instant::now() < plan.until {
        let Some(value) = values.next() else { break };
        let body = plan.body.replace("{}", &value);
        let request = post(&plan.address, &plan.path, &plan.headers, &body);
        let started = Instant::now();
        let answer = connection.send(&request).await;
        if !outcome.count(started, answer.as_deref(), &plan.expected) {
            break;
        }
        values.learn(answer.as_deref().unwrap_or_default());
    }
    (outcome, Instant::now())
}

fn lines(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).expect("the file of values");
    text.lines().map(str::to_owned).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, seconds, path, expected, body, values, headers @ ..] =
        arguments.as_slice()
    else {
        panic!("usage: load ADDRESS CONNECTIONS SECONDS PATH EXPECTED BODY VALUES [HEADER…]");
    };
    let connections: usize = connections.parse().expect("a number of connections");
    let values: Vec<Values> = match values.split_once(':') {
        None => vec![Values::Nothing; connections],
        Some(("list", file)) => vec![Values::List(Arc::new(Mutex::new(lines(file)))); connections],
        Some(("chain", file)) => lines(file).into_iter().map(Values::Chain).collect(),
        Some(("stream", file)) => lines(file).into_iter().map(Values::Stream).collect(),
        Some(_) => panic!("VALUES is -, list:FILE, chain:FILE or stream:FILE"),
    };
    let begun = Instant::now();
    let plan = Arc::new(Plan {
        address: address.clone(),
        path: path.clone(),
        expected: expected.clone(),
        body: body.clone(),
        headers: headers.to_vec(),
        until: begun + Duration::from_secs_f32(seconds.parse().expect("seconds")),
    });
    let mut tasks = Vec::new();
    for values in values.into_iter().take(connections) {
        tasks.push(tokio::spawn(drive(Arc::clone(&plan), values)));
    }
    let (mut outcomes, mut ended) = (Vec::new(), begun);
    for task in tasks {
        let (outcome, at) = task.await.expect("a connection's task");
        outcomes.push(outcome);
        ended = ended.max(at);
    }
    // A list may run out before the time does.
    print(outcomes, (ended - begun).as_secs_f32());
}
