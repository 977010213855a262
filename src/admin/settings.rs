//! `/t/{tenant}/settings`: what the tenant demands of the apps that its members connect.

mod confirm;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::{Admin, Desk, Notice, back, forms::After, outlive, view};
use crate::{
    audit::Origin,
    db::Db,
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Query, ticks},
    },
    oauth::{
        place,
        tenant_policy::{
            self, AppsRule, Change, Changed, Connected, LONGEST_RETRY, MOST_HOSTS, TenantPolicy,
        },
    },
    questions,
    sign_in::TenantAdmin,
    tenants::Role,
};

#[derive(Template)]
#[template(path = "admin/settings.html")]
struct Settings {
    frame: Frame,
    base: String,
    rules: Vec<Rule>,
    form: Form,
    errors: Errors,
    /// Whether these are kept, where that is asked.
    questions: Option<bool>,
    /// Whether its visitor may delete the tenant.
    may_delete: bool,
    /// What somebody else has saved meanwhile.
    theirs: Option<Vec<(&'static str, String)>>,
}

struct Rule {
    name: &'static str,
    label: &'static str,
    about: &'static str,
    /// Whether the list of hosts belongs to it.
    has_hosts: bool,
}

/// The fields, as they were typed.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Form {
    seen: String,
    apps: String,
    #[serde(default)]
    allowed_hosts: String,
    require_dpop: Option<String>,
    refresh_retry: String,
    connected: Option<String>,
    /// The apps that the question was about.
    #[serde(default, deserialize_with = "ticks")]
    shown: Vec<String>,
}

#[derive(Debug, Default)]
struct Errors {
    allowed_hosts: Option<String>,
    refresh_retry: Option<String>,
}

/// `GET /t/{tenant}/settings`
pub(super) async fn index(
    admin: TenantAdmin,
    State(db): State<Db>,
    Query(after): Query<After>,
) -> Result<Page<impl Template>, PageError> {
    let may_delete = admin.role == Role::Owner;
    let desk = Desk::from(admin);
    let mut tx = db.control().await?;
    let policy = tenant_policy::find(&mut tx, desk.tenant.id).await?;
    let frame = desk.frame("settings", after.notice.as_deref());
    let kept = questions::are_kept(&mut tx, desk.tenant.id).await?;
    let page = page(&desk, frame, Form::of(&policy), Errors::default());
    Ok(Page(Settings { questions: Some(kept), may_delete, ..page }))
}

fn page(desk: &Desk, frame: Frame, form: Form, errors: Errors) -> Settings {
    let rules = AppsRule::ALL.into_iter().map(Rule::of).collect();
    let base = format!("{}/settings", desk.base());
    Settings { frame, base, rules, form, errors, questions: None, may_delete: false, theirs: None }
}

impl Rule {
    const fn of(rule: AppsRule) -> Self {
        let about = match rule {
            AppsRule::Open => "Each member decides. Every app that is connected stays connected.",
            AppsRule::Approval => {
                "A member asks, an admin decides, once for each app. Apps that are connected \
                 already need approval too, and you are asked about them before you save."
            }
            AppsRule::AllowList => {
                "Members connect apps of the hosts below. Connected apps of other hosts are cut \
                 off, and you see which before you save."
            }
            AppsRule::Off => {
                "Members connect nothing. Every connected app is cut off, and you see which before \
                 you save. Back ends go on."
            }
        };
        let has_hosts = matches!(rule, AppsRule::AllowList);
        Self { name: rule.as_str(), label: label(rule), about, has_hosts }
    }
}

/// A rule, as its choice is headed.
pub(super) const fn label(rule: AppsRule) -> &'static str {
    match rule {
        AppsRule::Open => "Any app",
        AppsRule::Approval => "Apps that an admin has approved",
        AppsRule::AllowList => "Apps of listed hosts",
        AppsRule::Off => "No apps",
    }
}

impl Form {
    fn of(policy: &TenantPolicy) -> Self {
        Self {
            seen: version(policy.updated_at),
            apps: policy.apps.as_str().to_owned(),
            allowed_hosts: policy.allowed_hosts.join("\n"),
            require_dpop: policy.require_dpop.then(|| "on".to_owned()),
            refresh_retry: policy.refresh_retry.whole_seconds().to_string(),
            connected: None,
            shown: Vec::new(),
        }
    }

