//! What the commands on documents share: the tenant and the store that the arguments name.

use super::{Context, Stop};
use crate::{
    audit::Actor,
    db::TenantScope,
    fault::Fault,
    ids::VectorStoreId,
    tenants::{self, Slug},
    vector_stores::{self, Backend},
};

/// Leave to act in the tenant of this slug.
pub(super) async fn tenant(context: &Context, slug: &Slug) -> Result<TenantScope, Stop> {
    let found = async {
        let mut tx = context.parts.db.control().await?;
        tenants::store::find_by_slug(&mut tx, slug.as_str()).await
    };
    let tenant = found
        .await
        .map_err(Fault::from)?
        .ok_or_else(|| Stop(format!("there is no tenant {slug}: see callslip tenant list")))?;
    #[expect(clippy::disallowed_methods, reason = "whoever runs this command owns the database")]
    Ok(TenantScope::proven(tenant.id))
}

/// The tenant of this slug, and its store of this name.
pub(super) async fn store_of(
    context: &Context,
    slug: &Slug,
    name: &str,
) -> Result<(TenantScope, VectorStoreId), Stop> {
    let scope = tenant(context, slug).await?;
    let stores = stores(context, scope, &[name.to_owned()]).await?;
    let [store] = stores[..] else { return Err(Stop("name one store".to_owned())) };
    Ok((scope, store))
}

/// The stores of these names; every store of the tenant when there are none.
pub(super) async fn stores(
    context: &Context,
    scope: TenantScope,
    names: &[String],
) -> Result<Vec<VectorStoreId>, Stop> {
    let list = async {
        let mut tx = context.parts.db.tenant(scope).await?;
        vector_stores::store::list(&mut tx).await
    };
    let all = list.await.map_err(Fault::from)?;
    if names.is_empty() {
        return Ok(all.into_iter().map(|store| store.id).collect());
    }
    names
        .iter()
        .map(|name| {
            all.iter()
                .find(|store| store.name == *name)
                .map(|store| store.id)
                .ok_or_else(|| Stop(format!("the tenant has no vector store {name:?}")))
        })
        .collect()
}

/// The builtin store of this name, made when it is missing.
pub(super) async fn builtin_store(
    context: &Context,
    scope: TenantScope,
    name: &str,
) -> Result<VectorStoreId, Stop> {
    let name = vector_stores::store_name(name)
        .ok_or_else(|| Stop("a store's name has 1 to 80 characters".to_owned()))?;
    let find_or_create = async {
        let mut tx = context.parts.db.tenant(scope).await?;
        let (clock, actor) = (&context.parts.clock, Actor::default());
        if let Ok(store) = vector_stores::create_builtin(&mut tx, clock, &actor, &name).await? {
            tx.commit().await?;
            return Ok(Some(store));
        }
        vector_stores::store::find_by_name(&mut tx, &name).await
    };
    match find_or_create.await.map_err(Fault::from)? {
        Some(store) if store.backend == Backend::Builtin => Ok(store.id),
        Some(_) => Err(Stop(format!("{name} is an outside store: its owner fills it"))),
        None => Err(Stop(format!("{name} was removed just now"))),
    }
}
