//! `/t/{tenant}/activity`: the tenant's audit events, newest first.

use std::collections::{HashMap, HashSet};

use askama::Template;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Desk,
    view::{Moment, PAGE, Pager},
    words,
};
use crate::{
    audit::{self, store::Row},
    db::{ControlTx, Db},
    http::{Frame, Page, PageError, extract::Query},
    ids::{EventId, UserId},
    oauth,
    questions::Questions,
    sign_in::TenantAdmin,
    users,
};

#[derive(Template)]
#[template(path = "admin/activity.html")]
pub(super) struct Activity {
    frame: Frame,
    base: String,
    kind: String,
    kinds: Vec<(&'static str, &'static str)>,
    events: Vec<Line>,
    pager: Pager,
}

/// An event in words.
pub(super) struct Line {
    /// Names it.
    pub(super) id: EventId,
    /// What was asked, where that is kept.
    pub(super) question: Option<String>,
    pub(super) words: String,
    pub(super) actor: String,
    pub(super) via: Option<String>,
    pub(super) tone: &'static str,
    pub(super) outcome: &'static str,
    pub(super) when: Moment,
}

/// What the list shows.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    /// A kind's name; empty for all.
    #[serde(default)]
    kind: String,
    /// Continue after this event.
    #[serde(default)]
    before: String,
}

/// `GET /t/{tenant}/activity`
pub(super) async fn index(
    admin: TenantAdmin,
    State(db): State<Db>,
    State(questions): State<Questions>,
    Query(filter): Query<Filter>,
) -> Result<Page<Activity>, PageError> {
    let desk = Desk::from(admin);
    let kind = Some(filter.kind.as_str()).filter(|kind| !kind.is_empty());
    let before: Option<EventId> = filter.before.parse().ok();
    let mut tx = db.tenant(desk.scope).await?;
    let mut rows = audit::store::list(&mut tx, kind, before, PAGE + 1).await?;
    let ids: Vec<EventId> = rows.iter().map(|row| row.id).collect();
    let mut texts = questions.texts(&mut tx, &ids).await?;
    drop(tx);
    let more = rows.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    if more {
        rows.pop();
    }
    let base = format!("{}/activity", desk.base());
    let link = |last: &Row| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("kind", &filter.kind).append_pair("before", &last.id.to_string());
        format!("{base}?{}", query.finish())
    };
    let pager = Pager {
        summary: if more { format!("The newest {PAGE}") } else { "Nothing older".to_owned() },
        newer: before.map(|_| format!("{base}?kind={}", filter.kind)),
        older: rows.last().filter(|_| more).map(link),
    };
    let mut tx = db.control().await?;
    let mut events = lines(&mut tx, rows).await?;
    for event in &mut events {
        event.question = texts.remove(&event.id);
    }
    Ok(Page(Activity {
        frame: desk.frame("activity", None),
        kinds: words::KINDS.iter().map(|kind| (kind.as_str(), words::label(*kind))).collect(),
        kind: filter.kind,
        base,
        events,
        pager,
    }))
}

/// Events with the names of who did them.
pub(super) async fn lines(tx: &mut ControlTx, rows: Vec<Row>) -> sqlx::Result<Vec<Line>> {
    let ids: HashSet<UserId> =
        rows.iter().filter_map(|row| row.user_id).map(UserId::from).collect();
    let emails: HashMap<Uuid, String> =
        users::store::list_by_id(tx, &ids.into_iter().collect::<Vec<_>>())
            .await?
            .into_iter()
            .map(|user| (user.id.uuid(), user.email))
            .collect();
    let clients: HashSet<String> = rows.iter().filter_map(|row| row.client_id.clone()).collect();
    let clients = oauth::apps::client_names(tx, &clients.into_iter().collect::<Vec<_>>()).await?;
    Ok(rows.into_iter().map(|row| line(row, &emails, &clients)).collect())
}

fn line(row: Row, emails: &HashMap<Uuid, String>, clients: &HashMap<String, String>) -> Line {
    let detail = if row.detail.is_object() { row.detail } else { Value::Null };
    let (tone, outcome) = words::outcome(&row.kind, &detail);
    let user = row
        .user_id
        .map(|id| emails.get(&id).cloned().unwrap_or_else(|| "a deleted user".to_owned()));
    let sentence = words::sentence(&row.kind, &detail);
    // The user of such an event is whom it is about; the operator did it.
    let (words, actor) = match user {
        Some(user) if words::is_about_its_user(&row.kind) => (format!("{sentence}: {user}"), None),
        user => (sentence, user),
    };
    // A back end acts in its own name.
    let via = row.client_id.map(|id| clients.get(&id).cloned());
    let (actor, via) = match (actor, via) {
        (Some(actor), via) => (actor, via.flatten()),
        (None, Some(client)) => (client.unwrap_or_else(|| "a removed app".to_owned()), None),
        (None, None) => ("the command line".to_owned(), None),
    };
    let when = row.at.into();
    Line { id: row.id, question: None, words, actor, via, tone, outcome, when }
}
