//! Configuration: the environment, read once and parsed to final types.
//!
//! Every problem is found before any is reported. An unknown `CALLSLIP_*` variable is a problem
//! too, since it is most likely a typing error.

mod clients;
mod parse;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use crate::secret::Secret;
pub use clients::{ClientHost, Clients, Registration};
pub use parse::{Network, PublicUrl};

/// A variable that the server understands.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// As in the environment.
    pub name: &'static str,
    /// What holds when it is not set; empty when there is no default.
    pub default: &'static str,
}

/// All of them, in the order of `.env.example`, which a test holds to this list.
pub const VARIABLES: &[Variable] = &[
    Variable { name: "CALLSLIP_LISTEN", default: "127.0.0.1:8700" },
    Variable { name: "CALLSLIP_PUBLIC_URL", default: "" },
    Variable { name: "CALLSLIP_DATA_DIR", default: "./data" },
    Variable { name: "CALLSLIP_UPLOAD_DIR", default: "" },
    Variable { name: "DATABASE_URL", default: "" },
    Variable { name: "MIGRATION_DATABASE_URL", default: "" },
    Variable { name: "CALLSLIP_DATABASE_CONNECTIONS", default: "16" },
    Variable { name: "CALLSLIP_POSTGRES_DIR", default: "" },
    Variable { name: "CALLSLIP_MODEL_DIR", default: "" },
    Variable { name: "CALLSLIP_SEARCH_INDEX_MB", default: "512" },
    Variable { name: "CALLSLIP_TESSERACT", default: "" },
    Variable { name: "CALLSLIP_TESSERACT_LANGUAGES", default: "" },
    Variable { name: "CALLSLIP_MASTER_KEY", default: "" },
    Variable { name: "CALLSLIP_METRICS_LISTEN", default: "127.0.0.1:8701" },
    Variable { name: "CALLSLIP_TRUSTED_PROXIES", default: "" },
    Variable { name: "CALLSLIP_CONNECTIONS_PER_ADDRESS", default: "50" },
    Variable { name: "CALLSLIP_ALLOWED_ORIGINS", default: "" },
    Variable { name: "CALLSLIP_OUTBOUND_ALLOW", default: "" },
    Variable { name: "CALLSLIP_OUTBOUND_CA_FILE", default: "" },
    Variable { name: "CALLSLIP_WATCH_ROOTS", default: "" },
    Variable { name: "CALLSLIP_RATE_LIMIT_SCALE", default: "1" },
    Variable { name: "CALLSLIP_SHARED_EGRESS", default: "160.79.104.0/21" },
    Variable { name: "CALLSLIP_VALKEY_URL", default: "" },
    Variable { name: "CALLSLIP_NODES", default: "1" },
    Variable { name: "CALLSLIP_ACCESS_TOKEN_MINUTES", default: "30" },
    Variable { name: "CALLSLIP_REGISTRATION", default: "open" },
    Variable { name: "CALLSLIP_REGISTRATION_TOKEN", default: "" },
    Variable { name: "CALLSLIP_CLIENT_DOCUMENTS", default: "on" },
    Variable { name: "CALLSLIP_CLIENT_DOCUMENT_ALLOW", default: "" },
    Variable { name: "CALLSLIP_CLIENT_HOSTS", default: "" },
    Variable { name: "CALLSLIP_REGISTRATIONS_PER_HOUR", default: "60" },
    Variable { name: "CALLSLIP_REGISTRATIONS_PER_HOUR_TOTAL", default: "2000" },
    Variable { name: "CALLSLIP_SIGNING_KEY_DAYS", default: "90" },
    Variable { name: "CALLSLIP_LOG", default: "info" },
    Variable { name: "CALLSLIP_LOG_FORMAT", default: "json" },
];

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}

