//! The sentence for each kind of audit event.

use serde_json::Value;

use super::view;
use crate::{audit::Kind, oauth::tenant_policy::AppsRule};

/// What can happen inside a tenant, for the filter of the activity page.
pub(super) const KINDS: &[Kind] = &[
    Kind::Search,
    Kind::Fetch,
    Kind::UnknownTool,
    Kind::UnusualReading,
    Kind::ConsentGiven,
    Kind::ConsentDenied,
    Kind::TokenIssued,
    Kind::TokenRefreshed,
    Kind::TokenReused,
    Kind::GrantRevoked,
    Kind::ServiceClientCreated,
    Kind::ServiceClientSecretRotated,
    Kind::ServiceClientChanged,
    Kind::ServiceClientDeleted,
    Kind::AppRulesChanged,
    Kind::QuestionsDecided,
    Kind::AppRequested,
    Kind::AppApproved,
    Kind::AppRefused,
    Kind::AppWithdrawn,
    Kind::ConnectionChanged,
    Kind::DocumentStored,
    Kind::DocumentReleased,
    Kind::DocumentDeleted,
    Kind::WatchRemoved,
    Kind::WatchSaved,
    Kind::DocumentReceived,
    Kind::DocumentRestored,
    Kind::IngestCancelled,
    Kind::IngestRetried,
    Kind::IngestRefused,
    Kind::VectorStoreCreated,
    Kind::VectorStoreDeleted,
    Kind::EmbeddingModelChosen,
    Kind::EmbeddingModelSwitched,
    Kind::EmbeddingModelGivenUp,
    Kind::MemberAdded,
    Kind::MemberRemoved,
    Kind::SignIn,
    Kind::SignInFailed,
    Kind::SsoLinked,
    Kind::SsoUnlinked,
    Kind::SsoLinkAllowed,
    Kind::SsoProviderSaved,
    Kind::SsoProviderRemoved,
    Kind::LimitsChanged,
];

/// What happened, in the past tense and without names.
pub(super) const fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::SignIn => "Signed in",
        Kind::SignInFailed => "Sign-in refused",
        Kind::SignOut => "Signed out",
        Kind::ClientRegistered => "App registered",
        Kind::ClientUpdated => "App changed its registration",
        Kind::ClientDeleted => "App removed its registration",
        Kind::ConsentGiven => "App allowed",
        Kind::ConsentDenied => "App turned away",
        Kind::TokenIssued => "Tokens issued",
        Kind::TokenRefreshed => "Tokens refreshed",
        Kind::TokenReused => "Spent token came back",
        Kind::GrantRevoked => "Access revoked",
        Kind::AppRulesChanged => "Rules for apps changed",
        Kind::QuestionsDecided => "Keeping of questions decided",
        Kind::AppRequested => "Approval asked for",
        Kind::AppApproved => "App approved",
        Kind::AppRefused => "App refused",
        Kind::AppWithdrawn => "Approval taken back",
        Kind::ConnectionChanged => "Presentation of the connection changed",
        Kind::Search => "Searched",
        Kind::Fetch => "Document read",
        Kind::UnknownTool => "Unknown tool called",
        Kind::UnusualReading => "Far more documents read than usual",
        Kind::ServiceClientCreated => "Back end added",
        Kind::ServiceClientSecretRotated => "Back end’s secret renewed",
        Kind::ServiceClientChanged => "Back end’s vector stores chosen",
        Kind::ServiceClientDeleted => "Back end removed",
        Kind::DocumentStored => "Document added",
        Kind::DocumentReleased => "Document released",
        Kind::DocumentDeleted => "Document deleted",
        Kind::WatchRemoved => "Watched place removed",
        Kind::WatchSaved => "Watched place set",
        Kind::DocumentReceived => "File received",
        Kind::DocumentRestored => "Former version restored",
        Kind::IngestCancelled => "Upload cancelled",
        Kind::IngestRetried => "Upload tried again",
        Kind::IngestRefused => "Upload refused: it does not belong to this tenant",
        Kind::VectorStoreCreated => "Vector store added",
        Kind::VectorStoreDeleted => "Vector store removed",
        Kind::EmbeddingModelChosen => "Embedding model chosen",
        Kind::EmbeddingModelSwitched => "Search goes by another embedding model",
        Kind::EmbeddingModelGivenUp => "Change of embedding model given up",
        Kind::TenantCreated => "Tenant created",
        Kind::TenantDeleted => "Tenant deleted",
        Kind::MemberAdded => "Member added",
        Kind::MemberRemoved => "Member removed",
        Kind::OperatorCreated => "Operator created",
        Kind::UserCreated => "Account created",
        Kind::UserDisabled => "Account disabled",
        Kind::SigningKeyPublished => "Signing key published",
        Kind::SigningKeyRetired => "Signing key retired",
        Kind::ProblemDismissed => "Notice dismissed",
        Kind::SsoProviderSaved => "Sign-in provider set",
        Kind::SsoProviderRemoved => "Sign-in provider removed",
        Kind::SsoLinked => "Member linked to sign-in provider",
        Kind::SsoUnlinked => "Member’s link to sign-in provider removed",
        Kind::SsoLinkAllowed => "Member may be linked to sign-in provider again",
        Kind::LimitsChanged => "Limits changed",
    }
}

