//! The demonstration: made where it is missing, left as it is otherwise.

use super::note::{Note, Operator, Person};
use super::{Stop, library, people};
use crate::{app::Parts, fault::Fault, users::password::Password};

pub(super) const TENANT: &str = "demo";

/// See that everything is there, and say where.
pub(super) async fn set(parts: &Parts) -> Result<Note, Stop> {
    let data_dir = &parts.config.data_dir;
    let known = Note::read(data_dir)?;
    let lost = known.is_none();
    let note = with_addresses(known.unwrap_or_else(strangers), parts.config.public_url.as_str());
    note.write(data_dir)?; // before the database knows the passwords: they must not get lost

    let failed = |fault: Fault| Stop(format!("cannot set the stage: {}", fault.chain()));
    let tenant = people::welcome(parts, &note, lost).await?;
    library::fill(parts, &tenant).await.map_err(failed)?;
    Ok(note)
}

/// People whose passwords nobody knows yet.
fn strangers() -> Note {
    let password = || Password::generate().expose().to_owned();
    let person = |role: &str| Person {
        email: format!("{role}@{TENANT}.example"),
        password: password(),
        role: role.to_owned(),
    };
    Note {
        origin: String::new(),
        mcp_url: String::new(),
        sse_url: String::new(),
        tenant: TENANT.to_owned(),
        users: ["owner", "admin", "reader"].map(person).into(),
        operator: Operator { email: format!("operator@{TENANT}.example"), password: password() },
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
