//! What is asked before a change of the settings cuts apps off.

use askama::Template;

use super::{
    super::{Desk, view},
    Form,
};
use crate::{
    http::Frame,
    oauth::{apps::AppKey, tenant_policy::CutOff},
};

/// The question.
#[derive(Template)]
#[template(path = "admin/settings_confirm.html")]
pub(super) struct Confirm {
    frame: Frame,
    base: String,
    form: Form,
    summary: String,
    apps: Vec<Going>,
    /// How many of them an approval would keep.
    approvable: usize,
}

struct Going {
    key: AppKey,
    name: String,
    place: String,
    people: String,
}

/// Which apps would go.
pub(super) fn of(desk: &Desk, form: Form, apps: Vec<CutOff>) -> Confirm {
    let people: usize = apps.iter().map(|app| app.people).sum();
    let counted = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    Confirm {
        frame: desk.frame("settings", None),
        base: format!("{}/settings", desk.base()),
        form,
        summary: format!(
            "{} ({})",
            view::count(counted(apps.len()), "app", "apps"),
            view::count(counted(people), "connection", "connections"),
        ),
        approvable: apps.iter().filter(|app| app.approvable).count(),
        apps: apps
            .into_iter()
            .map(|app| Going {
                key: *app.identity(),
                name: app.client_name,
                place: app.place,
                people: view::count(counted(app.people), "person", "people"),
            })
            .collect(),
    }
}
