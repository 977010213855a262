//! The demonstration tenant: made if it is missing, left as it is otherwise.

use super::note::{Note, Operator, Person};
use super::{Stop, book};
use crate::app::Parts;

const TENANT: &str = "demo";

/// See that everything is there, and say where.
pub(super) async fn set(parts: &Parts) -> Result<Note, Stop> {
    let data_dir = &parts.config.data_dir;
    let known = Note::read(data_dir)?;
    let note = with_addresses(known.unwrap_or_else(strangers), parts.config.public_url.as_str());
    note.write(data_dir)?; // before the passwords are in the database: they must not get lost
    let _ = book::PDF;
    Ok(note)
}

/// People with passwords that nobody knows yet.
fn strangers() -> Note {
    let password = || {
        let random = rand::random::<[u8; 12]>();
        random.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let person = |role: &str| Person {
        email: format!("{role}@{TENANT}.example"),
        password: password(),
        role: role.to_owned(),
    };
    let users = vec![person("owner"), person("admin"), person("reader")];
    let operator = Operator { email: "operator@demo.example".to_owned(), password: password() };
    let nowhere = String::new;
    Note {
        origin: nowhere(),
        mcp_url: nowhere(),
        sse_url: nowhere(),
        tenant: TENANT.to_owned(),
        users,
        operator,
    }
}

/// The addresses follow the configuration, which may have changed since.
fn with_addresses(note: Note, origin: &str) -> Note {
    Note {
        origin: origin.to_owned(),
        mcp_url: format!("{origin}/t/{TENANT}/mcp"),
        sse_url: format!("{origin}/t/{TENANT}/sse/"),
        ..note
    }
}
