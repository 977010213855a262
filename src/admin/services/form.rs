//! The form that makes a back end: what was typed, and what is wrong with it.

use reqwest::Url;
use serde::Deserialize;
use time::Duration;

use super::Choice;
use crate::{
    http::{PageError, extract::ticks, sentence},
    ids::VectorStoreId,
    oauth::{
        scope::Scope,
        services::{self, New, NewProof, Unchanged},
    },
    outbound::Outbound,
};

/// How long a back end may live: the form's value, its words, and the days.
const LIVES: [(&str, &str, i64); 3] =
    [("90", "90 days", 90), ("365", "1 year", 365), ("730", "2 years", 730)];

/// The fields as they are sent.
#[derive(Debug, Deserialize)]
pub(in crate::admin) struct NewBackEnd {
    name: String,
    #[serde(default, deserialize_with = "ticks")]
    may: Vec<String>,
    #[serde(default, deserialize_with = "ticks")]
    store: Vec<String>,
    proof: String,
    #[serde(default)]
    jwks: String,
    #[serde(default)]
    jwks_uri: String,
    life: String,
}

/// The fields as they are shown again.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) may_introspect: bool,
    store: Vec<String>,
    pub(super) proof: String,
    pub(super) jwks: String,
    pub(super) jwks_uri: String,
    life: String,
    pub(super) name_error: Option<&'static str>,
    pub(super) may_error: Option<&'static str>,
    pub(super) jwks_error: Option<&'static str>,
    pub(super) jwks_uri_error: Option<String>,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            name: String::new(),
            scope: Scope::SEARCH_READ,
            may_introspect: false,
            store: Vec::new(),
            proof: "secret".to_owned(),
            jwks: String::new(),
            jwks_uri: String::new(),
            life: "90".to_owned(),
            name_error: None,
            may_error: None,
            jwks_error: None,
            jwks_uri_error: None,
        }
    }
}

impl Form {
    /// The stores, ticked as they were.
    pub(super) fn ticked(&self, stores: Vec<Choice>) -> Vec<Choice> {
        let chosen = |store: &Choice| self.store.contains(&store.id.to_string());
        stores.into_iter().map(|one| Choice { chosen: chosen(&one), ..one }).collect()
    }

    /// Value and words of each life, and whether it is the chosen one.
    pub(super) fn lives(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        LIVES.iter().map(|(value, words, _)| (*value, *words, *value == self.life))
    }

    fn is_good(&self) -> bool {
        self.name_error.is_none()
            && self.may_error.is_none()
            && self.jwks_error.is_none()
            && self.jwks_uri_error.is_none()
    }

    /// The first field that is wrong: the focus goes there.
    pub(super) const fn focus(&self) -> &'static str {
        if self.name_error.is_some() {
            "name"
        } else if self.may_error.is_some() {
            "may"
        } else if self.jwks_error.is_some() {
            "jwks"
        } else if self.jwks_uri_error.is_some() {
            "jwks_uri"
        } else {
            ""
        }
    }

    /// With the reason why nothing was made.
    pub(super) fn refused(mut self, unchanged: Unchanged) -> Self {
        match unchanged {
            Unchanged::TooMany => {
                self.name_error = Some("A tenant has at most 100 back ends. Remove one first.");
            }
            Unchanged::StoreGone => self.may_error = Some("A vector store was removed meanwhile."),
            Unchanged::NameTaken
            | Unchanged::NotFound
            | Unchanged::Stale
            | Unchanged::NothingToChange => {
                self.name_error = Some("Another back end of this tenant has that name.");
            }
        }
        self
    }
}

/// Those of the tenant's own stores that were ticked. What else was sent names nothing.
pub(super) fn own(stores: &[Choice], ticked: &[String]) -> Vec<VectorStoreId> {
    stores.iter().map(|store| store.id).filter(|id| ticked.contains(&id.to_string())).collect()
}

impl NewBackEnd {
    /// What is wanted, if it makes sense; and the form, with what is wrong where it does not.
    pub(super) fn check(
        self,
        stores: &[Choice],
        outbound: &Outbound,
    ) -> Result<(Form, Option<New>), PageError> {
        let days = LIVES.iter().find(|(value, ..)| *value == self.life).map(|(.., days)| *days);
        let days = days.ok_or(PageError::BadRequest("there is no such life"))?;
        let may = |what: &str| self.may.iter().any(|ticked| ticked == what);
        let may_introspect = may("introspect");
        let scope = scope(may);
        let acts = scope != Scope::default();
        let chosen = own(stores, &self.store);
        let name = services::clean_name(&self.name);
        let mut form = Form {
            name_error: name.is_none().then_some("A name has 1 to 60 characters."),
            may_error: if !acts && !may_introspect {
                Some("Tick what it may do.")
            } else if acts && chosen.is_empty() {
                Some("Tick at least one vector store that it may do this in.")
            } else {
                None
            },
            name: self.name,
            scope,
            may_introspect,
            store: self.store,
            proof: self.proof,
            jwks: self.jwks,
            jwks_uri: self.jwks_uri,
            life: self.life,
            jwks_error: None,
            jwks_uri_error: None,
        };
        let proof = form.read_proof(outbound)?;
        let (Some(name), Some(proof), true) = (name, proof, form.is_good()) else {
            return Ok((form, None));
        };
        let stores = if acts { chosen } else { Vec::new() };
        let new = New { name, proof, scope, stores, may_introspect, life: Duration::days(days) };
        Ok((form, Some(new)))
    }
}

/// The ticks, by the scopes that they stand for.
const TICKS: [(&str, Scope); 3] = [
    ("search", Scope::SEARCH_READ),
    ("documents_read", Scope::DOCUMENTS_READ),
    ("documents_write", Scope::DOCUMENTS_WRITE),
];

fn scope(may: impl Fn(&str) -> bool) -> Scope {
    let ticked = TICKS.iter().filter(|(tick, _)| may(tick));
    ticked.fold(Scope::default(), |all, (_, one)| all.and(*one))
}

impl Form {
    /// Whether this is ticked.
    pub(super) fn may(&self, tick: &str) -> bool {
        TICKS.iter().any(|(name, one)| *name == tick && self.scope.covers(*one))
    }

    fn read_proof(&mut self, outbound: &Outbound) -> Result<Option<NewProof>, PageError> {
        match self.proof.as_str() {
            "secret" => Ok(Some(NewProof::Secret)),
            "jwks" => match services::public_keys(self.jwks.trim()) {
                Ok(keys) => Ok(Some(NewProof::Keys(keys))),
                Err(reason) => {
                    self.jwks_error = Some(reason);
                    // Never printed back: it may be a private key.
                    self.jwks.clear();
                    Ok(None)
                }
            },
            "jwks_uri" => {
                let url = self.jwks_uri.trim();
                self.jwks_uri_error = check_url(url, outbound).err();
                Ok(self.jwks_uri_error.is_none().then(|| NewProof::KeysAt(url.to_owned())))
            }
            _ => Err(PageError::BadRequest("there is no such way to authenticate")),
        }
    }
}

fn check_url(url: &str, outbound: &Outbound) -> Result<(), String> {
    let malformed = || "This must be an https URL of at most 512 characters.".to_owned();
    let parsed: Url = url.parse().map_err(|_| malformed())?;
    if url.len() > 512 || url.contains(char::is_control) || parsed.fragment().is_some() {
        return Err(malformed());
    }
    outbound.check(&parsed).map_err(|error| sentence(&error.to_string()))
}
