//! What every command needs: configuration, a database that is up to date, and the master key.

use std::{fs, io, path::Path, time::Duration};

use sqlx::{Connection, PgConnection};

use super::Stop;
use crate::{
    app::Parts,
    clock::Clock,
    config::Config,
    db::{Db, MIGRATOR, embedded::Embedded},
    documents::{
        extract::{Extractor, Tesseract},
        ingest::Bell,
    },
    embeddings::Embedder,
    fault::Fault,
    limits::shared,
    mcp::StreamRules,
    outbound::{self, Outbound, Policy, Roots},
    search::near::{self, Near},
    secret::{self, seal::MasterKey},
    sign_in::accounts::Accounts,
    users::password::{Cost, Hashing},
};

/// How long connections in use may take to come back at the end.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// An opened installation.
#[derive(Debug)]
pub struct Context {
    /// What the application is made of.
    pub parts: Parts,
    private: Option<Embedded>,
}

impl Context {
    /// Open the installation that the environment describes: start the private Postgres where no
    /// other is named, migrate, and refuse a database under which tenants would not be isolated.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn open() -> Result<Self, Stop> {
        Self::with(configuration()?).await
    }

    /// Open the installation that `config` describes.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub async fn with(config: Config) -> Result<Self, Stop> {
        fs::create_dir_all(&config.data_dir).map_err(|error| {
            Stop(format!("cannot create the data folder {}: {error}", config.data_dir.display()))
        })?;
        let master_key = master_key(&config)?;
        let outbound = outbound(&config)?;
        let (url, owner_url, private) = match &config.database_url {
            Some(url) => {
                let owner =
                    config.migration_database_url.as_ref().map(|url| url.expose().to_owned());
                (url.expose().to_owned(), owner, None)
            }
            None => {
                let private = start_private(&config).await?;
                (private.app_url().to_owned(), Some(private.owner_url().to_owned()), Some(private))
            }
        };
        if let Some(owner_url) = owner_url {
            migrate(&owner_url).await?;
        }
        let db = Db::connect(&url, config.database_connections)
            .await
            .map_err(|error| Stop(format!("cannot connect to the database: {error}")))?;
        db.require_isolation().await.map_err(Stop::because)?;
        db.require_migrated().await.map_err(Stop::because)?;
        let clock = Clock::system();
        let extractor = Extractor::this_program();
        let tesseract = tesseract(&extractor, &config).await?;
        let parts = Parts {
            outbound,
            clock,
            embedder: Embedder::local(config.model_dir.clone()),
            near: Near::new(near::Limits::within(config.search_index_mb)),
            bell: Bell::default(),
            config,
            db,
            master_key,
            password_cost: Cost::standard(),
            extractor: extractor.with_tesseract(tesseract),
            streams: StreamRules::default(),
            valkey_budget: shared::BUDGET,
        };
        Ok(Self { parts, private })
    }

    /// Acts on accounts.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        Accounts {
            db: self.parts.db.clone(),
            clock: self.parts.clock.clone(),
            hashing: Hashing::start(self.parts.password_cost.clone()),
        }
    }

    /// Close what was opened. The private Postgres stops when nobody else uses it.
    pub async fn close(self) {
        if tokio::time::timeout(CLOSED_WITHIN, self.parts.db.close()).await.is_err() {
            tracing::warn!("some database connections were still in use");
        }
        if let Some(private) = self.private
            && let Err(error) = private.release().await
        {
            tracing::warn!(%error, "the private Postgres did not stop");
        }
    }
}

/// What reads scanned pages: the program that is named must work, one that was found may not.
async fn tesseract(extractor: &Extractor, config: &Config) -> Result<Option<Tesseract>, Stop> {
    let named = config.tesseract.as_deref();
    let program = match named {
        Some(off) if off == Path::new("off") => None,
        Some(program) => Some(program),
        None => Tesseract::usual_place(),
    };
    let Some(program) = program else { return Ok(None) };
    match Tesseract::find(extractor, program, &config.tesseract_languages).await {
        Ok(tesseract) => Ok(Some(tesseract)),
        Err(why) if named.is_some() || !config.tesseract_languages.is_empty() => {
            Err(Stop(format!(
                "Tesseract (CALLSLIP_TESSERACT, CALLSLIP_TESSERACT_LANGUAGES) cannot be used: {why}"
            )))
        }
        Err(why) => {
            tracing::warn!(%why, "scanned pages are not read: Tesseract cannot be used");
            Ok(None)
        }
    }
}

