//! `demo.json`: where the demonstration is and how to sign in to it.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Stop;
use crate::{config::Config, secret};

/// What `demo.json` holds; its passwords are made at random, once an installation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) origin: String,
    pub(super) mcp_url: String,
    pub(super) sse_url: String,
    pub(super) tenant: String,
    pub(super) users: Vec<Person>,
    pub(super) operator: Operator,
}

/// A member of the demonstration tenant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) email: String,
    pub(super) password: String,
    pub(super) role: String,
}

/// Who runs the installation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Operator {
    pub(super) email: String,
    pub(super) password: String,
}

impl Note {
    /// The note of an earlier run.
    pub(super) fn read(data_dir: &Path) -> Result<Option<Self>, Stop> {
        let path = data_dir.join("demo.json");
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| {
                let path = path.display();
                Stop(format!("{path} is damaged ({error}): remove it to get new passwords"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Stop(format!("cannot read {}: {error}", path.display()))),
        }
    }

    pub(super) fn write(&self, data_dir: &Path) -> Result<(), Stop> {
        let path = data_dir.join("demo.json");
        let text = serde_json::to_string_pretty(self).map_err(Stop::because)? + "\n";
        secret::file::replace(&path, &text)
            .map_err(|error| Stop(format!("cannot write {}: {error}", path.display())))
    }

    /// For the person at the terminal.
    pub(super) fn print(&self, config: &Config) -> Result<(), Stop> {
        let Self { origin, mcp_url, operator, .. } = self;
        println!("Callslip runs at {origin}\n");
        println!("  paste into an assistant   {mcp_url}");
        println!("  sign in                   {origin}/sign-in");
        for Person { email, password, role } in &self.users {
            println!("    {role:<23} {email}  {password}");
        }
        println!("    {:<23} {}  {}", "operator", operator.email, operator.password);
        println!("\nWithout an assistant:\n\n{}\n", self.curl(config)?);
        Ok(())
    }

    /// A command that gets a search answer; it connects over OAuth, as an assistant would.
    fn curl(&self, config: &Config) -> Result<String, Stop> {
        let data_dir = config.data_dir.canonicalize().map_err(Stop::because)?;
        let call = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "Are cats attached to their homes?"}}}"#;
        Ok(format!(
            "  TOKEN=$(scripts/token {}/demo.json)\n  \
             curl -s {} -H \"Authorization: Bearer $TOKEN\" \\\n    \
               -H 'Content-Type: application/json' \\\n    \
               -H 'Accept: application/json, text/event-stream' \\\n    -d '{call}'",
            data_dir.display(),
            self.mcp_url,
        ))
    }
}
