//! The one statement behind every call: which of these tokens' grants are alive?

use time::OffsetDateTime;
use uuid::Uuid;

use super::liveness::{Alive, Question};
use crate::{
    db::Control,
    ids::{UserId, VectorStoreId},
    limits::{Numbers, TenantLimits},
};

/// What is known about each question, in order.
pub(super) struct Answers {
    /// What the token may do; `None` when anything behind it is gone.
    pub(super) alive: Vec<Option<Alive>>,
    /// Grants whose time of last use is minutes behind.
    pub(super) stale: Vec<Uuid>,
}

/// What is known about one grant that lives.
struct Row {
    place: i64,
    slug: String,
    keeps_questions: bool,
    user_name: Option<String>,
    resource_was_sent: bool,
    is_stale: bool,
    bounds: Vec<Option<i32>>,
    chosen: Vec<Option<i32>>,
    vector_stores: Vec<Uuid>,
}

/// Answer each question.
pub(super) async fn read(
    control: &mut impl Control,
    questions: &[Question],
    now: OffsetDateTime,
) -> sqlx::Result<Answers> {
    let tenants: Vec<Uuid> = questions.iter().map(|one| one.tenant.uuid()).collect();
    let grants: Vec<Uuid> = questions.iter().map(|one| one.grant.uuid()).collect();
    let users: Vec<Option<Uuid>> = questions.iter().map(|one| one.user.map(UserId::uuid)).collect();
    let clients: Vec<String> = questions.iter().map(|one| one.client_id.clone()).collect();
    let tokens: Vec<Uuid> = questions.iter().map(|one| one.jti).collect();
    let keys: Vec<Option<String>> = questions.iter().map(|one| one.kid.clone()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        select asked.place as "place!", tenants.slug, tenants.keeps_questions,
               users.name as "user_name?",
               grants.resource_was_sent,
               (grants.last_used_at is null
                or grants.last_used_at < $6 - interval '5 minutes') as "is_stale!",
               array[own.bound_per_minute, own.bound_user_per_minute, own.bound_token_per_minute,
                     own.bound_at_once] as "bounds!: Vec<Option<i32>>",
               array[own.per_minute, own.user_per_minute, own.token_per_minute, own.at_once]
                 as "chosen!: Vec<Option<i32>>",
               array(select vector_store_id
                       from oauth_grant_vector_stores chosen
                      where chosen.tenant_id = grants.tenant_id and chosen.grant_id = grants.id
                      order by vector_store_id) as "vector_stores!"
          from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $7::text[])
               with ordinality as asked (tenant_id, grant_id, user_id, client_id, jti, kid, place)
          join oauth_grants grants
            on grants.tenant_id = asked.tenant_id and grants.id = asked.grant_id
           and grants.user_id is not distinct from asked.user_id
           and grants.client_id = asked.client_id
           and grants.revoked_at is null and grants.expires_at > $6::timestamptz
          join oauth_clients clients
            on clients.client_id = asked.client_id and clients.disabled_at is null
           and clients.version = grants.client_version
          join tenants on tenants.id = asked.tenant_id and tenants.suspended_at is null
          left join tenant_limits own on own.tenant_id = tenants.id
          left join users on users.id = asked.user_id and users.disabled_at is null
          left join memberships
            on memberships.tenant_id = asked.tenant_id and memberships.user_id = asked.user_id
         where (asked.user_id is null or (users.id is not null and memberships.role is not null))
           and not exists (select from oauth_revoked_access_tokens revoked
                            where revoked.tenant_id = asked.tenant_id and revoked.jti = asked.jti)
           and (asked.kid is null
                or exists (select from signing_keys
                            where signing_keys.kid = asked.kid and retired_at is null))
        "#,
        &tenants,
        &grants,
        &users as &[Option<Uuid>],
        &clients,
        &tokens,
        now,
        &keys as &[Option<String>],
    )
    .fetch_all(control.control())
    .await?;
    Ok(answers(rows, &grants))
}

fn answers(rows: Vec<Row>, grants: &[Uuid]) -> Answers {
    let mut answers = Answers { alive: vec![None; grants.len()], stale: Vec::new() };
    for row in rows {
        let place = usize::try_from(row.place - 1).unwrap_or(usize::MAX);
        if let (Some(answer), Some(grant)) = (answers.alive.get_mut(place), grants.get(place)) {
            if row.is_stale {
                answers.stale.push(*grant);
            }
            let numbers = |stored: Vec<Option<i32>>| {
                stored.try_into().map_or_else(|_| Numbers::default(), |four: [_; 4]| four.into())
            };
            let limits = TenantLimits { bound: numbers(row.bounds), chosen: numbers(row.chosen) };
            let vector_stores = row.vector_stores.into_iter().map(VectorStoreId::from).collect();
            *answer = Some(Alive {
                vector_stores,
                tenant_slug: row.slug,
                keeps_questions: row.keeps_questions,
                user_name: row.user_name,
                resource_was_sent: row.resource_was_sent,
                limits,
            });
        }
    }
    answers
}
