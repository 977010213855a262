//! What a page says about the act before it.

use axum::response::Redirect;

/// Back to a page after an act, with a word on it.
pub(super) fn back(path: &str, notice: Notice) -> Redirect {
    Redirect::to(&format!("{path}?notice={}", notice.name()))
}

/// Each notice once: what code calls it, what URLs call it, and what it says.
macro_rules! notices {
    ($($notice:ident($name:literal): $text:literal,)*) => {
        /// A word on the act before. The URL carries its name and never its text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Notice {
            $($notice,)*
        }

        impl Notice {
            const ALL: &[Self] = &[$(Self::$notice,)*];

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$notice => $name,)*
                }
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$notice => $text,)*
                }
            }
        }
    };
}

notices! {
    Uploaded("uploaded"): "Every file was added.",
    Received("received"): "Every file was received. What is not in the list yet is being read.",
    IngestRetried("ingest-retried"): "The file waits to be read again.",
    IngestCancelled("ingest-cancelled"): "The file was removed.",
    DocumentDeleted("document-deleted"): "The document was deleted.",
    WatchAsked("watch-asked"): "The place is looked at now.",
    WatchRemoved("watch-removed"): "The store follows nothing any more. Its documents stay.",
    WatchSaved("watch-saved"): "The store follows the place from now on.",
    VersionRestored("version-restored"):
        "The version is read again. It is the current one in a moment.",
    DocumentReleased("document-released"): "Assistants can find the document now.",
    StoreAdded("store-added"): "The vector store was added.",
    StoreRemoved("store-removed"): "The vector store was removed.",
    ModelChosen("model-chosen"):
        "The model works. Search goes by it once it has embedded everything.",
    ModelRenewed("model-renewed"): "The model has the key and the budget that you gave.",
    ModelGivenUp("model-given-up"): "The change was given up. Search goes on as before.",
    Revoked("revoked"): "Access was revoked. The app’s next call is refused.",
    BackEndChanged("back-end-changed"): "The choice holds from the back end’s next call on.",
    BackEndRemoved("back-end-removed"): "The back end was removed. Its next call is refused.",
    ProblemDismissed("problem-dismissed"): "Dismissed. It comes back if it is seen again.",
    RulesSaved("rules-saved"): "The settings were saved.",
    AppApproved("app-approved"): "The app is approved. Members can connect it now.",
    AppRefused("app-refused"): "The app is refused. Members who try to connect it read that.",
    AppWithdrawn("app-withdrawn"): "The approval is taken back. The app’s next call is refused.",
    DecidedBefore("decided-before"):
        "Nothing was changed: somebody else decided on this app before.",
    ProviderSaved("provider-saved"): "The sign-in provider was saved.",
    ProviderRemoved("provider-removed"):
        "The sign-in provider was removed. Members sign in with their passwords.",
    LinkRemoved("link-removed"): "The member cannot come in through the provider any more.",
    LinkAllowed("link-allowed"): "The member’s next sign-in through the provider links them anew.",
    LimitsSaved("limits-saved"): "The limits were saved.",
    QuestionAdded("question-added"): "The question was added. It is asked within a minute.",
    QuestionRemoved("question-removed"): "The question was removed.",
    QuestionDismissed("question-dismissed"): "The question was put away.",
    RunAsked("run-asked"): "The questions are being asked.",
}

impl Notice {
    /// The text for a name that a URL carries; nothing for any other.
    pub(super) fn named(name: Option<&str>) -> Option<String> {
        let name = name?;
        Self::ALL.iter().find(|notice| notice.name() == name).map(|notice| notice.text().to_owned())
    }
}
