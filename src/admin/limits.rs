//! The four numbers of a tenant's limits: as its admins choose them, and as
//! `/operator/tenants/{tenant}/limits` bounds them.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{Admin, Notice, back, outlive, view};
use crate::{
    audit::{self, Event, Kind, Origin},
    db::{ControlTx, Db},
    http::{Frame, Page, PageError, csrf::CsrfForm, extract::Path},
    limits::{self, LEAST_PER_MINUTE, MOST_AT_ONCE, MOST_PER_MINUTE, Numbers, TenantLimits},
    sign_in::Operator,
    tenants::{self, Tenant},
};

/// The numbers, as they were typed; empty for "as everybody".
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Form {
    per_minute: String,
    user_per_minute: String,
    token_per_minute: String,
    at_once: String,
}

/// A number to be typed.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) value: String,
    /// What holds while nothing is typed.
    pub(super) usual: u32,
    pub(super) least: u32,
    pub(super) most: u32,
    /// All three in words.
    pub(super) hint: String,
    pub(super) error: Option<String>,
}

const FIELDS: [(&str, &str); 4] = [
    ("per_minute", "Everybody together, calls in a minute"),
    ("user_per_minute", "One member, calls in a minute"),
    ("token_per_minute", "One connection, calls in a minute"),
    ("at_once", "Everybody together, calls at the same time"),
];
const LEAST: [u32; 4] = [LEAST_PER_MINUTE, LEAST_PER_MINUTE, LEAST_PER_MINUTE, 1];
const HIGHEST: [u32; 4] = [MOST_PER_MINUTE, MOST_PER_MINUTE, MOST_PER_MINUTE, MOST_AT_ONCE];

impl Field {
    /// What a tenant's admins chose, below what they may.
    pub(super) fn chosen(limits: &TenantLimits) -> Vec<Self> {
        fields(limits.chosen, limits.bounds(), limits.bounds())
    }

    /// What an operator allows.
    fn bounds(limits: &TenantLimits) -> Vec<Self> {
        fields(limits.bound, TenantLimits::default().bounds(), HIGHEST)
    }
}

fn fields(numbers: Numbers, usual: [u32; 4], most: [u32; 4]) -> Vec<Field> {
    let Numbers { per_minute, user_per_minute, token_per_minute, at_once } = numbers;
    let values = [per_minute, user_per_minute, token_per_minute, at_once];
    let rows = FIELDS.into_iter().zip(values).zip(usual).zip(LEAST.into_iter().zip(most));
    rows.map(|((((name, label), value), usual), (least, most))| Field {
        name,
        label,
        value: value.map(|value| value.to_string()).unwrap_or_default(),
        hint: format!(
            "From {least} to {}; {} when it is empty.",
            view::number(most.into()),
            view::number(usual.into())
        ),
        usual,
        least,
        most,
        error: None,
    })
    .collect()
}

impl Form {
    fn values(&self) -> [&str; 4] {
        [&self.per_minute, &self.user_per_minute, &self.token_per_minute, &self.at_once]
            .map(|value| value.trim())
    }

    /// What was typed, if it is within what may be.
    pub(super) fn parse(&self, most: [u32; 4]) -> Result<Numbers, [Option<String>; 4]> {
        let mut numbers = [None; 4];
        let mut errors: [Option<String>; 4] = Default::default();
        let rows = self.values().into_iter().zip(LEAST.into_iter().zip(most));
        for (at, (value, (least, most))) in rows.enumerate() {
            match value.parse::<u32>() {
                _ if value.is_empty() => {}
                Ok(number) if (least..=most).contains(&number) => numbers[at] = Some(number),
                _ => {
                    let most = view::number(most.into());
                    errors[at] =
                        Some(format!("A whole number from {least} to {most}, or nothing."));
                }
            }
        }
        if errors.iter().any(Option::is_some) {
            return Err(errors);
        }
        let [per_minute, user_per_minute, token_per_minute, at_once] = numbers;
        Ok(Numbers { per_minute, user_per_minute, token_per_minute, at_once })
    }

    /// The fields with what was typed, and what is wrong with it.
    pub(super) fn again(&self, fields: Vec<Field>, errors: [Option<String>; 4]) -> Vec<Field> {
        let typed = self.values().into_iter().zip(errors);
        let fields = fields.into_iter().zip(typed);
        fields
            .map(|(field, (value, error))| Field { value: value.to_owned(), error, ..field })
            .collect()
    }
}

#[derive(Template)]
#[template(path = "operator/limits.html")]
struct Limits {
    frame: Frame,
    base: String,
    name: String,
    fields: Vec<Field>,
}

fn page(frame: Frame, tenant: &Tenant, fields: Vec<Field>) -> Page<Limits> {
    let base = format!("/operator/tenants/{}/limits", tenant.slug);
    let frame = Frame { active: "operator", ..frame };
    Page(Limits { frame, base, name: tenant.name.clone(), fields })
}

async fn find(tx: &mut ControlTx, slug: &str) -> Result<Tenant, PageError> {
    tenants::store::find_by_slug(tx, slug).await?.ok_or(PageError::NotFound)
}

/// `GET /operator/tenants/{tenant}/limits`
pub(super) async fn show(
    operator: Operator,
    State(db): State<Db>,
    Path(slug): Path<String>,
) -> Result<Page<impl Template>, PageError> {
    let mut tx = db.control().await?;
    let tenant = find(&mut tx, &slug).await?;
    let own = limits::store::find(&mut tx, tenant.id).await?;
    Ok(page(operator.frame, &tenant, Field::bounds(&own)))
}

/// `POST /operator/tenants/{tenant}/limits`
pub(super) async fn update(
    operator: Operator,
    State(state): State<Admin>,
    Path(slug): Path<String>,
    origin: Origin,
    CsrfForm(form): CsrfForm<Form>,
) -> Result<Response, PageError> {
    let mut tx = state.db.control().await?;
    let tenant = find(&mut tx, &slug).await?;
    let before = limits::store::find(&mut tx, tenant.id).await?;
    drop(tx);
    let bound = match form.parse(HIGHEST) {
        Ok(bound) => bound,
        Err(errors) => {
            let fields = form.again(Field::bounds(&before), errors);
            let page = page(operator.frame, &tenant, fields);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let (at, user) = (state.clock.now(), operator.user.id);
    outlive(async move {
        if bound == before.bound {
            return Ok(());
        }
        let mut tx = state.db.control().await?;
        limits::store::bound(&mut tx, tenant.id, bound).await?;
        let after = TenantLimits { bound, ..before };
        let event = Event::new(Kind::LimitsChanged, at)
            .tenant(tenant.id)
            .user(user)
            .from(&origin)
            .with("before", before.in_force().to_vec())
            .with("after", after.in_force().to_vec());
        audit::store::append_control(&mut tx, &event).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    Ok(back("/operator", Notice::LimitsSaved).into_response())
}
