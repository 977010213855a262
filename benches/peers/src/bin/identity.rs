//! Many clients of two tenants at once, with the same JSON-RPC ids, that hang up at random: every
//! answer must belong to its caller.
//!
//! usage: identity ADDRESS CALLS CLIENTS FILE
//!
//! FILE has a line for each tenant: path, token, its word, the other's word, separated by spaces.
//! prints: calls answered, cut off, and told to try again, seconds; ends with 1 at the first answer
//! that is somebody else's

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use callslip_bench_peers::{Connection, post};

/// A tenant, as one of its clients sees it.
#[derive(Clone)]
struct Camp {
    path: String,
    token: String,
    word: String,
    foreign: String,
}

struct Plan {
    address: String,
    camps: Vec<Camp>,
    calls: usize,
    begun: AtomicUsize,
    answered: AtomicUsize,
    cut: AtomicUsize,
    put_off: AtomicUsize,
}

fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

async fn drive(plan: Arc<Plan>, number: usize) {
    let camp = &plan.camps[number % plan.camps.len()];
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ ((number as u64 + 1) << 20);
    let headers = [
        "Content-Type: application/json".to_owned(),
        "Accept: application/json, text/event-stream".to_owned(),
        format!("Authorization: Bearer {}", camp.token),
    ];
    let mut connection = Connection::open(&plan.address).await;
    // The same in every client.
    let mut id = 0;
    while plan.begun.fetch_add(1, Ordering::Relaxed) < plan.calls {
        id += 1;
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":\
             {{\"name\":\"search\",\"arguments\":{{\"query\":\"{} ledger\"}}}}}}",
            camp.word
        );
        let request = post(&plan.address, &camp.path, &headers, &body);
        let hangs_up = random(&mut state, 10) == 0;
        let patience = if hangs_up { random(&mut state, 8_000) } else { 60_000_000 };
        let sent = connection.send(&request);
        let Ok(answer) = tokio::time::timeout(Duration::from_micros(patience), sent).await else {
            plan.cut.fetch_add(1, Ordering::Relaxed);
            connection = Connection::open(&plan.address).await;
            continue;
        };
        let answer = answer.unwrap_or_default();
        // Says nothing of anybody's.
        if answer.starts_with("HTTP/1.1 503") && !answer.contains(&camp.foreign) {
            plan.put_off.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let is_own = answer.starts_with("HTTP/1.1 200")
            && answer.contains(&format!("\"id\":{id},"))
            && answer.contains(&camp.word)
            && !answer.contains(&camp.foreign);
        if !is_own {
            eprintln!("client {number} of {}, call {id}: {answer}", camp.word);
            std::process::exit(1);
        }
        plan.answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, calls, clients, file] = arguments.as_slice() else {
        panic!("usage: identity ADDRESS CALLS CLIENTS FILE");
    };
    let text = fs::read_to_string(file).expect("the file of tenants");
    let camps = text.lines().map(|line| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let [path, token, word, foreign] = words.try_into().expect("four words");
        Camp { path, token, word, foreign }
    });
    let plan = Arc::new(Plan {
        address: address.clone(),
        camps: camps.collect(),
        calls: calls.parse().expect("a number of calls"),
        begun: AtomicUsize::new(0),
        answered: AtomicUsize::new(0),
        cut: AtomicUsize::new(0),
        put_off: AtomicUsize::new(0),
    });
    let clients: usize = clients.parse().expect("a number of clients");
    let begun = Instant::now();
    let tasks: Vec<_> =
        (0..clients).map(|number| tokio::spawn(drive(Arc::clone(&plan), number))).collect();
    for task in tasks {
        task.await.expect("a client's task");
    }
    let seconds = begun.elapsed().as_secs_f32();
    let [answered, cut, put_off] =
        [&plan.answered, &plan.cut, &plan.put_off].map(|count| count.load(Ordering::Relaxed));
    println!("{answered} {cut} {put_off} {seconds:.1}");
}