/// The whole configuration. `app` takes it apart; slices receive values.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// The origin under which browsers and assistants reach it, without trailing slash.
    pub public_url: PublicUrl,
    /// Where keys and the private Postgres are kept.
    pub data_dir: PathBuf,
    /// Where files are while they come: `uploads` under `data_dir` unless another is named.
    pub upload_dir: PathBuf,
    /// Postgres as `app_login`; `None` starts a private one under `data_dir`.
    pub database_url: Option<Secret>,
    /// Postgres as the owner of the tables, for migrations.
    pub migration_database_url: Option<Secret>,
    /// The most connections to Postgres that this process opens.
    pub database_connections: u32,
    /// Where the programs of the private Postgres are.
    pub postgres_dir: Option<PathBuf>,
    /// Where the embedding model is: `models` under `data_dir` unless another folder is named.
    pub model_dir: PathBuf,
    /// How many mebibytes large stores may take in memory together.
    pub search_index_mb: usize,
    /// The program that reads scanned pages: `None` looks for it, and `off` goes without.
    pub tesseract: Option<PathBuf>,
    /// In which languages; in all that it has when there is none.
    pub tesseract_languages: Vec<String>,
    /// 64 hexadecimal digits; `None` keeps a key file under `data_dir`.
    pub master_key: Option<Secret>,
    /// Where `/metrics` listens: loopback only.
    pub metrics_listen: SocketAddr,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// The most connections that one address may have open; trusted proxies may have more.
    pub connections_per_address: usize,
    /// Origins besides our own that browsers may call the MCP endpoint from.
    pub allowed_origins: Vec<String>,
    /// `host` or `host:port` that outbound requests may reach although the guard would refuse it.
    pub outbound_allow: Vec<String>,
    /// The same for clients' metadata documents and published keys, which strangers name.
    pub client_document_allow: Vec<String>,
    /// PEM certificates of authorities that outbound requests believe besides the system's.
    pub outbound_ca_file: Option<PathBuf>,
    /// In which folders each tenant's own may be that its stores may follow.
    pub watch_roots: Vec<PathBuf>,
    /// Multiplies every rate limit.
    pub rate_limit_scale: f64,
    /// Networks that hosted assistants call from, for all their users.
    pub shared_egress: Vec<Network>,
    /// Where nodes share their limits; `None`: each counts alone.
    pub valkey_url: Option<Secret>,
    /// At least how many nodes share them.
    pub nodes: u32,
    /// How long an access token lives.
    pub access_token_minutes: u8,
    /// Which OAuth clients are taken.
    pub clients: Clients,
    /// How long a key signs access tokens before its successor is published.
    pub signing_key_days: u16,
    /// A `tracing` filter.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Something wrong with one variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct Problem {
    /// Its name.
    pub variable: String,
    /// What is wrong and what would be right. Never shows the value: it may be a secret.
    pub problem: String,
}

