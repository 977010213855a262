//! Asking the model that a store goes by: for a question's vector, and at an endpoint for those of
//! passages, within its budget.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::time::Instant;

use super::Meaning;
use crate::{
    db::TenantScope,
    embeddings::{
        DIMENSIONS, Vector,
        endpoint::{Client, Error},
    },
    fault::Fault,
    ids::VectorStoreId,
    outbound::api::Api,
    vector_stores::{
        credentials,
        models::{EmbeddingModel, Endpoint, LOCAL},
        store_model_use, store_models,
    },
};

/// How long a question waits for its vector.
const PATIENCE: Duration = Duration::from_secs(3);
/// After an endpoint failed, questions do without it for so long.
const PAUSE: Duration = Duration::from_secs(15);

/// What the model made of a question.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Of length one; `None` where there is no model, or it gave no answer.
    pub vector: Option<Arc<[f32]>>,
    /// Why it gave none, in words for whoever asked the question.
    pub failure: Option<String>,
}

impl Asked {
    const fn of(vector: Option<Arc<[f32]>>) -> Self {
        Self { vector, failure: None }
    }

    fn without(reason: &str) -> Self {
        Self { vector: None, failure: Some(format!("{reason}; it was searched by words alone")) }
    }
}

/// Why an endpoint was not asked, or gave no answer.
pub(super) enum NotMade {
    /// It has been sent all that it may be sent today.
    UsedUp,
    /// Its key does not open.
    Locked,
    /// It failed.
    Failed(Error),
}

impl NotMade {
    pub(super) fn reason(&self) -> String {
        match self {
            Self::UsedUp => "the endpoint's budget of tokens for today is used up".to_owned(),
            Self::Locked => "the endpoint's API key cannot be read: enter it again".to_owned(),
            Self::Failed(error) => error.to_string(),
        }
    }
}

impl Meaning {
    /// A question's vector by the model of this number.
    ///
    /// # Errors
    /// When the database fails; what an endpoint does wrong is in the answer.
    pub async fn question(
        &self,
        scope: TenantScope,
        (store, id): (VectorStoreId, i16),
        text: &str,
    ) -> Result<Asked, Fault> {
        let tenant = scope.tenant_id();
        if id == LOCAL {
            return Ok(Asked::of(self.embedder.question(tenant, text).await));
        }
        let name = Some((store, id));
        if let Some(vector) = self.embedder.recall(tenant, name, text) {
            return Ok(Asked::of(Some(vector)));
        }
        let mut tx = self.context.db.tenant(scope).await?;
        let model = store_models::find(&mut tx, store, (id, DIMENSIONS)).await?;
        drop(tx);
        let Some(model) = model else { return Ok(Asked::default()) };
        let Some(endpoint) = &model.endpoint else {
            return Ok(Asked::of(self.embedder.question(tenant, text).await));
        };
        let now = self.context.clock.now();
        if let Some(failure) = endpoint.failure.as_ref().filter(|last| now < last.at + PAUSE) {
            return Ok(Asked::without(&failure.reason));
        }
        let place = (scope, store);
        match self.ask(place, &model, endpoint, (&[text.to_owned()], PATIENCE)).await? {
            Ok(mut vectors) => {
                if endpoint.failure.is_some() {
                    let mut tx = self.context.db.tenant(scope).await?;
                    store_model_use::record_success(&mut tx, (store, id)).await?;
                    tx.commit().await?;
                }
                let vector = vectors.pop().map(Arc::from);
                if let Some(vector) = &vector {
                    self.embedder.remember(tenant, name, text, vector);
                }
                Ok(Asked::of(vector))
            }
            Err(why) => {
                let reason = why.reason();
                // A question that it does not take is no reason to ask it no other one.
                if matches!(&why, NotMade::Failed(error) if !matches!(error, Error::Refused(_))) {
                    let mut tx = self.context.db.tenant(scope).await?;
                    store_model_use::record_failure(&mut tx, (store, id), now, &reason).await?;
                    tx.commit().await?;
                }
                Ok(Asked::without(&reason))
            }
        }
    }

    /// What an endpoint makes of texts of one store, counted against its budget.
    pub(super) async fn ask(
        &self,
        (scope, store): (TenantScope, VectorStoreId),
        model: &EmbeddingModel,
        endpoint: &Endpoint,
        (texts, patience): (&[String], Duration),
    ) -> Result<Result<Vec<Vector>, NotMade>, Fault> {
        let deadline = Instant::now() + patience;
        let now = self.context.clock.now();
        let expected = self.tokens(texts).await?;
        let name = (store, model.id);
        let mut tx = self.context.db.tenant(scope).await?;
        if !store_model_use::reserve(&mut tx, name, now.date(), expected).await? {
            return Ok(Err(NotMade::UsedUp));
        }
        let api_key = credentials::open_for_model(&mut tx, &self.context.master_key, name).await;
        // Before it is sent: what was sent is counted, whatever becomes of it.
        tx.commit().await?;
        let api_key = match api_key {
            Ok(key) => key,
            Err(fault) => {
                fault.log();
                return Ok(Err(NotMade::Locked));
            }
        };
        let api = Api {
            outbound: &self.context.outbound,
            base_url: &endpoint.base_url,
            api_key: api_key.as_ref(),
            deadline,
        };
        let client = Client {
            api,
            model: &model.model,
            dimensions: Some(model.dimensions),
            asks_dimensions: endpoint.asks_dimensions,
        };
        match client.embed(texts).await {
            Ok(made) => {
                let counted =
                    made.tokens.map_or(expected, |n| i64::try_from(n).unwrap_or(expected));
                self.correct((scope, store), model, (now, counted - expected)).await?;
                Ok(Ok(made.vectors))
            }
            Err(error) => {
                // What is refused is not read, nor charged.
                if matches!(error, Error::Refused(_)) {
                    self.correct((scope, store), model, (now, -expected)).await?;
                }
                Ok(Err(NotMade::Failed(error)))
            }
        }
    }

    /// About how many tokens these are.
    pub(super) async fn tokens(&self, texts: &[String]) -> Result<i64, Fault> {
        let sizer = self.embedder.sizer().await;
        Ok(i64::try_from(texts.iter().map(|text| sizer.tokens(text) + 2).sum::<usize>())?)
    }

    async fn correct(
        &self,
        (scope, store): (TenantScope, VectorStoreId),
        model: &EmbeddingModel,
        (now, more): (OffsetDateTime, i64),
    ) -> Result<(), Fault> {
        if more == 0 {
            return Ok(());
        }
        let mut tx = self.context.db.tenant(scope).await?;
        store_model_use::correct(&mut tx, (store, model.id), now.date(), more).await?;
        Ok(tx.commit().await?)
    }
}