/// The label with what the event's details add to it.
pub(super) fn sentence(kind: &str, detail: &Value) -> String {
    let Some(kind) = Kind::from_name(kind) else { return kind.to_owned() };
    let text =
        |name: &str| detail.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let label = label(kind);
    if let (Kind::QuestionsDecided, Some(kept)) = (kind, detail.get("kept")) {
        let what = if *kept == true { "Questions are kept" } else { "Questions are not kept" };
        return format!("{what} from here on");
    }
    let hits = detail.get("results").and_then(Value::as_i64);
    if let (Kind::Search, Some("answered"), Some(hits)) = (kind, text("outcome"), hits) {
        return format!("{label}: {}", view::count(hits, "hit", "hits"));
    }
    let number = |name: &str| detail.get(name).and_then(Value::as_i64);
    if let (Kind::UnusualReading, Some(read)) = (kind, number("documents")) {
        let read = view::count(read, "document", "documents");
        let usual = match number("usual") {
            None | Some(0) => String::new(),
            Some(1) => ", where 1 is usual".to_owned(),
            Some(usual) => format!(", where {} are usual", view::number(usual)),
        };
        return format!("{label}: {read} in an hour{usual}");
    }
    if let (Kind::AppRulesChanged, Some(rule)) = (kind, rule(detail)) {
        return format!("{label}: {rule}");
    }
    if let (Kind::SignInFailed, Some(reason)) = (kind, text("reason")) {
        return format!("{label}: {reason}");
    }
    match ["title", "name", "client_name", "email"].iter().find_map(|name| text(name)) {
        Some(what) => format!("{label}: {what}"),
        None => label.to_owned(),
    }
}

/// Which apps members may connect after a change, where the change was to that.
fn rule(detail: &Value) -> Option<&'static str> {
    let apps = |state: &str| detail.get(state)?.get("apps")?.as_str();
    let after = apps("after").filter(|after| apps("before") != Some(after))?;
    AppsRule::from_name(after).map(super::settings::label)
}

/// Whether the event's user is not who did it.
pub(super) fn is_about_its_user(kind: &str) -> bool {
    matches!(Kind::from_name(kind), Some(Kind::MemberAdded | Kind::MemberRemoved))
}

/// The badge: its tone and word.
pub(super) fn outcome(kind: &str, detail: &Value) -> (&'static str, &'static str) {
    let kind = Kind::from_name(kind);
    if let Some(Kind::Search | Kind::Fetch | Kind::UnknownTool) = kind {
        return of_call(detail);
    }
    match kind {
        Some(Kind::SignInFailed | Kind::ConsentDenied | Kind::AppRefused) => ("warn", "Refused"),
        Some(Kind::AppRequested) => ("info", "Waits"),
        Some(Kind::TokenReused) => ("bad", "Revoked"),
        Some(Kind::UnusualReading) => ("bad", "Look at it"),
        _ => ("plain", "Done"),
    }
}

/// What came of a tool call: the names are those that `mcp` records.
fn of_call(detail: &Value) -> (&'static str, &'static str) {
    match detail.get("outcome").and_then(Value::as_str) {
        Some("answered") if detail.get("failed_stores").is_some() => ("warn", "Answered in part"),
        Some("answered") => ("good", "Answered"),
        Some("not_found") => ("warn", "Not found"),
        Some("bad_arguments" | "refused" | "revoked" | "unknown_tool") => ("warn", "Refused"),
        Some("unanswered") => ("warn", "Given up"),
        _ => ("bad", "Failed"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_has_its_sentence() {
        for kind in Kind::ALL {
            assert_ne!(sentence(kind.as_str(), &json!({})), kind.as_str());
        }
        assert_eq!(
            sentence("document.stored", &json!({"title": "Guide"})),
            "Document added: Guide"
        );
        let rules = |before, after| json!({"before": {"apps": before}, "after": {"apps": after}});
        assert_eq!(
            sentence("app_rules.changed", &rules("open", "off")),
            "Rules for apps changed: No apps"
        );
        assert_eq!(sentence("app_rules.changed", &rules("off", "off")), "Rules for apps changed");
        assert_eq!(
            sentence("reading.unusual", &json!({"documents": 1200, "usual": 4})),
            "Far more documents read than usual: 1,200 documents in an hour, where 4 are usual"
        );
        assert_eq!(
            sentence("reading.unusual", &json!({"documents": 110, "usual": 0})),
            "Far more documents read than usual: 110 documents in an hour"
        );
        assert_eq!(sentence("from.later", &json!({})), "from.later");
    }
}