    /// What was typed, if it makes sense.
    fn parse(&self) -> Result<TenantPolicy, Errors> {
        let apps = AppsRule::from_name(&self.apps).unwrap_or(AppsRule::Off);
        let hosts = parse_hosts(&self.allowed_hosts).and_then(|hosts| {
            if apps == AppsRule::AllowList && hosts.is_empty() {
                return Err("List at least one host, or choose “No apps”.".to_owned());
            }
            Ok(hosts)
        });
        let retry = self.refresh_retry.trim().parse::<i16>().ok();
        match (hosts, retry.filter(|seconds| (0..=LONGEST_RETRY).contains(seconds))) {
            (Ok(allowed_hosts), Some(seconds)) => Ok(TenantPolicy {
                apps,
                allowed_hosts,
                require_dpop: self.require_dpop.is_some(),
                refresh_retry: Duration::seconds(seconds.into()),
                updated_at: None,
            }),
            (hosts, retry) => Err(Errors {
                allowed_hosts: hosts.err(),
                refresh_retry: retry
                    .is_none()
                    .then(|| format!("A whole number of seconds, from 0 to {LONGEST_RETRY}.")),
            }),
        }
    }
}

/// One host a line, none twice.
fn parse_hosts(text: &str) -> Result<Vec<String>, String> {
    let mut hosts = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let host = place::parse(line).map_err(|wrong| {
            let shown: String = line.chars().take(60).collect();
            format!("“{shown}”: {wrong}")
        })?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    if hosts.len() > MOST_HOSTS {
        return Err(format!("No more than {MOST_HOSTS} hosts."));
    }
    Ok(hosts)
}

/// Which state of the settings a form shows.
pub(super) fn version(updated_at: Option<OffsetDateTime>) -> String {
    updated_at.map(|at| (at.unix_timestamp_nanos() / 1000).to_string()).unwrap_or_default()
}

pub(super) fn parse_version(text: &str) -> Option<OffsetDateTime> {
    let micros: i128 = text.parse().ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(micros.checked_mul(1000)?).ok()
}

/// `POST /t/{tenant}/settings`
pub(super) async fn update(
    admin: TenantAdmin,
    State(state): State<Admin>,
    origin: Origin,
    CsrfForm(form): CsrfForm<Form>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let frame = desk.frame("settings", None);
    let connected = match form.connected.as_deref() {
        Some("end") => Connected::End,
        Some("approve") => {
            Connected::Approve(form.shown.iter().filter_map(|key| key.parse().ok()).collect())
        }
        Some("edit") => {
            return Ok(Page(page(&desk, frame, form, Errors::default())).into_response());
        }
        _ => Connected::Unasked,
    };
    let wanted = match form.parse() {
        Ok(wanted) => wanted,
        Err(errors) => {
            let page = Page(page(&desk, frame, form, errors));
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let change = Change { wanted, seen: parse_version(&form.seen), connected };
    let (tenant, by) = (desk.tenant.id, desk.by(origin, &state.clock));
    let changed = outlive(async move {
        let mut tx = state.db.control().await?;
        let changed = tenant_policy::change(&mut tx, tenant, &change, &by).await?;
        if matches!(changed, Changed::Saved(_)) {
            tx.commit().await?;
        }
        Ok(changed)
    });
    Ok(match changed.await? {
        Changed::Saved(_) => {
            back(&format!("{}/settings", desk.base()), Notice::RulesSaved).into_response()
        }
        Changed::Stale(theirs) => stale(&desk, form, &theirs),
        Changed::Unasked(apps) => Page(confirm::of(&desk, form, apps)).into_response(),
    })
}

/// What was typed comes back; saving it again is a decision over what the other admin saved.
fn stale(desk: &Desk, form: Form, theirs: &TenantPolicy) -> Response {
    let hosts = match theirs.allowed_hosts.as_slice() {
        [] => "none".to_owned(),
        hosts => hosts.join(", "),
    };
    let now = vec![
        ("Apps", label(theirs.apps).to_owned()),
        ("Listed hosts", hosts),
        (
            "Tokens bound to the app’s key",
            if theirs.require_dpop { "required" } else { "not required" }.to_owned(),
        ),
        (
            "Window for lost answers",
            view::count(theirs.refresh_retry.whole_seconds(), "second", "seconds"),
        ),
    ];
    let form = Form { seen: version(theirs.updated_at), connected: None, ..form };
    let mut page = page(desk, desk.frame("settings", None), form, Errors::default());
    page.theirs = Some(now);
    (StatusCode::CONFLICT, Page(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_hosts_is_read_line_by_line() {
        let text = " ChatGPT.com \r\n\r\nlocalhost\nchatgpt.com\ncursor:\n";
        assert_eq!(parse_hosts(text).unwrap(), ["chatgpt.com", "localhost", "cursor:"]);
        let wrong = parse_hosts("chatgpt.com\nhttps://claude.ai\n").unwrap_err();
        assert!(wrong.starts_with("“https://claude.ai”: "), "{wrong}");
        let many: String = (0..=MOST_HOSTS).map(|n| format!("h{n}.example\n")).collect();
        assert!(parse_hosts(&many).is_err());
    }

    #[test]
    fn a_version_is_read_as_it_is_printed() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_000).unwrap();
        assert_eq!(parse_version(&version(Some(at))), Some(at));
        for none in ["", "x", "99999999999999999999999999999999999999999"] {
            assert_eq!(parse_version(none), None, "{none}");
        }
    }
}