impl Config {
    /// Read the process's environment.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_env() -> Result<Self, Vec<Problem>> {
        Self::parse(&std::env::vars().collect())
    }

    /// Read a set of variables. An empty one counts as not set.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(variables: &BTreeMap<String, String>) -> Result<Self, Vec<Problem>> {
        let mut reader = parse::Reader::new(variables);
        let listen: SocketAddr = reader.parsed("CALLSLIP_LISTEN", "an address and port");
        let data_dir: PathBuf = reader.parsed("CALLSLIP_DATA_DIR", "a folder");
        let model_dir = reader.optional("CALLSLIP_MODEL_DIR").map(PathBuf::from);
        let upload_dir = reader.optional("CALLSLIP_UPLOAD_DIR").map(PathBuf::from);
        let config = Self {
            listen,
            public_url: reader.public_url("CALLSLIP_PUBLIC_URL", listen),
            model_dir: model_dir.unwrap_or_else(|| data_dir.join("models")),
            upload_dir: upload_dir.unwrap_or_else(|| data_dir.join("uploads")),
            data_dir,
            search_index_mb: reader.within("CALLSLIP_SEARCH_INDEX_MB", 0, 1_000_000),
            database_url: reader.secret("DATABASE_URL"),
            migration_database_url: reader.secret("MIGRATION_DATABASE_URL"),
            database_connections: reader.within("CALLSLIP_DATABASE_CONNECTIONS", 2, 1000),
            postgres_dir: reader.optional("CALLSLIP_POSTGRES_DIR").map(PathBuf::from),
            tesseract: reader.optional("CALLSLIP_TESSERACT").map(PathBuf::from),
            tesseract_languages: reader.list("CALLSLIP_TESSERACT_LANGUAGES", "names such as eng"),
            master_key: reader.secret("CALLSLIP_MASTER_KEY"),
            metrics_listen: reader.loopback("CALLSLIP_METRICS_LISTEN"),
            trusted_proxies: reader
                .list("CALLSLIP_TRUSTED_PROXIES", "addresses such as 10.0.0.0/8 or ::1"),
            connections_per_address: reader.within("CALLSLIP_CONNECTIONS_PER_ADDRESS", 1, 100_000),
            allowed_origins: reader.list("CALLSLIP_ALLOWED_ORIGINS", "origins"),
            outbound_allow: reader.list("CALLSLIP_OUTBOUND_ALLOW", "hosts"),
            client_document_allow: reader.list("CALLSLIP_CLIENT_DOCUMENT_ALLOW", "hosts"),
            outbound_ca_file: reader.optional("CALLSLIP_OUTBOUND_CA_FILE").map(PathBuf::from),
            watch_roots: reader.list("CALLSLIP_WATCH_ROOTS", "folders"),
            rate_limit_scale: reader.scale("CALLSLIP_RATE_LIMIT_SCALE"),
            shared_egress: reader
                .list("CALLSLIP_SHARED_EGRESS", "addresses such as 198.51.100.0/24"),
            valkey_url: reader.valkey("CALLSLIP_VALKEY_URL"),
            nodes: reader.within("CALLSLIP_NODES", 1, 1000),
            access_token_minutes: reader.within("CALLSLIP_ACCESS_TOKEN_MINUTES", 5, 60),
            clients: Clients::read(&mut reader),
            signing_key_days: reader.within("CALLSLIP_SIGNING_KEY_DAYS", 7, 365),
            log: reader.parsed("CALLSLIP_LOG", "a filter"),
            log_format: reader.log_format("CALLSLIP_LOG_FORMAT"),
        };
        if let Some(key) = &config.master_key
            && crate::secret::seal::MasterKey::from_hex(key.expose()).is_none()
        {
            reader.problem("CALLSLIP_MASTER_KEY", "must be 64 hexadecimal digits");
        }
        reader.finish(config)
    }

    /// The configuration that `variables` describe, for tests: panics where it is wrong.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::parse(&variables.collect()).expect("a valid configuration")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Config::parse(&variables).unwrap_err().into_iter().map(|p| p.variable).collect()
    }

    #[test]
    fn without_variables_the_defaults_hold() {
        let config = Config::of(&[]);
        assert_eq!(config.listen.to_string(), "127.0.0.1:8700");
        assert_eq!(config.public_url.as_str(), "http://127.0.0.1:8700");
        assert!(config.database_url.is_none());
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let found = problems(&[
            ("CALLSLIP_LISTEN", "here"),
            ("CALLSLIP_PUBLIC_URL", "http://example.com"),
            ("CALLSLIP_RATE_LIMIT_SCALE", "-1"),
            ("CALLSLIP_ACCESS_TOKEN_MINUTES", "600"),
            ("CALLSLIP_METRICS_LISTEN", "0.0.0.0:9000"),
            ("CALLSLIP_TRUSTED_PROXIES", "10.0.0.0/40"),
            ("CALLSLIP_MASTER_KEY", "abc"),
            ("CALLSLIP_LISTN", "127.0.0.1:1"),
        ]);
        assert_eq!(found.len(), 8, "{found:?}");
    }

    #[test]
    fn the_public_url_is_kept_byte_for_byte() {
        for url in
            ["https://docs.example.com", "https://docs.example.com:8443", "http://localhost:1"]
        {
            assert_eq!(Config::of(&[("CALLSLIP_PUBLIC_URL", url)]).public_url.as_str(), url);
        }
        for url in [
            "https://a.example/",
            "https://a.example/p",
            "ftp://a",
            "http://10.0.0.1",
            "https://u@a",
        ] {
            assert_eq!(problems(&[("CALLSLIP_PUBLIC_URL", url)]), ["CALLSLIP_PUBLIC_URL"], "{url}");
        }
    }
}