/// The environment, parsed.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn configuration() -> Result<Config, Stop> {
    Config::from_env().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
        Stop(format!("the configuration does not work:\n{}", lines.join("\n")))
    })
}

async fn start_private(config: &Config) -> Result<Embedded, Stop> {
    let data_dir = fs::canonicalize(&config.data_dir).map_err(Stop::because)?;
    Embedded::attach(config.postgres_dir.as_deref(), &data_dir, &|step| eprintln!("  {step}"))
        .await
        .map_err(Stop::because)
}

/// Two that migrate at once take turns: sqlx holds an advisory lock.
async fn migrate(url: &str) -> Result<(), Stop> {
    let failed = |fault: Fault| Stop(format!("cannot migrate the database: {}", fault.chain()));
    let mut owner = PgConnection::connect(url).await.map_err(|e| failed(e.into()))?;
    MIGRATOR.run(&mut owner).await.map_err(|e| failed(e.into()))?;
    owner.close().await.map_err(|e| failed(e.into()))
}

fn outbound(config: &Config) -> Result<Outbound, Stop> {
    let roots = match &config.outbound_ca_file {
        None => Roots::default(),
        Some(path) => Roots::from_file(path).map_err(|error| {
            Stop(format!("CALLSLIP_OUTBOUND_CA_FILE: {} {error}", path.display()))
        })?,
    };
    let policy = Policy {
        allowed: config.outbound_allow.clone(),
        documents: config.client_document_allow.clone(),
    };
    Ok(Outbound::with_roots(policy, roots, &outbound::system_lookup()))
}

/// The key from the environment, or from `master.key` in the data folder, which is made at first
/// start: 0600, complete or not there at all.
fn master_key(config: &Config) -> Result<MasterKey, Stop> {
    if let Some(key) = &config.master_key {
        return MasterKey::from_hex(key.expose())
            .ok_or_else(|| Stop("CALLSLIP_MASTER_KEY must be 64 hexadecimal digits".to_owned()));
    }
    let path = config.data_dir.join("master.key");
    match fs::read_to_string(&path) {
        Ok(text) => MasterKey::from_hex(&text)
            .ok_or_else(|| Stop(format!("{} does not hold a key", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_master_key(&path),
        Err(error) => Err(Stop(format!("cannot read {}: {error}", path.display()))),
    }
}

fn create_master_key(path: &Path) -> Result<MasterKey, Stop> {
    let failed = |error: io::Error| Stop(format!("cannot write {}: {error}", path.display()));
    let key = MasterKey::generate();
    match secret::file::create(path, &key.to_hex()) {
        Ok(()) => Ok(key),
        // Another process was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(path).map_err(failed)?;
            MasterKey::from_hex(&text)
                .ok_or_else(|| Stop(format!("{} does not hold a key", path.display())))
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let variables = [("CALLSLIP_OUTBOUND_CA_FILE", path.to_str().unwrap())];
        let problem = || outbound(&Config::of(&variables)).unwrap_err().0;
        assert!(problem().contains("cannot be read"), "{}", problem());
        for bad in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            fs::write(&path, bad).unwrap();
            assert!(problem().contains("holds no PEM certificate"), "{bad:?} {}", problem());
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        assert!(outbound(&Config::of(&variables)).is_ok());
    }

    /// In a container every start has the same process number.
    #[test]
    fn a_start_that_was_killed_halfway_does_not_keep_the_next_from_making_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let draft = path.with_extension(format!("key.{}", std::process::id()));
        fs::write(draft, "").unwrap();

        let key = create_master_key(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), *key.to_hex());
        assert_eq!(*create_master_key(&path).unwrap().to_hex(), *key.to_hex(), "there is one key");
    }
}
