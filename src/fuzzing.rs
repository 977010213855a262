//! Every parser of the authorization server and of the MCP front that reads bytes from outside, and
//! what makes documents harmless, behind one name and one function of bytes each. Only for fuzzers
//! (feature `fuzzing`) and tests.
//!
//! A function panics when what it calls does, or when a property of it does not hold. `fuzz/` has a
//! program for each, and `fuzz/seeds` inputs to begin with; the tests here feed all of them a few
//! thousand inputs made from those seeds, with the stable compiler.

use crate::{http, mcp, neutral, oauth};

/// What eats the bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name of its program.
pub const TARGETS: &[(&str, Target)] = &[
    ("access_token", oauth::fuzzing::access_token),
    ("authorize_query", oauth::fuzzing::parameters),
    ("client_document", oauth::fuzzing::client_document),
    ("client_document_life", oauth::fuzzing::client_document_life),
    ("client_keys", oauth::fuzzing::client_keys),
    ("cookies", http::fuzzing::cookies),
    ("credentials", oauth::fuzzing::credentials),
    ("dpop_proof", oauth::fuzzing::dpop_proof),
    ("forwarded_for", http::fuzzing::forwarded_for),
    ("json_rpc", mcp::fuzzing::json_rpc),
    ("jws", oauth::fuzzing::jws),
    ("mcp_headers", mcp::fuzzing::headers),
    ("neutral", neutral::fuzzing::text),
    ("pkce", oauth::fuzzing::pkce),
    ("redirect_uri", oauth::fuzzing::redirect_uri),
    ("registration", oauth::fuzzing::registration),
    ("resource", oauth::fuzzing::resource),
    ("scope", oauth::fuzzing::scope),
    ("secrets", oauth::fuzzing::secrets),
];

/// Feed one target.
///
/// # Panics
/// When there is no such target, or when the target has found something.
pub fn run(name: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = found.expect("the name of a target");
    target(bytes);
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    /// So many inputs for each target.
    const INPUTS: usize = 3_000;
    /// What parsers stumble over.
    const SPLINTERS: &[&[u8]] = &[
        b"\0",
        b"\n",
        b"\r\n",
        b"\t",
        b" ",
        b"%",
        b"%00",
        b"%ff",
        b"&",
        b"=",
        b"+",
        b",",
        b";",
        b":",
        b"/",
        b"//",
        b"\\",
        b"?",
        b"#",
        b"@",
        b"*",
        b".",
        b"..",
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b"[::1]",
        b"127.0.0.1",
        b"localhost",
        b"http://",
        b"https://",
        b":65535",
        b":0",
        b":99999",
        b"null",
        b"-1",
        b"1e400",
        b"18446744073709551616",
        b"\\u0000",
        b"\\ud800",
        b"\xff",
        b"\xc3",
        b"\xe2\x80\xae",
        b"=?base64?",
        b"?=",
        b"Basic ",
        b"Bearer ",
        b"none",
    ];

    fn fuzz() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
    }

    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let folder = fuzz().join("seeds").join(name);
        let files = fs::read_dir(&folder).expect(name);
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }

    /// A seed that went through some hands.
    fn worn(random: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..=input.len());
            let end = (at + random.random_range(0..16)).min(input.len());
            match random.random_range(0..7) {
                0 => drop(input.drain(at..end)),
                1 => input.truncate(at),
                2 => drop(input.splice(at..at, input[at..end].to_vec())),
                3 if at < input.len() => input[at] = random.random(),
                4 => {
                    let other = &seeds[random.random_range(0..seeds.len())];
                    let from = random.random_range(0..=other.len());
                    drop(input.splice(at..end, other[from..].iter().copied()));
                }
                _ => {
                    let splinter = SPLINTERS[random.random_range(0..SPLINTERS.len())];
                    drop(input.splice(at..end, splinter.iter().copied()));
                }
            }
        }
        input.truncate(32 * 1024);
        input
    }

    /// Each target holds on its seeds, on nothing, on noise, and on what became of the seeds.
    #[test]
    fn every_parser_holds_on_what_strangers_send() {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            target(b"");
            seeds.iter().for_each(|seed| target(seed));
            let mut random = StdRng::seed_from_u64(1);
            for _ in 0..INPUTS {
                let mut input = worn(&mut random, &seeds);
                if random.random_range(0..20) == 0 {
                    input = vec![0; random.random_range(0..200)];
                    random.fill_bytes(&mut input);
                }
                let kept = input.clone();
                let outcome = std::panic::catch_unwind(move || target(&input));
                assert!(outcome.is_ok(), "{name}: {:?}", kept.escape_ascii().to_string());
            }
        }
    }

    /// A target that nobody runs finds nothing.
    #[test]
    fn every_target_has_its_program() {
        let programs = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            assert!(programs.contains(&format!("name = \"{name}\"")), "{name}");
            let file = fuzz().join("targets").join(format!("{name}.rs"));
            let program = fs::read_to_string(&file).expect(name);
            assert!(program.contains(&format!("run(\"{name}\"")), "{name}");
        }
        assert_eq!(programs.matches("[[bin]]").count(), TARGETS.len());
    }
}
